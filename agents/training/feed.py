"""Batches by number, read ahead where reading takes time. B: situations of a batch."""

from collections import deque
from collections.abc import Iterator, Sequence

from torch import Tensor

from agents.training.samples import MappedSamples, Samples


class Feed:
    """Hands out batches of samples; what was announced is there sooner, what was not is there all the same."""

    def __init__(self, samples: Samples) -> None:
        """Nothing is announced yet."""
        self._samples = samples
        self._expected = deque[Tensor]()
        self._batches: Iterator[Samples] = iter(())

    def announce(self, indices: Sequence[Tensor]) -> None:
        """Say which batches will be taken next, and in which order; replaces what was said before.

        Args:
            indices: The numbers (B,) of each batch's situations, in the very memory that `take` will be given.
        """
        if isinstance(self._samples, MappedSamples):
            self._expected, self._batches = deque(indices), self._samples.batches(indices)

    def take(self, index: Tensor) -> Samples:
        """The situations `index` (B,)."""
        # Comparing the numbers themselves would have to wait for a GPU.
        if self._expected and _same_memory(self._expected[0], index):
            self._expected.popleft()
            return next(self._batches)
        return self._samples[index]


def _same_memory(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors are the same numbers at the same place."""
    return one.data_ptr() == other.data_ptr() and one.shape == other.shape and one.dtype is other.dtype
