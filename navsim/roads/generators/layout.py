"""Road layouts, the output of the town generators, and the smooth centre lines of their roads.

Centre lines are splines with given end headings, closed splines, or polygons with rounded corners. Their curvature is
continuous.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline

from navsim.errors import TownError
from navsim.geometry import Array, Polyline
from navsim.roads.elements import Road


@dataclass(frozen=True, eq=False)
class RoadLayout:
    """Nodes and roads of a town, before junctions, lanes and pavement are built."""

    nodes: Array
    """End points of the roads (N, 2) [m]."""
    roads: list[Road]
    """Roads between the nodes."""
    kerb_radius: float
    """Radius of the kerb corners [m]."""


@dataclass(frozen=True)
class CrossSection:
    """A road's cross section."""

    lanes: int = 1
    """Number of lanes in each direction of a two-way road, or of a one-way road."""
    lane_width: float = 3.3
    """Width of each lane [m]."""
    margin: float = 1.0
    """Paved strip between the edge line and the kerb, on each side [m]."""
    speed_limit: float = 8.0
    """Speed limit [m/s]."""
    ring: bool = False
    """Whether the road is the one-way ring of a roundabout, or a part of it."""

    @property
    def half_width(self) -> float:
        """Distance from the centre line to either kerb [m]."""
        return self.lanes * self.lane_width * (0.5 if self.ring else 1.0) + self.margin

    def road(self, start: int, end: int, centre: Polyline) -> Road:
        """Return a road of this cross section along `centre`, from node `start` to node `end`."""
        return Road(
            start,
            end,
            centre,
            lanes_forward=self.lanes,
            lanes_backward=0 if self.ring else self.lanes,
            lane_width=self.lane_width,
            margin=self.margin,
            speed_limit=self.speed_limit,
            ring=self.ring,
        )


def direction(heading: float) -> Array:
    """Return the unit vector (2,) along a heading [rad]."""
    return np.array([np.cos(heading), np.sin(heading)])


SPACING = 1.0
"""Distance between the vertices of a centre line [m]."""
FINE_SPACING = 0.5
"""Distance between points while corners are rounded [m]."""
TRANSITION = 6.0
"""Window of the two moving averages by which an arc's curvature grows without a jump of its rate [m]."""


def spline_line(guide: Array, start: float, end: float) -> Polyline:
    """Return a cubic spline through `guide` (K, 2) with headings `start` and `end` [rad] at its ends."""
    knots = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(guide, axis=0).T))])
    slopes = [np.array([np.cos(angle), np.sin(angle)]) for angle in (start, end)]
    curve = CubicSpline(knots, guide, bc_type=((1, slopes[0]), (1, slopes[1])))
    dense = curve(np.linspace(0.0, knots[-1], int(knots[-1] * 2) + 2))
    lengths = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(dense, axis=0).T))])
    count = int(np.ceil(lengths[-1] / SPACING)) + 1
    even = np.interp(np.linspace(0.0, lengths[-1], count), lengths, np.linspace(0.0, knots[-1], len(dense)))
    points = curve(even)
    points[0], points[-1] = guide[0], guide[-1]
    return Polyline(points)


def closed_line(guide: Array) -> Polyline:
    """Return a periodic cubic spline through the corners `guide` (K, 2); it ends where it begins."""
    around = np.concatenate([guide, guide[:1]])
    knots = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(around, axis=0).T))])
    curve = CubicSpline(knots, around, bc_type="periodic")
    points = curve(np.linspace(0.0, knots[-1], int(knots[-1] * 4) + 2))
    points[0] = points[-1] = guide[0]
    dense = Polyline(points)
    return dense.resampled(SPACING)


def rounded_line(corners: Array, radii: Sequence[float]) -> Polyline:
    """Return a line through `corners` (K, 2) whose K - 2 inner corners are rounded by arcs with smooth transitions.

    Args:
        corners: The two ends, and between them the corners to round.
        radii: Radius of the arc at each inner corner [m].

    Raises:
        TownError: If the arcs do not fit between the corners.
    """
    lengths, ahead, turns = _legs(corners)
    tangents = np.asarray(radii) * np.tan(np.abs(turns) / 2)
    used = np.concatenate([[0.0], tangents]) + np.concatenate([tangents, [0.0]])
    if (used > lengths + 1e-6).any():
        leg = int((used - lengths).argmax())
        raise TownError(f"a street's leg of {lengths[leg]:.0f} m is too short for arcs that need {used[leg]:.0f} m")
    points = [corners[:1]]
    for i, (corner, turn, tangent) in enumerate(zip(corners[1:-1], turns, tangents, strict=True)):
        points.append(_arc(corner - tangent * ahead[i], ahead[i], float(turn), float(radii[i])))
    return _smoothed(np.concatenate([*points, corners[-1:]]))


def flowing_line(corners: Array, lead: float, max_radius: float = 180.0) -> Polyline:
    """Return a line along `corners` (K, 2) with straight ends and the widest arcs that fit.

    Args:
        corners: The two ends, and between them the corners to round.
        lead: Length of the straight ends [m]; the first and the last leg must be longer.
        max_radius: Largest radius of an arc [m].

    Raises:
        TownError: If the first or the last leg is too short.
    """
    lengths, _, turns = _legs(corners)
    # Neighbouring arcs share the leg between them.
    available = np.concatenate([[lengths[0] - lead], lengths[1:-1] / 2, [lengths[-1] - lead]])
    if available.min() <= 0:
        shortest = min(lengths[0], lengths[-1])
        raise TownError(
            f"the end leg of a street must be longer than its straight lead of {lead} m, got {shortest:.0f} m"
        )
    tangents = np.minimum(available[:-1], available[1:])
    radii = np.minimum(tangents / np.maximum(np.tan(np.abs(turns) / 2), 1e-6), max_radius)
    return rounded_line(corners, radii.tolist())


LEAD = 18.0
"""Length of the straight end of a street [m]: about the reach of a junction."""
LEG_FRACTION = 0.24
"""Distance from either end of a street to its first corner, as a fraction of its length."""


def link_line(ends: tuple[Array, Array], headings: tuple[float, float], shifts: Sequence[float]) -> Polyline:
    """Return a winding line with straight ends between two positions.

    Args:
        ends: First and last position (2,) [m].
        headings: Headings at the first and the last position [rad].
        shifts: Sideways shifts of evenly spaced inner points, positive to the left, as fractions of the length.
    """
    length = float(np.hypot(*(ends[1] - ends[0])))
    first = max(LEG_FRACTION * length, LEAD + 12.0)
    start, end = ends[0] + first * direction(headings[0]), ends[1] - first * direction(headings[1])
    gap = end - start
    left = np.array([-gap[1], gap[0]]) * length / max(float(np.hypot(*gap)), 1e-6)
    shares = np.arange(1, len(shifts) + 1) / (len(shifts) + 1)
    inner = [start + share * gap + shift * left for share, shift in zip(shares, shifts, strict=True)]
    return flowing_line(np.array([ends[0], start, *inner, end, ends[1]]), LEAD)


def _legs(corners: Array) -> tuple[Array, Array, Array]:
    """Return lengths (K-1,) [m] and directions (K-1, 2) of the legs between corners, and the turns (K-2,) [rad]."""
    legs = np.diff(corners, axis=0)
    lengths = np.hypot(*legs.T)
    ahead = legs / lengths[:, None]
    cosines = np.sum(ahead[:-1] * ahead[1:], axis=1)
    return lengths, ahead, np.arctan2(ahead[:-1, 0] * ahead[1:, 1] - ahead[:-1, 1] * ahead[1:, 0], cosines)


def _arc(start: Array, ahead: Array, turn: float, radius: float) -> Array:
    """Return points (N, 2) of an arc from `start` (2,) in direction `ahead` (2,) that turns by `turn` [rad]."""
    angles = np.linspace(0.0, abs(turn), max(int(radius * abs(turn) / FINE_SPACING), 1) + 1)
    side = np.sign(turn) * np.array([-ahead[1], ahead[0]])
    return np.asarray(start + radius * (np.sin(angles)[:, None] * ahead + (1 - np.cos(angles))[:, None] * side))


def arc_points(centre: Array, radius: float, start: float, sweep: float) -> Array:
    """Return points (N, 2) of an arc around `centre` (2,) from angle `start`, counter-clockwise by `sweep` [rad]."""
    angles = start + np.linspace(0.0, sweep, max(int(np.ceil(radius * sweep / SPACING)), 3) + 1)
    return np.asarray(centre + radius * np.stack([np.cos(angles), np.sin(angles)], axis=-1))


def _smoothed(points: Array) -> Polyline:
    """Smooth a path of lines and arcs by two moving averages; its straight ends stay in place."""
    keep = np.concatenate([[True], np.hypot(*np.diff(points, axis=0).T) > 1e-6])
    path = Polyline(points[keep])
    count = (
        2 * max(int(np.ceil(path.length / (2 * FINE_SPACING))), 2) + 1
    )  # odd, so that every other point keeps both ends
    smooth = path.position(np.linspace(0.0, path.length, count))
    half = round(TRANSITION / 2 / FINE_SPACING)
    for _ in range(2):
        # The path is mirrored in its end points, so a straight end stays straight.
        before, after = 2 * smooth[0] - smooth[half:0:-1], 2 * smooth[-1] - smooth[-2 : -2 - half : -1]
        padded = np.concatenate([before, smooth, after])
        sums = np.cumsum(np.concatenate([np.zeros((1, 2)), padded]), axis=0)
        smooth = (sums[2 * half + 1 :] - sums[: -2 * half - 1]) / (2 * half + 1)
    smooth[0], smooth[-1] = points[0], points[-1]
    return Polyline(smooth[::2])
