"""On-policy correction with a real simulation: small pictures, and drives that the rules end after two seconds."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]

from agents.policies.checkpoint import save_checkpoint, weights_digest
from agents.training.closed_loop import ClosedLoopConfig
from agents.training.config import DaggerConfig, TrainConfig
from agents.training.dagger import MixedDriving, Rounds, record_round, round_config, train_in_rounds
from agents.training.dataset import TrainingData, load_training_data
from agents.training.logger import History, read_history
from agents.training.policy_task import policy_trainer
from agents.training.run_folder import RunFolder, open_run
from agents.training.trainer import Trainer
from navsim.config import to_mapping
from navsim.datasets.dataset import DatasetDescription, open_dataset, write_description
from navsim.errors import CheckpointError, ConfigError, EpisodeError, ReplacedError, StorageError
from navsim.provenance import InputFile
from navsim.roads.generators.towns import Split, TownId
from navsim.simulation.termination import Rules
from navsim.storage import write_yaml
from tests.agents.small_runs import SIMULATION, small_config, small_folder, small_info, small_policy
from tests.commands import Finished, run_command

ROOT = Path(__file__).parents[3]
WORLD = replace(SIMULATION, renderer="tiny", rules=Rules(time_limit=2.0))
DAGGER = DaggerConfig(rounds=2, routes=2, towns=1, epochs=1, window=0.5, workers=1)


def dagger_config(folder: Path, **changes: Any) -> TrainConfig:
    """One epoch on made-up drives and two rounds of two short drives."""
    small_folder(folder / "data")
    write_description(folder / "data", DatasetDescription(WORLD, {"seed": 0}, {"numpy": "2"}, "unknown"))
    closed_loop = ClosedLoopConfig(routes=1, towns=1, num_envs=1)
    config = small_config(folder, epochs=1, pictures=0, activations=0, dagger=DAGGER, closed_loop=closed_loop)
    return replace(config, **changes)


def run(config: TrainConfig) -> History:
    """Open the folder and train."""

    def load(more: Sequence[Path]) -> TrainingData:
        return load_training_data(config.data, config.policy, more=more)

    return train_in_rounds(config, open_run(config), load)


def episodes(folder: Path) -> dict[str, bytes]:
    """The recorded files of all rounds by their place in the run's folder."""
    files = (folder / "run" / "dagger").rglob("*.parquet")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def without_times(history: History) -> list[dict[str, object]]:
    """The epochs' records without what differs from run to run."""
    times = ("images_per_second", "seconds")
    return [{key: value for key, value in epoch.items() if key not in times} for epoch in history.epochs]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of two rounds, done in one go."""
    folder = tmp_path_factory.mktemp("unbroken")
    run(dagger_config(folder))
    return folder


def test_each_round_records_its_drives_and_learns_from_all_so_far(unbroken: Path) -> None:
    config = dagger_config(unbroken)
    frames = [open_dataset(config.data, Split.TRAIN).frames]
    for number in (1, 2):
        dataset = open_dataset(RunFolder(config.run_dir).rounds / f"round-{number}")
        drives = [header.scenario for header in dataset.headers.values()]
        assert set(drives) == set(sum(DAGGER.drives(config.seed, number), ()))
        assert {TownId.parse(drive.town).split for drive in drives} == {Split.TRAIN}
        frames.append(dataset.frames)
    assert min(frames) > 20
    learned = [
        RunFolder(config.run_dir / "dagger" / f"policy-{number}").read_metrics()["frames"] for number in range(3)
    ]
    assert learned == np.cumsum(frames).tolist()


def test_frames_are_labelled_by_the_expert_whoever_drove(unbroken: Path) -> None:
    for number in (1, 2):
        dataset = open_dataset(unbroken / "run" / "dagger" / f"round-{number}")
        for episode in dataset.episodes():
            assert episode.driver == "policy+expert"
            assert len(episode.images) == len(episode)
            windows = np.arange(len(episode)) // 5
            own = episode.commands != episode.labels
            assert own.any(), "the policy has had its turns"
            for window in range(windows.max() + 1):
                assert len(set(own[windows == window])) == 1
        header = next(iter(dataset.headers.values()))
        assert header.metadata["share"] == dataset.description.collection["share"] == 0.5**number
        assert header.metadata["renderer"] == "tiny"


def test_the_runs_own_files_describe_all_rounds(unbroken: Path) -> None:
    folder = RunFolder(unbroken / "run")
    assert folder.finished
    metrics, history = folder.read_metrics(), read_history(folder)
    assert [(row["epoch"], row["round"]) for row in history.epochs] == [(1, 0), (2, 1), (3, 2)]
    assert history.epochs[-1]["step"] == history.step
    assert [row["round"] for row in metrics["rounds"]] == [0, 1, 2]
    assert [row["share"] for row in metrics["rounds"]] == [1.0, 0.5, 0.25]
    assert [row["drives"] for row in metrics["rounds"]] == [2, 2, 2]
    assert all(row["closed_loop"]["routes"] == 1 for row in metrics["rounds"]), "each round's policy has driven"
    assert metrics["parameters"] > 1000
    best = history.epochs[history.best_epoch - 1]["round"]
    assert folder.best.read_bytes() == (folder.rounds / f"policy-{best}" / "best.safetensors").read_bytes()
    log = EventAccumulator(str(folder.tensorboard))
    log.Reload()
    assert [event.step for event in log.Scalars("dagger/completion")] == [0, 1, 2]
    assert [event.value for event in log.Scalars("dagger/share")] == [1.0, 0.5, 0.25]


def test_the_script_shows_the_rounds_of_a_run_that_is_done(unbroken: Path) -> None:
    path = unbroken / "train.yaml"
    write_yaml(path, to_mapping(dagger_config(unbroken)))

    def train(*options: str) -> Finished:
        return run_command("train", "--config", str(path), *options, env={"COLUMNS": "160"})

    shown = train()
    assert shown.returncode == 0, shown.stderr
    assert "this run is done" in shown.stdout
    assert "expert drives" in shown.stdout
    for share in ("100%", "50%", "25%"):
        assert f" {share} " in shown.stdout
    other = train("--dagger.beta", "0.9")
    assert other.returncode == 2
    assert "dagger.beta is 0.5 there, 0.9 asked for" in other.stderr
    wrong = train("--dagger.rounds", "-1")
    assert wrong.returncode == 2
    assert wrong.stderr.splitlines()[-1].endswith("rounds must be at least 0, got -1")


@pytest.mark.slow
def test_the_seed_decides_drives_and_scores(unbroken: Path, tmp_path: Path) -> None:
    again = run(dagger_config(tmp_path))
    assert episodes(tmp_path) == episodes(unbroken)
    assert without_times(again) == without_times(read_history(RunFolder(unbroken / "run")))


@pytest.mark.slow
def test_two_processes_drive_each_round_once_and_learn_from_it_together(unbroken: Path, tmp_path: Path) -> None:
    config = replace(dagger_config(tmp_path), device="cpu", precision="float32")
    write_yaml(tmp_path / "train.yaml", to_mapping(config))
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*torchrun, str(ROOT / "scripts" / "train.py"), "--config", str(tmp_path / "train.yaml")]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode == 0, done.stderr
    assert sorted(episodes(tmp_path)) == sorted(episodes(unbroken))
    folder = RunFolder(config.run_dir)
    assert folder.finished
    assert folder.read_metrics()["processes"] == 2
    assert [row["drives"] for row in folder.read_metrics()["rounds"]] == [2, 2, 2]


@pytest.mark.parametrize("phase", ["while driving", "before training", "while training"])
def test_a_run_that_was_stopped_goes_on_where_it_was(
    unbroken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, phase: str
) -> None:
    config = replace(dagger_config(unbroken), run_dir=tmp_path / "run")
    shutil.copytree(unbroken / "run", config.run_dir, ignore=shutil.ignore_patterns("policy-2", "metrics.json"))
    for number in (0, 1):
        shutil.copy(unbroken / f"run/dagger/policy-{number}/metrics.json", config.run_dir / f"dagger/policy-{number}")
    if phase == "while driving":  # as a kill in the middle of round 2 leaves it
        next((config.run_dir / "dagger/round-2").rglob("*.parquet")).unlink()
    if phase == "while training":
        with monkeypatch.context() as patched:
            interrupt_round_2(patched)
            with pytest.raises(KeyboardInterrupt, match=r"stopped after step 2 of .* --resume continues"):
                run(replace(config, resume=True))
    with pytest.raises(StorageError, match="unfinished run; continue it with --resume"):
        run(config)
    resumed = run(replace(config, resume=True))
    assert episodes(tmp_path) == episodes(unbroken)
    assert without_times(resumed) == without_times(read_history(RunFolder(unbroken / "run")))
    for name in ("last", "best"):
        there, here = (load_file(path / f"run/dagger/policy-2/{name}.safetensors") for path in (unbroken, tmp_path))
        assert all(torch.equal(value, here[key]) for key, value in there.items())


def interrupt_round_2(patched: pytest.MonkeyPatch) -> None:
    """Press Ctrl-C in the second step of its training."""
    step = Trainer.step

    def step_and_interrupt(self: Trainer[Any], index: torch.Tensor, weights: torch.Tensor) -> None:
        step(self, index, weights)
        if self.history.step == 2:
            signal.raise_signal(signal.SIGINT)

    patched.setattr(Trainer, "step", step_and_interrupt)


def test_a_round_begins_with_the_policy_that_drove(tmp_path: Path) -> None:
    config = dagger_config(tmp_path)
    data = load_training_data(config.data, config.policy)
    source, target = (RunFolder(tmp_path / name) for name in ("source", "target"))
    first = policy_trainer(config, data, source)
    first.step(torch.arange(16), torch.ones(16))
    first.save()
    second = policy_trainer(replace(config, seed=7), data, target, start=source.last)
    fresh = policy_trainer(replace(config, seed=7), data, target)
    before, after, other = (trainer.network.state_dict() for trainer in (first, second, fresh))
    assert all(torch.equal(value, after[key]) for key, value in before.items())
    assert not all(torch.equal(value, other[key]) for key, value in before.items())
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        policy_trainer(config, data, target, start=tmp_path / "nothing")


def test_rounds_are_runs_of_their_own(tmp_path: Path) -> None:
    config = dagger_config(tmp_path, epochs=5, closed_loop=ClosedLoopConfig(every=0))
    rounds = [round_config(config, RunFolder(config.run_dir), number) for number in range(3)]
    assert [own.epochs for own in rounds] == [5, 1, 1]
    assert [own.closed_loop.every for own in rounds] == [5, 1, 1], "driven after the last epoch"
    assert len({own.seed for own in rounds}) == len({own.run_dir for own in rounds}) == 3
    assert rounds[0].seed == config.seed
    assert all(own.resume and own.dagger.rounds == 0 for own in rounds)
    often = replace(config, closed_loop=ClosedLoopConfig(every=2))
    assert round_config(often, RunFolder(config.run_dir), 0).closed_loop.every == 2
    blind_to_routes = replace(config, policy=replace(config.policy, inputs=("camera", "road_map")))
    assert round_config(blind_to_routes, RunFolder(config.run_dir), 1).closed_loop.every == 0, "it would be chance"


def history_of(*scores: tuple[int, float]) -> History:
    """A history with arrivals and completion of each epoch, of two steps each."""
    history = History()
    for number, (arrived, completion) in enumerate(scores, 1):
        drives = {"arrived": arrived, "completion": completion, "routes": 4, "unfinished": 0}
        row = {"epoch": number, "step": 2 * number, "validation": {"nll": -1.0 - number}, "closed_loop": drives}
        history.epochs.append(row)
    history.step = 2 * len(scores)
    history.best_epoch = max(range(len(scores)), key=lambda i: scores[i]) + 1
    return history


def test_the_best_round_is_the_one_that_drove_best() -> None:
    drives = {"share": 1.0, "drives": 1, "arrived": 1, "frames": 10}
    rounds = Rounds(
        (history_of((1, 0.5), (0, 0.4)), history_of((3, 0.9), (3, 0.8)), history_of((3, 0.7))), (drives,) * 3
    )
    whole = rounds.history
    assert rounds.best == 1
    assert (whole.best_epoch, whole.step) == (3, 10)
    assert whole.best is not None
    assert whole.best["validation"]["nll"] == -2.0
    assert [row["step"] for row in whole.epochs] == [2, 4, 6, 8, 10]
    assert [row["epoch"] for row in whole.epochs] == [1, 2, 3, 4, 5]
    assert [row["closed_loop"]["completion"] for row in rounds.rows] == [0.5, 0.9, 0.7]


def test_without_drives_the_best_is_of_the_last_round() -> None:
    drives = {"share": 1.0, "drives": 1, "arrived": 1, "frames": 10}
    histories = history_of((0, 0.5), (0, 0.9)), history_of((0, 0.5), (0, 0.4))
    for row, nll in zip(histories[0].epochs + histories[1].epochs, (-4.0, -5.0, -4.5, -4.4), strict=True):
        row.update(closed_loop=None, validation={"nll": nll})
    rounds = Rounds(histories, (drives,) * 2)
    best = rounds.history.best
    assert best is not None
    assert (rounds.best, rounds.history.best_epoch, best["validation"]["nll"]) == (1, 3, -4.5)


def test_data_of_an_unknown_simulation_is_refused_before_training(tmp_path: Path) -> None:
    config = dagger_config(tmp_path)
    path = tmp_path / "data" / "dataset.json"
    values = json.loads(path.read_text())
    del values["simulation"]
    path.write_text(json.dumps(values))
    with pytest.raises(EpisodeError, match=r"dataset.json: .*simulation"):
        run(config)
    assert not config.run_dir.exists()


def test_drives_of_another_policy_are_not_mixed_in(unbroken: Path, tmp_path: Path) -> None:
    checkpoint = tmp_path / "other.safetensors"
    policy = small_policy(seed=9)
    save_checkpoint(checkpoint, small_info(policy), policy)
    out = unbroken / "run/dagger/round-1"
    with pytest.raises(ConfigError, match=r"holds data of other settings .*policy is"):
        record_round(DAGGER, 0, 1, MixedDriving(out, WORLD, checkpoint, 0.5, 0.5, 2))


def test_a_policy_that_is_replaced_during_a_round_does_not_drive(tmp_path: Path) -> None:
    checkpoint, policy = tmp_path / "best.safetensors", small_policy(seed=9)
    save_checkpoint(checkpoint, small_info(policy), policy)
    driving = MixedDriving(tmp_path / "out", WORLD, checkpoint, 0.5, 0.5, 2, InputFile.of(checkpoint))
    driving.mixture()
    checkpoint.write_bytes(b"another policy")
    with pytest.raises(ReplacedError, match="has changed since the run began"):
        driving.mixture()


def test_the_digest_depends_on_the_weights_alone(tmp_path: Path) -> None:
    digests = []
    for seed, epochs in ((0, 1), (0, 2), (1, 1)):
        policy = small_policy(seed=seed)
        save_checkpoint(tmp_path / "policy", replace(small_info(policy), progress={"epoch": epochs}), policy)
        digests.append(weights_digest(tmp_path / "policy"))
    assert digests[0] == digests[1] != digests[2]


def test_drives_of_another_simulation_are_not_added(tmp_path: Path) -> None:
    config = dagger_config(tmp_path)
    other = small_folder(tmp_path / "other")
    with pytest.raises(EpisodeError, match=r"other: was recorded in another simulation than .*data"):
        load_training_data(config.data, config.policy, more=[other])
    write_description(other, DatasetDescription(WORLD, {}, {}, "unknown"))
    both = load_training_data(config.data, config.policy, more=[other])
    assert (len(both.train), len(both.validation)) == (48, 12)
