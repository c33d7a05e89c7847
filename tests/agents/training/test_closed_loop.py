"""Validation by driving, with small pictures and routes on which an untrained network does not get far."""

import signal
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]

from agents.drivers.policy_driver import PolicyDriver
from agents.policies.checkpoint import save_checkpoint
from agents.training.closed_loop import ClosedLoop, ClosedLoopConfig, DriveScores, drive_scores
from agents.training.logger import History
from agents.training.policy_task import train
from agents.training.run_folder import RunFolder, open_run
from navsim.drivers.protocol import Decision
from navsim.errors import ConfigError
from navsim.roads.generators.towns import Split, TownId
from navsim.sensing.observation import Observation
from navsim.simulation.rollout import drive
from navsim.simulation.scenario import Outcome
from navsim.simulation.simulation import Simulation
from tests.agents.small_runs import (
    CAMERAS,
    MAP,
    SIMULATION,
    small_config,
    small_data,
    small_episode,
    small_info,
    small_policy,
)

SMALL = ClosedLoopConfig(every=1, routes=2, towns=1, num_envs=2)


def never() -> bool:
    return False


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("policy") / "best.safetensors"
    policy = small_policy(seed=1)
    save_checkpoint(path, small_info(policy), policy)
    return path


@pytest.mark.parametrize("routes", [1, 7, 60])
def test_only_validation_towns_are_driven(routes: int) -> None:
    scenarios = ClosedLoopConfig(every=1, routes=routes, towns=8).suite.scenarios()
    assert len(scenarios) == routes
    assert {TownId.parse(scenario.town).split for scenario in scenarios} == {Split.VALIDATION}
    assert all(scenario.junctions for scenario in scenarios)


def test_it_is_driven_after_every_nth_epoch_and_the_last() -> None:
    due = ClosedLoopConfig(every=3).due
    assert [epoch for epoch in range(1, 9) if due(epoch, 8)] == [3, 6, 8]
    assert not any(ClosedLoopConfig(every=0).due(epoch, 8) for epoch in range(1, 9))


def test_scores_are_those_of_the_same_drives_one_by_one(checkpoint: Path) -> None:
    counts: list[int] = []
    with ClosedLoop(SMALL, SIMULATION) as closed_loop:
        together = closed_loop.drive(checkpoint, never, counts.append)
        again = closed_loop.drive(checkpoint, never)
    with Simulation(SIMULATION) as simulation:
        driver = PolicyDriver(checkpoint, CAMERAS, MAP)
        alone = [drive(simulation, driver, scenario) for scenario in SMALL.suite.scenarios()]
    assert together == again
    assert counts == [1, 2]
    assert together is not None
    assert together.completion == pytest.approx(sum(episode.completion for episode in alone) / 2)
    assert together.arrived == sum(episode.outcome is Outcome.ARRIVED for episode in alone)
    assert (together.routes, together.unfinished) == (2, 0)
    assert 0 < together.completion < 1


def test_routes_that_are_not_driven_to_an_end_count_as_failed() -> None:
    arrived = small_episode()
    lost = replace(arrived, outcome=Outcome.LEFT_ROAD, stations=arrived.stations * 0.4)
    assert drive_scores([arrived, lost], 4) == DriveScores(1, 4, (1 + 0.4) / 4, 2)


def test_when_the_time_is_up_it_ends(checkpoint: Path) -> None:
    with ClosedLoop(replace(SMALL, time_limit=1e-6), SIMULATION) as closed_loop:
        assert closed_loop.drive(checkpoint, never) == DriveScores(0, 2, 0.0, 2)


def test_it_can_be_broken_off(checkpoint: Path) -> None:
    calls = iter([False] * 5 + [True] * 5)
    with ClosedLoop(SMALL, SIMULATION) as closed_loop:
        assert closed_loop.drive(checkpoint, lambda: next(calls)) is None
        assert closed_loop.drive(checkpoint, never) is not None  # and driven again


def test_impossible_drives_are_refused() -> None:
    for changes, text in (
        ({"every": -1}, "every must be at least 0, got -1"),
        ({"num_envs": 0}, "num_envs must be at least 1 and at most 256, got 0"),
        ({"time_limit": 0.0}, "time_limit must be above 0, got 0.0"),
    ):
        with pytest.raises(ConfigError, match=text):
            replace(SMALL, **changes)
    with pytest.raises(ConfigError, match="at least 1 together, got routes 0"):
        replace(SMALL, routes=0)


def run(folder: Path, driving: ClosedLoopConfig, resume: bool = False) -> tuple[History, RunFolder]:
    """Train for four epochs, driving after some of them."""
    config = small_config(folder, epochs=4, pictures=0, closed_loop=driving, resume=resume)
    opened = open_run(config)
    return train(config, replace(small_data(), simulation=SIMULATION), opened), opened


def test_the_epoch_that_drives_best_is_kept_and_training_is_not_disturbed(tmp_path: Path) -> None:
    history, folder = run(tmp_path / "driving", replace(SMALL, every=2))
    _, still = run(tmp_path / "still", ClosedLoopConfig())
    there, here = load_file(folder.last), load_file(still.last)
    assert all(torch.equal(there[name], value) for name, value in here.items())
    rows = history.epochs
    assert [row["closed_loop"] is not None for row in rows] == [False, True, False, True]
    driven = [row for row in rows if row["closed_loop"]]
    best = max(driven, key=lambda row: (row["closed_loop"]["arrived"], row["closed_loop"]["completion"]))
    assert history.best_epoch == best["epoch"]
    assert all("driving" in row["seconds"] for row in driven)
    with ClosedLoop(SMALL, SIMULATION) as closed_loop:
        scores = closed_loop.drive(folder.best, never)
    assert scores == DriveScores(**best["closed_loop"])
    assert not folder.candidate.exists()
    log = EventAccumulator(str(folder.tensorboard))
    log.Reload()
    shown = [(event.step, event.value) for event in log.Scalars("closed_loop/completion")]
    assert shown == [(row["step"], pytest.approx(row["closed_loop"]["completion"])) for row in driven]


def test_a_policy_that_exploded_is_not_let_drive(tmp_path: Path) -> None:
    config = small_config(tmp_path, epochs=1, pictures=0, closed_loop=SMALL)
    data = replace(small_data(), simulation=SIMULATION)
    data.train.labels[:] = float("nan")
    with pytest.raises(ConfigError, match="the loss is nan at step 3; lower"):
        train(config, data, open_run(config))


def test_ctrl_c_while_driving_leaves_the_epoch_to_be_driven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected, whole = run(tmp_path / "unbroken", SMALL)
    with monkeypatch.context() as patched:
        steps, original = iter(range(10**6)), PolicyDriver.drive_cars

        def drive_and_interrupt(self: PolicyDriver, observations: Mapping[int, Observation]) -> dict[int, Decision]:
            if next(steps) == 4:
                signal.raise_signal(signal.SIGINT)
            return original(self, observations)

        patched.setattr(PolicyDriver, "drive_cars", drive_and_interrupt)
        with pytest.raises(KeyboardInterrupt, match="stopped after step 3 of 12"):
            run(tmp_path / "broken", SMALL)
    resumed, folder = run(tmp_path / "broken", SMALL, resume=True)
    times = ("images_per_second", "seconds")
    for there, here in zip(expected.epochs, resumed.epochs, strict=True):
        assert {k: v for k, v in there.items() if k not in times} == {k: v for k, v in here.items() if k not in times}
    for name in ("last", "best"):
        there, here = load_file(getattr(whole, name)), load_file(getattr(folder, name))
        assert all(torch.equal(value, here[key]) for key, value in there.items())
