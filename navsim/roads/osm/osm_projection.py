"""Longitude and latitude to metres: the transverse Mercator projection of the WGS 84 ellipsoid about a centre.

Snyder, Map Projections: A Working Manual (USGS Professional Paper 1395, 1987), equations 3-21, 4-20 and 8-9 to 8-15,
with a scale of 1 on the central meridian. Over a city its lengths are true to better than 1e-5.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from navsim.geometry import Array

RADIUS = 6378137.0
"""Semi-major axis of WGS 84 [m]."""
ECCENTRICITY2 = 0.00669437999014
"""Its eccentricity, squared."""


@dataclass(frozen=True)
class Projection:
    """A plane with x east and y north [m] that touches the earth at its origin."""

    longitude: float
    """Of the origin [deg]."""
    latitude: float
    """Of the origin [deg]."""

    def to_plane(self, coordinates: ArrayLike) -> Array:
        """Map (longitude, latitude) pairs (N, 2) [deg] to points (N, 2) [m]."""
        lon, lat = np.deg2rad(np.asarray(coordinates, dtype=float).reshape(-1, 2)).T
        around = (lon - np.deg2rad(self.longitude) + np.pi) % (2 * np.pi) - np.pi
        sine, cosine = np.sin(lat), np.cos(lat)
        prime = ECCENTRICITY2 / (1 - ECCENTRICITY2)
        n = RADIUS / np.sqrt(1 - ECCENTRICITY2 * sine**2)
        t, c, a = np.tan(lat) ** 2, prime * cosine**2, around * cosine
        x = n * (a + (1 - t + c) * a**3 / 6 + (5 - 18 * t + t**2 + 72 * c - 58 * prime) * a**5 / 120)
        bulge = a**2 / 2 + (5 - t + 9 * c + 4 * c**2) * a**4 / 24
        bulge += (61 - 58 * t + t**2 + 600 * c - 330 * prime) * a**6 / 720
        y = _meridian(lat) - _meridian(np.deg2rad(self.latitude)) + n * np.tan(lat) * bulge
        return np.stack([x, y], axis=-1)


def _meridian(latitude: ArrayLike) -> Array:
    """Distance from the equator along a meridian [m] to a latitude [rad]."""
    phi, e2 = np.asarray(latitude, dtype=float), ECCENTRICITY2
    e4, e6 = e2**2, e2**3
    return np.asarray(
        RADIUS
        * (
            (1 - e2 / 4 - 3 * e4 / 64 - 5 * e6 / 256) * phi
            - (3 * e2 / 8 + 3 * e4 / 32 + 45 * e6 / 1024) * np.sin(2 * phi)
            + (15 * e4 / 256 + 45 * e6 / 1024) * np.sin(4 * phi)
            - (35 * e6 / 3072) * np.sin(6 * phi)
        )
    )
