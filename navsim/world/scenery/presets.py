"""Presets of driving conditions: four axes, each with presets for training and disjoint ones for testing.

A preset holds ranges that each town draws from. Properties without a preset, such as materials and density of
buildings, are drawn for each town. Colours are red, green and blue.
"""

import colorsys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar

import numpy as np

Colour = tuple[int, int, int]
"""Red, green, blue, each 0 to 255."""
Range = tuple[float, float]
"""Smallest and largest value of a uniform draw."""
Hsv = tuple[Range, Range, Range]
"""Ranges of hue, saturation and value, each in [0, 1]."""


def from_hsv(hue: float, saturation: float, value: float) -> Colour:
    """Return a colour from hue, saturation and value, each in [0, 1]."""
    red, green, blue = (round(255 * part) for part in colorsys.hsv_to_rgb(float(hue) % 1.0, saturation, value))
    return (red, green, blue)


def random_colour(rng: np.random.Generator, ranges: Hsv) -> Colour:
    """Draw a colour from ranges of hue, saturation and value."""
    hue, saturation, value = (float(rng.uniform(*part)) for part in ranges)
    return from_hsv(hue, saturation, value)


def mixed(first: Colour, second: Colour, share: float) -> Colour:
    """Return a mix of two colours, with a `share` in [0, 1] of the second."""
    red, green, blue = (round((1 - share) * a + share * b) for a, b in zip(first, second, strict=True))
    return (red, green, blue)


def scaled(colour: Colour, factor: float) -> Colour:
    """Return a colour multiplied by a brightness factor."""
    red, green, blue = (min(255, round(factor * part)) for part in colour)
    return (red, green, blue)


Tint = tuple[float, float, float]
"""Red, green and blue of a light, 1 for white."""


class RoadMaterial(StrEnum):
    """Material of the road surface."""

    ASPHALT = "asphalt"
    PATCHED = "patched"
    CRACKED = "cracked"
    CONCRETE = "concrete"


@dataclass(frozen=True)
class TimeOfDay:
    """Height of the sun and colours of light and sky."""

    elevation_deg: Range
    """Height of the sun over the horizon [deg]."""
    sunlight: Range
    """Light from the sun under a clear sky."""
    ambient: Range
    """Ambient light under a clear sky."""
    sun_tint: Tint
    """Colour of the sunlight."""
    air_tint: Tint
    """Colour of the ambient light."""
    zenith: Hsv
    """Colour of the clear sky overhead."""
    horizon: Hsv
    """Colour of the clear sky at the horizon."""
    lit_windows: Range = (0.0, 0.0)
    """Share of the windows with light behind them."""


@dataclass(frozen=True)
class Weather:
    """Clouds, fog, rain and their effect on the road."""

    cloud_cover: Range
    """Share of the sky under clouds."""
    sun: Range
    """Share of the sunlight that passes the clouds."""
    grey: Range
    """Share of grey in the sky's colours."""
    fog_density: Range = (0.0005, 0.0012)
    """Attenuation by the air [1/m]."""
    rain: Range = (0.0, 0.0)
    """Intensity of rain streaks in the image, in [0, 1]."""
    wet: Range = (0.0, 0.0)
    """Darkening of the road by water, in [0, 1]."""
    grip: Range = (1.0, 1.0)
    """Factor on the tyres' friction; 1 on a dry road."""


@dataclass(frozen=True)
class Season:
    """Colours of ground and trees, and snow."""

    ground: Hsv
    """Colour of grass or earth."""
    crown: Hsv
    """Colour of the leaves."""
    bare: bool = False
    """Whether broad-leaved trees have no leaves."""
    snow: Range = (0.0, 0.0)
    """Share of white in the colour of the ground."""
    grip: Range = (1.0, 1.0)
    """Factor on the tyres' friction; 1 on a dry road."""


@dataclass(frozen=True)
class RoadSurface:
    """Material and markings of the roads."""

    materials: tuple[RoadMaterial, ...]
    """Materials to choose from."""
    value: Range
    """Brightness of the surface's colour, in [0, 1]."""
    missing: Range
    """Share of the markings that are missing."""
    wear: Range
    """Fading of the other markings, in [0, 1]."""


Preset = TypeVar("Preset", bound=TimeOfDay | Weather | Season | RoadSurface)


@dataclass(frozen=True)
class Axis(Generic[Preset]):
    """One independent condition of a drive, with its presets by name."""

    training: Mapping[str, Preset]
    """Presets for training."""
    test: Mapping[str, Preset]
    """Presets for testing alone."""

    @property
    def presets(self) -> dict[str, Preset]:
        """All presets by name."""
        return {**self.training, **self.test}


_DAY_SKY: Hsv = ((0.57, 0.61), (0.45, 0.62), (0.72, 0.88))
_DAY_HORIZON: Hsv = ((0.55, 0.6), (0.1, 0.22), (0.86, 0.95))
TIME = Axis(
    training={
        "morning": TimeOfDay(
            (22, 38), (0.46, 0.6), (0.56, 0.64), (1.05, 0.98, 0.86), (0.98, 1.0, 1.04), _DAY_SKY, _DAY_HORIZON
        ),
        "noon": TimeOfDay(
            (48, 70), (0.38, 0.5), (0.56, 0.64), (1.02, 1.0, 0.95), (0.98, 1.0, 1.03), _DAY_SKY, _DAY_HORIZON
        ),
        "afternoon": TimeOfDay(
            (28, 46), (0.44, 0.56), (0.56, 0.64), (1.06, 0.98, 0.84), (1.0, 1.0, 1.02), _DAY_SKY, _DAY_HORIZON
        ),
    },
    test={
        "evening": TimeOfDay(
            (7, 13),
            (0.6, 0.72),
            (0.46, 0.54),
            (1.15, 0.82, 0.52),
            (0.98, 0.96, 1.06),
            ((0.58, 0.62), (0.35, 0.5), (0.55, 0.7)),
            ((0.07, 0.11), (0.3, 0.45), (0.88, 0.96)),
        ),
        "dusk": TimeOfDay(
            (3, 6),
            (0.05, 0.1),
            (0.34, 0.42),
            (1.1, 0.75, 0.6),
            (0.92, 0.94, 1.12),
            ((0.61, 0.66), (0.5, 0.62), (0.3, 0.4)),
            ((0.02, 0.09), (0.28, 0.42), (0.6, 0.72)),
            (0.15, 0.35),
        ),
        "night": TimeOfDay(
            (30, 60),
            (0.06, 0.1),
            (0.28, 0.35),
            (0.85, 0.95, 1.2),
            (0.88, 0.95, 1.15),
            ((0.62, 0.66), (0.55, 0.7), (0.06, 0.1)),
            ((0.6, 0.64), (0.35, 0.5), (0.14, 0.2)),
            (0.25, 0.5),
        ),
    },
)
WEATHER = Axis(
    training={
        "clear": Weather((0.0, 0.15), (0.95, 1.0), (0.0, 0.15)),
        "scattered": Weather((0.3, 0.55), (0.85, 1.0), (0.1, 0.35)),
        "overcast": Weather((0.9, 1.0), (0.1, 0.18), (0.75, 0.95)),
    },
    test={
        "fog": Weather((1.0, 1.0), (0.0, 0.08), (0.9, 1.0), fog_density=(0.02, 0.04)),
        "rain": Weather(
            (0.95, 1.0), (0.02, 0.1), (0.85, 1.0), (0.004, 0.009), (0.4, 0.9), wet=(0.6, 1.0), grip=(0.65, 0.75)
        ),
    },
)
SEASON = Axis(
    training={
        "spring": Season(((0.2, 0.27), (0.35, 0.52), (0.42, 0.56)), ((0.2, 0.28), (0.38, 0.55), (0.4, 0.58))),
        "summer": Season(((0.13, 0.25), (0.28, 0.45), (0.38, 0.54)), ((0.24, 0.34), (0.38, 0.58), (0.3, 0.46))),
    },
    test={
        "autumn": Season(((0.09, 0.14), (0.3, 0.45), (0.36, 0.48)), ((0.02, 0.12), (0.6, 0.85), (0.45, 0.7))),
        "winter": Season(
            ((0.08, 0.14), (0.1, 0.22), (0.4, 0.5)),
            ((0.3, 0.36), (0.25, 0.4), (0.25, 0.35)),
            bare=True,
            snow=(0.45, 0.95),
            grip=(0.55, 0.65),
        ),
    },
)
SURFACE = Axis(
    training={
        "even": RoadSurface((RoadMaterial.ASPHALT,), (0.26, 0.44), (0.0, 0.0), (0.0, 0.15)),
        "worn": RoadSurface((RoadMaterial.ASPHALT, RoadMaterial.PATCHED), (0.3, 0.46), (0.0, 0.12), (0.15, 0.4)),
    },
    test={
        "concrete": RoadSurface((RoadMaterial.CONCRETE,), (0.58, 0.7), (0.0, 0.1), (0.05, 0.25)),
        "cracked": RoadSurface((RoadMaterial.CRACKED,), (0.3, 0.44), (0.2, 0.4), (0.4, 0.6)),
        "unmarked": RoadSurface((RoadMaterial.ASPHALT, RoadMaterial.PATCHED), (0.28, 0.44), (1.0, 1.0), (0.0, 0.0)),
    },
)
PRESETS: dict[str, Axis[Any]] = {"time": TIME, "weather": WEATHER, "season": SEASON, "surface": SURFACE}
"""All axes by name. The name of a preset occurs in one axis only."""
