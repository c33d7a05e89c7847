"""A driver's mistakes are one clear error each; what is right passes unchanged."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from navsim.drivers.keyboard import KeyboardInput, with_takeover
from navsim.drivers.protocol import (
    BatchDriver,
    ConstantDriver,
    Decision,
    Driver,
    Expert,
    FixedDecision,
    Salience,
    explanation_of,
)
from navsim.drivers.sandbox import make_safely, safe_driver
from navsim.errors import DriverError
from navsim.sensing.observation import Observation
from tests.drivers.faulty_drivers import FailingDriver, FleetDriver

NOTHING: Any = None  # what it senses does not matter to any driver here


class Forgetful(FleetDriver):
    """Leaves out the last car."""

    def drive_cars(self, observations: Mapping[int, Observation]) -> dict[int, Decision]:
        return dict(list(super().drive_cars(observations).items())[:-1])


@pytest.mark.parametrize(
    ("deed", "words"),
    [
        ("raise", r"^drive: ZeroDivisionError: nothing to share out \(.*faulty_drivers.py, line \d+\)$"),
        ("exit", r"^drive: SystemExit: 3 \("),
        ("nan", r"^drive: ActionError: a decision's curvature must be finite, got nan \("),
        ("text", r"^drive: TypeError"),
        ("nothing", r"^must answer with a Decision, got NoneType None$"),
        ("linger", r"^drive: took 0.\d+ s, the limit is 0.1 s$"),
    ],
)
def test_mistakes_are_one_line(deed: str, words: str) -> None:
    driver = safe_driver(FailingDriver(deed), limit=0.1 if deed == "linger" else 10.0)
    assert isinstance(driver, Driver)
    driver.begin(0)
    with pytest.raises(DriverError, match=words) as raised:
        driver.drive(NOTHING)
    assert "\n" not in str(raised.value)


def test_a_curvature_must_be_a_number() -> None:
    driver = ConstantDriver()
    driver._decision = Decision(np.float32(0.25))  # type: ignore[arg-type]
    assert isinstance(safe_driver(driver, 10.0), Driver)
    assert safe_driver(driver, 10.0).drive(NOTHING).curvature == 0.25  # type: ignore[union-attr]
    driver._decision = Decision(np.array([0.25]))  # type: ignore[arg-type]
    with pytest.raises(DriverError, match=r"curvature must be a number, got ndarray array\(\[0.25\]\)"):
        safe_driver(driver, 10.0).drive(NOTHING)  # type: ignore[union-attr]


def test_a_safe_driver_is_of_the_same_kind_and_decides_alike() -> None:
    fleet = safe_driver(FleetDriver(), 10.0)
    assert isinstance(fleet, BatchDriver)
    assert fleet.name == "fleet"
    fleet.begin_car(0, 75)
    fleet.begin_car(4, 25)
    answers = fleet.drive_cars({0: NOTHING, 4: NOTHING})
    assert {car: answer.curvature for car, answer in answers.items()} == pytest.approx({0: 5e-5, 4: -5e-5})
    assert not isinstance(safe_driver(ConstantDriver(), 10.0), BatchDriver)
    expert = safe_driver(FixedDecision(Decision(0.1), "fixed"), 10.0)
    assert isinstance(expert, Expert)
    assert not isinstance(expert, Driver)
    expert.follow(NOTHING)
    assert expert.command(NOTHING).curvature == 0.1


def test_a_batch_driver_without_a_decision_for_a_car_is_an_error() -> None:
    fleet = safe_driver(Forgetful(), 10.0)
    assert isinstance(fleet, BatchDriver)
    fleet.begin_car(0, 1)
    fleet.begin_car(1, 1)
    with pytest.raises(DriverError, match="a decision for each car"):
        fleet.drive_cars({0: NOTHING, 1: NOTHING})


def test_a_driver_that_cannot_be_made_says_why() -> None:
    assert make_safely(ConstantDriver, 10.0).name == "constant"
    with pytest.raises(DriverError, match=r"making the driver: ValueError: invalid literal"):
        make_safely(lambda: int("x"), 10.0)


class Telling(ConstantDriver):
    """Explains its decision, or answers with something else."""

    def __init__(self, answer: object) -> None:
        super().__init__()
        self._answer = answer

    def explain(self, observation: Observation) -> Any:
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


def test_explanations_pass_through_sandbox_and_takeover() -> None:
    salience, keyboard = Salience(np.ones((1, 2, 2)), None), KeyboardInput(0.2, 0.1)
    explain = explanation_of(with_takeover(safe_driver(Telling(salience), 10.0), keyboard))
    assert explain is not None
    assert explain(NOTHING) is salience
    assert explanation_of(with_takeover(safe_driver(ConstantDriver(), 10.0), keyboard)) is None
    assert explanation_of(with_takeover(safe_driver(FixedDecision(Decision(0.0), "none"), 10.0), keyboard)) is None


@pytest.mark.parametrize(
    ("answer", "words"), [(ValueError("dark"), "^explain: ValueError: dark"), (None, "must answer with a Salience")]
)
def test_a_driver_that_tells_it_wrongly_is_named(answer: object, words: str) -> None:
    explain = explanation_of(safe_driver(Telling(answer), 10.0))
    assert explain is not None
    with pytest.raises(DriverError, match=words):
        explain(NOTHING)
