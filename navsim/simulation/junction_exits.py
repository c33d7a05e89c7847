"""The plain crossing that a junction could have been: ways out of a lane that need not exist.

Measures that ask what a driver believes of a junction need the exits that are not there as well as those that are. A
plain crossing has four roads like the one the car is on, at right angles, with mouths as far from the node as its own.

What is open to a car at a junction: the exits that it may take, and those that are not there.

For each frame near a junction every lawful exit is given as the command that the expert would give, at the car's true
pose, if its route took that exit; so the exit of the driven route has the recorded label itself. A distribution over
steering that sees no route should give each exit that is still open a share of its mass, and none to an exit that does
not exist.

T: frames of an episode, E: largest number of exits in it, padded with NaN.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import shapely
from numpy.typing import NDArray

from navsim.geometry import Array, Polyline, Pose
from navsim.roads.connectors import LanePair, connector_paths, manoeuvre_of
from navsim.roads.elements import Manoeuvre
from navsim.roads.network import RoadNetwork
from navsim.roads.routing import Route, make_route, progress_along
from navsim.simulation.episode import Episode
from navsim.simulation.expert import ExpertConfig, course_error, lane_curvature
from navsim.world.vehicle import VehicleSpec

DIRECTIONS = (Manoeuvre.LEFT, Manoeuvre.STRAIGHT, Manoeuvre.RIGHT)
"""The exits of a plain crossing."""
_TURNS = (np.pi / 2, 0.0, -np.pi / 2)
_ROOM = 1000.0
"""Half the side of the paved square on which the ways are laid [m]: no kerb is near."""


def plain_exits(network: RoadNetwork, lane: int, beyond: float = 20.0) -> tuple[Polyline, Polyline, Polyline]:
    """Ways out of a lane if it led to a plain crossing.

    Args:
        network: Where the lane is.
        lane: Its index.
        beyond: How far the ways go on past the crossing [m].

    Returns:
        For each of `DIRECTIONS` the path [m] from the end of the lane to `beyond` the imagined mouth.
    """
    path, setback, left = network.lanes[lane].path, _setback(network, lane), _left_of_centre(network, lane)
    mouth = path.pose(path.length)
    node = mouth.moved(forward=setback, left=-left)
    before = _line(mouth, setback)
    outward = [_line(node.moved(turn=turn).moved(left=left), setback + beyond) for turn in _TURNS]
    pairs = [LanePair(before, after.between(0.0, setback)) for after in outward]
    square = shapely.box(mouth.x - _ROOM, mouth.y - _ROOM, mouth.x + _ROOM, mouth.y + _ROOM)
    inside = connector_paths(pairs, square)
    onward = [after.between(setback, after.length) for after in outward]
    first, second, third = (Polyline.joined(pieces) for pieces in zip(inside, onward, strict=True))
    return first, second, third


def _line(start: Pose, length: float) -> Polyline:
    """A straight path ahead of a pose, with a vertex about every metre."""
    return Polyline(start.to_world([[0.0, 0.0], [length, 0.0]])).resampled(1.0)


def _setback(network: RoadNetwork, lane: int) -> float:
    """Distance from a lane's end to its junction's node [m], along the centre of its road."""
    road, (first, last) = network.roads[network.lanes[lane].road], network.mouths(network.lanes[lane].road)
    return road.centre.length - last if network.lanes[lane].forward else first


def _left_of_centre(network: RoadNetwork, lane: int) -> float:
    """Offset of a lane from the centre of its road [m], positive to the left as driven."""
    there = network.lanes[lane]
    offset = network.roads[there.road].lane_offset(there.forward, there.index)
    return offset if there.forward else -offset


BEFORE = 3.0
"""From here before a junction's mouth its exits are looked at [m]. The expert looks little more than a metre ahead, so
that farther out all exits ask for the same command."""
DEPTH = 1 / 3
"""Up to this share of the way through the junction they are looked at; by then the car has turned towards one."""


@dataclass(frozen=True)
class Exit:
    """One lawful way out of a junction."""

    connector: int
    """Index of the connector that leads there."""
    manoeuvre: Manoeuvre
    """What a driver does to take it."""


@dataclass(frozen=True, eq=False)
class JunctionExits:
    """What is open to the car in each of an episode's T frames; NaN in frames that are near no junction."""

    exits: tuple[tuple[Exit, ...], ...]
    """The lawful exits at each of the episode's passages, in the order of the columns below."""
    passages: NDArray[np.int64]
    """Which passage each frame belongs to (T,); -1 where it belongs to none."""
    distances: Array
    """How far past the junction's mouth the car is (T,) [m]; negative before it."""
    taken: NDArray[np.int64]
    """Column of the exit that the route takes (T,); -1 where there is none."""
    curvatures: Array
    """The expert's command for each exit (T, E) [1/m]."""
    offsets: Array
    """The car's offset from the way to each exit (T, E) [m], positive to the left."""
    course_errors: Array
    """The direction in which the car would move on it, minus that of the way (T, E) [rad]."""
    missing: Array
    """The expert's command for each exit of a plain crossing (`DIRECTIONS`) that is not there (T, 3) [1/m]."""

    def __len__(self) -> int:
        """Number of frames, T."""
        return len(self.passages)

    def __getitem__(self, frames: slice | NDArray[np.int64]) -> "JunctionExits":
        """Gather frames by a slice or their indices."""
        rows = {item.name: getattr(self, item.name)[frames] for item in fields(self) if item.name != "exits"}
        return JunctionExits(self.exits, **rows)


def episode_exits(
    episode: Episode,
    network: RoadNetwork,
    route: Route,
    expert: ExpertConfig,
    vehicle: VehicleSpec,
    before: float = BEFORE,
    depth: float = DEPTH,
) -> JunctionExits:
    """Find the exits in all frames of an episode that are near a junction.

    The lawful exits are all that continue the lane on which the route enters the junction. A direction (left, straight
    on, right) has no exit if no lawful one turns that way; its command is that for a plain crossing in the junction's
    place, see `navsim.simulation.junction_exits`.

    Args:
        episode: The drive; images are not looked at.
        network: The roads of its scenario's town.
        route: The route that was to be driven, see `navsim.simulation.scenario.scenario_route`.
        expert: The expert that labelled it.
        vehicle: The car that the expert knew.
        before: From where before a junction's mouth exits are looked at [m]; never from before the last junction's end.
        depth: Up to which share of the way through the junction, in (0, 1].
    """
    law = _Law(episode, expert, vehicle)
    ways = [network.successors(lane) for lane in route.lanes[:-1]]
    result = _nowhere(len(episode), network, ways)
    for number, passage in enumerate(route.passages):
        free = route.passages[number - 1].end if number else 0.0
        first, last = max(passage.start - before, free), passage.start + depth * (passage.end - passage.start)
        frames = np.flatnonzero((episode.stations[:-1] > first) & (episode.stations[:-1] <= last))
        if not len(frames):
            continue
        result.passages[frames] = number
        result.distances[frames] = episode.stations[frames] - passage.start
        result.taken[frames] = ways[number].index(route.connectors[number])
        for column, connector in enumerate(ways[number]):
            found = law.along(_rerouted(network, route, number, connector).path, frames)
            result.curvatures[frames, column], result.offsets[frames, column] = found[:, 0], found[:, 1]
            result.course_errors[frames, column] = found[:, 2]
        for column, path in _missing_ways(network, route, number).items():
            result.missing[frames, column] = law.along(path, frames)[:, 0]
    return result


@dataclass(frozen=True, eq=False)
class _Law:
    """The expert's law at the true poses of an episode."""

    episode: Episode
    """The drive."""
    expert: ExpertConfig
    """How far ahead the expert looks."""
    vehicle: VehicleSpec
    """The car that it knows."""

    def along(self, path: Polyline, frames: NDArray[np.int64]) -> Array:
        """Command [1/m], offset [m] and course error [rad] (F, 3) in frames (F,) if the route were `path`.

        Up to the junction the path is the route's, so that the stations of the drive hold for it too.
        """
        rows = []
        for frame in frames.tolist():
            place = progress_along(path, self.episode.pose(frame), float(self.episode.stations[frame]))
            speed = float(self.episode.speeds[frame])
            command = lane_curvature(self.expert, self.vehicle, path, place, speed)
            rows.append((command, place.offset, course_error(self.vehicle, path, place)))
        return np.array(rows)


def _nowhere(steps: int, network: RoadNetwork, ways: Sequence[tuple[int, ...]]) -> JunctionExits:
    """The exits of T frames before any is known; `ways` are the connectors of the exits at each passage."""
    exits = tuple(tuple(Exit(index, network.connectors[index].manoeuvre) for index in there) for there in ways)
    width = max(map(len, exits), default=0)
    return JunctionExits(
        exits=exits,
        passages=np.full(steps, -1),
        distances=np.full(steps, np.nan),
        taken=np.full(steps, -1),
        curvatures=np.full((steps, width), np.nan),
        offsets=np.full((steps, width), np.nan),
        course_errors=np.full((steps, width), np.nan),
        missing=np.full((steps, len(DIRECTIONS)), np.nan),
    )


def _rerouted(network: RoadNetwork, route: Route, number: int, connector: int) -> Route:
    """The route up to its junction `number`, then through `connector` and along the lane behind it."""
    lanes = (*route.lanes[: number + 1], network.connectors[connector].to_lane)
    start = network.lanes[lanes[0]].path.length - route.passages[0].start
    return make_route(
        network, lanes, (*route.connectors[:number], connector), start, network.lanes[lanes[-1]].path.length
    )


def _missing_ways(network: RoadNetwork, route: Route, number: int) -> dict[int, Polyline]:
    """Routes through a plain crossing in place of junction `number`, by column of `DIRECTIONS`; none that exists."""
    lane = route.lanes[number]
    # By the turn, for at a roundabout the exits' manoeuvre does not tell it.
    there = {manoeuvre_of(network.connectors[index].path) for index in network.successors(lane)}
    up_to = route.path.between(0.0, route.passages[number].start)
    ways = enumerate(plain_exits(network, lane))
    return {column: Polyline.joined([up_to, way]) for column, way in ways if DIRECTIONS[column] not in there}
