"""The cache of rows: each row is made once, returned in any order, and all are cleared when the cache is full."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.localization.steering import RowCache


class Maker:
    """Makes the row (key, key squared) and records the keys."""

    def __init__(self) -> None:
        self.made: list[int] = []

    def rows(self, cache: RowCache, keys: list[int]) -> list[list[float]]:
        asked = np.array(keys, np.int64)

        def make(new: NDArray[np.int64]) -> Tensor:
            self.made += asked[new].tolist()
            return torch.tensor([[key, key**2] for key in asked[new].tolist()], dtype=torch.float32)

        return cache.get(asked, make).tolist()


def test_rows_are_made_once_and_returned_in_the_order_of_the_keys() -> None:
    cache, maker = RowCache(2, max_size=100), Maker()
    assert maker.rows(cache, [3, 1, 2]) == [[3, 9], [1, 1], [2, 4]]
    assert maker.rows(cache, [2, 5, 3, -7]) == [[2, 4], [5, 25], [3, 9], [-7, 49]]
    assert maker.made == [3, 1, 2, 5, -7]
    assert len(cache) == 5
    assert maker.rows(cache, []) == []


def test_the_cache_grows_without_losing_rows() -> None:
    cache, maker = RowCache(2, max_size=10**6), Maker()
    for start in range(0, 9000, 1500):
        maker.rows(cache, list(range(start, start + 1500)))
    assert maker.rows(cache, [0, 2500, 4000]) == [[0, 0], [2500, 2500**2], [4000, 4000**2]]
    assert len(maker.made) == 9000


def test_a_full_cache_is_cleared() -> None:
    cache, maker = RowCache(2, max_size=4), Maker()
    maker.rows(cache, [1, 2, 3])
    assert maker.rows(cache, [2, 4, 5]) == [[2, 4], [4, 16], [5, 25]]
    assert maker.made == [1, 2, 3, 2, 4, 5]
    assert len(cache) == 3
    assert maker.rows(cache, list(range(6))) == [[k, k**2] for k in range(6)]  # at once, it may be more
