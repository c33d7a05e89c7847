"""Scores of distributions over steering against the expert's labels: likelihood, CRPS, calibration and sharpness.

B: batch, G: grid points, N: frames.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields

import numpy as np
import scoringrules
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.policies.distributions.base import SteeringDistribution
from agents.policies.distributions.bins import SteeringBins
from agents.policies.distributions.mixture import SteeringMixture
from navsim.evaluation.metrics.calibration import COVERAGE_Z, uniform_distance

_STEPS = 2000
_CHUNK = 256  # steps at a time: the memory taken grows with G


def crps(distribution: SteeringDistribution, labels: Tensor) -> Tensor:
    """Return the continuous ranked probability score (B,) float64 [1/m] at labels (B,) [1/m]; smaller is better.

    It is the integral of (F(x) - [x >= label])^2 over x; for a point prediction that is the absolute error. Unlike the
    likelihood it is bounded by the range, and a spike of labels that repeat exactly does not dominate it (Gneiting and
    Raftery, "Strictly proper scoring rules, prediction, and estimation", 2007). Mixtures of Gaussians have a closed
    form, by scoringrules. Neither that library nor others have truncated mixtures and histograms, which are integrated
    here.
    """
    if isinstance(distribution, SteeringMixture):
        weights, means, scales = (values.double().cpu() for values in distribution.components)
        found: Tensor = scoringrules.crps_mixnorm(labels.double().cpu(), means, scales, weights, backend="torch")
        return found.to(labels.device)
    steps = distribution.log_shares.shape[-1] if isinstance(distribution, SteeringBins) else _STEPS
    return _integrated(distribution, labels, steps)


def _integrated(distribution: SteeringDistribution, labels: Tensor, steps: int) -> Tensor:
    """Return the score of a distribution over the vehicle's range, from its cdf at the ends of equal steps.

    The cdf is linear within a step, which is exact for bins if the steps are theirs.
    """
    limit = distribution.max_curvature
    labels = labels.clamp(-limit, limit)
    total = torch.zeros_like(labels, dtype=torch.float64)
    edges = torch.linspace(-limit, limit, steps + 1, device=labels.device)
    for start in range(0, steps, _CHUNK):
        total += _area(distribution, edges[start : start + _CHUNK + 1], labels)
    return total


def _area(distribution: SteeringDistribution, edges: Tensor, labels: Tensor) -> Tensor:
    """Return the part (B,) of the integral between the first and the last of `edges` (G,)."""
    total = torch.zeros_like(labels, dtype=torch.float64)
    # A step around the label is divided there: edges past the label move to it, and steps without length add nothing.
    for ends, above in ((torch.minimum(edges[:, None], labels), False), (torch.maximum(edges[:, None], labels), True)):
        below = distribution.cdf(ends).double()
        error = 1 - below if above else below  # (G, B)
        squares = error[1:].square() + error[1:] * error[:-1] + error[:-1].square()
        total += (squares / 3 * ends.double().diff(dim=0)).sum(dim=0)
    return total


SPIKE_CURVATURE = 1e-4
"""Limit of the labels in the spike of exact repetitions that a scripted expert makes on straights [1/m]."""


@dataclass(frozen=True, eq=False)
class SampleScores:
    """Scores of N predictions one by one; float64, on the CPU."""

    labels: Tensor
    """The expert's curvatures (N,) [1/m]."""
    log_probs: Tensor
    """Log densities at the labels (N,) [nats], of a density over curvature in 1/m."""
    errors: Tensor
    """Distances of the commands, mostly the modes, from the labels (N,) [1/m]."""
    crps: Tensor
    """Continuous ranked probability scores (N,) [1/m]."""
    pit: Tensor
    """Probability integral transforms (N,): the cdf at the label; uniform in [0, 1] if the distributions are right."""
    widths_50: Tensor
    """Widths of the central intervals of 50% (N,) [1/m]."""
    widths_90: Tensor
    """Widths of the central intervals of 90% (N,) [1/m]."""

    def __len__(self) -> int:
        """Return the number of frames, N."""
        return len(self.labels)

    def __getitem__(self, chosen: Tensor) -> "SampleScores":
        """Select frames by a mask (N,) or indices."""
        return SampleScores(*(getattr(self, field.name)[chosen] for field in fields(self)))


@torch.no_grad()
def score_samples(distribution: SteeringDistribution, labels: Tensor, steering: Tensor | None = None) -> SampleScores:
    """Score N predictions against labels (N,) [1/m].

    Args:
        distribution: The predictions.
        labels: The expert's curvatures (N,) [1/m].
        steering: Commands (N,) [1/m]; None takes the modes.
    """
    quantiles = {level: distribution.quantile(level) for level in (0.05, 0.25, 0.75, 0.95)}
    values = (
        labels,
        distribution.log_prob(labels),
        ((distribution.mode if steering is None else steering) - labels).abs(),
        crps(distribution, labels),
        distribution.cdf(labels).clamp(0.0, 1.0),
        quantiles[0.75] - quantiles[0.25],
        quantiles[0.95] - quantiles[0.05],
    )
    return SampleScores(*(value.detach().double().cpu() for value in values))


def join(parts: Sequence[SampleScores]) -> SampleScores:
    """Concatenate the scores of several batches, at least one."""
    return SampleScores(*(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(SampleScores)))


def nominal_coverage(z: Tensor) -> Tensor:
    """Return the probability of a Gaussian within z standard deviations of its mean, for z of any shape."""
    share: Tensor = torch.erf(z / math.sqrt(2))
    return share


def coverage(pit: Tensor, z: Tensor) -> Tensor:
    """Return the share of the labels inside the central intervals of z-scores.

    This is the source's measure (Amini et al., ICRA 2019), the share of labels in the predicted range over z. For
    distributions of other shapes than a Gaussian, the range is the central interval, by quantiles, with the probability
    of a Gaussian within z sigma. A label lies in it exactly if its PIT is within half of that probability of 1/2.

    Args:
        pit: Probability integral transforms (N,).
        z: z-scores (M,).

    Returns:
        Shares (M,), to be compared with `nominal_coverage(z)`.
    """
    inside = (pit[:, None] - 0.5).abs() <= nominal_coverage(z.double()) / 2
    return inside.double().mean(dim=0)


def pit_histogram(pit: Tensor, bins: int = 20) -> Tensor:
    """Return the density (bins,) of the probability integral transforms over [0, 1]; it is 1 if predictions are right.

    A U shape means that the distributions are too narrow, a hill too wide, a slope biased.
    """
    return torch.histc(pit, bins, 0.0, 1.0) * (bins / len(pit))


def pit_distance(pit: Tensor) -> float:
    """Return the largest distance of the transforms' empirical cdf from the uniform distribution's (Kolmogorov)."""
    return uniform_distance(pit.double().cpu().numpy())


def coverage_gap(pit: Tensor) -> float:
    """Return the largest distance between `coverage` and `nominal_coverage` over all z."""
    return pit_distance((2 * pit - 1).abs())


@dataclass(frozen=True)
class Scores:
    """Scores of a policy's predictions of the expert's commands; they say little about its driving."""

    nll: float
    """Mean negative log-likelihood [nats], of a density over curvature in 1/m."""
    nll_without_spike: float | None
    """Mean negative log-likelihood over the labels outside the spike at zero [nats]; None without any."""
    curvature_error: float
    """Mean absolute error of the mode [1/m]."""
    curvature_error_without_spike: float | None
    """Mean absolute error over the labels outside the spike at zero [1/m]; None without any."""
    spike_share: float
    """Share of the labels inside the spike."""
    crps: float
    """Mean continuous ranked probability score [1/m]."""
    pit_distance: float
    """Largest distance of the probability integral transforms' cdf from the uniform one, in [0, 1]."""
    coverage: tuple[float, ...]
    """Share of the labels inside the central intervals of `COVERAGE_Z`."""
    coverage_gap: float
    """Largest distance of the coverage from its nominal value, over all z."""
    width_50: float
    """Sharpness: mean width of the central interval of 50% [1/m]."""
    width_90: float
    """Sharpness: mean width of the central interval of 90% [1/m]."""
    count: int
    """Number of frames."""

    def curves(self) -> dict[str, float | None]:
        """Return one number for each curve of a log."""
        values = {name: value for name, value in asdict(self).items() if name not in ("coverage", "count")}
        covered = zip(COVERAGE_Z, self.coverage, strict=True)
        return values | {f"coverage_z{z:g}": share for z, share in covered}


def score(samples: SampleScores) -> Scores:
    """Average over N frames, at least one."""
    outside = samples.labels.abs() >= SPIKE_CURVATURE
    some = bool(outside.any())
    return Scores(
        nll=-_mean(samples.log_probs),
        nll_without_spike=-_mean(samples.log_probs[outside]) if some else None,
        curvature_error=_mean(samples.errors),
        curvature_error_without_spike=_mean(samples.errors[outside]) if some else None,
        spike_share=1 - _mean(outside),
        crps=_mean(samples.crps),
        pit_distance=pit_distance(samples.pit),
        coverage=tuple(coverage(samples.pit, torch.tensor(COVERAGE_Z)).tolist()),
        coverage_gap=coverage_gap(samples.pit),
        width_50=_mean(samples.widths_50),
        width_90=_mean(samples.widths_90),
        count=len(samples),
    )


def score_groups(samples: SampleScores, groups: NDArray[np.str_], names: Iterable[str]) -> dict[str, Scores]:
    """Average over each group of frames.

    Args:
        samples: Scores of N frames.
        groups: Group of each frame (N,). It must not depend on the label: predictions are calibrated given the inputs,
            and not given the outcome.
        names: Names of the groups, in order; groups without a frame are left out.
    """
    masks = {name: torch.from_numpy(groups == name) for name in names}
    return {name: score(samples[mask]) for name, mask in masks.items() if bool(mask.any())}


def _mean(values: Tensor) -> float:
    """Return the mean in double precision."""
    return float(values.double().mean())
