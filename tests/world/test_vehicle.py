import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from navsim.errors import ConfigError
from navsim.seeding import generator
from navsim.world.bullet import BodyMotion
from navsim.world.vehicle import (
    GRAVITY,
    VehicleSpec,
    VehicleSpread,
    chassis_forces,
    tyre_force,
    varied_vehicle,
    vehicle_state,
)

SPEC = VehicleSpec()
UPRIGHT = (0.0, 0.0, 0.0, 1.0)
STILL = (0.0, 0.0, 0.0)


def motion(height: float = SPEC.centre_height, velocity: tuple[float, float, float] = STILL) -> BodyMotion:
    return BodyMotion((0.0, 0.0, height), UPRIGHT, velocity, STILL)


@given(curvature=st.floats(-0.2, 0.2))
def test_wheel_angle_and_curvature_are_inverse(curvature: float) -> None:
    assert SPEC.curvature(SPEC.wheel_angle(curvature)) == pytest.approx(curvature, abs=1e-9)


def test_wheel_angle_follows_the_bicycle_geometry() -> None:
    # The centre's circle of radius 10 m has its middle on the rear axle's line: sqrt(10^2 - 1.3^2) beside the axle.
    rear_radius = math.sqrt(10.0**2 - 1.3**2)
    assert SPEC.wheel_angle(0.1) == pytest.approx(math.atan(2.6 / rear_radius))
    assert SPEC.wheel_angle(-0.1) == -SPEC.wheel_angle(0.1)


def test_wheel_angle_stops_at_its_limit() -> None:
    assert SPEC.wheel_angle(5.0) == math.radians(35.0)
    assert SPEC.wheel_angle(-5.0) == -math.radians(35.0)


def test_speed_controller_is_bounded_by_engine_and_brakes() -> None:
    assert SPEC.acceleration(5.0, 5.0) == 0.0
    assert SPEC.acceleration(5.0, 5.1) == pytest.approx(0.4)
    assert SPEC.acceleration(0.0, 8.0) == SPEC.max_acceleration
    assert SPEC.acceleration(8.0, 0.0) == -SPEC.max_braking


@pytest.mark.parametrize(("field", "value"), [("mass", 0.0), ("wheelbase", -1.0), ("friction", math.nan)])
def test_impossible_dimensions_are_refused(field: str, value: float) -> None:
    with pytest.raises(ConfigError, match=field):
        VehicleSpec(**{field: value})


def test_curvature_beyond_the_wheels_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"max_curvature must be at most .*, got 0\.5"):
        VehicleSpec(max_curvature=0.5)


@given(
    grip=st.floats(1.0, 1e4),
    forward=st.floats(-15, 15),
    sideways=st.floats(-15, 15),
    expected=st.floats(-1e5, 1e5),
)
def test_tyre_force_stays_in_the_friction_circle_and_brakes_slip(
    grip: float, forward: float, sideways: float, expected: float
) -> None:
    push, side = tyre_force(grip, 14.0 * grip, forward, sideways, expected)
    assert math.hypot(push, side) <= grip * (1 + 1e-9)
    assert side * sideways <= 0
    assert push * expected >= 0


def test_tyre_force_is_linear_at_small_slip_and_saturates_at_large() -> None:
    _, small = tyre_force(3000.0, 40000.0, 10.0, 0.01, 0.0)
    assert small == pytest.approx(-40000.0 * 0.001, rel=1e-3)
    _, large = tyre_force(3000.0, 40000.0, 10.0, 5.0, 0.0)
    assert large == pytest.approx(-3000.0, rel=1e-3)


def test_a_car_at_rest_carries_its_weight_and_nothing_else() -> None:
    force, torque = chassis_forces(SPEC, motion(), 0.0, 0.0)
    assert force == pytest.approx((0.0, 0.0, SPEC.mass * GRAVITY))
    assert torque == pytest.approx((0.0, 0.0, 0.0), abs=1e-9)


def test_driving_straight_pushes_forward_with_mass_times_acceleration() -> None:
    force, torque = chassis_forces(SPEC, motion(velocity=(5.0, 0.0, 0.0)), 0.0, 2.0)
    assert force[0] == pytest.approx(SPEC.mass * 2.0)
    assert force[1] == pytest.approx(0.0, abs=1e-9)
    # The push acts on the ground, half a metre below the centre of mass: the nose rises (negative about y, left).
    assert torque[1] == pytest.approx(-SPEC.mass * 2.0 * SPEC.centre_height)


def test_steering_left_pulls_and_turns_left() -> None:
    force, torque = chassis_forces(SPEC, motion(velocity=(5.0, 0.0, 0.0)), 0.05, 0.0)
    assert force[1] > 0
    assert torque[2] > 0


def test_a_car_in_the_air_feels_nothing() -> None:
    force, torque = chassis_forces(SPEC, motion(height=3.0, velocity=(5.0, 1.0, 0.0)), 0.1, 3.0)
    assert force == (0.0, 0.0, 0.0)
    assert torque == (0.0, 0.0, 0.0)


def test_state_splits_velocity_along_the_heading() -> None:
    turned = (0.0, 0.0, math.sin(math.pi / 4), math.cos(math.pi / 4))  # facing north
    state = vehicle_state(SPEC, BodyMotion((3.0, 4.0, 0.5), turned, (-1.0, 6.0, 0.0), (0.0, 0.0, 0.3)), 0.1, 2.5)
    assert (state.pose.x, state.pose.y) == (3.0, 4.0)
    assert state.pose.heading == pytest.approx(math.pi / 2)
    assert state.speed == pytest.approx(6.0)
    assert state.lateral_speed == pytest.approx(1.0)
    assert state.curvature == pytest.approx(0.3 / math.hypot(1.0, 6.0))
    assert (state.time, state.wheel_angle) == (2.5, 0.1)


def test_curvature_at_standstill_is_that_of_the_wheels() -> None:
    state = vehicle_state(SPEC, motion(), SPEC.wheel_angle(0.07), 0.0)
    assert state.curvature == pytest.approx(0.07)


def test_wheels_reach_below_a_kerb_and_stay_within_the_width() -> None:
    body, *wheels = SPEC.boxes
    assert len(wheels) == 4
    for wheel in wheels:
        bottom = wheel.centre[2] - wheel.size[2] / 2 + SPEC.centre_height
        assert bottom == pytest.approx(0.05)
        assert abs(wheel.centre[1]) + wheel.size[1] / 2 <= SPEC.width / 2 + 1e-9
    assert body.centre[2] + body.size[2] / 2 + SPEC.centre_height == pytest.approx(SPEC.height)


def test_wheels_approach_their_goal_like_a_first_order_actuator() -> None:
    # Within one time constant 1 - 1/e of the way; half steps twice give the same as one whole step.
    slow = replace(SPEC, steering_lag=0.5, wheel_rate_deg=1e3)
    assert slow.next_wheel_angle(0.0, 0.2, 0.5) == pytest.approx(0.2 * (1 - math.exp(-1)))
    half = slow.next_wheel_angle(0.0, 0.2, 0.25)
    assert slow.next_wheel_angle(half, 0.2, 0.25) == pytest.approx(slow.next_wheel_angle(0.0, 0.2, 0.5))
    assert slow.next_wheel_angle(0.1, 0.1, 1.0) == 0.1


def test_wheels_turn_no_faster_than_they_can() -> None:
    assert SPEC.next_wheel_angle(0.0, 0.6, 0.1) == pytest.approx(math.radians(7.0))
    assert SPEC.next_wheel_angle(0.0, -0.6, 0.1) == pytest.approx(-math.radians(7.0))


def test_cars_differ_within_their_spread_and_the_road_takes_grip() -> None:
    spread = VehicleSpread(mass=(0.8, 1.2), grip=(0.9, 1.0))
    cars = [varied_vehicle(SPEC, spread, 0.5, generator(seed, "car")) for seed in range(40)]
    masses = [car.mass / SPEC.mass for car in cars]
    assert 0.8 <= min(masses) < 0.9 < 1.1 < max(masses) <= 1.2
    assert all(0.45 <= car.friction / SPEC.friction <= 0.5 for car in cars)
    assert all(car.front_friction / car.friction == pytest.approx(SPEC.front_friction / SPEC.friction) for car in cars)
    assert varied_vehicle(SPEC, VehicleSpread(), 1.0, generator(1, "car")) == SPEC
    assert varied_vehicle(SPEC, spread, 0.5, generator(3, "car")) == cars[3]


@pytest.mark.parametrize("bounds", [(1.2, 0.8), (0.0, 1.0), (1.0, math.inf)])
def test_impossible_spreads_are_refused(bounds: tuple[float, float]) -> None:
    with pytest.raises(ConfigError, match=r"vehicle_spread\.mass"):
        VehicleSpread(mass=bounds)
