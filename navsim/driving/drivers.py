"""What drives a car: the `Driver` protocol for those who sense, `Expert` for those who see the truth."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from navsim.errors import ActionError
from navsim.geometry import Array
from navsim.roads.routing import Route
from navsim.sensing.observation import Observation
from navsim.world.vehicle import VehicleState


@dataclass(frozen=True, eq=False)
class Decision:
    """A command and, from drivers that have one, the distribution that it was taken from."""

    curvature: float
    """Commanded path curvature [1/m], positive to the left."""
    grid: Array | None = None
    """Curvatures (B,) [1/m], increasing, at which `density` is given."""
    density: Array | None = None
    """Probability density (B,) [m] of the curvature over `grid`."""

    def __post_init__(self) -> None:
        if not np.isfinite(self.curvature):
            raise ActionError(f"a decision's curvature must be finite, got {self.curvature}")


@runtime_checkable
class Driver(Protocol):
    """Drives by what a real car would know; anything with these members can be measured."""

    name: str
    """Name in tables and files."""

    def begin(self, seed: int) -> None:
        """Forget the last drive; `seed` decides whatever is random in the next one."""

    def drive(self, observation: Observation) -> Decision:
        """Choose the command for the next control step."""


@runtime_checkable
class Expert(Protocol):
    """Drives by the true state and route; reports mark that it saw the truth."""

    name: str
    """Name in tables and files."""

    def follow(self, route: Route) -> None:
        """Forget the last drive and take up `route`."""

    def command(self, state: VehicleState) -> Decision:
        """Choose the command for the next control step."""


class ConstantDriver:
    """Holds one curvature whatever it sees: the floor of every comparison."""

    def __init__(self, curvature: float = 0.0) -> None:
        """Hold `curvature` [1/m], positive to the left."""
        self.name = "constant"
        self._decision = Decision(curvature)

    def begin(self, seed: int) -> None:
        """Nothing to forget."""

    def drive(self, observation: Observation) -> Decision:  # noqa: ARG002 - it does not look
        """Return the constant command."""
        return self._decision
