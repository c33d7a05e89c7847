"""Outlines of houses."""

from dataclasses import dataclass

from navsim.geometry import Array


@dataclass(frozen=True, eq=False)
class Footprint:
    """The outline of one house."""

    outline: Array
    """Corners (N, 2) [m], counter-clockwise, the first not repeated."""
    height: float
    """Of its walls [m]."""
