"""Plane geometry: angles, poses and polylines.

World frame: x east, y north [m]. Vehicle frame: x forward, y left [m]. Headings are counter-clockwise
from +x, in [-pi, pi) [rad]. Curvature [1/m] and lateral offset [m] are positive to the left.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def wrap_angle(angle: ArrayLike) -> Array:
    """Wrap angles [rad] into [-pi, pi)."""
    wrapped = np.asarray((np.asarray(angle, dtype=float) + np.pi) % (2 * np.pi) - np.pi)
    # Just below -pi, the remainder rounds up to a whole turn.
    return np.asarray(np.where(wrapped >= np.pi, -np.pi, wrapped))


def _wrapped(angle: float) -> float:
    """Wrap one angle [rad] into [-pi, pi), many times faster than `wrap_angle`."""
    wrapped = (angle + math.pi) % (2 * math.pi) - math.pi
    return -math.pi if wrapped >= math.pi else wrapped


@dataclass(frozen=True)
class Pose:
    """Position and heading in the world frame."""

    x: float
    """East coordinate [m]."""
    y: float
    """North coordinate [m]."""
    heading: float
    """Heading, counter-clockwise from east [rad]; wrapped into [-pi, pi) on construction."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.x) and math.isfinite(self.y) and math.isfinite(self.heading)):
            raise ValueError(f"a pose must be finite, got ({self.x}, {self.y}, {self.heading})")
        object.__setattr__(self, "heading", _wrapped(self.heading))

    @property
    def position(self) -> Array:
        """Position (2,) [m]."""
        return np.array([self.x, self.y])

    @property
    def forward(self) -> Array:
        """Unit vector (2,) along the heading."""
        return np.array([np.cos(self.heading), np.sin(self.heading)])

    def to_world(self, points: ArrayLike) -> Array:
        """Map points (N, 2) from this pose's frame (forward, left) to the world frame."""
        return np.asarray(points, dtype=float) @ self._axes + self.position

    def to_vehicle(self, points: ArrayLike) -> Array:
        """Map points (N, 2) from the world frame to this pose's frame (forward, left)."""
        return (np.asarray(points, dtype=float) - self.position) @ self._axes.T

    def moved(self, forward: float = 0.0, left: float = 0.0, turn: float = 0.0) -> "Pose":
        """Return the pose shifted by (forward, left) [m] in its own frame, then turned by `turn` [rad]."""
        x, y = self.to_world([[forward, left]])[0]
        return Pose(float(x), float(y), self.heading + turn)

    @property
    def _axes(self) -> Array:
        """The forward and left unit vectors in the world frame, as rows (2, 2)."""
        c, s = np.cos(self.heading), np.sin(self.heading)
        return np.array([[c, s], [-s, c]])


def mirrored_points(points: Array) -> Array:
    """Return points (..., 2) [m] with west and east exchanged."""
    return np.asarray(points * [-1.0, 1.0])


@dataclass(frozen=True, eq=False)
class Polyline:
    """Path of straight segments, with the arc length from its start as station [m].

    `position`, `heading` and `curvature` take scalars or arrays of stations and clamp them to [0, length].
    """

    points: Array
    """Vertices (N, 2) [m], N >= 2, consecutive ones different; read-only."""
    stations: Array = field(init=False, repr=False)
    """Arc length at each vertex (N,) [m], from 0 to `length`."""
    headings: Array = field(init=False, repr=False)
    """Unwrapped heading at each vertex (N,) [rad]: mean of its two segments, weighted by the other one's length."""
    curvatures: Array = field(init=False, repr=False)
    """Curvature at each vertex (N,) [1/m]: change of segment heading over length, zero at the ends."""

    def __post_init__(self) -> None:
        points = np.array(self.points, dtype=float)
        if points.ndim != 2 or points.shape[1] != 2 or len(points) < 2:
            raise ValueError(f"a polyline needs points of shape (N >= 2, 2), got {points.shape}")
        if not np.isfinite(points).all():
            raise ValueError("a polyline's points must be finite")
        steps = np.diff(points, axis=0)  # (N-1, 2)
        lengths = np.hypot(steps[:, 0], steps[:, 1])
        if lengths.min() <= 0:
            raise ValueError(f"a polyline's consecutive points must differ, see point {int(lengths.argmin())}")
        before, after = steps[:-1], steps[1:]
        turns = np.arctan2(
            before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0],
            before[:, 0] * after[:, 0] + before[:, 1] * after[:, 1],
        )  # (N-2,)
        directions = np.empty(len(steps))
        directions[0] = np.arctan2(steps[0, 1], steps[0, 0])
        directions[1:] = directions[0] + np.cumsum(turns)
        both = lengths[1:] + lengths[:-1]
        stations, headings, curvatures = np.zeros((3, len(points)))
        np.cumsum(lengths, out=stations[1:])
        # On a circle this is the heading of the tangent, for any lengths of the two chords.
        headings[1:-1] = directions[:-1] + turns * lengths[:-1] / both
        headings[0], headings[-1] = directions[0], directions[-1]
        curvatures[1:-1] = 2 * turns / both
        self._freeze("points", points)
        self._freeze("stations", stations)
        self._freeze("headings", headings)
        self._freeze("curvatures", curvatures)

    def _freeze(self, name: str, values: Array) -> None:
        values.flags.writeable = False
        object.__setattr__(self, name, values)

    @property
    def mirrored(self) -> "Polyline":
        """Path with west and east exchanged."""
        return Polyline(mirrored_points(self.points))

    @property
    def length(self) -> float:
        """Arc length [m]."""
        return float(self.stations[-1])

    def position(self, station: ArrayLike) -> Array:
        """Return positions (..., 2) [m] at `station`."""
        at = np.asarray(station, dtype=float)
        positions = np.empty((*at.shape, 2))
        positions[..., 0] = np.interp(at, self.stations, self.points[:, 0])
        positions[..., 1] = np.interp(at, self.stations, self.points[:, 1])
        return positions

    def heading(self, station: ArrayLike) -> Array:
        """Return headings [rad] at `station`, interpolated between vertices, in [-pi, pi)."""
        return wrap_angle(np.interp(np.asarray(station, dtype=float), self.stations, self.headings))

    def curvature(self, station: ArrayLike) -> Array:
        """Return curvatures [1/m] at `station`, interpolated between vertices."""
        return np.asarray(np.interp(np.asarray(station, dtype=float), self.stations, self.curvatures))

    def pose(self, station: float) -> Pose:
        """Return the pose on the path at `station`, with the path's heading."""
        x, y = self.position(station)
        return Pose(float(x), float(y), float(self.heading(station)))

    def project(
        self, point: Sequence[float] | Array, near: float | None = None, window: float = 30.0
    ) -> tuple[float, float]:
        """Find the position on the path closest to `point`.

        Args:
            point: Position (2,) [m].
            near: Station in the middle of the search [m]; None searches the whole path.
            window: Largest distance of the search from `near` [m], for paths that come close to themselves.

        Returns:
            Station [m] in [0, length], and offset [m], positive if the point lies left of the path.
        """
        first, last = 0, len(self.points) - 1
        if near is not None:
            low, high = self.stations.searchsorted((near - window, near + window))
            first = min(max(int(low) - 1, 0), last - 1)
            last = max(min(int(high) + 1, last), first + 1)
        x, y = self.points[first : last + 1].T
        stations = self.stations[first : last + 1]
        lengths = stations[1:] - stations[:-1]
        across, up = (x[1:] - x[:-1]) / lengths, (y[1:] - y[:-1]) / lengths  # unit vectors of the segments
        px, py = point[0] - x[:-1], point[1] - y[:-1]
        along = np.minimum(np.maximum(px * across + py * up, 0.0), lengths)
        gap_x, gap_y = px - across * along, py - up * along
        i = int((gap_x * gap_x + gap_y * gap_y).argmin())
        side = across[i] * py[i] - up[i] * px[i]
        distance = math.hypot(gap_x[i], gap_y[i])
        return float(stations[i] + along[i]), math.copysign(distance, side)

    def snapped(self, station: float, reach: float = 1.0) -> float:
        """Return the station of the closest vertex if it lies within `reach` [m], else `station` itself.

        A path that is cut at a vertex has no tiny segment at its end, whose heading would be inaccurate.
        """
        closest = float(self.stations[int(np.abs(self.stations - station).argmin())])
        return closest if abs(closest - station) <= reach else station

    def shifted(self, offset: float) -> "Polyline":
        """Return the parallel path at `offset` [m] to the left, vertex by vertex, for offsets below the radius."""
        normals = np.stack([-np.sin(self.headings), np.cos(self.headings)], axis=-1)
        return Polyline(self.points + offset * normals)

    def reversed(self) -> "Polyline":
        """Return the path in the opposite direction."""
        return Polyline(self.points[::-1])

    def between(self, start: float, end: float) -> "Polyline":
        """Return the part from station `start` to `end` [m].

        Raises:
            ValueError: If not 0 <= start < end <= length, with a tolerance of 1e-6 m.
        """
        if not -1e-6 <= start < end <= self.length + 1e-6:
            raise ValueError(f"stations must satisfy 0 <= start < end <= {self.length}, got {start} and {end}")
        inner = (self.stations > start + 1e-6) & (self.stations < end - 1e-6)
        ends = self.position([start, end])
        return Polyline(np.concatenate([ends[:1], self.points[inner], ends[1:]]))

    def resampled(self, spacing: float) -> "Polyline":
        """Return the path with vertices about every `spacing` [m] and the same ends."""
        count = max(int(np.ceil(self.length / spacing)), 1) + 1
        return Polyline(self.position(np.linspace(0.0, self.length, count)))

    @staticmethod
    def joined(paths: Sequence["Polyline"]) -> "Polyline":
        """Join paths, each of which begins where the last one ends; common end points are kept once."""
        points = np.concatenate([path.points for path in paths])
        keep = np.concatenate([[True], np.hypot(*np.diff(points, axis=0).T) > 1e-6])
        return Polyline(points[keep])
