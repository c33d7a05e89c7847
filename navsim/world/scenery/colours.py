"""Colours as red, green and blue, and how they are drawn and mixed."""

import colorsys

import numpy as np

Colour = tuple[int, int, int]
"""Red, green, blue, each 0 to 255."""
Range = tuple[float, float]
"""Least and greatest value of a uniform draw."""
Hsv = tuple[Range, Range, Range]
"""Ranges of hue, saturation and value, each in [0, 1]."""


def from_hsv(hue: float, saturation: float, value: float) -> Colour:
    """A colour from hue, saturation and value, each in [0, 1]."""
    red, green, blue = (round(255 * part) for part in colorsys.hsv_to_rgb(float(hue) % 1.0, saturation, value))
    return (red, green, blue)


def drawn(rng: np.random.Generator, ranges: Hsv) -> Colour:
    """Draw a colour."""
    hue, saturation, value = (float(rng.uniform(*part)) for part in ranges)
    return from_hsv(hue, saturation, value)


def mixed(first: Colour, second: Colour, share: float) -> Colour:
    """`first` with a `share` in [0, 1] of `second`."""
    red, green, blue = (round((1 - share) * a + share * b) for a, b in zip(first, second, strict=True))
    return (red, green, blue)


def scaled(colour: Colour, factor: float) -> Colour:
    """A colour made lighter or darker."""
    red, green, blue = (min(255, round(factor * part)) for part in colour)
    return (red, green, blue)
