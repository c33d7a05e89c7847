"""A run of perception: training, then evaluation in held-out towns under several conditions.

The expert drives in the held-out towns once; the same frames are rendered under each condition.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import numpy as np
import torch
from rich.console import Console
from torch import nn

from agents.perception.config import HeldOutConfig, PerceptionConfig
from agents.perception.pictures import PictureData, Pictures, Source
from agents.perception.training import Objective, train_network
from agents.policies.policy import parameter_count
from agents.training.config import choose_device, choose_dtype
from agents.training.logger import History
from agents.training.run_folder import RunFolder, open_run
from agents.training.runtime import keep_freed_memory
from navsim.config import from_mapping, to_mapping
from navsim.datasets.dataset import data_folders, read_description
from navsim.evaluation.routes import RouteSuite
from navsim.progress import progress
from navsim.roads.generators.towns import Split
from navsim.run_folder import locked_folder
from navsim.seeding import generator
from navsim.sensing.observation import Image
from navsim.simulation.config import SimulationConfig
from navsim.simulation.episode import Episode
from navsim.simulation.episode_rerenderer import EpisodeRerenderer
from navsim.simulation.expert import LaneExpert
from navsim.simulation.rollout import drive
from navsim.simulation.simulation import Simulation
from navsim.simulation.termination import Rules
from navsim.storage import write_bytes, write_json, write_text
from navsim.tables import Table
from navsim.visualization.canvas import png


def held_out_drives(config: HeldOutConfig, simulation: SimulationConfig) -> list[Episode]:
    """Let the expert drive one route in each of the held-out towns to its end, without rendering."""
    suite = RouteSuite(config.towns, 0, config.towns, Split.TEST, config.seed, config.generators)
    expert = LaneExpert(simulation.expert, simulation.vehicle)
    # Drives without images need no context of OpenGL.
    with (
        Simulation(replace(simulation, renderer="tiny", rules=Rules())) as car,
        progress("driving", config.towns, "routes") as advance,
    ):
        episodes = []
        for scenario in suite.scenarios():
            episodes.append(drive(car, expert, scenario, sense=False, record_images=False))
            advance()
    return episodes


TRAINING = "training looks"
"""Label of the empty condition: the appearances of training, drawn for each town."""


def condition_label(condition: str) -> str:
    """Return a condition's name in tables and files."""
    return condition or TRAINING


RESULTS, PAGE, OVERLAYS = "results.json", "results.md", "overlays"
"""Names in the run's folder."""
L = TypeVar("L")
N = TypeVar("N", bound=nn.Module)
A = TypeVar("A")
S = TypeVar("S")


@dataclass(frozen=True)
class Evaluator(Generic[L, N, A, S]):
    """Functions that evaluate a trained network."""

    predict: Callable[[N, Image, torch.dtype], A]
    """Function from a network, pictures (N, H, W, 3) and the type of the layers' arithmetic to predictions."""
    score: Callable[[Pictures[L], A, np.random.Generator], S]
    """Function that scores predictions on pictures; the generator draws towns for the intervals."""
    kind: type[S]
    """Dataclass of the scores."""
    headline: Callable[[S], str]
    """Function that describes the main score."""
    sheet: Callable[[Pictures[L], A, int, str], Image]
    """Function that draws up to some number of the pictures with predictions, under a title."""
    table: Callable[[Mapping[str, S]], Table]
    """Function from scores by condition to a table."""
    network_text: str
    """Description of the network."""
    notes: str
    """Explanation of the scores, in sentences."""


@dataclass(frozen=True)
class PerceptionTask(Generic[L, N, A, S]):
    """A task of perception: labels, network, predictions and scores of one kind."""

    config: PerceptionConfig
    """Settings of the run."""
    validate_every: int
    """Step between the frames of the validation drives [frames]."""
    source: Source[L]
    """Source of labelled pictures."""
    objective: Objective[L, N]
    """Network, loss and score of the training."""
    evaluator: Evaluator[L, N, A, S]
    """Evaluation of the trained network."""

    def load(self) -> PictureData[L]:
        """Read the training and validation pictures, see `Source.load`."""
        return self.source.load(self.config.data, self.config.every, self.validate_every)


def run_task(task: PerceptionTask[L, N, A, S], console: Console) -> None:
    """Train, evaluate in held-out towns, write and print the scores; finished work is not repeated.

    Raises:
        EpisodeError: If the data is missing, damaged or without ground truth.
        ConfigError: If the configuration cannot be used, or the run's folder holds a run of other settings.
        StorageError: If the run's folder holds other files, or an unfinished run without `config.resume`, or another
            process writes to it.
        CheckpointError: If a checkpoint is damaged or was trained on other pictures.
        KeyboardInterrupt: After Ctrl-C; its text says how to continue.
    """
    with locked_folder(task.config.run_dir):
        folder = open_run(task.config)
        if folder.note:
            console.print(folder.note, highlight=False, soft_wrap=True)
        if folder.finished:
            console.print(f"{folder.path}: this run is done; nothing to do", highlight=False, soft_wrap=True)
        else:
            history = _train(task, folder, console)
            _write_results(task, folder, history, evaluate_held_out(task, folder))
    console.print(task.evaluator.table(read_results(folder, task.evaluator.kind)).rich())
    text = f"{folder.best}; {folder.path / RESULTS}, {PAGE} and pictures in {OVERLAYS}"
    console.print(text, highlight=False, soft_wrap=True)


def evaluate_held_out(task: PerceptionTask[L, N, A, S], folder: RunFolder) -> dict[str, S]:
    """Score the best network under each condition, and write a sheet of overlays for each.

    Returns:
        Scores by condition.
    """
    config, held_out, evaluator = task.config, task.config.held_out, task.evaluator
    simulation = read_description(data_folders(config.data)[0]).simulation
    network, _ = task.objective.networks.load(folder.best)
    device = choose_device(config)
    network, dtype = network.to(device), choose_dtype(config, device)
    drives = held_out_drives(held_out, simulation)
    rerenderer, found = EpisodeRerenderer(simulation), dict[str, S]()
    try:
        with progress("evaluating", len(held_out.conditions), "conditions") as advance:
            for condition in held_out.conditions:
                pictures = task.source.under(rerenderer, drives, condition, held_out.every)
                predictions = evaluator.predict(network, pictures.images, dtype)
                found[condition] = evaluator.score(pictures, predictions, generator(config.seed, "held out"))
                text = f"{condition_label(condition)}: {evaluator.headline(found[condition])}"
                if held_out.overlays:
                    picture = evaluator.sheet(pictures, predictions, held_out.overlays, text)
                    name = condition_label(condition).replace(" ", "-")
                    write_bytes(folder.path / OVERLAYS / f"{name}.png", png(picture))
                advance(1, text)
    finally:
        rerenderer.close()
    return found


def read_results(folder: RunFolder, kind: type[S]) -> dict[str, S]:
    """Read the scores of a finished run, of dataclass `kind`, by condition."""
    path = folder.path / RESULTS
    values = json.loads(path.read_bytes())["conditions"]
    return {condition: from_mapping(kind, found, str(path)) for condition, found in values.items()}


def _train(task: PerceptionTask[L, N, A, S], folder: RunFolder, console: Console) -> History:
    keep_freed_memory()
    data = task.load()
    text = f"{len(data.train)} pictures to learn from, {len(data.validation)} to validate on"
    console.print(text, highlight=False, soft_wrap=True)
    return train_network(task.config, task.objective, data, folder)


def _write_results(task: PerceptionTask[L, N, A, S], folder: RunFolder, history: History, found: dict[str, S]) -> None:
    """Write the scores as JSON and as a page, then note that the run is finished."""
    network, info = task.objective.networks.load(folder.best)
    parameters, camera = parameter_count(network), info.cameras[0]
    about = (
        f"{task.evaluator.network_text} of {parameters:,} parameters, epoch {history.best_epoch} of "
        f"{task.config.epochs}, on pictures of {camera.width}x{camera.height} px. {task.evaluator.notes}"
    )
    conditions = {condition: to_mapping(scores) for condition, scores in found.items()}
    write_json(folder.path / RESULTS, {"parameters": parameters, "conditions": conditions})
    write_text(folder.path / PAGE, score_page(task.evaluator.table(found), about))
    folder.finish()


def score_page(table: Table, about: str) -> str:
    """Return a table as a page of Markdown, under its title and a few sentences."""
    return f"# {table.title}\n\n{about}\n\n{table.markdown()}\n"
