"""The continuous ranked probability score of distributions over steering. B: batch, K: components, G: grid points.

Scores of distributions over steering against the expert's labels: how sharp, and whether to be trusted.

N: situations.
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
    """Continuous ranked probability score (B,) float64 [1/m] at labels (B,) [1/m]; smaller is better.

    The integral of (F(x) - [x >= label])^2 over x: for a sure prediction it is the absolute error. Unlike the
    likelihood it is bounded by the range and not swayed by a spike of labels that repeat exactly (Gneiting and
    Raftery, "Strictly proper scoring rules, prediction, and estimation", 2007). Mixtures of Gaussians have a closed
    form, taken from scoringrules; that library and its peers know no truncated mixtures and no histograms, so that
    those are integrated here.
    """
    if isinstance(distribution, SteeringMixture):
        weights, means, scales = (values.double().cpu() for values in distribution.components)
        found: Tensor = scoringrules.crps_mixnorm(labels.double().cpu(), means, scales, weights, backend="torch")
        return found.to(labels.device)
    steps = distribution.log_shares.shape[-1] if isinstance(distribution, SteeringBins) else _STEPS
    return _integrated(distribution, labels, steps)


def _integrated(distribution: SteeringDistribution, labels: Tensor, steps: int) -> Tensor:
    """The score of a distribution whose support is the vehicle's range, from its cdf at the ends of equal steps.

    The cdf is taken as straight within a step: exact for bins if the steps are theirs.
    """
    limit = distribution.max_curvature
    labels = labels.clamp(-limit, limit)
    total = torch.zeros_like(labels, dtype=torch.float64)
    edges = torch.linspace(-limit, limit, steps + 1, device=labels.device)
    for start in range(0, steps, _CHUNK):
        total += _area(distribution, edges[start : start + _CHUNK + 1], labels)
    return total


def _area(distribution: SteeringDistribution, edges: Tensor, labels: Tensor) -> Tensor:
    """The part (B,) of the integral between the first and the last of `edges` (G,)."""
    total = torch.zeros_like(labels, dtype=torch.float64)
    # A step that the label cuts is two: edges beyond the label fall onto it, and steps of no length count nothing.
    for ends, above in ((torch.minimum(edges[:, None], labels), False), (torch.maximum(edges[:, None], labels), True)):
        below = distribution.cdf(ends).double()
        error = 1 - below if above else below  # (G, B)
        squares = error[1:].square() + error[1:] * error[:-1] + error[:-1].square()
        total += (squares / 3 * ends.double().diff(dim=0)).sum(dim=0)
    return total


SPIKE_CURVATURE = 1e-4
"""Labels below this [1/m] form the spike of exact repetitions that a scripted expert makes on straights."""


@dataclass(frozen=True, eq=False)
class SampleScores:
    """What N predictions are worth one by one; float64, on the CPU."""

    labels: Tensor
    """The expert's curvatures (N,) [1/m]."""
    log_probs: Tensor
    """Log densities at the labels (N,) [nats], of a density over curvature in 1/m."""
    errors: Tensor
    """Distances of what is driven by, mostly the modes, from the labels (N,) [1/m]."""
    crps: Tensor
    """Continuous ranked probability scores (N,) [1/m]."""
    pit: Tensor
    """Probability integral transforms (N,): the cdf at the label; uniform in [0, 1] if the distributions are right."""
    widths_50: Tensor
    """Widths of the central intervals of 50% (N,) [1/m]."""
    widths_90: Tensor
    """Widths of the central intervals of 90% (N,) [1/m]."""

    def __len__(self) -> int:
        """Number of situations, N."""
        return len(self.labels)

    def __getitem__(self, chosen: Tensor) -> "SampleScores":
        """Choose situations by a mask (N,) or indices."""
        return SampleScores(*(getattr(self, field.name)[chosen] for field in fields(self)))


@torch.no_grad()
def score_samples(distribution: SteeringDistribution, labels: Tensor, steering: Tensor | None = None) -> SampleScores:
    """Score N predictions against labels (N,) [1/m].

    Args:
        distribution: The predictions.
        labels: The expert's curvatures (N,) [1/m].
        steering: What is driven by (N,) [1/m], where that is not the mode.
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
    """Put the scores of several batches, at least one, one after another."""
    return SampleScores(*(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(SampleScores)))


def nominal_coverage(z: Tensor) -> Tensor:
    """Share of a Gaussian within z standard deviations of its mean, for z of any shape."""
    share: Tensor = torch.erf(z / math.sqrt(2))
    return share


def coverage(pit: Tensor, z: Tensor) -> Tensor:
    """Share of the labels inside the central intervals of the probabilities that belong to z-scores.

    The source's own measure (Amini et al., ICRA 2019), which for a range of z counts the labels in the predicted range;
    for distributions that are no Gaussians, the range of z is the central interval, by quantiles, of the probability
    that a Gaussian has within z sigma. A label lies in it exactly if its PIT is within half of that about 1/2.

    Args:
        pit: Probability integral transforms (N,).
        z: z-scores (M,).

    Returns:
        Shares (M,), to be compared with `nominal_coverage(z)`.
    """
    inside = (pit[:, None] - 0.5).abs() <= nominal_coverage(z.double()) / 2
    return inside.double().mean(dim=0)


def pit_histogram(pit: Tensor, bins: int = 20) -> Tensor:
    """Density (bins,) of the probability integral transforms over [0, 1]: 1 throughout if predictions are right.

    A U says that the distributions are too narrow, a hill that they are too wide, a slope that they lean to one side.
    """
    return torch.histc(pit, bins, 0.0, 1.0) * (bins / len(pit))


def pit_distance(pit: Tensor) -> float:
    """Largest distance between the transforms' empirical cdf and that of the uniform distribution (Kolmogorov)."""
    return uniform_distance(pit.double().cpu().numpy())


def coverage_gap(pit: Tensor) -> float:
    """Largest distance between the curves of `coverage` and of `nominal_coverage`, over all z."""
    return pit_distance((2 * pit - 1).abs())


@dataclass(frozen=True)
class Scores:
    """How well a policy predicts the expert's commands; says little about how it drives."""

    nll: float
    """Mean negative log-likelihood [nats], of a density over curvature in 1/m."""
    nll_without_spike: float | None
    """The same over the labels outside the spike at zero; None without any."""
    curvature_error: float
    """Mean absolute error of the mode [1/m]."""
    curvature_error_without_spike: float | None
    """The same over the labels outside the spike at zero; None without any."""
    spike_share: float
    """Share of the labels inside the spike."""
    crps: float
    """Mean continuous ranked probability score [1/m]."""
    pit_distance: float
    """Largest distance of the probability integral transforms' cdf from the uniform one, in [0, 1]."""
    coverage: tuple[float, ...]
    """Share of the labels within the central intervals that belong to `COVERAGE_Z`."""
    coverage_gap: float
    """Largest distance of the coverage from its nominal value, over all z."""
    width_50: float
    """Sharpness: mean width of the central interval of 50% [1/m]."""
    width_90: float
    """Sharpness: mean width of the central interval of 90% [1/m]."""
    count: int
    """Number of situations."""

    def curves(self) -> dict[str, float | None]:
        """One number for each curve in a log."""
        values = {name: value for name, value in asdict(self).items() if name not in ("coverage", "count")}
        covered = zip(COVERAGE_Z, self.coverage, strict=True)
        return values | {f"coverage_z{z:g}": share for z, share in covered}


def score(samples: SampleScores) -> Scores:
    """Average over N situations, at least one."""
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
    """Average over each group of situations by itself.

    Args:
        samples: Scores of N situations.
        groups: The group of each (N,). It must not be told by the label: predictions are calibrated for what can be
            seen, and no longer so once their outcome has been looked at.
        names: Names of the groups that are wanted, in order; those that have no situation are left out.
    """
    masks = {name: torch.from_numpy(groups == name) for name in names}
    return {name: score(samples[mask]) for name, mask in masks.items() if bool(mask.any())}


def _mean(values: Tensor) -> float:
    """Mean in double precision."""
    return float(values.double().mean())
