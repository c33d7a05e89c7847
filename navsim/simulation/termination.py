"""The rules that end a drive, as pure functions of the true state."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Gt
from pydantic import Field

from navsim.config import Constrained
from navsim.roads.network import RoadNetwork
from navsim.roads.routing import Progress, Route
from navsim.simulation.scenario import Outcome
from navsim.world.vehicle import VehicleState
from navsim.world.world import Contact

_UNLIMITED_SPEED = 1e6


@dataclass(frozen=True)
class Rules(Constrained):
    """Limits of a drive."""

    offset_limit: Annotated[float, Gt(0)] = 2.0
    """Largest distance from the middle of the nearest lane of the route [m]; VISTA's crash rule."""
    any_lane: bool = True
    """Whether all lanes of the right direction that lead on along the route count, or only the route's own one."""
    slowest_mean_speed: Annotated[float, Gt(0)] = 3.0
    """Mean speed that the time limit allows [m/s]: the limit is the route's length over it, plus `spare_time`."""
    spare_time: float = 20.0
    """Part of the time limit that does not depend on the route [s]."""
    time_limit: Annotated[float | None, Gt(0), Field(exclude=True)] = None
    """One time limit for all routes [s]. It is kept as `spare_time`, with a mean speed of 1e6 m/s, and reads None."""
    standing_speed: float = 0.3
    """Speed below which the car counts as standing [m/s]."""
    standing_time: Annotated[float, Gt(0)] = 5.0
    """Longest time that the car may stand [s]."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.time_limit is not None:
            # Stored settings and the fingerprints of suites tell such a limit in this form.
            object.__setattr__(self, "slowest_mean_speed", _UNLIMITED_SPEED)
            object.__setattr__(self, "spare_time", self.time_limit)
            object.__setattr__(self, "time_limit", None)

    def allowed_time(self, route_length: float) -> float:
        """Time allowed for a route [s], given its length [m]."""
        return route_length / self.slowest_mean_speed + self.spare_time


def check_termination(
    rules: Rules,
    network: RoadNetwork,
    route: Route,
    state: VehicleState,
    progress: Progress,
    contact: Contact | None,
    standing_time: float,
) -> Outcome | None:
    """Return how the drive ended with this step, or None if it goes on; contact counts before all else.

    Args:
        rules: Limits of the drive.
        network: Roads of the town.
        route: Route of the drive.
        state: True state of the car.
        progress: Place of `state` along `route`.
        contact: Obstacle that the car touches, if any.
        standing_time: Time for which the car has stood still [s].
    """
    if contact is not None:
        return Outcome.COLLIDED
    if abs(progress.offset if rules.any_lane else progress.route_offset) > rules.offset_limit:
        return wrong_way(network, route, state, progress.station) or Outcome.LEFT_ROAD
    if progress.fraction >= 1.0:
        return Outcome.ARRIVED
    if standing_time > rules.standing_time:
        return Outcome.STUCK
    if state.time > rules.allowed_time(route.length):
        return Outcome.TIMED_OUT
    return None


def wrong_way(
    network: RoadNetwork,
    route: Route,
    state: VehicleState,
    station: float,
    tolerance: float = 1.75,
    reach: float = 15.0,
) -> Outcome | None:
    """Return `WRONG_TURN` or `WRONG_LANE` if a car follows another way through a junction; None if it does not.

    Args:
        network: Roads of the town.
        route: Route of the drive.
        state: True state of the car.
        station: Place of the car along the route [m].
        tolerance: Largest distance from the middle of the other way [m]; half a lane.
        reach: Distance past a junction up to which the car counts as there [m].
    """
    for number, (passage, chosen) in enumerate(zip(route.passages, route.connectors, strict=True)):
        if passage.start <= station <= passage.end + reach:
            right = route.corridor.connectors | {chosen}
            from_lanes = {network.connectors[i].from_lane for i in right if _at(network, i, passage.junction)}
            turns = {i for lane in from_lanes for i in network.successors(lane)} - right
            if any(abs(_offset(network, i, state)) < tolerance for i in turns):
                return Outcome.WRONG_TURN
            wrong = route.corridor.wrong_lanes[number] if route.corridor.sections else ()
            return Outcome.WRONG_LANE if any(abs(_offset(network, i, state)) < tolerance for i in wrong) else None
    return None


def _at(network: RoadNetwork, connector: int, junction: int) -> bool:
    """Whether a connector leads through a junction."""
    return network.connectors[connector].junction == junction


def _offset(network: RoadNetwork, connector: int, state: VehicleState) -> float:
    """Signed distance of the car from the middle of a connector [m]."""
    return network.connectors[connector].path.project(state.pose.position)[1]
