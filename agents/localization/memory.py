"""Rows of numbers remembered by whole numbers. N: keys, K: numbers in a row."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_ROOM = 4096  # rows at first

Make = Callable[[NDArray[np.int64]], Tensor]
"""Makes the rows (n, K) of some of the keys, given their indices (n,)."""


class Memory:
    """What was made once is not made again, until there is too much of it: then all is forgotten."""

    def __init__(self, width: int, most: int) -> None:
        """Remember nothing yet.

        Args:
            width: Length of a row.
            most: How many rows may be remembered; more only if so many are asked for at once.
        """
        self._width, self._most = width, most
        self._places: dict[int, int] = {}
        self._rows = torch.zeros(0, width)

    def __len__(self) -> int:
        """Number of rows that are remembered."""
        return len(self._places)

    def recall(self, keys: NDArray[np.int64], make: Make) -> Tensor:
        """The rows (N, K) of different keys (N,); `make` is asked for those that are not remembered."""
        listed = keys.tolist()
        new = [index for index, key in enumerate(listed) if key not in self._places]
        if len(self._places) + len(new) > self._most and self._places:
            self._places.clear()
            new = list(range(len(listed)))
        if new:
            first = len(self._places)
            self._make_room(first + len(new))
            self._rows[first : first + len(new)] = make(np.array(new))
            self._places |= {listed[index]: first + i for i, index in enumerate(new)}
        return self._rows[[self._places[key] for key in listed]]

    def _make_room(self, count: int) -> None:
        """Have room for `count` rows; doubled, so that what is there is seldom moved."""
        if count > len(self._rows):
            rows = torch.zeros(max(count, 2 * len(self._rows), _ROOM), self._width)
            rows[: len(self._rows)] = self._rows
            self._rows = rows
