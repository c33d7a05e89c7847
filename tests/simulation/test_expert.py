import numpy as np
import pytest

from navsim.drivers.protocol import ConstantDriver, Driver, Expert
from navsim.errors import ConfigError
from navsim.geometry import Polyline, Pose
from navsim.roads.routing import Route
from navsim.simulation.expert import ExpertConfig, LaneExpert
from navsim.world.vehicle import VehicleSpec, VehicleState


def route(points: list[tuple[float, float]]) -> Route:
    return Route((0,), (), Polyline(np.array(points)), ())


def state(x: float, y: float, heading: float = 0.0, speed: float = 8.0) -> VehicleState:
    return VehicleState(
        time=0.0, pose=Pose(x, y, heading), speed=speed, curvature=0.0, yaw_rate=0.0, lateral_speed=0.0, wheel_angle=0.0
    )


def expert(points: list[tuple[float, float]], lookahead_time: float = 0.5) -> LaneExpert:
    pilot = LaneExpert(ExpertConfig(lookahead_time, 3.0), VehicleSpec())
    pilot.follow(route(points))
    return pilot


STRAIGHT = [(0.0, 0.0), (100.0, 0.0)]


def test_on_a_straight_it_drives_straight() -> None:
    assert expert(STRAIGHT).command(state(10.0, 0.0)).curvature == pytest.approx(0.0)


@pytest.mark.parametrize(("speed", "reach"), [(8.0, 4.0), (2.0, 3.0)])
def test_an_offset_is_corrected_over_the_lookahead_by_hand(speed: float, reach: float) -> None:
    command = expert(STRAIGHT).command(state(10.0, 0.5, speed=speed)).curvature
    assert command == pytest.approx(-2 * 0.5 / reach**2)


def test_a_heading_error_is_corrected_over_the_lookahead_by_hand() -> None:
    command = expert(STRAIGHT).command(state(10.0, 0.0, heading=0.1)).curvature
    assert command == pytest.approx(-2 * np.sin(0.1) / 4.0)


def test_on_a_circle_it_commands_the_circle() -> None:
    angles = np.linspace(0.0, np.pi, 400)
    circle = [(20.0 * np.sin(a), 20.0 * (1 - np.cos(a))) for a in angles]
    # Halfway between the axles the car moves at atan(1.3 / 20) to its heading.
    heading = np.pi / 2 - np.arctan(VehicleSpec().wheelbase / 2 / 20.0)
    command = expert(circle).command(state(20.0, 20.0, heading=heading)).curvature
    assert command == pytest.approx(1 / 20.0, rel=0.01)


def test_a_curve_is_entered_ahead_of_time() -> None:
    angles = np.linspace(0.01, 1.5, 200)
    points = [(x, 0.0) for x in np.arange(0.0, 50.0, 0.5)]
    points += [(50.0 + 20.0 * float(np.sin(a)), 20.0 * float(1 - np.cos(a))) for a in angles]
    pilot = expert(points)
    assert pilot.command(state(45.0, 0.0)).curvature == pytest.approx(0.0)
    assert pilot.command(state(49.5, 0.0)).curvature > 0.02


def test_commands_stay_within_the_cars_curvature() -> None:
    assert expert(STRAIGHT).command(state(10.0, 3.5)).curvature == pytest.approx(-0.2)


def test_past_the_end_it_goes_straight_on() -> None:
    assert expert(STRAIGHT).command(state(99.0, 0.0)).curvature == pytest.approx(0.0)


def test_a_new_route_forgets_the_old_place() -> None:
    pilot = expert(STRAIGHT)
    pilot.command(state(90.0, 0.0))
    pilot.follow(route([(0.0, 5.0), (100.0, 5.0)]))
    assert pilot.command(state(5.0, 5.0)).curvature == pytest.approx(0.0)


def test_without_a_route_it_says_so() -> None:
    with pytest.raises(RuntimeError, match="no route"):
        LaneExpert(ExpertConfig(), VehicleSpec()).command(state(0.0, 0.0))


def test_drivers_and_experts_are_distinguished() -> None:
    truth, senses = expert(STRAIGHT), ConstantDriver()
    assert isinstance(truth, Expert)
    assert not isinstance(truth, Driver)
    assert isinstance(senses, Driver)
    assert not isinstance(senses, Expert)


@pytest.mark.parametrize("wrong", [{"lookahead_time": -1.0}, {"min_lookahead": 0.0}, {"preview_time": -0.1}])
def test_impossible_experts_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(wrong))} must be"):
        ExpertConfig(**wrong)
