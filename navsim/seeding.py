"""Random generators by name, so that adding a consumer never changes what the others draw."""

import zlib

import numpy as np


def generator(seed: int, *names: str | int) -> np.random.Generator:
    """Return the generator that belongs to `names` under `seed`.

    Args:
        seed: The seed of the run, town or drive; any non-negative integer.
        names: Who draws, for instance `("town", "trees")`. Integers serve as indices.

    Returns:
        A generator that depends on `seed` and `names` alone, independent of all others.

    Raises:
        ValueError: If `seed` is negative.
    """
    if seed < 0:
        raise ValueError(f"seed must be a non-negative integer, got {seed}")
    return np.random.default_rng(np.random.SeedSequence([seed, *map(_word, names)]))


def derived_seed(seed: int, *names: str | int) -> int:
    """Return a 32-bit seed that belongs to `names` under `seed`, for code that takes integers."""
    return int(generator(seed, *names, "seed").integers(2**32))


def _word(name: str | int) -> int:
    """Map a name to a number of two 32-bit words, the upper one telling texts from integers.

    SeedSequence pads with zeros, so without the upper word a trailing index 0 would change nothing.
    """
    return zlib.crc32(name.encode()) | 1 << 32 if isinstance(name, str) else name | 2 << 32
