"""Steering by arrow keys: takeover, turning and release."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from navsim.drivers.keyboard import (
    LATERAL_ACCELERATION,
    STEERING,
    TURNING_TIME,
    KeyboardInput,
    SteeringWheel,
    with_takeover,
)
from navsim.drivers.protocol import ConstantDriver, Decision, Driver, Expert
from navsim.geometry import Pose
from navsim.sensing.observation import Observation
from navsim.simulation.expert import ExpertConfig, LaneExpert
from navsim.world.vehicle import VehicleSpec

LIMIT = 0.2


def seen(speed: float = 8.0) -> Observation:
    patch = np.zeros((8, 8), np.uint8)
    return Observation(np.zeros((1, 4, 4, 3), np.uint8), patch, patch, speed, Pose(0.0, 0.0, 0.0))


@pytest.mark.parametrize(("key", "sign"), [("left", 1), ("right", -1)])
def test_a_held_key_turns_to_its_side_up_to_what_the_speed_allows(key: str, sign: int) -> None:
    wheel = SteeringWheel(active=True)
    curvatures = []
    for _ in range(10):
        wheel = wheel.after_hold([key], 0.1, 8.0, LIMIT)
        curvatures.append(sign * wheel.curvature)
    reach = LATERAL_ACCELERATION / 64
    assert curvatures[0] == pytest.approx(reach * 0.1 / TURNING_TIME)
    assert np.all(np.diff(curvatures) >= 0)
    assert curvatures[-1] == pytest.approx(reach)


def test_a_wheel_let_go_turns_back_and_up_straightens_it_at_once() -> None:
    turned = SteeringWheel(True, 0.06)
    back = turned.after_hold([], 0.1, 8.0, LIMIT)
    assert 0 < back.curvature < turned.curvature
    for _ in range(10):
        back = back.after_hold([], 0.1, 8.0, LIMIT)
    assert back.curvature == 0.0
    assert turned.after_hold(["up"], 0.1, 8.0, LIMIT).curvature == 0.0


@given(
    keys=st.lists(st.sets(st.sampled_from(["left", "right", "up", "x"])), max_size=30),
    speed=st.floats(0.0, 20.0),
    start=st.floats(-LIMIT, LIMIT),
)
def test_the_wheel_never_turns_farther_than_the_car_can(keys: list[set[str]], speed: float, start: float) -> None:
    wheel = SteeringWheel(True, start)
    for held in keys:
        wheel = wheel.after_hold(held, 0.1, speed, LIMIT)
        assert abs(wheel.curvature) <= LIMIT


@pytest.mark.parametrize("key", sorted(STEERING))
def test_an_arrow_takes_over_at_the_current_curvature_and_h_releases(key: str) -> None:
    taken = SteeringWheel().after_press([key], 0.05)
    assert taken == SteeringWheel(True, 0.05)
    assert taken.after_press([key], -0.1) == taken
    assert taken.after_press(["h"], 0.0) == SteeringWheel()
    assert SteeringWheel().after_press(["c", "space"], 0.05) == SteeringWheel()


def test_keys_override_the_command_and_leave_the_distribution() -> None:
    keyboard = KeyboardInput(LIMIT, 0.1)
    keyboard.begin(at_start=False)
    own = Decision(-0.03, np.linspace(-0.2, 0.2, 5), np.ones(5))
    assert keyboard.override(own, 8.0) is own
    assert not keyboard.used
    keyboard.update(["left"], [])
    steered = keyboard.override(own, 8.0)
    assert steered.curvature > -0.03  # begins where the driver's wheel was
    assert steered.density is own.density
    assert keyboard.used
    keyboard.update(["h"], [])
    assert keyboard.override(own, 8.0) is own
    assert keyboard.used


def test_a_tap_between_two_decisions_counts_once_and_a_held_key_on_and_on() -> None:
    keyboard = KeyboardInput(LIMIT, 0.1, at_start=True)
    straight = Decision(0.0)
    keyboard.update(["left"], [])
    keyboard.update([], [])
    first = keyboard.override(straight, 8.0).curvature
    assert first > 0
    assert keyboard.override(straight, 8.0).curvature < first
    keyboard.begin(at_start=True)
    for _ in range(3):
        keyboard.update([], ["right"])
        last = keyboard.override(straight, 8.0).curvature
    assert last == pytest.approx(-3 * LATERAL_ACCELERATION / 64 * 0.1 / TURNING_TIME)


def test_drivers_keep_their_kind_and_decide_at_every_step() -> None:
    class Counting(ConstantDriver):
        asked = 0

        def drive(self, observation: Observation) -> Decision:
            self.asked += 1
            return super().drive(observation)

    keyboard, driver = KeyboardInput(LIMIT, 0.1, at_start=True), Counting(0.01)
    pilot = with_takeover(driver, keyboard)
    assert isinstance(pilot, Driver)
    assert not isinstance(pilot, Expert)
    pilot.begin(0)
    assert pilot.drive(seen()).curvature == 0.0
    keyboard.update(["h"], [])
    assert pilot.drive(seen()).curvature == 0.01
    assert driver.asked == 2
    assert isinstance(with_takeover(LaneExpert(ExpertConfig(), VehicleSpec()), keyboard), Expert)
