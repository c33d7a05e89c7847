"""Light and air of a scene as plain values, in the form that renderers want them; drawn from an `Appearance`."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from navsim.world.scenery.colours import Colour


@dataclass(frozen=True)
class Atmosphere:
    """Sun, sky, fog and rain.

    A surface of colour c with unit normal n is seen as `c * (ambient + sunlight * s * max(n . sun_direction, 0))`, s
    being the share of sunlight that reaches it, then mixed with the horizon's colour by `1 - exp(-fog_density * d)` at
    distance d.
    """

    sun_direction: tuple[float, float, float] = (-0.492, -0.413, 0.766)
    """Unit vector towards the sun in the world frame."""
    sunlight: tuple[float, float, float] = (0.42, 0.42, 0.42)
    """Red, green and blue of the light from the sun; 0 when it is hidden."""
    ambient: tuple[float, float, float] = (0.62, 0.62, 0.62)
    """Red, green and blue of the light from everywhere."""
    zenith: Colour = (110, 160, 220)
    """Colour of the sky overhead."""
    horizon: Colour = (170, 200, 232)
    """Colour of the sky at the horizon, and of fog."""
    cloud_cover: float = 0.3
    """Share of the sky under clouds, in [0, 1]."""
    cloud_seed: int = 0
    """Which clouds."""
    fog_density: float = 0.0008
    """Attenuation by the air [1/m]."""
    rain: float = 0.0
    """How much rain streaks the picture, in [0, 1]."""


@dataclass(frozen=True, eq=False)
class ShadeMap:
    """The ground's sunlight as one picture, north up: shadows of houses and trees, drawn once for a town."""

    image: NDArray[np.uint8]
    """(H, W): 255 in full sun, 0 in full shade; row 0 in the north. Outside of it the sun shines."""
    west: float
    """x of the left edge [m]."""
    north: float
    """y of the upper edge [m]."""
    metres_per_pixel: float
    """Scale [m/px]."""
