"""Villages: country lanes that meet at a central roundabout or junction, fork, and link up around the centre."""

from dataclasses import dataclass

import numpy as np

from navsim.roads.generators.layout import CrossSection, RoadLayout, direction
from navsim.roads.generators.street_builder import StreetBuilder, add_roundabout, add_several, link_line, try_link

RING = CrossSection(1, 4.0, 1.0, 6.0, ring=True)
"""Cross section of the roundabout."""
STREET = CrossSection(1, 3.2, 1.0, 8.0)
"""Cross section of the streets from the centre outwards."""
LANE = CrossSection(1, 2.9, 0.8, 7.0)
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
        add_several(lambda: try_link(builder, streets, (60.0, 190.0), 0.12, LANE, rng), num_links, self.street_attempts)
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
    return builder.try_add_street(centre, node, fork, STREET) is not None


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
    return builder.try_add_street(centre, *forks, LANE) is not None
