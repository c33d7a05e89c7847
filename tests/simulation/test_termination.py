import numpy as np
import pytest

from navsim.config import from_mapping, to_mapping
from navsim.errors import ConfigError
from navsim.geometry import Polyline, Pose
from navsim.roads.network import Manoeuvre, Road, RoadNetwork, build_network
from navsim.roads.routing import Route, make_route
from navsim.simulation.scenario import Outcome
from navsim.simulation.termination import Rules, check_termination
from navsim.world.obstacles import ObstacleKind
from navsim.world.vehicle import VehicleState
from navsim.world.world import Contact

RULES = Rules()


def cross() -> RoadNetwork:
    """Four roads of 100 m that meet at the origin at right angles."""
    ends = [(100.0, 0.0), (0.0, 100.0), (-100.0, 0.0), (0.0, -100.0)]
    roads = [Road(0, i + 1, Polyline(np.array([[0.0, 0.0], end]))) for i, end in enumerate(ends)]
    return build_network([(0.0, 0.0), *ends], roads)


NETWORK = cross()


def route(manoeuvre: Manoeuvre) -> Route:
    """From the west to the junction, 60 m before it and 40 m after it."""
    west = next(i for i, lane in enumerate(NETWORK.lanes) if lane.road == 2 and not lane.forward)
    chosen = next(i for i in NETWORK.successors(west) if NETWORK.connectors[i].manoeuvre == manoeuvre)
    length = NETWORK.lanes[west].path.length
    return make_route(NETWORK, [west, NETWORK.connectors[chosen].to_lane], [chosen], length - 60.0, 40.0)


def verdict(
    way: Route, pose: Pose, contact: Contact | None = None, standing: float = 0.0, time: float = 5.0, near: float = 0.0
) -> Outcome | None:
    state = VehicleState(
        time=time, pose=pose, speed=5.0, curvature=0.0, yaw_rate=0.0, lateral_speed=0.0, wheel_angle=0.0
    )
    return check_termination(RULES, NETWORK, way, state, way.progress(pose, near), contact, standing)


STRAIGHT = route(Manoeuvre.STRAIGHT)
START = STRAIGHT.path.pose(10.0)


def test_a_car_in_its_lane_goes_on() -> None:
    assert verdict(STRAIGHT, START) is None
    assert verdict(STRAIGHT, START.moved(left=1.9)) is None
    assert verdict(STRAIGHT, START.moved(left=-1.9)) is None


@pytest.mark.parametrize("left", [2.1, -2.1])
def test_more_than_two_metres_from_the_lanes_centre_is_off(left: float) -> None:
    assert verdict(STRAIGHT, START.moved(left=left)) is Outcome.LEFT_ROAD


def test_the_end_of_the_route_is_arrival() -> None:
    end = STRAIGHT.path.pose(STRAIGHT.length).moved(forward=0.2)
    assert verdict(STRAIGHT, end, near=STRAIGHT.length - 1.0) is Outcome.ARRIVED


def test_the_end_beside_the_lane_is_no_arrival() -> None:
    end = STRAIGHT.path.pose(STRAIGHT.length).moved(forward=0.2, left=2.5)
    assert verdict(STRAIGHT, end, near=STRAIGHT.length - 1.0) is Outcome.LEFT_ROAD


def test_contact_counts_before_all_else() -> None:
    touched = Contact(ObstacleKind.KERB, (0.0, 0.0, 0.1))
    assert verdict(STRAIGHT, START.moved(left=-3.0), contact=touched) is Outcome.COLLIDED
    assert verdict(STRAIGHT, START, contact=touched) is Outcome.COLLIDED


def test_standing_and_running_out_of_time() -> None:
    assert verdict(STRAIGHT, START, standing=5.1) is Outcome.STUCK
    assert verdict(STRAIGHT, START, standing=4.9) is None
    limit = RULES.allowed_time(STRAIGHT.length)
    assert verdict(STRAIGHT, START, time=limit - 0.1) is None
    assert verdict(STRAIGHT, START, time=limit + 0.1) is Outcome.TIMED_OUT


@pytest.mark.parametrize("taken", [Manoeuvre.LEFT, Manoeuvre.RIGHT])
def test_another_way_through_the_junction_is_a_wrong_turn(taken: Manoeuvre) -> None:
    other = route(taken)
    verdicts = []
    near = 0.0
    for station in np.arange(0.0, other.length, 0.5):
        pose = other.path.pose(station)
        near = STRAIGHT.progress(pose, near).station
        verdicts.append(verdict(STRAIGHT, pose, near=near))
    first = next(v for v in verdicts if v is not None)
    assert first is Outcome.WRONG_TURN


def test_going_straight_on_where_the_route_turns_is_a_wrong_turn() -> None:
    left = route(Manoeuvre.LEFT)
    near, found = 0.0, None
    for station in np.arange(0.0, STRAIGHT.length, 0.5):
        pose = STRAIGHT.path.pose(station)
        near = left.progress(pose, near).station
        found = found or verdict(left, pose, near=near)
    assert found is Outcome.WRONG_TURN


def test_the_time_limit_by_hand() -> None:
    assert Rules(slowest_mean_speed=4.0, spare_time=10.0).allowed_time(200.0) == pytest.approx(60.0)


def test_a_limit_for_all_routes_is_stored_as_before_there_was_a_setting_for_it() -> None:
    rules = Rules(time_limit=5.0)
    assert rules.allowed_time(300.0) == pytest.approx(5.0, abs=1e-3)
    assert rules == Rules(slowest_mean_speed=1e6, spare_time=5.0)
    assert rules == from_mapping(Rules, {"time_limit": 5.0}, "test")
    assert to_mapping(rules) == {
        "offset_limit": 2.0,
        "any_lane": True,
        "slowest_mean_speed": 1e6,
        "spare_time": 5.0,
        "standing_speed": 0.3,
        "standing_time": 5.0,
    }


@pytest.mark.parametrize("name", ["offset_limit", "slowest_mean_speed", "standing_time", "time_limit"])
@pytest.mark.parametrize("value", [0.0, -1.0])
def test_impossible_rules_are_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"{name} must be above 0, got {value}"):
        Rules(**{name: value})  # type: ignore[arg-type]
