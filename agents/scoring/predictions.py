"""Scores of a checkpoint on recorded drives: predict, calibrate, compare. N: frames."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from agents.policies.checkpoint import load_policy, read_info, write_calibration
from agents.policies.distributions.recalibrated import fit_levels
from agents.policies.policy import Policy
from agents.scoring.frames import judged_frames
from agents.scoring.report import Report
from agents.scoring.temperature import (
    LabelledPrediction,
    Objective,
    fit_temperature,
    label_transforms,
    score_predictions,
)
from navsim.datasets.dataset import Dataset, open_dataset
from navsim.progress import progress
from navsim.roads.generators.towns import Split


@dataclass(frozen=True)
class ScoreConfig:
    """Which checkpoint to score, on what."""

    checkpoint: Path = Path("runs/demo/policy/best.safetensors")
    """File of the policy."""
    data: Path = Path("runs/demo/data")
    """Folder with recorded drives."""
    split: Split = Split.VALIDATION
    """Which of them to score on; calibration is always fitted to `validation`."""
    objective: Objective = "nll"
    """What the temperature is fitted to: the labels' likelihood, or the coverage curve over all z."""
    calibrate: bool = False
    """Write the fitted calibration into the checkpoint: temperature and levels."""
    out: Path | None = None
    """Folder of the scores; None means beside the checkpoint."""


@dataclass(frozen=True, eq=False)
class Predicted:
    """A policy's answers of temperature 1 on recorded drives."""

    predictions: list[LabelledPrediction]
    """Distributions and labels, batch by batch."""
    manoeuvres: NDArray[np.str_]
    """What the car was doing in each frame (N,), values of `FrameManoeuvre`."""


def score_checkpoint(config: ScoreConfig) -> Report:
    """Score a checkpoint as trained, as it is calibrated, and under the calibration that fits best.

    On the drives to which a calibration was fitted, levels are right by construction: judge them on others.

    Raises:
        CheckpointError: If the checkpoint is unusable or was made for other cameras or another map.
        EpisodeError: If the data is missing, damaged or foreign.
        StorageError: If the temperature cannot be written; the checkpoint is as it was then.
    """
    chosen = open_dataset(config.data, config.split)
    simulation = chosen.description.simulation
    policy = load_policy(config.checkpoint, simulation.cameras, simulation.map)
    stored, known = policy.temperature, policy.levels
    policy.temperature, policy.levels = 1.0, ()
    found = predict(policy, chosen)
    held_out = found
    if config.split is not Split.VALIDATION:
        held_out = predict(policy, open_dataset(config.data, Split.VALIDATION))
    fitted = fit_temperature(held_out.predictions, config.objective)
    levels = fit_levels(label_transforms(held_out.predictions, fitted).clamp(0.0, 1.0))
    if config.calibrate:
        write_calibration(config.checkpoint, fitted, levels)
    calibrations: dict[str, tuple[float, tuple[float, ...]]] = {"as trained": (1.0, ())}
    calibrations |= {f"T = {value:.3f}": (value, ()) for value in (stored, fitted) if value != 1.0}
    calibrations |= {"as stored": (stored, known)} if known else {}
    calibrations["levels"] = fitted, levels
    return Report(
        checkpoint=str(config.checkpoint),
        data=str(config.data),
        split=str(config.split),
        head=read_info(config.checkpoint).policy.head,
        stored_temperature=stored,
        fitted_temperature=fitted,
        objective=config.objective,
        samples={name: score_predictions(found.predictions, *values) for name, values in calibrations.items()},
        manoeuvres=found.manoeuvres,
    )


@torch.inference_mode()
def predict(policy: Policy, dataset: Dataset) -> Predicted:
    """Answer for every frame of a dataset in the order of its files, on CUDA if there is a device.

    Args:
        policy: In evaluation mode; it may be moved.
        dataset: Drives with images, recorded with the policy's cameras and map.

    Raises:
        EpisodeError: If an episode is damaged or was recorded without images.
        TownError: If a town cannot be built.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    policy.to(device)
    predictions, manoeuvres = list[LabelledPrediction](), list[NDArray[np.str_]]()
    with progress(f"predicting {dataset.folder}", dataset.frames, "frames") as advance:
        for batch in judged_frames(dataset):
            predictions.append((policy.steer(batch.senses.to(device)), batch.labels.to(device)))
            manoeuvres.append(batch.manoeuvres)
            advance(len(batch))
    return Predicted(predictions, np.concatenate(manoeuvres))
