"""Scores of a checkpoint on recorded drives, under its own calibration and under a fitted one. N: frames.

Calibration after training fits one temperature for all predictions of a policy to drives outside of its training data.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from torch import Tensor

from agents.policies.checkpoint import checkpoint_input, load_policy, write_calibration
from agents.policies.distributions.base import SteeringDistribution
from agents.policies.distributions.recalibrated import fit_levels, recalibrated
from agents.policies.policy import Policy
from agents.scoring.calibration import SampleScores, coverage_gap, join, score_samples
from agents.scoring.policy_scores import frame_batches
from agents.scoring.report import Report
from navsim.datasets.dataset import DataFolders, Dataset, folders_text, open_dataset
from navsim.progress import progress
from navsim.roads.generators.towns import Split

LabelledPrediction = tuple[SteeringDistribution, Tensor]
"""Distributions for B frames and the expert's curvatures (B,) [1/m]."""
Objective = Literal["nll", "coverage"]
"""Objective of a fitted temperature: likelihood, or the coverage curve."""
_SEARCH_RANGE = (0.05, 20.0)
_GRID_POINTS = 13
_PRECISION = 1e-3  # of the logarithm


@torch.no_grad()
def negative_log_likelihood(predictions: Sequence[LabelledPrediction], temperature: float = 1.0) -> float:
    """Return the mean negative log-likelihood [nats] of all labels, at least one, under tempered predictions."""
    parts = [distribution.tempered(temperature).log_prob(labels).double() for distribution, labels in predictions]
    return -float(torch.cat(parts).mean())


@torch.no_grad()
def label_transforms(predictions: Sequence[LabelledPrediction], temperature: float = 1.0) -> Tensor:
    """Return the cdfs of tempered predictions at all labels (N,), at least one; float64, on the CPU."""
    parts = [distribution.tempered(temperature).cdf(labels).double().cpu() for distribution, labels in predictions]
    return torch.cat(parts)


def tempered_coverage_gap(predictions: Sequence[LabelledPrediction], temperature: float = 1.0) -> float:
    """Return the `coverage_gap` of all labels, at least one, under tempered predictions."""
    return coverage_gap(label_transforms(predictions, temperature))


def fit_temperature(predictions: Sequence[LabelledPrediction], objective: Objective = "nll") -> float:
    """Return the temperature, from 0.05 to 20, that fits the labels best.

    `nll` maximises their likelihood, as usual (Guo et al., ICML 2017), in which rare labels far out weigh most.
    `coverage` brings the source's coverage curve closest to nominal. Both find the same temperature if the shape of the
    distributions is right. Use labels outside of the training data: the network is overconfident on its own.

    Args:
        predictions: Distributions of temperature 1 and their labels, in any number of batches, at least one.
        objective: Objective that is minimised.
    """
    measure = negative_log_likelihood if objective == "nll" else tempered_coverage_gap
    low, high = (math.log(end) for end in _SEARCH_RANGE)
    grid = torch.linspace(low, high, _GRID_POINTS).tolist()
    values = [measure(predictions, math.exp(point)) for point in grid]
    best = values.index(min(values))
    # Between the neighbours of the best grid point: there may be several minima.
    bounds = (grid[max(best - 1, 0)], grid[min(best + 1, _GRID_POINTS - 1)])
    found = minimize_scalar(
        lambda logarithm: measure(predictions, math.exp(logarithm)),
        bounds=bounds,
        method="bounded",
        options={"xatol": _PRECISION},
    )
    return math.exp(float(found.x))


def score_predictions(
    predictions: Sequence[LabelledPrediction], temperature: float = 1.0, levels: tuple[float, ...] = ()
) -> SampleScores:
    """Score all frames of predictions under a calibration, in their order."""
    return join(
        [score_samples(recalibrated(each.tempered(temperature), levels), labels) for each, labels in predictions]
    )


@dataclass(frozen=True)
class ScoreConfig:
    """Checkpoint and recorded drives on which it is scored."""

    checkpoint: Path = Path("runs/demo/policy/best.safetensors")
    """File of the policy."""
    data: DataFolders = Path("runs/demo/data")
    """Folder with recorded drives, or several folders."""
    split: Split = Split.VALIDATION
    """Split of the drives; calibration is always fitted to `validation`."""
    objective: Objective = "nll"
    """Objective of the fitted temperature: the labels' likelihood, or the coverage curve over all z."""
    calibrate: bool = False
    """Whether to write the fitted calibration, temperature and levels, into the checkpoint."""
    out: Path | None = None
    """Folder of the scores; None takes that of the checkpoint."""


@dataclass(frozen=True, eq=False)
class Predicted:
    """Predictions of a policy at temperature 1 on recorded drives."""

    predictions: list[LabelledPrediction]
    """Distributions and labels, batch by batch."""
    manoeuvres: NDArray[np.str_]
    """Manoeuvre in each frame (N,), values of `FrameManoeuvre`."""


def score_checkpoint(config: ScoreConfig) -> Report:
    """Score a checkpoint as trained, with its stored calibration, and with the calibration that fits best.

    Levels are right by construction on the drives to which they were fitted: score them on other drives.

    Raises:
        CheckpointError: If the checkpoint is unusable or was made for other cameras or another map.
        EpisodeError: If the data is missing, damaged or foreign.
        StorageError: If the temperature cannot be written; the checkpoint is unchanged then.
        ReplacedError: If the checkpoint was replaced meanwhile; the new one is not calibrated.
    """
    chosen = open_dataset(config.data, config.split)
    simulation = chosen.description.simulation
    file = checkpoint_input(config.checkpoint)
    with file.unchanged():
        policy = load_policy(config.checkpoint, simulation.cameras, simulation.map)
    stored, known = policy.temperature, policy.levels
    policy.temperature, policy.levels = 1.0, ()
    found = predict(policy, chosen)
    held_out = found
    if config.split is not Split.VALIDATION:
        held_out = predict(policy, open_dataset(config.data, Split.VALIDATION))
    fitted = fit_temperature(held_out.predictions, config.objective)
    levels = fit_levels(label_transforms(held_out.predictions, fitted).clamp(0.0, 1.0))
    file.check()
    if config.calibrate:
        write_calibration(config.checkpoint, fitted, levels)
    calibrations: dict[str, tuple[float, tuple[float, ...]]] = {"as trained": (1.0, ())}
    calibrations |= {f"T = {value:.3f}": (value, ()) for value in (stored, fitted) if value != 1.0}
    calibrations |= {"as stored": (stored, known)} if known else {}
    calibrations["levels"] = fitted, levels
    return Report(
        checkpoint=str(config.checkpoint),
        data=folders_text(config.data),
        split=str(config.split),
        head=policy.config.head,
        stored_temperature=stored,
        fitted_temperature=fitted,
        objective=config.objective,
        samples={name: score_predictions(found.predictions, *values) for name, values in calibrations.items()},
        manoeuvres=found.manoeuvres,
    )


@torch.inference_mode()
def predict(policy: Policy, dataset: Dataset) -> Predicted:
    """Predict every frame of a dataset in the order of its files, on CUDA if there is a device.

    Args:
        policy: Policy in evaluation mode, which is moved to the device.
        dataset: Drives with images, recorded with the policy's cameras and map.

    Raises:
        EpisodeError: If an episode is damaged or was recorded without images.
        TownError: If a town cannot be built.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    policy.to(device)
    predictions, manoeuvres = list[LabelledPrediction](), list[NDArray[np.str_]]()
    with progress(f"predicting {folders_text(dataset.folders)}", dataset.frames, "frames") as advance:
        for batch in frame_batches(dataset):
            predictions.append((policy.steer(batch.senses.to(device)), batch.labels.to(device)))
            manoeuvres.append(batch.manoeuvres)
            advance(len(batch))
    return Predicted(predictions, np.concatenate(manoeuvres))
