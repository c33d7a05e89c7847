"""Appearance of a town: light, colours and density of a drive, as plain values.

A spec names the conditions. `""` draws every axis of `navsim.world.scenery.presets` from its training presets,
`"dusk+rain"` names presets and draws the other axes, `"shift-2"` draws test presets on two axes.
"""

import difflib
import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from navsim.errors import ConfigError
from navsim.world.scenery.presets import (
    PRESETS,
    Colour,
    Hsv,
    Range,
    RoadMaterial,
    RoadSurface,
    Season,
    TimeOfDay,
    Tint,
    Weather,
    from_hsv,
    mixed,
    random_colour,
    scaled,
)

MAX_SHIFTS = 3
"""Largest k of the spec `shift-k`."""
SNOW = (238, 240, 246)
"""Colour of snow."""


@dataclass(frozen=True)
class Appearance:
    """Light, colours and density of buildings, trees and cars."""

    sun_azimuth_deg: float = 220.0
    """Direction towards the sun, counter-clockwise from east [deg]."""
    sun_elevation_deg: float = 50.0
    """Height of the sun over the horizon [deg]."""
    sunlight: float = 0.42
    """Light from the sun on a surface that faces it; near 0 behind clouds."""
    ambient: float = 0.62
    """Ambient light on every surface."""
    sun_tint: Tint = (1.0, 1.0, 1.0)
    """Colour of the sunlight."""
    air_tint: Tint = (1.0, 1.0, 1.0)
    """Colour of the ambient light."""
    sky: Colour = (150, 190, 230)
    """Colour of the sky at the horizon, and of fog."""
    zenith: Colour = (104, 152, 214)
    """Colour of the sky overhead."""
    cloud_cover: float = 0.0
    """Share of the sky under clouds."""
    cloud_seed: int = 0
    """Seed of the clouds' shapes."""
    fog_density: float = 0.0008
    """Attenuation by the air [1/m]."""
    rain: float = 0.0
    """Intensity of rain streaks in the image, in [0, 1]."""
    grip: float = 1.0
    """Factor on the tyres' friction; 1 on a dry road."""
    snow: float = 0.0
    """Share of white in the colour of the ground, in [0, 1]."""
    bare: bool = False
    """Whether broad-leaved trees have lost their leaves."""
    lit_windows: float = 0.0
    """Share of the windows with light behind them."""
    ground: Colour = (104, 128, 72)
    """Colour of the grass or earth beyond the kerb."""
    footway: Colour = (150, 146, 140)
    """Colour of the slabs behind the kerb."""
    footway_width: float = 1.7
    """Width of the paved strip behind the kerb [m]; 0 for none."""
    asphalt: Colour = (92, 92, 96)
    """Colour of the road surface of any material."""
    road_material: RoadMaterial = RoadMaterial.ASPHALT
    """Material of the road surface."""
    marking: Colour = (232, 232, 226)
    """Colour of the lines on the road."""
    marking_missing: float = 0.0
    """Share of the lines that are missing."""
    kerb: Colour = (178, 176, 170)
    """Colour of the kerb stones."""
    facades: tuple[Colour, ...] = (
        (168, 104, 82), (214, 196, 160), (196, 198, 196), (150, 96, 78), (206, 176, 142), (150, 160, 170),
    )  # fmt: skip
    """Wall colours of the kinds of building, see `navsim.world.scenery.facades`."""
    roofs: tuple[Colour, ...] = (
        (132, 72, 56), (124, 66, 52), (96, 92, 92), (84, 82, 84), (110, 84, 68), (92, 96, 102),
    )  # fmt: skip
    """Roof colours of the kinds of building."""
    crowns: tuple[Colour, ...] = ((72, 108, 48), (48, 84, 52), (92, 120, 56), (84, 112, 60), (76, 100, 44))
    """Crown colours of the kinds of tree, see `navsim.world.scenery.trees`."""
    trunk: Colour = (92, 72, 52)
    """Colour of tree trunks."""
    cars: tuple[Colour, ...] = (
        (200, 202, 204), (150, 30, 32), (48, 50, 54), (40, 72, 130), (120, 124, 128), (226, 224, 218),
    )  # fmt: skip
    """Body colours of the models of parked cars, see `navsim.world.scenery.parked_cars`."""
    clothes: tuple[Colour, ...] = ((170, 60, 50), (60, 84, 140), (48, 50, 58), (110, 96, 76))
    """Colours of coat and trousers of the two kinds of pedestrian."""
    roughness: float = 0.06
    """Relative contrast of the patches on ground and asphalt."""
    building_density: float = 0.75
    """Share of the lots along the streets with a house."""
    tree_spacing: float = 16.0
    """Mean distance between trees along a street [m]."""
    car_spacing: float = 70.0
    """Mean distance between parked cars along a street [m]."""

    @property
    def sun_direction(self) -> tuple[float, float, float]:
        """Unit vector towards the sun in the world frame."""
        azimuth, elevation = np.radians([self.sun_azimuth_deg, self.sun_elevation_deg])
        flat = np.cos(elevation)
        return (float(flat * np.cos(azimuth)), float(flat * np.sin(azimuth)), float(np.sin(elevation)))


def appearance_of(spec: str, rng: np.random.Generator) -> Appearance:
    """Draw an appearance under the conditions of a spec, see the module.

    The draws of one axis do not depend on the presets of another.

    Raises:
        ConfigError: If the spec has an unknown name, or two presets of one axis.
    """
    parsed = parse_spec(spec)
    seeds = rng.integers(2**63, size=len(PRESETS) + 2).tolist()
    shifted = np.random.default_rng(seeds[-1]).permutation(len(PRESETS))[: parsed.shifts].tolist()
    chosen: dict[str, Any] = {}
    rngs = {name: np.random.default_rng(seed) for name, seed in zip(PRESETS, seeds, strict=False)}
    for number, (name, axis) in enumerate(PRESETS.items()):
        names = sorted(axis.test if number in shifted else axis.training)
        draw = names[int(rngs[name].integers(len(names)))]
        chosen[name] = axis.presets[parsed.presets.get(name, draw)]
    weather = _weather(chosen["weather"], chosen["time"], (rngs["weather"], rngs["time"]))
    season = _season(chosen["season"], rngs["season"])
    town = _town(np.random.default_rng(seeds[-2]), season["snow"])
    surface = _surface(chosen["surface"], rngs["surface"], weather.pop("wet"), season["snow"])
    grip = min(weather.pop("grip"), season.pop("grip"))
    return Appearance(**town, **weather, **season, **surface, grip=grip)


@dataclass(frozen=True)
class AppearanceSpec:
    """Parsed form of a spec."""

    presets: dict[str, str]
    """Names of the presets by axis."""
    shifts: int = 0
    """Number of axes with a random test preset."""


def parse_spec(spec: str) -> AppearanceSpec:
    """Parse a spec such as `dusk+rain` or `shift-2`.

    Raises:
        ConfigError: If it has an unknown name, or two presets of one axis.
    """
    shift = re.fullmatch(r"shift-(\d)", spec)
    if shift is not None and int(shift[1]) <= MAX_SHIFTS:
        return AppearanceSpec({}, int(shift[1]))
    presets: dict[str, str] = {}
    for preset in spec.split("+") if spec else ():
        axis = next((name for name, axis in PRESETS.items() if preset in axis.presets), None)
        if axis is None:
            raise ConfigError(_unknown(spec, preset))
        if axis in presets:
            raise ConfigError(f"appearance {spec!r} names two presets of {axis}: {presets[axis]} and {preset}")
        presets[axis] = preset
    return AppearanceSpec(presets)


def preset_names(axis: str, test: bool) -> tuple[str, ...]:
    """Return the names of an axis' presets for testing or for training."""
    return tuple(PRESETS[axis].test if test else PRESETS[axis].training)


def _unknown(spec: str, preset: str) -> str:
    """Return the error text for an unknown name."""
    shifts = [f"shift-{k}" for k in range(MAX_SHIFTS + 1)]
    known = [name for axis in PRESETS.values() for name in axis.presets]
    close = difflib.get_close_matches(preset, [*known, *shifts], n=1)
    hint = f"perhaps you meant {close[0]!r}; " if close else ""
    names = "; ".join(f"{name} {', '.join(axis.presets)}" for name, axis in PRESETS.items())
    return (
        f"appearance {spec!r}: unknown preset {preset!r}; {hint}known are {names}; or one of {', '.join(shifts)} alone"
    )


def _uniform(rng: np.random.Generator, bounds: Range) -> float:
    return float(rng.uniform(*bounds))


def _weather(
    weather: Weather, time: TimeOfDay, rngs: tuple[np.random.Generator, np.random.Generator]
) -> dict[str, Any]:
    """Draw light and air: the weather (first generator) dims the light of the time of day (second generator)."""
    weather_rng, day = rngs
    sunlight, ambient = _uniform(day, time.sunlight), _uniform(day, time.ambient)
    zenith, horizon = random_colour(day, time.zenith), random_colour(day, time.horizon)
    sun, grey = _uniform(weather_rng, weather.sun), _uniform(weather_rng, weather.grey)
    level = from_hsv(0.58, 0.05, 0.9 * max(horizon) / 255)  # colour of an overcast sky
    scattering = 1.0 + 0.18 * (1.0 - sun)  # clouds scatter some of the sunlight that they block
    return {
        "sun_azimuth_deg": _uniform(day, (0.0, 360.0)),
        "sun_elevation_deg": _uniform(day, time.elevation_deg),
        "sunlight": sunlight * sun,
        "ambient": ambient * scattering,
        "sun_tint": time.sun_tint,
        "air_tint": time.air_tint,
        "lit_windows": _uniform(day, time.lit_windows),
        "sky": mixed(horizon, level, grey),
        "zenith": mixed(zenith, scaled(level, 0.9), grey),
        "cloud_cover": _uniform(weather_rng, weather.cloud_cover),
        "cloud_seed": int(weather_rng.integers(2**31)),
        "fog_density": _uniform(weather_rng, weather.fog_density),
        "rain": _uniform(weather_rng, weather.rain),
        "wet": _uniform(weather_rng, weather.wet),
        "grip": _uniform(weather_rng, weather.grip),
    }


def _season(season: Season, rng: np.random.Generator) -> dict[str, Any]:
    """Draw ground and trees; firs stay green."""
    snow = _uniform(rng, season.snow)
    fir = random_colour(rng, ((0.3, 0.4), (0.3, 0.45), (0.24, 0.36)))
    leaves = [random_colour(rng, season.crown) for _ in range(4)]
    return {
        "ground": mixed(random_colour(rng, season.ground), SNOW, snow),
        "crowns": (leaves[0], mixed(fir, SNOW, 0.3 * snow), *leaves[1:]),
        "trunk": random_colour(rng, ((0.06, 0.1), (0.25, 0.45), (0.25, 0.4))),
        "bare": season.bare,
        "snow": snow,
        "grip": _uniform(rng, season.grip),
    }


def _surface(surface: RoadSurface, rng: np.random.Generator, wet: float, snow: float) -> dict[str, Any]:
    """Draw road and markings, with the effect of water and snow."""
    road_material = surface.materials[int(rng.integers(len(surface.materials)))]
    dry = _uniform(rng, surface.value)
    asphalt = from_hsv(_uniform(rng, (0.0, 1.0)), _uniform(rng, (0.0, 0.06)), dry * (1.0 - 0.35 * wet))
    asphalt = mixed(asphalt, SNOW, 0.15 * snow)
    line = from_hsv(0.14, float(rng.choice([0.03, 0.03, 0.03, 0.35])), _uniform(rng, (0.84, 0.97)))
    stone = from_hsv(0.1, _uniform(rng, (0.02, 0.1)), min(dry + _uniform(rng, (0.16, 0.3)), 0.82))
    slabs = from_hsv(0.09, _uniform(rng, (0.02, 0.14)), _uniform(rng, (0.5, 0.66)) * (1.0 - 0.25 * wet))
    return {
        "asphalt": asphalt,
        "road_material": road_material,
        "marking": mixed(line, asphalt, _uniform(rng, surface.wear)),
        "marking_missing": _uniform(rng, surface.missing),
        "kerb": mixed(stone, SNOW, 0.4 * snow),
        "footway": mixed(slabs, SNOW, 0.6 * snow),
        "roughness": _uniform(rng, (0.02, 0.08)),
    }


_BRICK: Hsv = ((-0.01, 0.05), (0.35, 0.55), (0.5, 0.7))
_PLASTER: Hsv = ((0.04, 0.15), (0.08, 0.4), (0.72, 0.92))
_TINTED: Hsv = ((0.0, 1.0), (0.08, 0.26), (0.7, 0.88))
_CONCRETE: Hsv = ((0.08, 0.16), (0.02, 0.1), (0.62, 0.82))
_METAL: Hsv = ((0.52, 0.62), (0.05, 0.2), (0.5, 0.7))
_TILES: Hsv = ((0.0, 0.06), (0.4, 0.6), (0.42, 0.6))
_SLATE: Hsv = ((0.55, 0.7), (0.03, 0.12), (0.3, 0.46))
_LACQUER: tuple[Hsv, ...] = (
    ((0.0, 1.0), (0.0, 0.05), (0.8, 0.95)),
    ((0.96, 1.04), (0.7, 0.9), (0.5, 0.75)),
    ((0.0, 1.0), (0.0, 0.1), (0.12, 0.25)),
    ((0.55, 0.66), (0.5, 0.8), (0.35, 0.65)),
    ((0.0, 1.0), (0.0, 0.06), (0.45, 0.65)),
    ((0.05, 0.45), (0.3, 0.7), (0.35, 0.75)),
)


def _town(rng: np.random.Generator, snow: float) -> dict[str, Any]:
    """Draw the town's materials and the density of its objects."""
    walls = (_BRICK, _PLASTER, _CONCRETE, _BRICK, _TINTED, _METAL)
    roofs = (_TILES, _TILES, _SLATE, _SLATE, _TILES, _SLATE)
    return {
        "facades": tuple(random_colour(rng, wall) for wall in walls),
        "roofs": tuple(mixed(random_colour(rng, roof), SNOW, 0.75 * snow) for roof in roofs),
        "cars": tuple(random_colour(rng, _LACQUER[i]) for i in rng.permutation(len(_LACQUER)).tolist()),
        "clothes": tuple(random_colour(rng, ((0.0, 1.0), (0.2, 0.7), (0.2, 0.75))) for _ in range(4)),
        "building_density": _uniform(rng, (0.5, 0.95)),
        "tree_spacing": _uniform(rng, (12.0, 26.0)),
        "car_spacing": _uniform(rng, (50.0, 110.0)),
        "footway_width": _uniform(rng, (1.4, 2.0)),
    }
