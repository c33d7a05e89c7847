"""Connectors: which lanes lead into which at a junction, and the smooth paths between them.

A path is a quintic Hermite curve that matches position, heading and curvature of both lanes. Its two free parameters,
the speeds at the ends, minimise the peaks of the curvature and of its rate, for all connectors at once. Where the curve
would cut a corner, both lanes are first extended towards the node, and the curve begins closer to it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import shapely

from navsim.geometry import Array, Polyline, wrap_angle
from navsim.roads.elements import Lane, Manoeuvre

SPACING = 0.5
"""Distance between the vertices of a connector [m]."""
STRAIGHT_LIMIT = np.deg2rad(30.0)
"""Smallest turn of a connector that does not count as straight [rad]."""
SPEEDS = (0.8, 1.0, 1.2, 1.45, 1.7, 2.0, 2.4)
"""Candidate end speeds, as multiples of the distance between the ends."""
RATE_WEIGHT = 2.0
"""Cost of a curvature rate of 1/m^2, relative to a curvature of 1/m [m]."""
SEARCH = ((np.inf, 1), *((reach, 16) for reach in (np.inf, 28.0, 25.0, 22.0, 19.0, 16.0, 13.5, 11.0)))
"""Stages of the search: distance from the node within which the curve lies [m] and number of candidate curves."""
MIN_CLEARANCE = 1.3
"""Smallest distance from a connector to the kerb [m]: half a car's width and a margin."""
MAX_CURVATURE = 0.15
"""Largest curvature of a connector, where the junction allows it [1/m]."""


@dataclass(frozen=True, eq=False)
class LanePair:
    """Two lanes to be joined inside a junction."""

    arriving: Polyline
    """Extension of the arriving lane from its mouth to the node [m]."""
    departing: Polyline
    """Extension of the departing lane from the node to its mouth [m]."""


def connector_paths(pairs: Sequence[LanePair], carriageway: shapely.Polygon | shapely.MultiPolygon) -> list[Polyline]:
    """Join the lanes of each pair from mouth to mouth.

    Args:
        pairs: K pairs of lanes.
        carriageway: The paved area to stay on.

    Returns:
        K paths with vertices about every 0.5 m.
    """
    return [path for _, path in paths_with_faults(pairs, carriageway, SEARCH)]


def paths_with_faults(
    pairs: Sequence[LanePair], carriageway: shapely.Polygon | shapely.MultiPolygon, search: Sequence[tuple[float, int]]
) -> list[tuple[float, Polyline]]:
    """Return the fault (see `connector_faults`) and the path of each pair; `search` has the form of `SEARCH`."""
    best: dict[int, tuple[float, Polyline]] = {}
    pending = list(range(len(pairs)))
    for reach, count in search:
        if not pending:
            break
        candidates = _candidate_paths([pairs[i] for i in pending], reach, count)
        flat = [path for paths in candidates for path in paths]
        faults = connector_faults(flat, carriageway).reshape(len(pending), count)
        for i, paths, found in zip(pending, candidates, faults, strict=True):
            choice = int(found.argmin())
            if i not in best or found[choice] < best[i][0]:
                best[i] = (float(found[choice]), paths[choice])
        pending = [i for i in pending if best[i][0] > 0]
    return [best[i] for i in range(len(pairs))]


def manoeuvre_of(path: Polyline) -> Manoeuvre:
    """Classify a path through a junction by its total turn."""
    turn = float(wrap_angle(path.headings[-1] - path.headings[0]))
    if abs(turn) < STRAIGHT_LIMIT:
        return Manoeuvre.STRAIGHT
    return Manoeuvre.LEFT if turn > 0 else Manoeuvre.RIGHT


def connector_faults(paths: Sequence[Polyline], carriageway: shapely.Polygon | shapely.MultiPolygon) -> Array:
    """Measure how far paths through junctions are from drivable.

    Args:
        paths: K paths.
        carriageway: The paved area to stay on.

    Returns:
        Fault of each path (K,), 0 for a drivable one: the share of its points too close to the kerb, plus the excess
        of its curvature over the limit, as a fraction of the limit.
    """
    points = np.concatenate([path.points for path in paths])
    owners = np.repeat(np.arange(len(paths)), [len(path.points) for path in paths])
    kerbs = carriageway.boundary
    shapely.prepare(kerbs)  # `dwithin` profits from it, `distance` would not
    shapely.prepare(carriageway)
    narrow = np.asarray(shapely.dwithin(kerbs, shapely.points(points), MIN_CLEARANCE))
    # A path that keeps its distance from the kerbs lies on one side of them, so one point of it is enough.
    unchecked = np.bincount(owners, narrow, len(paths))[owners] > 0
    unchecked[np.flatnonzero(np.diff(owners, prepend=-1))] = True
    narrow[unchecked] |= ~shapely.contains_xy(carriageway, points[unchecked])
    shares = np.bincount(owners, narrow, len(paths)) / np.bincount(owners, minlength=len(paths))
    peaks = np.array([np.abs(path.curvatures).max() for path in paths])
    return np.asarray(shares + np.maximum(peaks / MAX_CURVATURE - 1, 0.0))


def _candidate_paths(pairs: Sequence[LanePair], reach: float, count: int) -> list[list[Polyline]]:
    """Join the lanes of each of K pairs by the `count` best quintics that lie within `reach` [m] of the node."""
    leave = np.array([pair.arriving.snapped(max(pair.arriving.length - reach, 0.0)) for pair in pairs])
    enter = np.array([pair.departing.snapped(min(reach, pair.departing.length)) for pair in pairs])
    start = _states([pair.arriving for pair in pairs], leave)
    end = _states([pair.departing for pair in pairs], enter)
    chord = np.hypot(*(end[:, :2] - start[:, :2]).T)
    first, second = (grid.ravel() for grid in np.meshgrid(SPEEDS, SPEEDS))  # (M,)
    start_motion = _motion(start[:, 2], start[:, 3], chord[:, None] * first)
    end_motion = _motion(end[:, 2], end[:, 3], chord[:, None] * second)
    curves = _quintics(start[:, None, :2], *start_motion, end[:, None, :2], *end_motion)  # (K, M, 6, 2)
    best = _cost(curves).argsort(axis=1, kind="stable")[:, :count]
    return [
        [
            _concatenated(
                [
                    *_section(pair.arriving, 0.0, a),
                    _sampled(curve[i]),
                    *_section(pair.departing, b, pair.departing.length),
                ]
            )
            for i in choices
        ]
        for pair, curve, choices, a, b in zip(pairs, curves, best, leave.tolist(), enter.tolist(), strict=True)
    ]


def _section(path: Polyline, start: float, end: float) -> list[Polyline]:
    """Return the part of a path between two stations [m], or nothing if they are equal."""
    return [path.between(start, end)] if end > start else []


def _concatenated(pieces: list[Polyline]) -> Polyline:
    """Join the pieces into one path; a single piece is returned unchanged."""
    return pieces[0] if len(pieces) == 1 else Polyline.joined(pieces)


def _states(paths: Sequence[Polyline], stations: Array) -> Array:
    """Return position, heading and curvature (K, 4) of each path at its station."""
    return np.array([_state(path, station) for path, station in zip(paths, stations.tolist(), strict=True)])


def _state(path: Polyline, station: float) -> tuple[float, float, float, float]:
    """Return position, heading and curvature at a station of the curve that the polyline was sampled from."""
    x, y = path.position(station)
    first, last = path.stations[1], path.stations[-2]
    # At its ends a polyline has no curvature, and its heading is that of the middle of the end segment.
    curvature = float(path.curvature(min(max(station, first), last)))
    heading = float(path.heading(station))
    if station <= 0.0:
        heading -= curvature * float(first) / 2
    elif station >= path.length:
        heading += curvature * (path.length - float(last)) / 2
    return float(x), float(y), heading, curvature


def _motion(heading: Array, curvature: Array, speed: Array) -> tuple[Array, Array]:
    """Return velocity and acceleration (K, M, 2) for headings (K,), curvatures (K,) and speeds (K, M)."""
    tangent = np.stack([np.cos(heading), np.sin(heading)], axis=-1)[:, None]  # (K, 1, 2)
    normal = np.stack([-tangent[..., 1], tangent[..., 0]], axis=-1)
    return speed[..., None] * tangent, (speed**2 * curvature[:, None])[..., None] * normal


def _quintics(start: Array, v0: Array, a0: Array, end: Array, v1: Array, a1: Array) -> Array:
    """Return coefficients (K, M, 6, 2), lowest power first, of quintics on [0, 1] with the given end states."""
    gap, velocity, acceleration = end - start - v0 - a0 / 2, v1 - v0 - a0, a1 - a0
    c3 = 10 * gap - 4 * velocity + acceleration / 2
    c4 = -15 * gap + 7 * velocity - acceleration
    c5 = 6 * gap - 3 * velocity + acceleration / 2
    return np.stack([np.broadcast_to(start, v0.shape), v0, a0 / 2, c3, c4, c5], axis=-2)


def _cost(curves: Array) -> Array:
    """Return the cost (K, M) of curves (K, M, 6, 2): peak curvature plus weighted peak rate of curvature."""
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
    """Sample a quintic (6, 2) evenly by arc length."""
    powers = np.arange(6)
    t = np.linspace(0.0, 1.0, 200)
    dense = t[:, None] ** powers @ curve
    lengths = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(dense, axis=0).T))])
    count = max(int(np.ceil(lengths[-1] / SPACING)), 2) + 1
    even = np.interp(np.linspace(0.0, lengths[-1], count), lengths, t)
    return Polyline(even[:, None] ** powers @ curve)


STRAIGHT_ON = np.deg2rad(40.0)
"""Smallest turn between two streets that counts as a turn [rad]."""
U_TURN = np.deg2rad(150.0)
"""Smallest turn that counts as a U-turn [rad]."""


def lane_pairs(
    lanes: Sequence[Lane],
    entering: Sequence[int],
    leaving: Sequence[int],
    max_turn: float = U_TURN,
    is_allowed: Callable[[Lane, Lane], bool] = lambda before, after: True,  # noqa: ARG005
) -> list[tuple[int, int]]:
    """Choose the pairs of lanes that connectors join at a junction.

    Straight on, each lane leads into the lane of the same number, counted from the divider; the outermost lane leads
    into all remaining ones. Turns lead from the outermost lane on their side into the outermost lane on that side. A
    lane without a connector by these rules takes the turns of its street. The streets of a route thus determine its
    lanes, which a map of streets as lines does not show.

    Args:
        lanes: All lanes of the network.
        entering: Indices of the lanes that end at the junction, grouped by street, from the divider outwards.
        leaving: Indices of the lanes that begin at the junction, in the same order.
        max_turn: Largest turn [rad]; a lane takes sharper ones only if it has no other connector.
        is_allowed: Function that returns whether cars may turn from the street of one lane into that of another.

    Returns:
        Pairs of lane indices (from, to).
    """
    sources, targets = _by_street(lanes, entering), _by_street(lanes, leaving)
    found: list[tuple[int, int]] = []
    for source in sources:
        turns = {
            tuple(target): turn
            for target in targets
            if not _turns_back(lanes[source[0]], lanes[target[0]]) and is_allowed(lanes[source[0]], lanes[target[0]])
            for turn in [_turn(lanes[source[0]], lanes[target[0]])]
        }
        forward = {target: turn for target, turn in turns.items() if abs(turn) <= max_turn}
        found += _pairs_from_street(source, forward or turns)
    return found


def _pairs_from_street(source: Sequence[int], turns: Mapping[tuple[int, ...], float]) -> list[tuple[int, int]]:
    """Return the pairs that begin at one street's lanes; `turns` holds the turn [rad] into each street's lanes."""
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
    connected = {a for a, _ in pairs}
    rightmost, *_, leftmost = [*sorted(turns, key=lambda target: turns[target])] * 2
    for i, lane in enumerate(source):
        if lane in connected:
            continue
        if i < len(source) / 2:  # the inner half turns left, the outer half right
            pairs.append((lane, leftmost[min(i, len(leftmost) - 1)]))
        else:
            pairs.append((lane, rightmost[max(i - len(source), -len(rightmost))]))
    return pairs


def _by_street(lanes: Sequence[Lane], indices: Sequence[int]) -> list[list[int]]:
    """Return the lanes grouped by street and direction."""
    return [list(group) for _, group in groupby(indices, key=lambda i: (lanes[i].road, lanes[i].forward))]


def _turn(before: Lane, after: Lane) -> float:
    """Return the turn from the end of one lane to the start of another, positive to the left [rad]."""
    return float(wrap_angle(after.path.headings[0] - before.path.headings[-1]))


def _turns_back(before: Lane, after: Lane) -> bool:
    """Return whether a lane leaves by the street end at which the other lane arrived."""
    return before.road == after.road and before.forward != after.forward
