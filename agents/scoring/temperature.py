"""Calibration after training: one temperature for all answers of a policy, fitted to drives it was not trained on."""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

from agents.policies.distributions.base import SteeringDistribution
from agents.policies.distributions.recalibrated import recalibrated
from agents.scoring.calibration import SampleScores, coverage_gap, join, score_samples

LabelledPrediction = tuple[SteeringDistribution, Tensor]
"""Distributions for B situations and the expert's curvatures there (B,) [1/m]."""
Objective = Literal["nll", "coverage"]
"""What a temperature is fitted to: likelihood, or the coverage curve."""

_SEARCHED = (0.05, 20.0)
_FIRST_LOOK = 13
_PRECISION = 1e-3  # of the logarithm


@torch.no_grad()
def negative_log_likelihood(predictions: Sequence[LabelledPrediction], temperature: float = 1.0) -> float:
    """Mean negative log-likelihood [nats] of all labels under tempered predictions, at least one."""
    parts = [distribution.tempered(temperature).log_prob(labels).double() for distribution, labels in predictions]
    return -float(torch.cat(parts).mean())


@torch.no_grad()
def label_transforms(predictions: Sequence[LabelledPrediction], temperature: float = 1.0) -> Tensor:
    """The cdfs of tempered predictions at all labels (N,), at least one; float64, on the CPU."""
    parts = [distribution.tempered(temperature).cdf(labels).double().cpu() for distribution, labels in predictions]
    return torch.cat(parts)


def tempered_coverage_gap(predictions: Sequence[LabelledPrediction], temperature: float = 1.0) -> float:
    """The `coverage_gap` of all labels under tempered predictions, at least one."""
    return coverage_gap(label_transforms(predictions, temperature))


def fit_temperature(predictions: Sequence[LabelledPrediction], objective: Objective = "nll") -> float:
    """The temperature, 0.05 to 20, that fits the labels best.

    `nll` makes them likeliest, which is the usual way (Guo et al., ICML 2017); rare labels far out weigh most in it.
    `coverage` brings the source's coverage curve nearest to nominal. Where the form of the distributions is right, both
    find the same.

    Fitted to the labels that a network was trained on, it would only confirm what the network believes: take others.

    Args:
        predictions: Distributions of temperature 1 and their labels, in any number of batches, at least one.
        objective: What is made least.
    """
    measure = negative_log_likelihood if objective == "nll" else tempered_coverage_gap
    low, high = (math.log(end) for end in _SEARCHED)
    looks = torch.linspace(low, high, _FIRST_LOOK).tolist()
    values = [measure(predictions, math.exp(look)) for look in looks]
    best = values.index(min(values))
    # Between the neighbours of the best of a first look: there may be more than one valley.
    bounds = (looks[max(best - 1, 0)], looks[min(best + 1, _FIRST_LOOK - 1)])
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
    """Score all situations of predictions under a calibration, in their order."""
    return join(
        [score_samples(recalibrated(each.tempered(temperature), levels), labels) for each, labels in predictions]
    )
