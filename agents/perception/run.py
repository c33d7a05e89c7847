"""Drives in held-out towns: the expert drives there once, and the same places are drawn under many conditions.

The scores of a network under several conditions, as a table.

From a configuration to a trained network and what it is worth in towns that it has never seen.
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
from navsim.datasets.dataset import read_description
from navsim.evaluation.routes import RouteSuite
from navsim.progress import progress
from navsim.roads.generators.towns import Split
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
    """Let the expert drive one route in each of the held-out towns to its end; nothing is drawn."""
    suite = RouteSuite(config.towns, 0, config.towns, Split.TEST, config.seed, config.generators)
    expert = LaneExpert(simulation.expert, simulation.vehicle)
    # Whoever draws nothing starts no context of OpenGL.
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
"""What the empty condition is called: that of training, drawn for each town."""


def condition_words(condition: str) -> str:
    """A condition's name in tables and files."""
    return condition or TRAINING


RESULTS, PAGE, OVERLAYS = "results.json", "results.md", "overlays"
"""Names in the run's folder."""
L = TypeVar("L")
N = TypeVar("N", bound=nn.Module)
A = TypeVar("A")
S = TypeVar("S")


@dataclass(frozen=True)
class Evaluator(Generic[L, N, A, S]):
    """How a trained network is judged."""

    answer: Callable[[N, Image, torch.dtype], A]
    """What a network, whose layers compute in a type, says of pictures (N, H, W, 3)."""
    score: Callable[[Pictures[L], A, np.random.Generator], S]
    """Scores the answers to pictures; the generator draws towns for the intervals."""
    kind: type[S]
    """What scores are: a dataclass."""
    headline: Callable[[S], str]
    """The score that counts, in a few words."""
    sheet: Callable[[Pictures[L], A, int, str], Image]
    """Draws up to so many of the pictures with the answers, under a title."""
    table: Callable[[Mapping[str, S]], Table]
    """Scores by condition as a table."""
    learner: str
    """What was trained ..."""
    notes: str
    """... and what the scores mean, in sentences."""


@dataclass(frozen=True)
class Task(Generic[L, N, A, S]):
    """A task of perception: labels, networks, answers and scores of one kind."""

    config: PerceptionConfig
    """What the user wants."""
    validate_every: int
    """Each so many-th frame of the validation drives is looked at."""
    source: Source[L]
    """How it comes by its labels."""
    objective: Objective[L, N]
    """What is learned from them."""
    evaluator: Evaluator[L, N, A, S]
    """How the network is judged."""

    def load(self) -> PictureData[L]:
        """Read the pictures to learn from and to validate on, see `Source.load`."""
        return self.source.load(self.config.data, self.config.every, self.validate_every)


def run_task(task: Task[L, N, A, S], console: Console) -> None:
    """Train, judge in held-out towns, write and print what came out; what is done is not done again.

    Raises:
        EpisodeError: If the data is missing, damaged or without what the labels need.
        ConfigError: If the configuration cannot be used.
        StorageError: If the run's folder holds another run, or an unfinished one without `config.resume`.
        CheckpointError: If a checkpoint in it is damaged or of other pictures.
        KeyboardInterrupt: After Ctrl-C; its text says how to continue.
    """
    folder = open_run(task.config)
    if folder.finished:
        console.print(f"{folder.path}: this run is done; nothing to do", highlight=False, soft_wrap=True)
    else:
        history = _train(task, folder, console)
        _write_results(task, folder, history, evaluate_held_out(task, folder))
    console.print(task.evaluator.table(read_results(folder, task.evaluator.kind)).rich())
    words = f"{folder.best}; {folder.path / RESULTS}, {PAGE} and pictures in {OVERLAYS}"
    console.print(words, highlight=False, soft_wrap=True)


def evaluate_held_out(task: Task[L, N, A, S], folder: RunFolder) -> dict[str, S]:
    """Score the best network under every condition, and write a sheet of overlays for each.

    Returns:
        Scores by condition.
    """
    config, held_out, evaluator = task.config, task.config.held_out, task.evaluator
    simulation = read_description(config.data).simulation
    network, _ = task.objective.networks.load(folder.best)
    device = choose_device(config)
    network, dtype = network.to(device), choose_dtype(config, device)
    drives = held_out_drives(held_out, simulation)
    redrawer, found = EpisodeRerenderer(simulation), dict[str, S]()
    try:
        with progress("judging", len(held_out.conditions), "looks") as advance:
            for condition in held_out.conditions:
                pictures = task.source.under(redrawer, drives, condition, held_out.every)
                answers = evaluator.answer(network, pictures.images, dtype)
                found[condition] = evaluator.score(pictures, answers, generator(config.seed, "held out"))
                words = f"{condition_words(condition)}: {evaluator.headline(found[condition])}"
                if held_out.overlays:
                    picture = evaluator.sheet(pictures, answers, held_out.overlays, words)
                    name = condition_words(condition).replace(" ", "-")
                    write_bytes(folder.path / OVERLAYS / f"{name}.png", png(picture))
                advance(1, words)
    finally:
        redrawer.close()
    return found


def read_results(folder: RunFolder, kind: type[S]) -> dict[str, S]:
    """The scores of a finished run, of one kind, by condition."""
    path = folder.path / RESULTS
    values = json.loads(path.read_text())["conditions"]
    return {condition: from_mapping(kind, found, str(path)) for condition, found in values.items()}


def _train(task: Task[L, N, A, S], folder: RunFolder, console: Console) -> History:
    keep_freed_memory()
    data = task.load()
    words = f"{len(data.train)} pictures to learn from, {len(data.validation)} to validate on"
    console.print(words, highlight=False, soft_wrap=True)
    return train_network(task.config, task.objective, data, folder)


def _write_results(task: Task[L, N, A, S], folder: RunFolder, history: History, found: dict[str, S]) -> None:
    """Write the scores as JSON and as a page, then call the run finished."""
    network, info = task.objective.networks.load(folder.best)
    parameters, camera = parameter_count(network), info.cameras[0]
    about = (
        f"{task.evaluator.learner} of {parameters:,} parameters, epoch {history.best_epoch} of {task.config.epochs}, "
        f"on pictures of {camera.width}x{camera.height} px. {task.evaluator.notes}"
    )
    conditions = {condition: to_mapping(scores) for condition, scores in found.items()}
    write_json(folder.path / RESULTS, {"parameters": parameters, "conditions": conditions})
    write_text(folder.path / PAGE, score_page(task.evaluator.table(found), about))
    folder.finish()


def score_page(table: Table, about: str) -> str:
    """Return a table as a page of Markdown, under its title and a few sentences."""
    return f"# {table.title}\n\n{about}\n\n{table.markdown()}\n"
