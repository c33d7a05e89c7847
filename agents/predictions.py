"""Scores of a checkpoint on recorded drives: predict, calibrate, compare. T: frames of a drive, N: of all drives."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from agents.policies.policy import Policy
from agents.scoring.manoeuvres import manoeuvre_groups
from agents.scoring.report import Report
from agents.scoring.temperature import Objective, Prediction, fit_temperature, score_predictions
from agents.training.checkpoint import load_policy, read_info, write_temperature
from agents.training.dataset import gather_samples
from navsim.progress import progress
from navsim.recording.dataset import Dataset, open_dataset
from navsim.roads.towns import Split


@dataclass(frozen=True)
class ScoreConfig:
    """Which checkpoint to score, on what."""

    checkpoint: Path = Path("runs/demo/policy/best.safetensors")
    """File of the policy."""
    data: Path = Path("runs/demo/data")
    """Folder with recorded drives."""
    split: Split = Split.VALIDATION
    """Which of them to score on; the temperature is always fitted to `validation`."""
    objective: Objective = "nll"
    """What the temperature is fitted to: the labels' likelihood, or the coverage curve over all z."""
    calibrate: bool = False
    """Write the fitted temperature into the checkpoint, for driving, density and scores."""
    out: Path | None = None
    """Folder of the scores; None means beside the checkpoint."""


@dataclass(frozen=True, eq=False)
class Predicted:
    """A policy's answers of temperature 1 on recorded drives."""

    predictions: list[Prediction]
    """Distributions and labels, one batch per drive."""
    groups: Tensor
    """Manoeuvre of each frame (N,), see `agents.scoring.manoeuvres.GROUPS`."""


def score_checkpoint(config: ScoreConfig) -> Report:
    """Score a checkpoint as trained, as it is calibrated, and under the temperature that fits best.

    Raises:
        CheckpointError: If the checkpoint is unusable or was made for other cameras or another map.
        EpisodeError: If the data is missing, damaged or foreign.
        StorageError: If the temperature cannot be written; the checkpoint is as it was then.
    """
    chosen = open_dataset(config.data, config.split)
    simulation = chosen.description.simulation
    policy = load_policy(config.checkpoint, simulation.cameras, simulation.map)
    stored, policy.temperature = policy.temperature, 1.0
    found = predict(policy, chosen)
    held_out = found
    if config.split is not Split.VALIDATION:
        held_out = predict(policy, open_dataset(config.data, Split.VALIDATION))
    fitted = fit_temperature(held_out.predictions, config.objective)
    if config.calibrate:
        write_temperature(config.checkpoint, fitted)
    temperatures = {"as trained": 1.0} | {f"T = {value:.3f}": value for value in (stored, fitted) if value != 1.0}
    return Report(
        checkpoint=str(config.checkpoint),
        data=str(config.data),
        split=str(config.split),
        head=read_info(config.checkpoint).policy.head,
        stored_temperature=stored,
        fitted_temperature=fitted,
        objective=config.objective,
        samples={name: score_predictions(found.predictions, value) for name, value in temperatures.items()},
        groups=found.groups,
    )


@torch.inference_mode()
def predict(policy: Policy, dataset: Dataset) -> Predicted:
    """Answer for every frame of a dataset, drive by drive, on CUDA if there is a device.

    Args:
        policy: In evaluation mode; it may be moved.
        dataset: Drives with images, recorded with the policy's cameras and map.

    Raises:
        EpisodeError: If an episode is damaged or cannot be predicted.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    policy.to(device)
    predictions, groups = list[Prediction](), list[Tensor]()
    with progress(f"predicting {dataset.folder}", dataset.frames, "frames") as advance:
        for episode in dataset.episodes():
            samples = gather_samples(
                [episode], len(episode), policy.spec, policy.config.max_curvature, str(dataset.folder)
            )
            predictions.append((policy.steer(samples.senses.to(device)), samples.labels.to(device)))
            groups.append(torch.from_numpy(manoeuvre_groups(episode)))
            advance(len(episode))
    return Predicted(predictions, torch.cat(groups))
