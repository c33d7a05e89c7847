"""Exits of junctions: for each frame near a junction, the expert's command for each lawful exit and each missing one.

The command for an exit is what the expert commands at the car's true pose if its route takes that exit, so the exit of
the driven route has the recorded label. A distribution over steering that knows no route should give each exit that is
still open a share of its mass, and none to an exit that does not exist.

Missing exits are those of a plain crossing in the junction's place: four roads like the car's own, at right angles,
with mouths as far from the node as that of the car's road.

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
"""Exits of a plain crossing."""
_TURNS = (np.pi / 2, 0.0, -np.pi / 2)
_MARGIN = 1000.0
"""Half the side of the paved square in which the paths are drawn [m]: no kerb is near."""


def plain_exits(network: RoadNetwork, lane: int, beyond: float = 20.0) -> tuple[Polyline, Polyline, Polyline]:
    """Return the paths out of a lane if it led to a plain crossing.

    Args:
        network: Network of the lane.
        lane: Index of the lane.
        beyond: Length of the paths past the crossing [m].

    Returns:
        For each of `DIRECTIONS` the path [m] from the end of the lane to `beyond` the imagined mouth.
    """
    path, setback, left = network.lanes[lane].path, _setback(network, lane), _left_of_centre(network, lane)
    mouth = path.pose(path.length)
    node = mouth.moved(forward=setback, left=-left)
    before = _line(mouth, setback)
    outward = [_line(node.moved(turn=turn).moved(left=left), setback + beyond) for turn in _TURNS]
    pairs = [LanePair(before, after.between(0.0, setback)) for after in outward]
    square = shapely.box(mouth.x - _MARGIN, mouth.y - _MARGIN, mouth.x + _MARGIN, mouth.y + _MARGIN)
    inside = connector_paths(pairs, square)
    onward = [after.between(setback, after.length) for after in outward]
    first, second, third = (Polyline.joined(pieces) for pieces in zip(inside, onward, strict=True))
    return first, second, third


def _line(start: Pose, length: float) -> Polyline:
    """Return a straight path ahead of a pose, with a vertex about every metre."""
    return Polyline(start.to_world([[0.0, 0.0], [length, 0.0]])).resampled(1.0)


def _setback(network: RoadNetwork, lane: int) -> float:
    """Return the distance from a lane's end to its junction's node [m], along the centre of its road."""
    road, (first, last) = network.roads[network.lanes[lane].road], network.mouths(network.lanes[lane].road)
    return road.centre.length - last if network.lanes[lane].forward else first


def _left_of_centre(network: RoadNetwork, lane: int) -> float:
    """Return the offset of a lane from the centre of its road [m], positive to the left as driven."""
    own = network.lanes[lane]
    offset = network.roads[own.road].lane_offset(own.forward, own.index)
    return offset if own.forward else -offset


BEFORE = 3.0
"""Distance before a junction's mouth from which its exits are compared [m]. The expert looks little more than a metre
ahead, so farther out all exits need the same command."""
DEPTH = 1 / 3
"""Share of the way through a junction up to which its exits are compared; by then the car has turned towards one."""


@dataclass(frozen=True)
class Exit:
    """One lawful way out of a junction."""

    connector: int
    """Index of the connector that leads to the exit."""
    manoeuvre: Manoeuvre
    """Manoeuvre that leads to the exit."""


@dataclass(frozen=True, eq=False)
class JunctionExits:
    """Exits open to the car in each of an episode's T frames; NaN in frames that are not near a junction."""

    exits: tuple[tuple[Exit, ...], ...]
    """Lawful exits at each of the episode's passages, in the order of the columns."""
    passages: NDArray[np.int64]
    """Index of the passage that each frame belongs to (T,); -1 without one."""
    distances: Array
    """Distance of the car past the junction's mouth (T,) [m]; negative before it."""
    taken: NDArray[np.int64]
    """Column of the exit that the route takes (T,); -1 without one."""
    curvatures: Array
    """Expert's command for each exit (T, E) [1/m]."""
    offsets: Array
    """Offset of the car from the path to each exit (T, E) [m], positive to the left."""
    course_errors: Array
    """Direction of the car's motion relative to the path to each exit (T, E) [rad]."""
    missing: Array
    """Expert's command for each exit of a plain crossing (`DIRECTIONS`) that is missing (T, 3) [1/m]."""

    def __len__(self) -> int:
        """Number of frames, T."""
        return len(self.passages)

    def __getitem__(self, frames: slice | NDArray[np.int64]) -> "JunctionExits":
        """Select frames by a slice or by their indices."""
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
    on, right) is missing if no lawful exit turns that way.

    Args:
        episode: The drive; its images are not used.
        network: Roads of the scenario's town.
        route: Route of the scenario, see `navsim.simulation.scenario.scenario_route`.
        expert: Settings of the expert that labelled the drive.
        vehicle: Car that the expert assumes.
        before: Distance before a junction's mouth from which frames count [m]; frames in the last junction never do.
        depth: Share of the way through the junction up to which frames count, in (0, 1].
    """
    commands = _ExpertCommands(episode, expert, vehicle)
    connectors = [network.successors(lane) for lane in route.lanes[:-1]]
    result = _no_exits(len(episode), network, connectors)
    for number, passage in enumerate(route.passages):
        free = route.passages[number - 1].end if number else 0.0
        first, last = max(passage.start - before, free), passage.start + depth * (passage.end - passage.start)
        frames = np.flatnonzero((episode.stations[:-1] > first) & (episode.stations[:-1] <= last))
        if not len(frames):
            continue
        result.passages[frames] = number
        result.distances[frames] = episode.stations[frames] - passage.start
        result.taken[frames] = connectors[number].index(route.connectors[number])
        for column, connector in enumerate(connectors[number]):
            found = commands.along(_rerouted(network, route, number, connector).path, frames)
            result.curvatures[frames, column], result.offsets[frames, column] = found[:, 0], found[:, 1]
            result.course_errors[frames, column] = found[:, 2]
        for column, path in _missing_paths(network, route, number).items():
            result.missing[frames, column] = commands.along(path, frames)[:, 0]
    return result


@dataclass(frozen=True, eq=False)
class _ExpertCommands:
    """The expert's commands for other paths at the true poses of an episode."""

    episode: Episode
    """Episode with the true poses."""
    expert: ExpertConfig
    """Distances over which the expert looks ahead."""
    vehicle: VehicleSpec
    """Car that the expert assumes."""

    def along(self, path: Polyline, frames: NDArray[np.int64]) -> Array:
        """Return command [1/m], offset [m] and course error [rad] (F, 3) in frames (F,) for another path.

        Up to the junction `path` equals the route's, so that the stations of the drive hold for it too.
        """
        rows = []
        for frame in frames.tolist():
            place = progress_along(path, self.episode.pose(frame), float(self.episode.stations[frame]))
            speed = float(self.episode.speeds[frame])
            command = lane_curvature(self.expert, self.vehicle, path, place, speed)
            rows.append((command, place.offset, course_error(self.vehicle, path, place)))
        return np.array(rows)


def _no_exits(steps: int, network: RoadNetwork, connectors: Sequence[tuple[int, ...]]) -> JunctionExits:
    """Return T frames without exits; `connectors` are those of the exits at each passage."""
    exits = tuple(tuple(Exit(index, network.connectors[index].manoeuvre) for index in each) for each in connectors)
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
    """Return the route up to its junction `number`, then through `connector` and along the lane behind it."""
    lanes = (*route.lanes[: number + 1], network.connectors[connector].to_lane)
    start = network.lanes[lanes[0]].path.length - route.passages[0].start
    return make_route(
        network, lanes, (*route.connectors[:number], connector), start, network.lanes[lanes[-1]].path.length
    )


def _missing_paths(network: RoadNetwork, route: Route, number: int) -> dict[int, Polyline]:
    """Return paths to the missing exits of junction `number` as a plain crossing, by column of `DIRECTIONS`."""
    lane = route.lanes[number]
    # By the geometry, because at a roundabout all exits have the same manoeuvre.
    existing = {manoeuvre_of(network.connectors[index].path) for index in network.successors(lane)}
    up_to = route.path.between(0.0, route.passages[number].start)
    exits = enumerate(plain_exits(network, lane))
    return {column: Polyline.joined([up_to, path]) for column, path in exits if DIRECTIONS[column] not in existing}
