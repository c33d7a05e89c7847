"""How a town looks: the colours, light and density that differ from drive to drive, as plain values."""

import colorsys
from dataclasses import dataclass

import numpy as np

Colour = tuple[int, int, int]
"""Red, green, blue, each 0 to 255."""


@dataclass(frozen=True)
class Appearance:
    """Light, colours and how densely the town is built and planted."""

    sun_azimuth_deg: float = 220.0
    """Where the sun stands, counter-clockwise from east [deg]."""
    sun_elevation_deg: float = 50.0
    """Its height over the horizon [deg]."""
    brightness: float = 1.0
    """Of the light; 1 is a clear day."""
    sky: Colour = (150, 190, 230)
    """Sky."""
    ground: Colour = (104, 128, 72)
    """Grass or earth beyond the kerb."""
    asphalt: Colour = (92, 92, 96)
    """Road surface."""
    marking: Colour = (232, 232, 226)
    """Lines on the road."""
    kerb: Colour = (178, 176, 170)
    """Kerb stones."""
    facades: tuple[Colour, Colour, Colour, Colour] = ((196, 176, 148), (168, 116, 92), (208, 204, 196), (140, 148, 152))
    """Walls of the four kinds of building."""
    roofs: tuple[Colour, Colour, Colour, Colour] = ((132, 72, 56), (96, 92, 92), (116, 84, 68), (84, 88, 96))
    """Roofs of the same."""
    crowns: tuple[Colour, Colour, Colour] = ((72, 108, 48), (92, 120, 56), (56, 92, 60))
    """Crowns of the three kinds of tree."""
    trunk: Colour = (92, 72, 52)
    """Tree trunks."""
    roughness: float = 0.06
    """Relative contrast of the patches on ground and asphalt."""
    building_density: float = 0.75
    """Share of the lots along the streets that are built on."""
    tree_spacing: float = 16.0
    """Mean distance between trees along a street [m]."""

    @property
    def sun_direction(self) -> tuple[float, float, float]:
        """Unit vector towards the sun in the world frame."""
        azimuth, elevation = np.radians([self.sun_azimuth_deg, self.sun_elevation_deg])
        flat = np.cos(elevation)
        return (float(flat * np.cos(azimuth)), float(flat * np.sin(azimuth)), float(np.sin(elevation)))


def sample_appearance(rng: np.random.Generator) -> Appearance:
    """Draw an appearance: season, weather, time of day, building materials."""
    overcast = float(rng.uniform(0.0, 1.0))
    tone = float(rng.uniform(0.0, 0.14))  # of the facades and roofs: from red brick to sand
    season = float(rng.uniform(0.11, 0.32))  # hue of grass and leaves: from straw to deep green
    asphalt = float(rng.uniform(0.24, 0.46))
    return Appearance(
        sun_azimuth_deg=float(rng.uniform(0.0, 360.0)),
        sun_elevation_deg=float(rng.uniform(20.0, 70.0)),
        brightness=float(rng.uniform(0.8, 1.12)),
        sky=_colour(rng.uniform(0.55, 0.62), 0.5 - 0.45 * overcast, rng.uniform(0.75, 0.95)),
        ground=_colour(season, rng.uniform(0.25, 0.5), rng.uniform(0.35, 0.55)),
        asphalt=_colour(rng.uniform(0.0, 1.0), rng.uniform(0.0, 0.06), asphalt),
        marking=_colour(0.14, rng.choice([0.03, 0.03, 0.03, 0.35]), rng.uniform(0.82, 0.97)),
        kerb=_colour(0.1, rng.uniform(0.02, 0.1), asphalt + rng.uniform(0.2, 0.36)),
        facades=_four(rng, tone, (0.1, 0.45), (0.55, 0.85)),
        roofs=_four(rng, tone, (0.1, 0.5), (0.3, 0.55)),
        crowns=_three(rng, season),
        trunk=_colour(0.08, rng.uniform(0.25, 0.45), rng.uniform(0.25, 0.4)),
        roughness=float(rng.uniform(0.02, 0.09)),
        building_density=float(rng.uniform(0.45, 0.95)),
        tree_spacing=float(rng.uniform(11.0, 26.0)),
    )


def _colour(hue: float, saturation: float, value: float) -> Colour:
    """A colour from hue, saturation and value, each in [0, 1]."""
    red, green, blue = (round(255 * part) for part in colorsys.hsv_to_rgb(float(hue), float(saturation), float(value)))
    return (red, green, blue)


def _one_of(
    rng: np.random.Generator, hue: float, saturation: tuple[float, float], value: tuple[float, float]
) -> Colour:
    """A colour near `hue` with the rest drawn from ranges."""
    return _colour((hue + rng.normal(0.0, 0.02)) % 1.0, rng.uniform(*saturation), rng.uniform(*value))


def _four(
    rng: np.random.Generator, hue: float, saturation: tuple[float, float], value: tuple[float, float]
) -> tuple[Colour, Colour, Colour, Colour]:
    a, b, c, d = (_one_of(rng, hue, saturation, value) for _ in range(4))
    return (a, b, c, d)


def _three(rng: np.random.Generator, hue: float) -> tuple[Colour, Colour, Colour]:
    a, b, c = (_one_of(rng, hue, (0.35, 0.6), (0.36, 0.6)) for _ in range(3))
    return (a, b, c)
