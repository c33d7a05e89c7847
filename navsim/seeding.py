"""Random generators by name, so that a new consumer never changes the draws of the others."""

import zlib

import numpy as np


def generator(seed: int, *names: str | int) -> np.random.Generator:
    """Return the random generator of a consumer.

    Args:
        seed: Seed of the run, town or drive; any non-negative integer.
        names: Name of the consumer, for instance `("town", "trees")`. Integers are indices.

    Returns:
        A generator that depends only on `seed` and `names`, independent of all others.

    Raises:
        ValueError: If `seed` is negative.
    """
    if seed < 0:
        raise ValueError(f"seed must be a non-negative integer, got {seed}")
    return np.random.default_rng(np.random.SeedSequence([seed, *map(_word, names)]))


def derived_seed(seed: int, *names: str | int) -> int:
    """Return the 32-bit seed of a consumer, for code that needs an integer; see `generator`."""
    return int(generator(seed, *names, "seed").integers(2**32))


def _word(name: str | int) -> int:
    """Map a name to a number of two 32-bit words, of which the upper one distinguishes texts from integers.

    SeedSequence pads with zeros, so without the upper word a trailing index 0 would change nothing.
    """
    return zlib.crc32(name.encode()) | 1 << 32 if isinstance(name, str) else name | 2 << 32
