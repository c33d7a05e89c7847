"""From a configuration to a trained network and what it is worth in towns that it has never seen."""

import json

from rich.console import Console

from agents.policies.policy import parameter_count
from agents.segmentation.checkpoint import load_segmentation
from agents.segmentation.config import SegmentationConfig
from agents.segmentation.held_out import held_out_drives, pictures_under
from agents.segmentation.overlay import overlay_sheet
from agents.segmentation.pictures import load_segmentation_data
from agents.segmentation.prediction import predicted_classes, score_pictures
from agents.segmentation.report import condition_words, scores_page, scores_table
from agents.segmentation.scores import SegmentationScores
from agents.segmentation.training import SegmentationHistory, train_segmentation
from agents.training.config import choose_device, choose_dtype
from agents.training.memory import keep_freed_memory
from agents.training.run_folder import RunFolder, open_run
from navsim.config import from_mapping, to_mapping
from navsim.driving.redrawing import Redrawer
from navsim.evaluation.canvas import png
from navsim.progress import progress
from navsim.randomness import generator
from navsim.recording.dataset import read_description
from navsim.storage import write_bytes, write_json, write_text

RESULTS, PAGE, OVERLAYS = "results.json", "results.md", "overlays"
"""Names in the run's folder."""


def run_segmentation(config: SegmentationConfig, console: Console) -> None:
    """Train, judge in held-out towns, write and print what came out; what is done is not done again.

    Raises:
        EpisodeError: If the data is missing, damaged or without classes.
        ConfigError: If the configuration cannot be used.
        StorageError: If the run's folder holds another run, or an unfinished one without `config.resume`.
        CheckpointError: If a checkpoint in it is damaged or of other pictures.
        KeyboardInterrupt: After Ctrl-C; its text says how to continue.
    """
    folder = open_run(config)
    if folder.finished:
        console.print(f"{folder.path}: this run is done; nothing to do", highlight=False, soft_wrap=True)
    else:
        _train_and_judge(config, folder, console)
    results = read_results(folder)
    console.print(scores_table(results))
    words = f"{folder.best}; {folder.path / RESULTS}, {PAGE} and pictures in {OVERLAYS}"
    console.print(words, highlight=False, soft_wrap=True)


def judge(config: SegmentationConfig, folder: RunFolder) -> dict[str, SegmentationScores]:
    """Score the best network under every condition, and write a sheet of overlays for each.

    Returns:
        Scores by condition.
    """
    simulation = read_description(config.data).simulation
    network, _ = load_segmentation(folder.best)
    device = choose_device(config)
    network, dtype = network.to(device), choose_dtype(config, device)
    drives = held_out_drives(config.held_out, simulation)
    redrawer, found = Redrawer(simulation), dict[str, SegmentationScores]()
    try:
        with progress("judging", len(config.held_out.conditions), "looks") as advance:
            for condition in config.held_out.conditions:
                pictures = pictures_under(redrawer, drives, condition, config.held_out.every)
                predicted = predicted_classes(network, pictures.images, dtype)
                scores = score_pictures(pictures, predicted, generator(config.seed, "held out"))
                found[condition] = scores
                if config.held_out.overlays:
                    title = f"{condition_words(condition)}: mean IoU {scores.mean_iou:.3f}"
                    sheet = overlay_sheet(pictures, predicted, config.held_out.overlays, title)
                    name = condition_words(condition).replace(" ", "-")
                    write_bytes(folder.path / OVERLAYS / f"{name}.png", png(sheet))
                advance(1, f"{condition_words(condition)} {scores.mean_iou:.3f}")
    finally:
        redrawer.close()
    return found


def read_results(folder: RunFolder) -> dict[str, SegmentationScores]:
    """The scores of a finished run, by condition."""
    path = folder.path / RESULTS
    values = json.loads(path.read_text())["conditions"]
    return {condition: from_mapping(SegmentationScores, found, str(path)) for condition, found in values.items()}


def _train_and_judge(config: SegmentationConfig, folder: RunFolder, console: Console) -> None:
    keep_freed_memory()
    data = load_segmentation_data(config.data, config.every)
    words = f"{len(data.train)} pictures to learn from, {len(data.validation)} to validate on"
    console.print(words, highlight=False, soft_wrap=True)
    history = train_segmentation(config, data, folder)
    del data
    _write_results(config, folder, history, judge(config, folder))


def _write_results(
    config: SegmentationConfig, folder: RunFolder, history: SegmentationHistory, found: dict[str, SegmentationScores]
) -> None:
    """Write the scores as JSON and as a page, then call the run finished."""
    network, info = load_segmentation(folder.best)
    parameters, camera = parameter_count(network), info.cameras[0]
    about = (
        f"A fully convolutional network of {parameters:,} parameters, epoch {history.best_epoch} of {config.epochs}, "
        f"on pictures of {camera.width}x{camera.height} px. The mean is over the classes that are there; intervals "
        "are of draws of towns."
    )
    conditions = {condition: to_mapping(scores) for condition, scores in found.items()}
    write_json(folder.path / RESULTS, {"parameters": parameters, "conditions": conditions})
    write_text(folder.path / PAGE, scores_page(found, about))
    write_json(folder.metrics, folder.read_metrics() | {"finished": True})
