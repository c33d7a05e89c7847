"""Drives over real processes: resumed drive by drive, failures reported in their place, the same on every run."""

from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from navsim.driving.scenario import Outcome, Scenario
from navsim.driving.simulation import SimulationConfig
from navsim.errors import EpisodeError
from navsim.evaluation.archive import drive_path
from navsim.evaluation.entrants import Entrant, constant_entrant, expert_entrant
from navsim.evaluation.harness import Contest, evaluate, pending
from navsim.sensing.camera import Camera
from tests.evaluation.odd_drivers import make_constant, make_dying, make_flaky, make_nothing

SIMULATION = SimulationConfig(cameras=(Camera(width=16, height=8),))
SCENARIOS = (Scenario("test-0", 0, junctions=False), Scenario("test-0", 1, junctions=False))


def contest(folder: Path, *entrants: Entrant) -> Contest:
    return Contest(SIMULATION, entrants, folder)


def quiet() -> Console:
    return Console(file=StringIO(), width=200)


def test_drives_are_driven_once_and_resumed(tmp_path: Path) -> None:
    both = contest(tmp_path, expert_entrant(SIMULATION), constant_entrant())
    assert pending(both, SCENARIOS) == 4
    first = evaluate(both, SCENARIOS, 1, quiet())
    assert [(drive.driver, drive.scenario) for drive in first] == [
        (name, scenario) for name in ("expert", "constant") for scenario in SCENARIOS
    ]
    assert [drive.episode.outcome for drive in first[:2] if drive.episode] == [Outcome.ARRIVED, Outcome.ARRIVED]
    assert pending(both, SCENARIOS) == 0

    gone, kept = (drive_path(tmp_path, "expert", scenario) for scenario in SCENARIOS)
    written = kept.stat().st_mtime_ns
    gone.unlink()
    again = evaluate(both, SCENARIOS, 1, quiet())
    assert kept.stat().st_mtime_ns == written
    for before, after in zip(first, again, strict=True):
        assert before.episode is not None
        assert after.episode is not None
        np.testing.assert_array_equal(before.episode.poses, after.episode.poses)


def test_a_driver_that_goes_wrong_spoils_only_its_own_drives(tmp_path: Path) -> None:
    entrants = (
        Entrant("nan", make_flaky, float("nan")),
        Entrant("huge", make_flaky, 99.0),
        Entrant("broken", make_nothing),
        Entrant("constant", make_constant, 0.0),
    )
    console = quiet()
    drives = {drive.driver: drive for drive in evaluate(contest(tmp_path, *entrants), SCENARIOS[:1], 2, console)}
    assert "must be finite" in drives["nan"].error
    assert "within -0.2 to 0.2 1/m, got 99" in drives["huge"].error
    assert drives["broken"].error == "KeyError: 'no such weights'"
    assert {name for name, drive in drives.items() if drive.episode is None} == {"nan", "huge", "broken"}
    assert pending(contest(tmp_path, *entrants), SCENARIOS[:1]) == 3
    assert "4/4 drives" in console.file.getvalue()  # type: ignore[attr-defined]


def test_a_driver_that_kills_its_process_is_given_another(tmp_path: Path) -> None:
    dying = Entrant("dying", make_dying, str(tmp_path / "died"))
    (drive,) = evaluate(contest(tmp_path, dying), SCENARIOS[:1], 1, quiet())
    assert (tmp_path / "died").exists()
    assert drive.episode is not None
    assert drive.episode.driver == "dying"


def test_a_damaged_drive_is_named_and_not_counted(tmp_path: Path) -> None:
    path = drive_path(tmp_path, "constant", SCENARIOS[0])
    path.parent.mkdir(parents=True)
    path.write_bytes(b"PAR1")
    with pytest.raises(EpisodeError, match=path.name):
        evaluate(contest(tmp_path, constant_entrant()), SCENARIOS[:1], 1, quiet())


def test_two_drivers_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="different names"):
        contest(tmp_path, constant_entrant(), replace(expert_entrant(SIMULATION), name="constant"))
