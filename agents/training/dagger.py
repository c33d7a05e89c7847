"""On-policy correction (DAgger): training, drives of the policy and the expert in turns, training on these too.

The drives are recorded with the expert's label at every frame. The training of round K is a run of its own in the
folder `dagger/policy-K`, and its drives are a data folder of their own, `dagger/round-K`; both can be interrupted and
resumed. The run's own files describe all rounds.
"""

import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from agents.drivers.policy_driver import PolicyDriver
from agents.policies.checkpoint import checkpoint_input, weights_digest
from agents.training.config import DaggerConfig, TrainConfig
from agents.training.dataset import TrainingData
from agents.training.distributed import ALONE, ProcessGroup
from agents.training.logger import History, TrainingLogger, read_history
from agents.training.policy_task import train
from agents.training.run_folder import RunFolder, begin_run, open_run
from agents.training.validation import score_key
from navsim.config import to_mapping
from navsim.datasets.collection import DriveGroup, Plan, Recorder, RecordingStats, claim_data_folder, run_plan
from navsim.datasets.dataset import (
    REAL_TOWNS_SPLIT,
    DataFolders,
    DatasetDescription,
    data_folders,
    episode_path,
    open_dataset,
    read_description,
)
from navsim.datasets.episode_files import write_episode
from navsim.drivers.protocol import ExpertMixtureDriver
from navsim.provenance import InputFile, git_revision, software_versions
from navsim.roads.generators.towns import Split
from navsim.seeding import derived_seed
from navsim.simulation.config import SimulationConfig
from navsim.simulation.rollout import RolloutSlot, drive_batch
from navsim.simulation.scenario import Outcome
from navsim.simulation.simulation import simulations
from navsim.simulation.town import town_by_content
from navsim.storage import write_bytes


@dataclass(frozen=True)
class MixedDriving:
    """The drives of a round: drivers, simulation and data folder. With a route they decide the file of a drive."""

    out: Path
    """Data folder of the drives."""
    simulation: SimulationConfig
    """Car, sensors and rules."""
    checkpoint: Path
    """Checkpoint of the policy."""
    share: float
    """Share of the windows in which the expert drives."""
    window: float
    """Length of a window [s]."""
    num_envs: int
    """Number of cars in a process."""
    content: InputFile | None = None
    """The checkpoint's file with its content when the round began; None before."""

    def mixture(self) -> ExpertMixtureDriver:
        """Make the driver of one car.

        Raises:
            CheckpointError: If the policy's file is unusable or was made for other cameras or another map.
            ReplacedError: If the policy's file was replaced since the round began.
        """
        with nullcontext() if self.content is None else self.content.unchanged():
            driver = PolicyDriver(self.checkpoint, self.simulation.cameras, self.simulation.map)
        return ExpertMixtureDriver(driver, self.share, max(1, round(self.window / self.simulation.control_step)))

    @property
    def settings(self) -> dict[str, Any]:
        """Settings that decide the drives, without simulation and routes."""
        policy = weights_digest(self.checkpoint)
        return {"driver": "policy and expert in turns", "policy": policy, "share": self.share, "window": self.window}


def record_round(config: DaggerConfig, seed: int, number: int, driving: MixedDriving) -> RecordingStats:
    """Record the drives of a round that are not yet in its folder. A failed drive is kept like any other.

    Args:
        config: Settings of the rounds.
        seed: Seed of the training run.
        number: Number of the round, counted from 1.
        driving: Drivers, simulation and data folder.

    Raises:
        ConfigError: If the folder holds drives of another policy or other settings.
        StorageError: If the disk is full; drives recorded so far are complete and stay.
        WorkerError: If the process of a drive died in every attempt; all other drives are recorded.
        KeyboardInterrupt: After Ctrl-C; its text says how to continue.
    """
    towns, content = config.drives(seed, number), checkpoint_input(driving.checkpoint)
    settings = driving.settings | {"round": number, "seed": seed, "routes": config.routes, "towns": config.towns}
    if config.real_towns:
        settings |= {"real_towns": [town_by_content(town) for town in config.real_towns], REAL_TOWNS_SPLIT: Split.TRAIN}
    description = DatasetDescription(driving.simulation, settings, software_versions(), git_revision())
    claim_data_folder(driving.out, description)
    plan = Plan(driving.out, towns, f"round {number}: driving", config.workers, resume=True)
    job = replace(driving, num_envs=min(driving.num_envs, max(map(len, towns))), content=content)
    return run_plan(plan, make_recorder, job).recording


def make_recorder(driving: MixedDriving) -> Recorder:
    """Start simulations and return the function that records drives in one town and returns their numbers of steps."""
    stack = ExitStack()
    cars = stack.enter_context(simulations(driving.simulation, driving.num_envs))
    slots = [RolloutSlot(car, driving.mixture()) for car in cars]
    metadata = driving.settings | {
        "simulation": to_mapping(driving.simulation),
        "renderer": cars[0].renderer_name,
    }

    def record(scenarios: DriveGroup) -> list[int]:
        steps = []
        for episode in drive_batch(slots, scenarios):
            write_episode(episode, episode_path(driving.out, episode.scenario), metadata)
            steps.append(len(episode))
        return steps

    weakref.finalize(record, stack.close)  # closes the simulations when the function is freed
    return record


Loader = Callable[[Sequence[Path]], TrainingData]
"""Function that reads the recorded drives and the training drives of further data folders."""


@dataclass(frozen=True)
class Rounds:
    """Results of the rounds of a run so far."""

    histories: tuple[History, ...]
    """Training history of each round; the first round trains on the recorded drives."""
    drives: tuple[Mapping[str, Any], ...]
    """Drives of each round: the expert's `share`, number of `drives`, how many `arrived`, `frames`."""

    @property
    def history(self) -> History:
        """All epochs in order, each with its `round`, and the best; without drives the best is of the last round."""
        whole = History()
        for number, history in enumerate(self.histories):
            step, epoch = whole.step, len(whole.epochs)
            for row in history.epochs:
                after = {"round": number, "epoch": epoch + row["epoch"], "step": step + row["step"]}
                whole.epochs.append({**row, **after})
            whole.step += history.step
        driven = any(row["closed_loop"] for row in whole.epochs)
        # Without drives only NLL on the expert's drives is known, which later rounds need not improve.
        candidates = whole.epochs if driven else whole.epochs[-len(self.histories[-1].epochs) :]
        best = max(candidates, key=score_key)
        whole.best_epoch = best["epoch"]
        return whole

    @property
    def best(self) -> int:
        """The round of the best epoch."""
        whole = self.history
        return int(whole.epochs[whole.best_epoch - 1]["round"])

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Records of the rounds: drives, and the closed-loop scores of the policy trained on all drives so far."""
        pairs = enumerate(zip(self.drives, self.histories, strict=True))
        return [
            {"round": number, **drives, "closed_loop": history.epochs[history.best_epoch - 1]["closed_loop"]}
            for number, (drives, history) in pairs
        ]


def train_in_rounds(config: TrainConfig, folder: RunFolder, load: Loader, group: ProcessGroup = ALONE) -> History:
    """Train on the recorded drives, then in each round let the policy drive and continue training; resumes by itself.

    Args:
        config: Settings of the run.
        folder: Folder of the run.
        load: Function that reads the data.
        group: The processes that train together; all of them call this with the same arguments.

    Returns:
        The history of all rounds.

    Raises:
        EpisodeError: If the data cannot be used, or its simulation is unknown.
        ConfigError: If the configuration cannot be used, or a folder holds drives of other settings.
        KeyboardInterrupt: After Ctrl-C, once the state is saved; its text says how to continue.
    """
    simulation = read_description(data_folders(config.data)[0]).simulation
    group.any(False)  # wait until all processes have read the folder before anything is written into it
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
            group.any(False)  # the other processes wait for the drives
        history, start = _train_round(config, folder, number, lambda: load(recorded), group, start)
        drives = _drives(recorded[-1] if recorded else config.data, share)
        rounds = Rounds((*rounds.histories, history), (*rounds.drives, drives))
        if group.first:
            _publish(rounds, folder, finished=number == config.dagger.rounds)
    return rounds.history


def round_config(config: TrainConfig, folder: RunFolder, number: int) -> TrainConfig:
    """Return the settings of one round's training, a run of its own; the last epoch drives if the route is an input."""
    first, epochs = number == 0, config.epochs if number == 0 else config.dagger.epochs
    # Without a route a policy arrives by chance, which says nothing about its skill.
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
    """Train a round unless it is finished; returns its history and the policy's checkpoint."""
    own = round_config(config, folder, number)
    there = open_run(own)
    if there.finished:
        return read_history(there), there.best
    data = load()
    if group.first:
        begin_run(config, folder)
    return train(own, data, there, group, start), there.best


def _drives(data: DataFolders, share: float) -> dict[str, Any]:
    """Count the training drives of data folders."""
    headers = open_dataset(data, Split.TRAIN).headers.values()
    return {
        "share": share,
        "drives": len(headers),
        "arrived": sum(header.outcome is Outcome.ARRIVED for header in headers),
        "frames": sum(header.steps for header in headers),
    }


def _publish(rounds: Rounds, folder: RunFolder, finished: bool) -> None:
    """Write the results of the rounds so far into the run's own files."""
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
