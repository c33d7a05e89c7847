"""Ways through junctions: smooth paths from the end of one lane to the beginning of another.

Each path is a quintic Hermite curve that takes over position, heading and curvature of both lanes. Its two free
numbers, the speeds at the ends, are searched for the lowest peak of curvature and its rate, all connectors at once.
Where that curve would cut a corner, both lanes are first led on, ever closer to the node, before the curve begins.

Which lanes lead into which at a crossing of streets with any number of lanes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import shapely

from navsim.geometry import Array, Polyline, wrap_angle
from navsim.roads.elements import Lane, Manoeuvre

SPACING = 0.5
"""Distance between the vertices of a connector [m]."""
STRAIGHT_LIMIT = np.deg2rad(30.0)
"""Connectors that turn by less than this go straight on [rad]."""
SPEEDS = (0.8, 1.0, 1.2, 1.45, 1.7, 2.0, 2.4)
"""End speeds tried, as multiples of the distance between the ends."""
RATE_WEIGHT = 2.0
"""What a curvature rate of 1/m^2 costs, measured in curvature [m]."""
SEARCH = ((np.inf, 1), *((reach, 16) for reach in (np.inf, 28.0, 25.0, 22.0, 19.0, 16.0, 13.5, 11.0)))
"""Distances from the node within which the curve lies [m], and how many curves are tried; the first fit is taken."""
MIN_CLEARANCE = 1.3
"""Least distance from a connector to the kerb [m]: half a car's width and some room."""
MAX_CURVATURE = 0.15
"""Greatest curvature of a connector, where the junction allows it [1/m]."""


@dataclass(frozen=True, eq=False)
class Way:
    """Two lanes to be joined inside a junction."""

    before: Polyline
    """The arriving lane, led on from its mouth to the node [m]."""
    after: Polyline
    """The departing lane, led back from the node to its mouth [m]."""


def connector_paths(ways: Sequence[Way], carriageway: shapely.Polygon | shapely.MultiPolygon) -> list[Polyline]:
    """Join the lanes of each way from mouth to mouth.

    Args:
        ways: K pairs of lanes.
        carriageway: The paved area to stay on.

    Returns:
        K paths with vertices about every 0.5 m.
    """
    return [path for _, path in judged_paths(ways, carriageway, SEARCH)]


def judged_paths(
    ways: Sequence[Way], carriageway: shapely.Polygon | shapely.MultiPolygon, search: Sequence[tuple[float, int]]
) -> list[tuple[float, Polyline]]:
    """The same, each path with its fault; `search` is as `SEARCH`."""
    best: dict[int, tuple[float, Polyline]] = {}
    todo = list(range(len(ways)))
    for reach, tries in search:
        if not todo:
            break
        tried = _joined([ways[i] for i in todo], reach, tries)
        faults = connector_faults([path for paths in tried for path in paths], carriageway).reshape(len(todo), tries)
        for i, paths, found in zip(todo, tried, faults, strict=True):
            choice = int(found.argmin())
            if i not in best or found[choice] < best[i][0]:
                best[i] = (float(found[choice]), paths[choice])
        todo = [i for i in todo if best[i][0] > 0]
    return [best[i] for i in range(len(ways))]


def manoeuvre_of(path: Polyline) -> Manoeuvre:
    """Classify a way through a junction by its total turn."""
    turn = float(wrap_angle(path.headings[-1] - path.headings[0]))
    if abs(turn) < STRAIGHT_LIMIT:
        return Manoeuvre.STRAIGHT
    return Manoeuvre.LEFT if turn > 0 else Manoeuvre.RIGHT


def connector_faults(paths: Sequence[Polyline], carriageway: shapely.Polygon | shapely.MultiPolygon) -> Array:
    """Judge ways through junctions.

    Args:
        paths: K paths.
        carriageway: The paved area to stay on.

    Returns:
        For each path (K,) the share of it that is too close to the kerb, plus by how much its curvature exceeds the
        limit, as a part of the limit; 0 when it is fit to drive.
    """
    points = np.concatenate([path.points for path in paths])
    owners = np.repeat(np.arange(len(paths)), [len(path.points) for path in paths])
    kerbs = carriageway.boundary
    shapely.prepare(kerbs)  # `dwithin` uses it, `distance` would not
    shapely.prepare(carriageway)
    narrow = np.asarray(shapely.dwithin(kerbs, shapely.points(points), MIN_CLEARANCE))
    # A path that keeps its distance from the kerbs lies on one side of them.
    unsure = np.bincount(owners, narrow, len(paths))[owners] > 0
    unsure[np.flatnonzero(np.diff(owners, prepend=-1))] = True
    narrow[unsure] |= ~shapely.contains_xy(carriageway, points[unsure])
    shares = np.bincount(owners, narrow, len(paths)) / np.bincount(owners, minlength=len(paths))
    peaks = np.array([np.abs(path.curvatures).max() for path in paths])
    return np.asarray(shares + np.maximum(peaks / MAX_CURVATURE - 1, 0.0))


def _joined(ways: Sequence[Way], reach: float, tries: int) -> list[list[Polyline]]:
    """Join the lanes of each of K ways by the `tries` best quintics that lie within `reach` [m] of the node."""
    leave = np.array([way.before.snapped(max(way.before.length - reach, 0.0)) for way in ways])
    enter = np.array([way.after.snapped(min(reach, way.after.length)) for way in ways])
    start = _states([way.before for way in ways], leave)
    end = _states([way.after for way in ways], enter)
    chord = np.hypot(*(end[:, :2] - start[:, :2]).T)
    first, second = (grid.ravel() for grid in np.meshgrid(SPEEDS, SPEEDS))  # (M,)
    start_motion = _motion(start[:, 2], start[:, 3], chord[:, None] * first)
    end_motion = _motion(end[:, 2], end[:, 3], chord[:, None] * second)
    curves = _quintics(start[:, None, :2], *start_motion, end[:, None, :2], *end_motion)  # (K, M, 6, 2)
    best = _cost(curves).argsort(axis=1, kind="stable")[:, :tries]
    return [
        [
            _chained([*_part(way.before, 0.0, a), _sampled(curve[i]), *_part(way.after, b, way.after.length)])
            for i in choices
        ]
        for way, curve, choices, a, b in zip(ways, curves, best, leave.tolist(), enter.tolist(), strict=True)
    ]


def _part(path: Polyline, start: float, end: float) -> list[Polyline]:
    """The part between two stations, or nothing when they are the same."""
    return [path.between(start, end)] if end > start else []


def _chained(pieces: list[Polyline]) -> Polyline:
    """The pieces as one path; a single one as it is."""
    return pieces[0] if len(pieces) == 1 else Polyline.joined(pieces)


def _states(paths: Sequence[Polyline], stations: Array) -> Array:
    """Position, heading and curvature (K, 4) of each path at its station."""
    return np.array([_state(path, station) for path, station in zip(paths, stations.tolist(), strict=True)])


def _state(path: Polyline, station: float) -> tuple[float, float, float, float]:
    """Position, heading and curvature at a station, as on the curve that the polyline was sampled from."""
    x, y = path.position(station)
    first, last = path.stations[1], path.stations[-2]
    # At its very ends a polyline has no curvature, and the heading of a segment whose middle lies further inside.
    curvature = float(path.curvature(min(max(station, first), last)))
    heading = float(path.heading(station))
    if station <= 0.0:
        heading -= curvature * float(first) / 2
    elif station >= path.length:
        heading += curvature * (path.length - float(last)) / 2
    return float(x), float(y), heading, curvature


def _motion(heading: Array, curvature: Array, speed: Array) -> tuple[Array, Array]:
    """Velocity and acceleration (K, M, 2) of a point that moves along headings (K,) at speeds (K, M)."""
    tangent = np.stack([np.cos(heading), np.sin(heading)], axis=-1)[:, None]  # (K, 1, 2)
    normal = np.stack([-tangent[..., 1], tangent[..., 0]], axis=-1)
    return speed[..., None] * tangent, (speed**2 * curvature[:, None])[..., None] * normal


def _quintics(start: Array, v0: Array, a0: Array, end: Array, v1: Array, a1: Array) -> Array:
    """Coefficients (K, M, 6, 2), lowest power first, of the quintics on [0, 1] with the given ends."""
    gap, velocity, acceleration = end - start - v0 - a0 / 2, v1 - v0 - a0, a1 - a0
    c3 = 10 * gap - 4 * velocity + acceleration / 2
    c4 = -15 * gap + 7 * velocity - acceleration
    c5 = 6 * gap - 3 * velocity + acceleration / 2
    return np.stack([np.broadcast_to(start, v0.shape), v0, a0 / 2, c3, c4, c5], axis=-2)


def _cost(curves: Array) -> Array:
    """How sharp and how sudden the curves (K, M, 6, 2) turn (K, M)."""
    t = np.linspace(0.0, 1.0, 25)
    powers = np.arange(6)
    first = powers[1:] * t[:, None] ** powers[:-1]  # (T, 5)
    second = (powers[2:] * powers[1:-1]) * t[:, None] ** powers[:-2]  # (T, 4)
    velocity = first @ curves[..., 1:, :]  # (K, M, T, 2)
    acceleration = second @ curves[..., 2:, :]
    speed = np.maximum(np.hypot(velocity[..., 0], velocity[..., 1]), 1e-6)
    turn = velocity[..., 0] * acceleration[..., 1] - velocity[..., 1] * acceleration[..., 0]
    curvature = turn / speed**3
    steps = (speed[..., 1:] + speed[..., :-1]) / 2 * (t[1] - t[0])
    rate = np.abs(np.diff(curvature, axis=-1) / steps).max(axis=-1)
    return np.asarray(np.abs(curvature).max(axis=-1) + RATE_WEIGHT * rate)


def _sampled(curve: Array) -> Polyline:
    """Sample one quintic (6, 2) evenly by arc length."""
    powers = np.arange(6)
    t = np.linspace(0.0, 1.0, 200)
    dense = t[:, None] ** powers @ curve
    lengths = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(dense, axis=0).T))])
    count = max(int(np.ceil(lengths[-1] / SPACING)), 2) + 1
    even = np.interp(np.linspace(0.0, lengths[-1], count), lengths, t)
    return Polyline(even[:, None] ** powers @ curve)


STRAIGHT_ON = np.deg2rad(40.0)
"""Turns by less than this go straight on [rad]."""
U_TURN = np.deg2rad(150.0)
"""Turns by more than this are made only where there is no other way [rad]."""


def lane_pairs(
    lanes: Sequence[Lane], entering: Sequence[int], leaving: Sequence[int], sharpest: float = U_TURN
) -> list[tuple[int, int]]:
    """Choose the ways through a crossing.

    Straight on every lane leads into the one of the same number, counted from the divider, and the outermost into all
    that are left; turns lead from the outermost lane on their side into the outermost one. A lane from which none of
    these leads on takes the turns of its street. So a route through a street and a crossing tells the lane, which a map
    that draws streets as lines does not show.

    Args:
        lanes: All lanes of the network.
        entering: Indices of the lanes that end at the crossing, those of a street together, from the divider outwards.
        leaving: Indices of those that begin there, likewise.
        sharpest: Turns by more than this are made only where there is no other way [rad].

    Returns:
        Pairs of indices.
    """
    sources, targets = _by_street(lanes, entering), _by_street(lanes, leaving)
    found: list[tuple[int, int]] = []
    for source in sources:
        turns = {
            tuple(target): turn
            for target in targets
            if not _turns_back(lanes[source[0]], lanes[target[0]])
            for turn in [_turn(lanes[source[0]], lanes[target[0]])]
        }
        forward = {target: turn for target, turn in turns.items() if abs(turn) <= sharpest}
        found += _from_street(source, forward or turns)
    return found


def _from_street(source: Sequence[int], turns: Mapping[tuple[int, ...], float]) -> list[tuple[int, int]]:
    """The ways on from the lanes of one street end; keys are the lanes of the streets ahead, values their turns."""
    pairs: list[tuple[int, int]] = []
    for target, turn in turns.items():
        if abs(turn) < STRAIGHT_ON:
            count = max(len(source), len(target))
            pairs += [(source[min(i, len(source) - 1)], target[min(i, len(target) - 1)]) for i in range(count)]
        elif turn > 0:
            pairs.append((source[0], target[0]))
        else:
            pairs.append((source[-1], target[-1]))
    if not turns:
        return []
    leading = {a for a, _ in pairs}
    rightmost, *_, leftmost = [*sorted(turns, key=lambda target: turns[target])] * 2
    for i, lane in enumerate(source):
        if lane in leading:
            continue
        if i < len(source) / 2:  # the inner half turns left, the outer half right
            pairs.append((lane, leftmost[min(i, len(leftmost) - 1)]))
        else:
            pairs.append((lane, rightmost[max(i - len(source), -len(rightmost))]))
    return pairs


def _by_street(lanes: Sequence[Lane], indices: Sequence[int]) -> list[list[int]]:
    """Lanes grouped by street and direction."""
    return [list(group) for _, group in groupby(indices, key=lambda i: (lanes[i].road, lanes[i].forward))]


def _turn(before: Lane, after: Lane) -> float:
    """Turn from the end of one lane to the beginning of another, positive to the left [rad]."""
    return float(wrap_angle(after.path.headings[0] - before.path.headings[-1]))


def _turns_back(before: Lane, after: Lane) -> bool:
    """Whether a lane leaves by the same street end at which the other entered."""
    return before.road == after.road and before.forward != after.forward
