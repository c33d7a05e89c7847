"""Suburbs: a long curved loop, winding streets within it, and crescents, hairpins and culs-de-sac around it."""

from dataclasses import dataclass
from functools import partial

import numpy as np

from navsim.errors import TownError
from navsim.geometry import Array
from navsim.roads.generators.layout import CrossSection, RoadLayout, closed_line, direction, rounded_line
from navsim.roads.generators.street_builder import (
    StreetBuilder,
    StreetPoint,
    add_several,
    free_points,
    link_line,
    try_dead_end,
    try_link,
)

LOOP = 0
"""Index of the loop among the builder's streets."""
COLLECTOR = CrossSection(1, 3.5, 1.2, 9.0)
"""Cross section of the loop."""
STREET = CrossSection(1, 3.2, 1.0, 8.0)
"""Cross section of the streets within the loop."""
LANE = CrossSection(1, 3.0, 0.9, 7.0)
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
    return builder.try_add_street(centre, *ends, STREET)


def _try_inner(config: SuburbConfig, builder: StreetBuilder, rng: np.random.Generator) -> int | None:
    """Try to add a street between two inner streets, or between one and the loop."""
    inner = [i for i, street in enumerate(builder.streets) if i == LOOP or street.section is STREET]
    return try_link(builder, inner, (70.0, 190.0), config.winding, STREET, rng)


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
    return builder.try_add_street(centre, *ends, LANE)


def _try_cul_de_sac(config: SuburbConfig, builder: StreetBuilder, rng: np.random.Generator) -> int | None:
    """Try to add a short dead-end street, with a turning circle if the configuration has one."""
    ends = _loop_points(builder, 0.0, rng)
    if ends is None:
        return None
    heading = builder.heading(ends[0]) - np.pi / 2
    length, bend = float(rng.uniform(55.0, 85.0)), float(rng.uniform(-0.5, 0.5))
    return try_dead_end(builder, ends[0], (heading, heading + bend), length, LANE, config.turning_circle)
