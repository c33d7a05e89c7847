"""Batches by number, read ahead where reading takes time. B: situations of a batch.

Which frames an epoch learns from, in which order and with which weight. N: frames of the data, n: of an epoch.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from agents.training.samples import MappedSamples, Samples
from navsim.errors import ConfigError
from navsim.geometry import Array
from navsim.seeding import generator


class BatchPrefetcher:
    """Hands out batches of samples; what was announced is there sooner, what was not is there all the same."""

    def __init__(self, samples: Samples) -> None:
        """Nothing is announced yet."""
        self._samples = samples
        self._expected = deque[Tensor]()
        self._batches: Iterator[Samples] = iter(())

    def prefetch(self, indices: Sequence[Tensor]) -> None:
        """Say which batches will be taken next, and in which order; replaces what was said before.

        Args:
            indices: The numbers (B,) of each batch's situations, in the very memory that `take` will be given.
        """
        if isinstance(self._samples, MappedSamples):
            self._expected, self._batches = deque(indices), self._samples.batches(indices)

    def get(self, index: Tensor) -> Samples:
        """The situations `index` (B,)."""
        # Comparing the numbers themselves would have to wait for a GPU.
        if self._expected and _same_memory(self._expected[0], index):
            self._expected.popleft()
            return next(self._batches)
        return self._samples[index]


def _same_memory(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors are the same numbers at the same place."""
    return one.data_ptr() == other.data_ptr() and one.shape == other.shape and one.dtype is other.dtype


Indices = NDArray[np.int64]


@dataclass(frozen=True)
class BalanceConfig:
    """How much more often sharp curves, which are rare, are seen than they come in the data."""

    strength: float = 0.0
    """0 leaves the frames as they come, 1 shows every range of |label| equally often, between them in proportion."""
    bins: int = 8
    """Ranges of |label|, of equal width up to the largest."""
    unbiased: bool = True
    """Weigh the loss of a frame by how much more seldom it comes in the data than it is shown, as importance sampling
    does. Then balancing changes only the noise of the gradient. Without it the policy learns P(theta | I, M) of another
    world, in which the expert turns more often than it does: of two exits, the one with the sharper turn gains."""

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 1 or not 2 <= self.bins <= 1000:
            raise ConfigError(
                f"balance.strength must be 0 to 1 and balance.bins 2 to 1000, got {self.strength} and {self.bins}"
            )


@dataclass(frozen=True, eq=False)
class Draw:
    """The frames of one epoch."""

    index: Indices
    """Their numbers (n,) in the data, in the order of the epoch."""
    weights: NDArray[np.float32]
    """Weights (n,) of their losses, 1 on average over the data."""


class FrameSampler:
    """Draws the frames of an epoch; what it draws depends on the seed and the epoch's number alone."""

    def __init__(
        self,
        labels: Array,
        is_informative: NDArray[np.bool_],
        lane_keeping_fraction: float,
        balance: BalanceConfig,
        seed: int,
    ) -> None:
        """Look at the labels once.

        Args:
            labels: Curvatures (N,) [1/m].
            is_informative: Which frames (N,) are always wanted.
            lane_keeping_fraction: Share of the other frames that an epoch has.
            balance: How sharp curves are preferred.
            seed: Of the run.
        """
        self._seed = seed
        self._demanding, self._quiet = np.flatnonzero(is_informative), np.flatnonzero(~is_informative)
        self.frames_per_epoch = max(len(self._demanding) + round(lane_keeping_fraction * len(self._quiet)), 1)
        self._balance = balance
        wanted = np.where(is_informative, 1.0, lane_keeping_fraction)
        self._wanted = wanted / wanted.sum()
        self._shown = balanced(self._wanted, labels, balance) if balance.strength > 0 else self._wanted

    def draw(self, epoch: int) -> Draw:
        """The frames of epoch `epoch`."""
        rng = generator(self._seed, "order", epoch)
        if self._balance.strength > 0:
            index = systematic_draw(self._shown, self.frames_per_epoch, rng)
            weights = self._wanted[index] / self._shown[index] if self._balance.unbiased else np.ones(len(index))
            return Draw(index, weights.astype(np.float32))
        quiet = rng.permutation(self._quiet)[: self.frames_per_epoch - len(self._demanding)]
        index = rng.permutation(np.concatenate([self._demanding, quiet]))
        return Draw(index, np.ones(len(index), np.float32))


def balanced(probabilities: Array, labels: Array, config: BalanceConfig) -> Array:
    """Shift probabilities (N,) of frames from the ranges of |label| that have much to those that have little.

    A range that has the probability p gets one in proportion to p ** (1 - strength); within a range, frames keep their
    shares.

    Args:
        probabilities: Of the frames (N,), summing to 1.
        labels: Their labels (N,) [1/m].
        config: How strongly.
    """
    sizes = np.abs(labels)
    widest = sizes.max(initial=0.0) or 1.0
    bins = np.minimum((sizes / widest * config.bins).astype(int), config.bins - 1)
    mass = np.bincount(bins, probabilities, minlength=config.bins)
    shifted = probabilities * mass[bins] ** -config.strength
    return np.asarray(shifted / shifted.sum())


def systematic_draw(probabilities: Array, count: int, rng: np.random.Generator) -> Indices:
    """Draw `count` numbers by probabilities (N,): each comes `count` times its probability, rounded up or down.

    Systematic sampling (Madow and Madow, 1944): it leaves less to chance than independent draws.
    """
    shuffled = rng.permutation(len(probabilities))
    ends = np.cumsum(probabilities[shuffled])
    marks = (rng.random() + np.arange(count)) / count * ends[-1]
    places = np.minimum(np.searchsorted(ends, marks, side="right"), len(ends) - 1)
    return np.asarray(rng.permutation(shuffled[places]), np.int64)


def parts(whole: slice, count: int) -> list[slice]:
    """Cut a slice into up to `count` parts whose lengths differ by one at most; none of them is empty."""
    length = whole.stop - whole.start
    ends = [whole.start + length * i // count for i in range(count + 1)]
    return [slice(first, last) for first, last in pairwise(ends) if last > first]
