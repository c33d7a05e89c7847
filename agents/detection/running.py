"""From a configuration to a trained detector and what it finds in towns that it has never seen."""

import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from rich.console import Console

from agents.detection.checkpoint import load_detector
from agents.detection.config import DetectionConfig
from agents.detection.faster_rcnn import why_no_torchvision
from agents.detection.interface import Detections
from agents.detection.overlay import detection_sheet
from agents.detection.pictures import Pictures, joined, load_detection_data
from agents.detection.precision import precisions
from agents.detection.prediction import found_objects, rank_found
from agents.detection.report import DetectionScores, scores_page, scores_table
from agents.detection.training import CLASS_NAMES, DetectionHistory, train_detector
from agents.policies.policy import parameter_count
from agents.segmentation.held_out import held_out_drives
from agents.segmentation.report import condition_words
from agents.training.config import choose_device, choose_dtype
from agents.training.memory import keep_freed_memory
from agents.training.run_folder import RunFolder, open_run
from navsim.config import from_mapping, to_mapping
from navsim.driving.episode import Episode
from navsim.driving.redrawing import Redrawer, under
from navsim.evaluation.canvas import png
from navsim.progress import progress
from navsim.randomness import generator
from navsim.recording.dataset import read_description
from navsim.storage import write_bytes, write_json, write_text

RESULTS, PAGE, OVERLAYS = "results.json", "results.md", "overlays"
"""Names in the run's folder."""


def run_detection(config: DetectionConfig, console: Console) -> None:
    """Train, judge in held-out towns, write and print what came out; what is done is not done again.

    torchvision's detector is skipped with one line where torchvision cannot be imported.

    Raises:
        EpisodeError: If the data is missing, damaged or without objects.
        ConfigError: If the configuration cannot be used.
        StorageError: If the run's folder holds another run, or an unfinished one without `config.resume`.
        CheckpointError: If a checkpoint in it is damaged or of other pictures.
        KeyboardInterrupt: After Ctrl-C; its text says how to continue.
    """
    if config.detector == "torchvision" and (reason := why_no_torchvision()) is not None:
        words = f"skipped: {reason}; pip install -e '.[detection]', or --detector own, which needs nothing more"
        console.print(words, highlight=False, markup=False, soft_wrap=True)
        return
    folder = open_run(config)
    if folder.finished:
        console.print(f"{folder.path}: this run is done; nothing to do", highlight=False, soft_wrap=True)
    else:
        _train_and_judge(config, folder, console)
    console.print(scores_table(read_results(folder)))
    words = f"{folder.best}; {folder.path / RESULTS}, {PAGE} and pictures in {OVERLAYS}"
    console.print(words, highlight=False, soft_wrap=True)


def judge(config: DetectionConfig, folder: RunFolder) -> dict[str, DetectionScores]:
    """Score the best detector under every condition, and write a sheet of overlays for each.

    Returns:
        Scores by condition.
    """
    simulation = read_description(config.data).simulation
    detector, _ = load_detector(folder.best)
    device = choose_device(config)
    detector, dtype = detector.to(device), choose_dtype(config, device)
    drives = held_out_drives(config.held_out, simulation)
    redrawer, scores = Redrawer(simulation), dict[str, DetectionScores]()
    try:
        with progress("judging", len(config.held_out.conditions), "looks") as advance:
            for condition in config.held_out.conditions:
                pictures = pictures_under(redrawer, drives, condition, config)
                found = found_objects(detector, pictures.images, dtype)
                scores[condition] = score_pictures(pictures, found, generator(config.seed, "held out"))
                mean = scores[condition].mean.ap50
                words = f"{condition_words(condition)}: mean AP50 {0.0 if mean is None else mean.value:.3f}"
                if config.held_out.overlays:
                    sheet = detection_sheet(pictures, found, config.held_out.overlays, words)
                    name = condition_words(condition).replace(" ", "-")
                    write_bytes(folder.path / OVERLAYS / f"{name}.png", png(sheet))
                advance(1, words)
    finally:
        redrawer.close()
    return scores


def pictures_under(redrawer: Redrawer, drives: Sequence[Episode], condition: str, config: DetectionConfig) -> Pictures:
    """Draw some frames of drives under a condition, see `navsim.world.appearance`, with the objects in them."""
    parts = []
    for episode in drives:
        seen = replace(episode, scenario=under(episode.scenario, condition))
        frames = range(0, len(episode), config.held_out.every)
        images, objects = redrawer.measure(seen, frames).images, redrawer.objects(seen, frames)
        parts.append((images, objects, episode.scenario.town))
    return joined(parts, config.counted)


def score_pictures(pictures: Pictures, found: list[Detections], rng: np.random.Generator) -> DetectionScores:
    """Score what was found in pictures; `rng` draws towns for the intervals."""
    each, mean = precisions(rank_found(pictures, found, len(CLASS_NAMES)), rng)
    classes = {str(name): part for name, part in zip(CLASS_NAMES, each, strict=True)}
    return DetectionScores(len(pictures), len(np.unique(pictures.towns)), classes, mean)


def read_results(folder: RunFolder) -> dict[str, DetectionScores]:
    """The scores of a finished run, by condition."""
    path = folder.path / RESULTS
    values = json.loads(path.read_text())["conditions"]
    return {condition: from_mapping(DetectionScores, found, str(path)) for condition, found in values.items()}


def _train_and_judge(config: DetectionConfig, folder: RunFolder, console: Console) -> None:
    keep_freed_memory()
    data = load_detection_data(config.data, config.every, config.validate_every, config.counted)
    words = f"{len(data.train)} pictures to learn from, {len(data.validation)} to validate on"
    console.print(words, highlight=False, soft_wrap=True)
    history = train_detector(config, data, folder)
    del data
    _write_results(config, folder, history, judge(config, folder))


def _write_results(
    config: DetectionConfig, folder: RunFolder, history: DetectionHistory, found: dict[str, DetectionScores]
) -> None:
    """Write the scores as JSON and as a page, then call the run finished."""
    detector, info = load_detector(folder.best)
    parameters, camera = parameter_count(detector), info.cameras[0]
    about = (
        f"A two-stage detector ({config.detector}) of {parameters:,} parameters, epoch {history.best_epoch} of "
        f"{config.epochs}, on pictures of {camera.width}x{camera.height} px. Counted are objects of which at least "
        f"{config.counted.least_visible:.0%} is visible, in a box at least {config.counted.least_height} px high. AP50 "
        "is average precision at an overlap of 0.5, AP50:95 its mean over 0.5 to 0.95; in brackets 95% intervals of "
        "draws of towns."
    )
    conditions = {condition: to_mapping(scores) for condition, scores in found.items()}
    write_json(folder.path / RESULTS, {"parameters": parameters, "conditions": conditions})
    write_text(folder.path / PAGE, scores_page(found, about))
    write_json(folder.metrics, folder.read_metrics() | {"finished": True})
