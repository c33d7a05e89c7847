"""The command that trains a network on recorded drives.

What is learned is the configuration's `task`: `driving`, a policy, unless it says `segmentation` or `detection`. With
`--describe` the command prints the policy's layers instead of training it.
"""

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from agents.perception.detection.pictures import DetectionConfig
from agents.perception.detection.task import detection_task
from agents.perception.run import run_task
from agents.perception.segmentation.task import SegmentationConfig, segmentation_task
from agents.policies.description import describe_policy, layer_table
from agents.policies.networks.observation_batch import ObservationSpec, observation_spec
from agents.policies.policy import build_policy
from agents.training.config import TrainConfig, choose_device
from agents.training.dagger import train_in_rounds
from agents.training.dataset import TrainingData, load_training_data
from agents.training.distributed import ProcessGroup, process_group
from agents.training.logger import History, read_history
from agents.training.policy_task import train as train_policy
from agents.training.run_folder import RunFolder, open_run
from agents.training.runtime import keep_freed_memory
from navsim.cli import INTERRUPTED, say
from navsim.config import chosen_task, parse_config, to_mapping
from navsim.datasets.dataset import data_folders, read_description
from navsim.errors import ConfigError, NavsimError
from navsim.number_formats import MISSING, number, percent, share, thousands
from navsim.run_folder import locked_folder
from navsim.sensing.camera import RIGS, Rig
from navsim.sensing.roadmap import MapSpec
from navsim.storage import write_json
from navsim.tables import Table, show


@dataclass(frozen=True)
class TrainCommand(TrainConfig):
    """A training run, and what else the command does with its configuration."""

    task: Literal["driving"] = "driving"
    """What is learned; other tasks have other settings, see `--task segmentation --help`."""
    describe: bool = False
    """Print the layers of the policy with their sizes, receptive fields, parameters and FLOPs instead of training."""
    rig: Literal["demo", "pilotnet", "amini2019"] | None = None
    """With `describe`: cameras to describe it for. By default the data's; without data, those of the network's source
    or the demo's."""
    description: Path | None = None
    """With `describe`: file to write the same to as JSON."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.describe and (self.rig or self.description):
            raise ConfigError("rig and description go with describe: the cameras to learn from are the data's")

    @property
    def run(self) -> TrainConfig:
        """The training run alone."""
        return TrainConfig(**{field.name: getattr(self, field.name) for field in dataclasses.fields(TrainConfig)})


def train() -> None:
    """Train the network of the configuration's task."""
    TASKS[chosen_task([*TASKS])]()


def segment() -> None:
    """Train a segmentation network and judge it in held-out towns."""
    config = parse_config(SegmentationConfig, "Learn what each pixel shows, from recorded drives with classes.")
    run_task(segmentation_task(config), Console())


def detect() -> None:
    """Train a detector and judge it in held-out towns."""
    config = parse_config(DetectionConfig, "Learn to find cars, people and signs, from recorded drives with objects.")
    run_task(detection_task(config), Console())


def drive() -> None:
    """Train a policy, then print the scores of each epoch; or describe the policy."""
    command = parse_config(TrainCommand, "Train a policy on recorded drives; or, with --task, find classes or objects.")
    if command.describe:
        describe(command)
        return
    config = command.run
    with process_group(choose_device(config).type == "cuda") as group, run_lock(config, group):
        folder = open_run(config)
        if group.first and folder.note:
            say(folder.note)
        if not folder.finished:
            learn(config, folder, group)
        elif group.first:
            say(f"{folder.path}: this run is done; nothing to do")
        if group.first:
            history = read_history(folder)
            show(epochs_table(history))
            if config.dagger.rounds:
                show(rounds_table(folder.read_metrics()["rounds"]))
            say(f"best: epoch {history.best_epoch}, {folder.best}")


def run_lock(config: TrainConfig, group: ProcessGroup) -> AbstractContextManager[None]:
    """Return the lock of a run's folder, which the first of several processes holds for all."""
    return locked_folder(config.run_dir) if group.first else nullcontext()


def learn(config: TrainConfig, folder: RunFolder, group: ProcessGroup) -> None:
    """Load the data and train, in rounds if wanted."""
    labelled = config.loss.segmentation > 0

    def load(more: Sequence[Path] = ()) -> TrainingData:
        data = load_training_data(
            config.data, config.policy, config.storage, choose_device(config), more, labelled, config.packed_folder
        )
        if group.first:
            say(f"{len(data.train)} frames to learn from, {len(data.validation)} to validate on")
        return data

    keep_freed_memory()
    try:
        if config.dagger.rounds:
            train_in_rounds(config, folder, load, group)
        else:
            train_policy(config, load(), folder, group)
    except KeyboardInterrupt:
        if group.first:
            raise
        sys.exit(INTERRUPTED)  # the first process says it for all
    except NavsimError as error:
        if group.alone:
            raise
        raise type(error)(f"process {group.rank} of {group.size}: {error}") from None


def describe(command: TrainCommand) -> None:
    """Print the layers of the policy, and write them if wanted."""
    spec, source = described_senses(command)
    description = describe_policy(build_policy(command.policy, spec, seed=0))
    show(layer_table(description))
    say(f"cameras and maps: {source}")
    if command.description is not None:
        write_json(command.description, to_mapping(description))
        say(f"written to {command.description}")


def described_senses(command: TrainCommand) -> tuple[ObservationSpec, str]:
    """Return the observations of the policy to describe, and where they are known from."""
    folders = data_folders(command.data)
    if command.rig is None and folders[0].exists():
        simulation = read_description(folders[0]).simulation
        return observation_spec(simulation.cameras, simulation.map), f"of the data in {folders[0]}"
    own = command.policy.network if command.policy.network in RIGS else Rig.DEMO
    rig = Rig(command.rig or own)
    why = "" if command.rig else f", as there is no data in {folders[0]}"
    return observation_spec(RIGS[rig], MapSpec()), f"of the rig {rig}{why}"


def epochs_table(history: History) -> Table:
    """Scores of all epochs; the best is marked."""
    driven = any(row["closed_loop"] for row in history.epochs)
    rounds = any("round" in row for row in history.epochs)
    rows = [
        (
            *([str(row["round"])] if rounds else []),
            f"{row['epoch']}{' *' if row['epoch'] == history.best_epoch else ''}",
            number(row["train_nll"], 3),
            number(row["validation"]["nll"], 3),
            number(row["validation"]["nll_without_spike"], 3),
            number(row["validation"]["curvature_error"], 5),
            *(drives_cells(row["closed_loop"]) if driven else []),
            number(row["images_per_second"], 0),
        )
        for row in history.epochs
    ]
    headers = ["epoch", "train nll", "val. nll", "off straights", "mode error 1/m"]
    headers = [*(["round"] if rounds else []), *headers, *(["arrived", "completion"] if driven else []), "images/s"]
    return Table(headers, rows)


def rounds_table(rounds: Sequence[Mapping[str, Any]]) -> Table:
    """Drives that each round of on-policy correction recorded, and how the policy trained on all so far drove."""
    headers = ("round", "expert drives", "recorded", "of them arrived", "frames", "then arrived", "completion")
    rows = [
        (
            str(row["round"]),
            percent(row["share"]),
            f"{row['drives']} drives",
            str(row["arrived"]),
            thousands(row["frames"]),
            *drives_cells(row["closed_loop"]),
        )
        for row in rounds
    ]
    return Table(headers, rows)


def drives_cells(drives: dict[str, Any] | None) -> list[str]:
    """How an epoch drove: arrivals and route completion."""
    if drives is None:
        return [MISSING, MISSING]
    return [share(drives["arrived"], drives["routes"]), percent(drives["completion"])]


TASKS = {"driving": drive, "segmentation": segment, "detection": detect}
"""What can be learned, by the name that `task` has in configurations; the first where none is given."""
