"""Drives of a policy and the expert in turns, recorded with the expert's label at every frame.

On-policy correction: training, driving with what was learned, training on that too, and so on.

Every round's training is a run of its own in the folder `dagger/policy-K`, and its drives are a data folder of their
own, `dagger/round-K`; both can be interrupted and go on where they were. The run's own files tell of all rounds.
"""

import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from agents.drivers.policy_driver import PolicyDriver
from agents.policies.checkpoint import weights_digest
from agents.training.config import DaggerConfig, TrainConfig
from agents.training.dataset import TrainingData
from agents.training.distributed import ALONE, ProcessGroup
from agents.training.logger import History, TrainingLogger, read_history
from agents.training.policy_task import train
from agents.training.run_folder import RunFolder, begin_run, open_run
from agents.training.validation import score_key
from navsim.config import to_mapping
from navsim.datasets.collection import DriveGroup, Plan, Recorder, RecordingStats, claim_data_folder, run_plan
from navsim.datasets.dataset import DatasetDescription, episode_path, open_dataset, read_description
from navsim.datasets.episode_files import write_episode
from navsim.drivers.protocol import ExpertMixtureDriver
from navsim.provenance import git_revision, software_versions
from navsim.roads.generators.towns import Split
from navsim.seeding import derived_seed
from navsim.simulation.config import SimulationConfig
from navsim.simulation.rollout import RolloutSlot, drive_batch
from navsim.simulation.scenario import Outcome
from navsim.simulation.simulation import simulations
from navsim.storage import write_bytes


@dataclass(frozen=True)
class MixedDriving:
    """Who drives in a round, in what, and where the drives are kept; one file each, which this and a route decide."""

    out: Path
    """The data folder."""
    simulation: SimulationConfig
    """The car, its senses and the rules."""
    checkpoint: Path
    """The policy."""
    share: float
    """Share of the windows in which the expert drives."""
    window: float
    """Length of a window [s]."""
    num_envs: int
    """Cars in a process."""

    def mixture(self) -> ExpertMixtureDriver:
        """Make who drives one car.

        Raises:
            CheckpointError: If the policy's file is unusable or was made for other cameras or another map.
        """
        driver = PolicyDriver(self.checkpoint, self.simulation.cameras, self.simulation.map)
        return ExpertMixtureDriver(driver, self.share, max(1, round(self.window / self.simulation.control_step)))

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the drives beside simulation and routes."""
        policy = weights_digest(self.checkpoint)
        return {"driver": "policy and expert in turns", "policy": policy, "share": self.share, "window": self.window}


def record_round(config: DaggerConfig, seed: int, number: int, driving: MixedDriving) -> RecordingStats:
    """Record every drive of a round that is not yet in its folder. A drive that fails is kept like any other.

    Args:
        config: The rounds.
        seed: Of the training run.
        number: Of the round, counted from 1.
        driving: Who drives.

    Raises:
        ConfigError: If the folder holds drives of another policy or other settings.
        StorageError: If the disk is full; drives recorded so far are whole and stay.
        WorkerError: If the process of a drive died whenever it was tried; all other drives are recorded.
        KeyboardInterrupt: After Ctrl-C, with words on how to go on.
    """
    works = config.works(seed, number)
    settings = driving.settings | {"round": number, "seed": seed, "routes": config.routes, "towns": config.towns}
    description = DatasetDescription(driving.simulation, settings, software_versions(), git_revision())
    claim_data_folder(driving.out, description)
    plan = Plan(driving.out, works, f"round {number}: driving", config.workers, resume=True)
    crew = replace(driving, num_envs=min(driving.num_envs, max(map(len, works))))
    return run_plan(plan, make_recorder, crew).recording


def make_recorder(driving: MixedDriving) -> Recorder:
    """Start simulations and return the function that records drives in one town and tells their numbers of steps."""
    stack = ExitStack()
    cars = stack.enter_context(simulations(driving.simulation, driving.num_envs))
    crews = [RolloutSlot(car, driving.mixture()) for car in cars]
    metadata = driving.settings | {
        "simulation": to_mapping(driving.simulation),
        "renderer": cars[0].renderer_name,
    }

    def record(scenarios: DriveGroup) -> list[int]:
        steps = []
        for episode in drive_batch(crews, scenarios):
            write_episode(episode, episode_path(driving.out, episode.scenario), metadata)
            steps.append(len(episode))
        return steps

    weakref.finalize(record, stack.close)  # the cars go when nobody can drive them any more
    return record


Loader = Callable[[Sequence[Path]], TrainingData]
"""Reads the recorded drives, together with the training drives of further data folders."""


@dataclass(frozen=True)
class Rounds:
    """What the rounds of a run have brought so far."""

    histories: tuple[History, ...]
    """Of the training of each round; the first is that on the recorded drives."""
    drives: tuple[Mapping[str, Any], ...]
    """Of each round: the expert's `share`, number of `drives`, how many `arrived`, `frames`."""

    @property
    def history(self) -> History:
        """All epochs one after another, each with its `round`, and the best; of the last round if none has driven."""
        whole = History()
        for number, history in enumerate(self.histories):
            step, epoch = whole.step, len(whole.epochs)
            for row in history.epochs:
                after = {"round": number, "epoch": epoch + row["epoch"], "step": step + row["step"]}
                whole.epochs.append({**row, **after})
            whole.step += history.step
        driven = any(row["closed_loop"] for row in whole.epochs)
        # Without drives only NLL on the expert's tells epochs apart, of which later rounds need not think better.
        rivals = whole.epochs if driven else whole.epochs[-len(self.histories[-1].epochs) :]
        best = max(rivals, key=score_key)
        whole.best_epoch = best["epoch"]
        return whole

    @property
    def best(self) -> int:
        """The round of the best epoch."""
        whole = self.history
        return int(whole.epochs[whole.best_epoch - 1]["round"])

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Of each round: its drives, and how the policy then drove that was learned from all so far."""
        pairs = enumerate(zip(self.drives, self.histories, strict=True))
        return [
            {"round": number, **drives, "closed_loop": history.epochs[history.best_epoch - 1]["closed_loop"]}
            for number, (drives, history) in pairs
        ]


def train_in_rounds(config: TrainConfig, folder: RunFolder, load: Loader, group: ProcessGroup = ALONE) -> History:
    """Train on the recorded drives, then for each round let the policy drive and train on; or continue with that.

    Args:
        config: What to do.
        folder: Where to keep it.
        load: Reads the data.
        group: The processes that train together; all of them call this with the same arguments.

    Returns:
        The epochs of all rounds.

    Raises:
        EpisodeError: If the data cannot be used, or does not tell in what simulation it was recorded.
        ConfigError: If the configuration cannot be used, or drives of other settings are in the way.
        KeyboardInterrupt: After Ctrl-C, once the state is saved; its text says how to continue.
    """
    simulation = read_description(config.data).simulation
    group.any(False)  # all have looked at the folder before anything is written into it
    rounds, recorded = Rounds((), ()), list[Path]()
    start: Path | None = None
    for number in range(config.dagger.rounds + 1):
        share = 1.0
        if start is not None:
            share = config.dagger.expert_share(number)
            recorded.append(folder.rounds / f"round-{number}")
            if group.first:
                driving = MixedDriving(
                    recorded[-1], simulation, start, share, config.dagger.window, config.dagger.num_envs
                )
                record_round(config.dagger, config.seed, number, driving)
            group.any(False)  # the others wait for the drives
        history, start = _train_round(config, folder, number, lambda: load(recorded), group, start)
        drives = _drives(recorded[-1] if recorded else config.data, share)
        rounds = Rounds((*rounds.histories, history), (*rounds.drives, drives))
        if group.first:
            _publish(rounds, folder, finished=number == config.dagger.rounds)
    return rounds.history


def round_config(config: TrainConfig, folder: RunFolder, number: int) -> TrainConfig:
    """The training of one round as a run of its own; after its last epoch it drives, if it sees where to."""
    first, epochs = number == 0, config.epochs if number == 0 else config.dagger.epochs
    # Without a route a policy arrives where chance takes it, which says nothing of what it has learned.
    last = epochs if "route_map" in config.policy.inputs else 0
    return replace(
        config,
        run_dir=folder.rounds / f"policy-{number}",
        epochs=epochs,
        seed=config.seed if first else derived_seed(config.seed, "dagger", number, "training"),
        closed_loop=replace(config.closed_loop, every=config.closed_loop.every or last),
        dagger=DaggerConfig(),
        resume=True,
    )


def _train_round(
    config: TrainConfig,
    folder: RunFolder,
    number: int,
    load: Callable[[], TrainingData],
    group: ProcessGroup,
    start: Path | None,
) -> tuple[History, Path]:
    """Train a round to its end, unless that is done already; returns its history and its policy."""
    own = round_config(config, folder, number)
    there = open_run(own)
    if there.finished:
        return read_history(there), there.best
    data = load()
    if group.first:
        begin_run(config, folder)
    return train(own, data, there, group, start), there.best


def _drives(folder: Path, share: float) -> dict[str, Any]:
    """Count the training drives of a data folder."""
    headers = open_dataset(folder, Split.TRAIN).headers.values()
    return {
        "share": share,
        "drives": len(headers),
        "arrived": sum(header.outcome is Outcome.ARRIVED for header in headers),
        "frames": sum(header.steps for header in headers),
    }


def _publish(rounds: Rounds, folder: RunFolder, finished: bool) -> None:
    """Write what the rounds so far have brought into the run's own files."""
    number = len(rounds.histories) - 1
    last = RunFolder(folder.rounds / f"policy-{number}").read_metrics()
    history, best = rounds.history, rounds.history.best
    metrics = last | asdict(history) | {"best_nll": best and best["validation"]["nll"], "rounds": rounds.rows}
    write_bytes(folder.best, RunFolder(folder.rounds / f"policy-{rounds.best}").best.read_bytes())
    row = rounds.rows[-1]
    curves = {key: row[key] for key in ("share", "frames")}
    if row["closed_loop"] is not None:
        driven = row["closed_loop"]
        curves |= {"arrived_share": driven["arrived"] / driven["routes"], "completion": driven["completion"]}
    with TrainingLogger(folder, number) as logger:
        logger.log_scalars("dagger", curves, number)
        logger.save(metrics, finished)
