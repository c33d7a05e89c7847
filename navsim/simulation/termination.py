"""The rules that end a drive, as pure functions of the truth."""

from dataclasses import dataclass

from navsim.errors import ConfigError
from navsim.roads.network import RoadNetwork
from navsim.roads.routing import Progress, Route
from navsim.simulation.scenario import Outcome
from navsim.world.vehicle import VehicleState
from navsim.world.world import Contact


@dataclass(frozen=True)
class Rules:
    """Limits of a drive."""

    offset_limit: float = 2.0
    """Largest distance from the middle of the route's lane [m]; VISTA's crash rule."""
    slowest_mean_speed: float = 3.0
    """The time limit is the route's length over this speed [m/s] ..."""
    spare_time: float = 20.0
    """... and this much more [s]."""
    standing_speed: float = 0.3
    """Below this speed the car counts as standing [m/s]."""
    standing_time: float = 5.0
    """How long it may stand [s]."""

    def __post_init__(self) -> None:
        for name in ("offset_limit", "slowest_mean_speed", "standing_time"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"rules.{name} must be above 0, got {getattr(self, name)}")

    def time_limit(self, route_length: float) -> float:
        """Time allowed for a route [s]."""
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
    """Say how the drive ended with this step, or None if it goes on; contact counts before all else.

    Args:
        rules: The limits.
        network: The roads.
        route: The route to drive.
        state: The truth.
        progress: Where `state` is along `route`.
        contact: What was touched, if anything.
        standing_time: How long the car has stood still [s].
    """
    if contact is not None:
        return Outcome.COLLIDED
    if abs(progress.offset) > rules.offset_limit:
        return Outcome.WRONG_TURN if took_wrong_turn(network, route, state, progress.station) else Outcome.LEFT_ROAD
    if progress.fraction >= 1.0:
        return Outcome.ARRIVED
    if standing_time > rules.standing_time:
        return Outcome.STUCK
    if state.time > rules.time_limit(route.length):
        return Outcome.TIMED_OUT
    return None


def took_wrong_turn(
    network: RoadNetwork,
    route: Route,
    state: VehicleState,
    station: float,
    tolerance: float = 1.75,
    reach: float = 15.0,
) -> bool:
    """Whether a car that has left its route follows another way through the junction where it did.

    Args:
        network: The roads.
        route: The route that was to be driven.
        state: The truth.
        station: Where the car is along the route [m].
        tolerance: How close to the middle of the other way it must be [m]; half a lane.
        reach: How far past the junction it still counts as that junction's [m].
    """
    for passage, chosen in zip(route.passages, route.connectors, strict=True):
        if passage.start <= station <= passage.end + reach:
            others = (i for i in network.successors(network.connectors[chosen].from_lane) if i != chosen)
            return any(abs(_offset(network, i, state)) < tolerance for i in others)
    return False


def _offset(network: RoadNetwork, connector: int, state: VehicleState) -> float:
    """Distance of the car from the middle of a connector [m]."""
    return network.connectors[connector].path.project(state.pose.position)[1]
