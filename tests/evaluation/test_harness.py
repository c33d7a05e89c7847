"""Drives over real processes: resumed drive by drive, failures reported in their place, the same on every run."""

from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest

from agents.drivers.registry import expert_driver_spec
from navsim.drivers.protocol import Driver, DriverSpec, constant_driver_spec
from navsim.errors import EpisodeError
from navsim.evaluation.results_store import drive_path
from navsim.evaluation.runner import EvaluationJob, evaluate, pending, planned_units
from navsim.seeding import derived_seed
from navsim.sensing.camera import Camera
from navsim.simulation.config import SimulationConfig
from navsim.simulation.scenario import Outcome, Scenario
from tests.drivers.faulty_drivers import (
    make_constant,
    make_deadly_fleet,
    make_dying,
    make_failing,
    make_flaky,
    make_fleet,
    make_hanging_fleet,
    make_nothing,
)

SIMULATION = SimulationConfig(cameras=(Camera(width=16, height=8),))
MANY = tuple(Scenario("test-0", route, junctions=False) for route in range(3))
SCENARIOS = (Scenario("test-0", 0, junctions=False), Scenario("test-0", 1, junctions=False))


def job(folder: Path, *driver_specs: DriverSpec) -> EvaluationJob:
    return EvaluationJob(SIMULATION, driver_specs, folder)


def test_drives_are_driven_once_and_resumed(tmp_path: Path) -> None:
    both = job(tmp_path, expert_driver_spec(SIMULATION), constant_driver_spec())
    assert pending(both, SCENARIOS) == 4
    first = evaluate(both, SCENARIOS, 1, StringIO())
    assert [(drive.driver, drive.scenario) for drive in first] == [
        (name, scenario) for name in ("expert", "constant") for scenario in SCENARIOS
    ]
    assert [drive.episode.outcome for drive in first[:2] if drive.episode] == [Outcome.ARRIVED, Outcome.ARRIVED]
    assert pending(both, SCENARIOS) == 0

    gone, kept = (drive_path(tmp_path, "expert", scenario) for scenario in SCENARIOS)
    written = kept.stat().st_mtime_ns
    gone.unlink()
    again = evaluate(both, SCENARIOS, 1, StringIO())
    assert kept.stat().st_mtime_ns == written
    for before, after in zip(first, again, strict=True):
        assert before.episode is not None
        assert after.episode is not None
        np.testing.assert_array_equal(before.episode.poses, after.episode.poses)


def test_a_driver_that_goes_wrong_spoils_only_its_own_drives(tmp_path: Path) -> None:
    driver_specs = (
        DriverSpec("nan", make_flaky, float("nan")),
        DriverSpec("huge", make_flaky, 99.0),
        DriverSpec("broken", make_nothing),
        DriverSpec("constant", make_constant, 0.0),
    )
    log = StringIO()
    drives = {drive.driver: drive for drive in evaluate(job(tmp_path, *driver_specs), SCENARIOS[:1], 2, log)}
    assert "must be finite" in drives["nan"].error
    assert "within -0.2 to 0.2 1/m, got 99" in drives["huge"].error
    assert drives["broken"].error.startswith("making the driver: KeyError: 'no such weights' (")
    assert {name for name, drive in drives.items() if drive.episode is None} == {"nan", "huge", "broken"}
    assert pending(job(tmp_path, *driver_specs), SCENARIOS[:1]) == 3
    assert "4/4 drives" in log.getvalue()


def test_a_driver_that_kills_its_process_is_given_another(tmp_path: Path) -> None:
    dying = DriverSpec("dying", make_dying, str(tmp_path / "died"))
    (drive,) = evaluate(job(tmp_path, dying), SCENARIOS[:1], 1, StringIO())
    assert (tmp_path / "died").exists()
    assert drive.episode is not None
    assert drive.episode.driver == "dying"


def fleet(make: Callable[[int], Driver] = make_fleet, flaw: Scenario | None = None, cars: int = 3) -> DriverSpec:
    """A driver of several cars that fails on the scenario `flaw`."""
    seed = -1 if flaw is None else in_drive(flaw)
    return DriverSpec("fleet", make, seed, cars=cars)


def test_drives_side_by_side_are_those_driven_one_by_one(tmp_path: Path) -> None:
    together = evaluate(job(tmp_path / "together", fleet()), MANY, 1, StringIO())
    alone = evaluate(job(tmp_path / "alone", fleet(cars=1)), MANY, 1, StringIO())
    for one, other in zip(together, alone, strict=True):
        assert one.episode is not None
        assert other.episode is not None
        assert one.scenario == other.scenario
        assert one.seconds > 0
        np.testing.assert_array_equal(one.episode.commands, other.episode.commands)
        np.testing.assert_array_equal(one.episode.poses, other.episode.poses)
        assert len(other.decision_seconds) == len(other.episode)
    assert any(drive.decision_seconds for drive in together)


def in_drive(scenario: Scenario) -> int:
    """The seed that a driver is told in the drive of a scenario."""
    return derived_seed(scenario.seed, scenario.name, "driver")


@pytest.mark.parametrize(
    ("deed", "message"),
    [
        ("raise", "drive: ZeroDivisionError: nothing to share out ("),
        ("hang", "its process gave no answer within 2 s; driven once more with the same result"),
        pytest.param(
            "segfault",
            "its process was ended by SIGSEGV; driven once more with the same result",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_drive_whose_driver_fails_has_an_outcome_of_its_own_and_harms_no_other(
    deed: str, message: str, tmp_path: Path
) -> None:
    driver_specs = (DriverSpec("failing", make_failing, (deed, in_drive(MANY[1]))), expert_driver_spec(SIMULATION))
    limited = replace(job(tmp_path, *driver_specs), decision_limit=2.0)
    drives = evaluate(limited, MANY, 2, StringIO())
    assert [drive.outcome is Outcome.BROKE_OFF for drive in drives] == [False, True, False, False, False, False]
    assert message in drives[1].error
    assert [drive.outcome for drive in drives[3:]] == [Outcome.ARRIVED] * 3
    assert pending(limited, MANY) == 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (make_fleet, "within -0.2 to 0.2 1/m, got 99"),
        (make_deadly_fleet, "its process ended with code 9; driven once more with the same result"),
        pytest.param(
            make_hanging_fleet,
            "its process gave no answer within 2 s; driven once more with the same result",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_fault_spoils_only_its_own_drive_of_those_side_by_side(
    make: Callable[[int], Driver], message: str, tmp_path: Path
) -> None:
    log = StringIO()
    limited = replace(job(tmp_path, fleet(make, MANY[1])), decision_limit=2.0)
    drives = evaluate(limited, MANY, 1, log)
    assert [drive.episode is None for drive in drives] == [False, True, False]
    assert message in drives[1].error
    assert "3/3 drives" in log.getvalue()
    mended = evaluate(job(tmp_path, fleet()), MANY, 1, StringIO())
    assert all(drive.episode is not None for drive in mended)


def test_units_give_all_processes_as_much_to_do(tmp_path: Path) -> None:
    scenarios = tuple(Scenario(f"test-{i % 4}", i) for i in range(20))
    both = job(tmp_path, fleet(cars=8), constant_driver_spec())
    units = planned_units(both, scenarios, 2)
    own = [unit for unit in units if unit.driver == "fleet"]
    assert [len(unit.scenarios) for unit in own] == [5, 5, 5, 5]
    assert sorted(s.route for unit in own for s in unit.scenarios) == list(range(20))
    assert all(len({scenario.town for scenario in unit.scenarios}) == 1 for unit in own)
    assert [len(unit.scenarios) for unit in units if unit.driver == "constant"] == [1] * 20
    towns = [unit.scenarios[0].town for unit in units]
    assert towns == sorted(towns)
    assert planned_units(both, (), 2) == []


def test_a_damaged_drive_is_named_and_not_counted(tmp_path: Path) -> None:
    path = drive_path(tmp_path, "constant", SCENARIOS[0])
    path.parent.mkdir(parents=True)
    path.write_bytes(b"PAR1")
    with pytest.raises(EpisodeError, match=path.name):
        evaluate(job(tmp_path, constant_driver_spec()), SCENARIOS[:1], 1, StringIO())


def test_two_drivers_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="different names"):
        job(tmp_path, constant_driver_spec(), replace(expert_driver_spec(SIMULATION), name="constant"))
