"""Suburbs: a long loop of sweepers, winding streets within it, and crescents, hairpins and culs-de-sac around it."""

from dataclasses import dataclass
from functools import partial

import numpy as np

from navsim.errors import TownError
from navsim.geometry import Array
from navsim.roads.generators.layout import Draft, Profile, closed_line, direction, rounded_line
from navsim.roads.generators.street_builder import (
    Sketch,
    Spot,
    add_several,
    free_spots,
    led_line,
    try_dead_end,
    try_link,
)

LOOP = 0
"""Index of the loop among the streets of the sketch."""
COLLECTOR = Profile(1, 3.5, 1.2, 9.0)
"""The loop."""
STREET = Profile(1, 3.2, 1.0, 8.0)
"""Streets within it."""
LANE = Profile(1, 3.0, 0.9, 7.0)
"""Streets around it."""
CORNERS = 8
"""Corners of the loop, before it is made smooth."""


@dataclass(frozen=True)
class SuburbLayout:
    """What the towns of the generator `suburb` have in common; pairs are ranges (low, high)."""

    loop_radius: tuple[float, float] = (125.0, 155.0)
    """Mean radius of the loop [m]."""
    unevenness: float = 0.16
    """Largest waves of that radius, as a part of it."""
    inner_streets: tuple[int, int] = (4, 6)
    """Streets within the loop."""
    winding: float = 0.16
    """Largest sideways shift of such a street, as a part of its length."""
    crescents: tuple[int, int] = (1, 2)
    """Streets that leave the loop and come back to it."""
    crescent_depth: tuple[float, float] = (50.0, 85.0)
    """How far these lead away from the loop [m]."""
    hairpins: tuple[int, int] = (1, 2)
    """The same, with a turn back on the spot."""
    hairpin_radius: tuple[float, float] = (14.0, 17.0)
    """Radius of that turn [m]."""
    dead_ends: tuple[int, int] = (0, 2)
    """Culs-de-sac around the loop."""
    turning_circle: float | None = 15.0
    """Radius of the turning circle at their ends [m]; None makes them plain dead ends, where routes can only end."""
    clearance: float = 14.0
    """Least distance between the kerbs of two streets, away from junctions [m]."""
    kerb_radius: float = 8.0
    """Radius of the kerb corners [m]."""
    tries: int = 40
    """How many places are tried for streets of one kind."""
    attempts: int = 40
    """How many times a town is drawn before giving up."""

    def draft(self, rng: np.random.Generator) -> Draft | None:
        """Draw the roads of a town; None if the streets asked for found no room."""
        sketch = Sketch(self.clearance, spacing=50.0, reach=40.0, min_radius=self.hairpin_radius[0] - 1.0)
        loop = closed_line(_loop_corners(self, rng))
        start = sketch.node(loop.points[0])
        sketch.add(loop, start, start, COLLECTOR)
        kinds = (
            (self.hairpins, _try_hairpin),
            (self.crescents, _try_crescent),
            (self.dead_ends, _try_cul_de_sac),
            ((1, 1), _try_spine),
            (self.inner_streets, _try_inner),
        )
        for (least, most), attempt in kinds:
            wanted = int(rng.integers(least, most + 1))
            if add_several(partial(attempt, self, sketch, rng), wanted, self.tries) < least:
                return None
        return sketch.draft(self.kerb_radius)


def _loop_corners(layout: SuburbLayout, rng: np.random.Generator) -> Array:
    """Corners (K, 2) of the loop, counter-clockwise [m]."""
    angles = rng.uniform(0.0, 2 * np.pi) + 2 * np.pi * np.arange(CORNERS) / CORNERS
    waves = rng.uniform(-layout.unevenness, layout.unevenness, size=2)
    phases = rng.uniform(0.0, 2 * np.pi, size=2)
    radii = rng.uniform(*layout.loop_radius) * (
        1 + waves[0] * np.sin(2 * angles + phases[0]) + waves[1] * np.sin(3 * angles + phases[1])
    )
    radii *= 1 + rng.uniform(-0.06, 0.06, size=CORNERS)
    return np.asarray(radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=-1))


def _try_spine(layout: SuburbLayout, sketch: Sketch, rng: np.random.Generator) -> int | None:
    """An S of a street through the middle, from the loop's first place to the far side."""
    far = sketch.spot(LOOP, sketch.lines[LOOP].centre.length * rng.uniform(0.38, 0.62))
    ends = Spot(LOOP, 0.0), far
    inward, outward = (sketch.heading(spot) + side * np.pi / 2 for spot, side in zip(ends, (1, -1), strict=True))
    shifts = layout.winding * rng.uniform(0.4, 1.0, size=2) * np.array([1.0, -1.0]) * rng.choice([-1.0, 1.0])
    centre = led_line((sketch.place(ends[0]), sketch.place(far)), (inward, outward), shifts.tolist())
    return sketch.try_add(centre, *ends, STREET)


def _try_inner(layout: SuburbLayout, sketch: Sketch, rng: np.random.Generator) -> int | None:
    """A street between two of those within the loop, or the loop itself."""
    inner = [i for i, line in enumerate(sketch.lines) if i == LOOP or line.profile is STREET]
    return try_link(sketch, inner, (70.0, 190.0), layout.winding, STREET, rng)


def _outside(sketch: Sketch, width: float, rng: np.random.Generator) -> tuple[Spot, Spot] | None:
    """Two random spots on the loop, `width` [m] apart along it; None if no two are free."""
    line = sketch.lines[LOOP]
    pairs = [
        (first, last)
        for first in free_spots(sketch, [LOOP])[0]
        if first.station + width < line.centre.length
        and sketch.is_free(last := sketch.spot(LOOP, first.station + width))
    ]
    return pairs[int(rng.integers(len(pairs)))] if pairs else None


def _try_crescent(layout: SuburbLayout, sketch: Sketch, rng: np.random.Generator) -> int | None:
    """A street around a row of houses beside the loop."""
    ends = _outside(sketch, float(rng.uniform(100.0, 165.0)), rng)
    if ends is None:
        return None
    depth, radius = rng.uniform(*layout.crescent_depth), float(rng.uniform(20.0, 32.0))
    corners = [sketch.place(spot) for spot in ends]
    out = [depth * direction(sketch.heading(spot) - np.pi / 2) for spot in ends]
    return _try_rounded(
        sketch, np.array([corners[0], corners[0] + out[0], corners[1] + out[1], corners[1]]), [radius] * 2, ends
    )


def _try_hairpin(layout: SuburbLayout, sketch: Sketch, rng: np.random.Generator) -> int | None:
    """A street that leaves the loop, turns back on the spot and returns beside itself."""
    ends = _outside(sketch, float(rng.uniform(62.0, 76.0)), rng)
    if ends is None:
        return None
    radius, depth = float(rng.uniform(*layout.hairpin_radius)), rng.uniform(100.0, 130.0)
    first, last = (sketch.place(spot) for spot in ends)
    away = [direction(sketch.heading(spot) - np.pi / 2) for spot in ends]
    along = direction(float(np.arctan2(*(last - first)[::-1])) + np.deg2rad(rng.uniform(-12.0, 12.0)))
    out, foot = np.array([along[1], -along[0]]), (first + last) / 2
    legs = [foot + side * radius * along + far * out for side, far in ((-1, 58.0), (-1, depth), (1, depth), (1, 58.0))]
    corners = np.array([first, first + 26.0 * away[0], *legs, last + 26.0 * away[1], last])
    turn = radius * 0.999  # two quarter turns that fill the leg between them make one half turn
    return _try_rounded(sketch, corners, [24.0, 24.0, turn, turn, 24.0, 24.0], ends)


def _try_rounded(sketch: Sketch, corners: Array, radii: list[float], ends: tuple[Spot, Spot]) -> int | None:
    """A street with rounded corners (K, 2), or None if those do not fit between each other."""
    try:
        centre = rounded_line(corners, radii)
    except TownError:
        return None  # where the loop is hollow, the legs lean towards each other
    return sketch.try_add(centre, *ends, LANE)


def _try_cul_de_sac(layout: SuburbLayout, sketch: Sketch, rng: np.random.Generator) -> int | None:
    """A short street that ends in a turning circle, or just ends."""
    ends = _outside(sketch, 0.0, rng)
    if ends is None:
        return None
    heading = sketch.heading(ends[0]) - np.pi / 2
    length, bend = float(rng.uniform(55.0, 85.0)), float(rng.uniform(-0.5, 0.5))
    return try_dead_end(sketch, ends[0], (heading, heading + bend), length, LANE, layout.turning_circle)
