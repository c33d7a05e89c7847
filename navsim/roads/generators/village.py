"""Villages: country lanes that meet at a roundabout, five or three at a time, and fork on their way around it."""

from dataclasses import dataclass

import numpy as np

from navsim.roads.generators.layout import Draft, Profile, direction
from navsim.roads.generators.street_builder import Sketch, add_roundabout, add_several, led_line, try_link

RING = Profile(1, 4.0, 1.0, 6.0, ring=True)
"""The roundabout."""
STREET = Profile(1, 3.2, 1.0, 8.0)
"""Streets from the middle outwards."""
LANE = Profile(1, 2.9, 0.8, 7.0)
"""Lanes around it."""
RETRIES = 6
"""How often a road is drawn anew where it has no room."""


@dataclass(frozen=True)
class VillageLayout:
    """What the towns of the generator `village` have in common; pairs are ranges (low, high)."""

    roundabout: float = 0.55
    """Probability that a roundabout is in the middle ..."""
    five_way: float = 0.3
    """... or a junction of five roads; else three fork there."""
    ring_radius: tuple[float, float] = (20.0, 25.0)
    """Radius of the roundabout's ring, of five arms at least the mean of both [m]."""
    roundabout_arms: tuple[int, int] = (3, 5)
    """Roads that meet there."""
    reach: tuple[float, float] = (120.0, 165.0)
    """Distance from the middle to the forks [m]."""
    fork_deg: tuple[float, float] = (54.0, 70.0)
    """How far from straight on the lanes of a fork leave [deg]."""
    winding: float = 0.1
    """Largest sideways shift of the roads, as a part of their length."""
    links: tuple[int, int] = (1, 2)
    """Lanes between others."""
    clearance: float = 14.0
    """Least distance between the kerbs of two roads, away from junctions [m]."""
    min_radius: float = 22.0
    """Least radius of bends [m]."""
    kerb_radius: float = 8.0
    """Radius of the kerb corners [m]."""
    tries: int = 40
    """How many places are tried for lanes between others."""
    attempts: int = 40
    """How many times a town is drawn before giving up."""

    def draft(self, rng: np.random.Generator) -> Draft | None:
        """Draw the roads of a town; None if some have no room."""
        sketch = Sketch(self.clearance, spacing=50.0, reach=45.0, min_radius=self.min_radius)
        angles, middle = _middle(self, sketch, rng)
        forks = [sketch.node(rng.uniform(*self.reach) * direction(angle + rng.normal(0.0, 0.07))) for angle in angles]
        outward = [angle + float(rng.uniform(-0.3, 0.3)) for angle in angles]
        rings = len(sketch.lines)
        arms = list(zip(middle, forks, angles, outward, strict=True))
        if not all(any(_try_arm(self, sketch, arm, rng) for _ in range(RETRIES)) for arm in arms):
            return None
        pairs = [((forks[i], forks[i - 1]), (outward[i], outward[i - 1])) for i in range(len(forks))]
        if not all(any(_try_lane_around(self, sketch, *pair, rng) for _ in range(RETRIES)) for pair in pairs):
            return None
        wanted = int(rng.integers(self.links[0], self.links[1] + 1))
        hosts = range(rings, len(sketch.lines))
        add_several(lambda: try_link(sketch, hosts, (60.0, 190.0), 0.12, LANE, rng), wanted, self.tries)
        return sketch.draft(self.kerb_radius)


def _middle(layout: VillageLayout, sketch: Sketch, rng: np.random.Generator) -> tuple[list[float], list[int]]:
    """Draw the heart of the village: the angles [rad] at which its roads leave, counter-clockwise, and their nodes."""
    kind = rng.uniform()
    if kind < layout.roundabout:
        arms = int(rng.integers(layout.roundabout_arms[0], layout.roundabout_arms[1] + 1))
        low, high = layout.ring_radius
        radius = float(rng.uniform((low + high) / 2 if arms >= 5 else low, high))
        angles = _angles(arms, np.deg2rad({3: 85.0, 4: 76.0}.get(arms, 68.0)), rng)
        return angles, add_roundabout(sketch, radius, angles, RING)
    arms = 5 if kind < layout.roundabout + layout.five_way else 3
    angles = _angles(arms, np.deg2rad(60.0 if arms == 5 else 75.0), rng)
    return angles, [sketch.node(np.zeros(2))] * arms


def _angles(count: int, least: float, rng: np.random.Generator) -> list[float]:
    """Angles around a circle, counter-clockwise, at least `least` apart [rad]."""
    gaps = least + (2 * np.pi - count * least) * rng.dirichlet(np.full(count, 2.0))
    return [float(angle) for angle in rng.uniform(0.0, 2 * np.pi) + np.cumsum(gaps)]


def _try_arm(
    layout: VillageLayout, sketch: Sketch, arm: tuple[int, int, float, float], rng: np.random.Generator
) -> bool:
    """Lead a street from the middle (node, heading there) out to a fork (node, heading there); False without room."""
    node, fork, angle, out = arm
    shifts = rng.uniform(-layout.winding, layout.winding, size=2)
    centre = led_line((sketch.places[node], sketch.places[fork]), (angle, out), shifts.tolist())
    return sketch.try_add(centre, node, fork, STREET) is not None


def _try_lane_around(
    layout: VillageLayout,
    sketch: Sketch,
    forks: tuple[int, int],
    outward: tuple[float, float],
    rng: np.random.Generator,
) -> bool:
    """Lead a lane around the village clockwise from one fork to the one before it; False if it has no room."""
    first, last = (sketch.places[fork] for fork in forks)
    start, end = np.deg2rad(rng.uniform(*layout.fork_deg, size=2))
    # Clockwise, the middle of the village lies on the right; the lane keeps away from it.
    shifts = layout.winding * rng.uniform(-0.5, 1.0, size=2)
    centre = led_line((first, last), (outward[0] - start, outward[1] + end + np.pi), shifts.tolist())
    return sketch.try_add(centre, *forks, LANE) is not None
