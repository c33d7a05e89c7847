"""Towns with winding streets: suburbs and villages.

A suburb has a long curved loop, winding streets within it, and crescents, hairpins and culs-de-sac around it. A village
has country lanes that meet at a central roundabout or junction, fork, and link up around the centre.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np

from navsim.errors import TownError
from navsim.geometry import Array
from navsim.roads.generators.layout import CrossSection, RoadLayout, closed_line, direction, link_line, rounded_line
from navsim.roads.generators.street_builder import (
    StreetBuilder,
    StreetPoint,
    add_roundabout,
    add_several,
    free_points,
    try_dead_end,
    try_link,
)

LOOP = 0
"""Index of the loop among the builder's streets."""
COLLECTOR = CrossSection(1, 3.5, 1.2, 9.0)
"""Cross section of the loop."""
SUBURB_STREET = CrossSection(1, 3.2, 1.0, 8.0)
"""Cross section of the streets within the loop."""
SUBURB_LANE = CrossSection(1, 3.0, 0.9, 7.0)
"""Cross section of the streets around the loop."""
CORNERS = 8
"""Number of the loop's corners before smoothing."""


@dataclass(frozen=True)
class SuburbConfig:
    """Parameters of the town generator `suburb`; pairs are ranges (low, high)."""

    loop_radius: tuple[float, float] = (125.0, 155.0)
    """Mean radius of the loop [m]."""
    unevenness: float = 0.16
    """Largest amplitude of the waves in the loop's radius, as a fraction of the radius."""
    inner_streets: tuple[int, int] = (4, 6)
    """Number of streets within the loop."""
    winding: float = 0.16
    """Largest sideways shift of an inner street, as a fraction of its length."""
    crescents: tuple[int, int] = (1, 2)
    """Number of streets that leave the loop and return to it."""
    crescent_depth: tuple[float, float] = (50.0, 85.0)
    """Distance of a crescent's far side from the loop [m]."""
    hairpins: tuple[int, int] = (1, 2)
    """Number of streets that leave the loop, turn back sharply and return beside themselves."""
    hairpin_radius: tuple[float, float] = (14.0, 17.0)
    """Radius of a hairpin's turn [m]."""
    dead_ends: tuple[int, int] = (0, 2)
    """Number of culs-de-sac around the loop."""
    turning_circle: float | None = 15.0
    """Radius of the turning circle of a cul-de-sac [m]; None makes plain dead ends, where routes can only end."""
    clearance: float = 14.0
    """Smallest distance between the kerbs of two streets, away from junctions [m]."""
    kerb_radius: float = 8.0
    """Radius of the kerb corners [m]."""
    street_attempts: int = 40
    """Largest number of draws for the streets of one kind."""
    attempts: int = 40
    """Largest number of draws for a town."""

    def draw_layout(self, rng: np.random.Generator) -> RoadLayout | None:
        """Draw the roads of a town; return None if too few streets fit."""
        builder = StreetBuilder(self.clearance, spacing=50.0, reach=40.0, min_radius=self.hairpin_radius[0] - 1.0)
        loop = closed_line(_loop_corners(self, rng))
        start = builder.add_node(loop.points[0])
        builder.add_street(loop, start, start, COLLECTOR)
        kinds = (
            (self.hairpins, _try_hairpin),
            (self.crescents, _try_crescent),
            (self.dead_ends, _try_cul_de_sac),
            ((1, 1), _try_spine),
            (self.inner_streets, _try_inner),
        )
        for (min_count, max_count), try_add in kinds:
            count = int(rng.integers(min_count, max_count + 1))
            if add_several(partial(try_add, self, builder, rng), count, self.street_attempts) < min_count:
                return None
        return builder.layout(self.kerb_radius)


def _loop_corners(config: SuburbConfig, rng: np.random.Generator) -> Array:
    """Draw the corners (K, 2) of the loop, counter-clockwise [m]."""
    angles = rng.uniform(0.0, 2 * np.pi) + 2 * np.pi * np.arange(CORNERS) / CORNERS
    waves = rng.uniform(-config.unevenness, config.unevenness, size=2)
    phases = rng.uniform(0.0, 2 * np.pi, size=2)
    radii = rng.uniform(*config.loop_radius) * (
        1 + waves[0] * np.sin(2 * angles + phases[0]) + waves[1] * np.sin(3 * angles + phases[1])
    )
    radii *= 1 + rng.uniform(-0.06, 0.06, size=CORNERS)
    return np.asarray(radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=-1))


def _try_spine(config: SuburbConfig, builder: StreetBuilder, rng: np.random.Generator) -> int | None:
    """Try to add an S-shaped street through the middle, from the loop's first node to its far side."""
    far = builder.nearest_point(LOOP, builder.streets[LOOP].centre.length * rng.uniform(0.38, 0.62))
    ends = StreetPoint(LOOP, 0.0), far
    inward, outward = (builder.heading(point) + side * np.pi / 2 for point, side in zip(ends, (1, -1), strict=True))
    shifts = config.winding * rng.uniform(0.4, 1.0, size=2) * np.array([1.0, -1.0]) * rng.choice([-1.0, 1.0])
    centre = link_line((builder.position(ends[0]), builder.position(far)), (inward, outward), shifts.tolist())
    return builder.try_add_street(centre, *ends, SUBURB_STREET)


def _try_inner(config: SuburbConfig, builder: StreetBuilder, rng: np.random.Generator) -> int | None:
    """Try to add a street between two inner streets, or between one and the loop."""
    inner = [i for i, street in enumerate(builder.streets) if i == LOOP or street.section is SUBURB_STREET]
    return try_link(builder, inner, (70.0, 190.0), config.winding, SUBURB_STREET, rng)


def _loop_points(
    builder: StreetBuilder, width: float, rng: np.random.Generator
) -> tuple[StreetPoint, StreetPoint] | None:
    """Draw two free points on the loop, `width` [m] apart along it; return None if there are none."""
    loop = builder.streets[LOOP]
    pairs = [
        (first, last)
        for first in free_points(builder, [LOOP])[0]
        if first.station + width < loop.centre.length
        and builder.is_free(last := builder.nearest_point(LOOP, first.station + width))
    ]
    return pairs[int(rng.integers(len(pairs)))] if pairs else None


def _try_crescent(config: SuburbConfig, builder: StreetBuilder, rng: np.random.Generator) -> int | None:
    """Try to add a street around a row of houses beside the loop."""
    ends = _loop_points(builder, float(rng.uniform(100.0, 165.0)), rng)
    if ends is None:
        return None
    depth, radius = rng.uniform(*config.crescent_depth), float(rng.uniform(20.0, 32.0))
    corners = [builder.position(point) for point in ends]
    offsets = [depth * direction(builder.heading(point) - np.pi / 2) for point in ends]
    return _try_rounded(
        builder,
        np.array([corners[0], corners[0] + offsets[0], corners[1] + offsets[1], corners[1]]),
        [radius] * 2,
        ends,
    )


def _try_hairpin(config: SuburbConfig, builder: StreetBuilder, rng: np.random.Generator) -> int | None:
    """Try to add a street that leaves the loop, turns back sharply and returns beside itself."""
    ends = _loop_points(builder, float(rng.uniform(62.0, 76.0)), rng)
    if ends is None:
        return None
    radius, depth = float(rng.uniform(*config.hairpin_radius)), rng.uniform(100.0, 130.0)
    first, last = (builder.position(point) for point in ends)
    away = [direction(builder.heading(point) - np.pi / 2) for point in ends]
    along = direction(float(np.arctan2(*(last - first)[::-1])) + np.deg2rad(rng.uniform(-12.0, 12.0)))
    outward, base = np.array([along[1], -along[0]]), (first + last) / 2
    legs = [
        base + side * radius * along + far * outward for side, far in ((-1, 58.0), (-1, depth), (1, depth), (1, 58.0))
    ]
    corners = np.array([first, first + 26.0 * away[0], *legs, last + 26.0 * away[1], last])
    turn = radius * 0.999  # two quarter turns that fill the leg between them form one half turn
    return _try_rounded(builder, corners, [24.0, 24.0, turn, turn, 24.0, 24.0], ends)


def _try_rounded(
    builder: StreetBuilder, corners: Array, radii: list[float], ends: tuple[StreetPoint, StreetPoint]
) -> int | None:
    """Try to add a street with rounded corners (K, 2); return None if the arcs do not fit."""
    try:
        centre = rounded_line(corners, radii)
    except TownError:
        return None  # where the loop is concave, the legs approach each other
    return builder.try_add_street(centre, *ends, SUBURB_LANE)


def _try_cul_de_sac(config: SuburbConfig, builder: StreetBuilder, rng: np.random.Generator) -> int | None:
    """Try to add a short dead-end street, with a turning circle if the configuration has one."""
    ends = _loop_points(builder, 0.0, rng)
    if ends is None:
        return None
    heading = builder.heading(ends[0]) - np.pi / 2
    length, bend = float(rng.uniform(55.0, 85.0)), float(rng.uniform(-0.5, 0.5))
    return try_dead_end(builder, ends[0], (heading, heading + bend), length, SUBURB_LANE, config.turning_circle)


RING = CrossSection(1, 4.0, 1.0, 6.0, ring=True)
"""Cross section of the roundabout."""
VILLAGE_STREET = CrossSection(1, 3.2, 1.0, 8.0)
"""Cross section of the streets from the centre outwards."""
VILLAGE_LANE = CrossSection(1, 2.9, 0.8, 7.0)
"""Cross section of the lanes around the centre."""
ROAD_ATTEMPTS = 6
"""Largest number of draws for one road."""


@dataclass(frozen=True)
class VillageConfig:
    """Parameters of the town generator `village`; pairs are ranges (low, high)."""

    roundabout: float = 0.55
    """Probability of a roundabout in the centre."""
    five_way: float = 0.3
    """Probability of a junction of five roads in the centre; otherwise three roads fork there."""
    ring_radius: tuple[float, float] = (20.0, 25.0)
    """Radius of the roundabout's ring [m]; with five arms at least the mean of both values."""
    roundabout_arms: tuple[int, int] = (3, 5)
    """Number of roads that meet at the roundabout."""
    reach: tuple[float, float] = (120.0, 165.0)
    """Distance from the centre to the forks [m]."""
    fork_deg: tuple[float, float] = (54.0, 70.0)
    """Angle between straight on and the lanes that leave a fork [deg]."""
    winding: float = 0.1
    """Largest sideways shift of the roads, as a fraction of their length."""
    links: tuple[int, int] = (1, 2)
    """Number of lanes between other roads."""
    clearance: float = 14.0
    """Smallest distance between the kerbs of two roads, away from junctions [m]."""
    min_radius: float = 22.0
    """Smallest radius of bends [m]."""
    kerb_radius: float = 8.0
    """Radius of the kerb corners [m]."""
    street_attempts: int = 40
    """Largest number of draws for the lanes between other roads."""
    attempts: int = 40
    """Largest number of draws for a town."""

    def draw_layout(self, rng: np.random.Generator) -> RoadLayout | None:
        """Draw the roads of a town; return None if a road does not fit."""
        builder = StreetBuilder(self.clearance, spacing=50.0, reach=45.0, min_radius=self.min_radius)
        angles, starts = _draw_centre(self, builder, rng)
        forks = [
            builder.add_node(rng.uniform(*self.reach) * direction(angle + rng.normal(0.0, 0.07))) for angle in angles
        ]
        outward = [angle + float(rng.uniform(-0.3, 0.3)) for angle in angles]
        num_ring_roads = len(builder.streets)
        arms = list(zip(starts, forks, angles, outward, strict=True))
        if not all(any(_try_arm(self, builder, arm, rng) for _ in range(ROAD_ATTEMPTS)) for arm in arms):
            return None
        pairs = [((forks[i], forks[i - 1]), (outward[i], outward[i - 1])) for i in range(len(forks))]
        if not all(any(_try_lane_around(self, builder, *pair, rng) for _ in range(ROAD_ATTEMPTS)) for pair in pairs):
            return None
        num_links = int(rng.integers(self.links[0], self.links[1] + 1))
        streets = range(num_ring_roads, len(builder.streets))
        add_several(
            lambda: try_link(builder, streets, (60.0, 190.0), 0.12, VILLAGE_LANE, rng), num_links, self.street_attempts
        )
        return builder.layout(self.kerb_radius)


def _draw_centre(
    config: VillageConfig, builder: StreetBuilder, rng: np.random.Generator
) -> tuple[list[float], list[int]]:
    """Draw the centre: the headings of its roads [rad], counter-clockwise, and the nodes where they start."""
    kind = rng.uniform()
    if kind < config.roundabout:
        arms = int(rng.integers(config.roundabout_arms[0], config.roundabout_arms[1] + 1))
        low, high = config.ring_radius
        radius = float(rng.uniform((low + high) / 2 if arms >= 5 else low, high))
        angles = _random_angles(arms, np.deg2rad({3: 85.0, 4: 76.0}.get(arms, 68.0)), rng)
        return angles, add_roundabout(builder, radius, angles, RING)
    arms = 5 if kind < config.roundabout + config.five_way else 3
    angles = _random_angles(arms, np.deg2rad(60.0 if arms == 5 else 75.0), rng)
    return angles, [builder.add_node(np.zeros(2))] * arms


def _random_angles(count: int, min_gap: float, rng: np.random.Generator) -> list[float]:
    """Draw angles around a circle, counter-clockwise, at least `min_gap` apart [rad]."""
    gaps = min_gap + (2 * np.pi - count * min_gap) * rng.dirichlet(np.full(count, 2.0))
    return [float(angle) for angle in rng.uniform(0.0, 2 * np.pi) + np.cumsum(gaps)]


def _try_arm(
    config: VillageConfig, builder: StreetBuilder, arm: tuple[int, int, float, float], rng: np.random.Generator
) -> bool:
    """Try to add a street along an `arm`: start node, fork node, heading at the start, heading at the fork."""
    node, fork, departure, arrival = arm
    shifts = rng.uniform(-config.winding, config.winding, size=2)
    centre = link_line((builder.nodes[node], builder.nodes[fork]), (departure, arrival), shifts.tolist())
    return builder.try_add_street(centre, node, fork, VILLAGE_STREET) is not None


def _try_lane_around(
    config: VillageConfig,
    builder: StreetBuilder,
    forks: tuple[int, int],
    outward: tuple[float, float],
    rng: np.random.Generator,
) -> bool:
    """Try to add a lane around the village, clockwise from one fork to the one before it."""
    first, last = (builder.nodes[fork] for fork in forks)
    start, end = np.deg2rad(rng.uniform(*config.fork_deg, size=2))
    # The centre lies to the right of a clockwise lane, which bends away from it.
    shifts = config.winding * rng.uniform(-0.5, 1.0, size=2)
    centre = link_line((first, last), (outward[0] - start, outward[1] + end + np.pi), shifts.tolist())
    return builder.try_add_street(centre, *forks, VILLAGE_LANE) is not None
