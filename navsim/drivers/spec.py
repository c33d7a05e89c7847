"""Drivers to be measured: their names, and all that another process needs to make them."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

from navsim.drivers.protocol import ConstantDriver, Decision, Driver, Expert
from navsim.roads.routing import Route
from navsim.world.vehicle import VehicleState


@dataclass(frozen=True)
class DriverSpec:
    """A driver to be measured, not yet made."""

    name: str
    """Name in tables and folders."""
    make: Callable[[Any], Driver | Expert]
    """Function that makes the driver from `source`; of a module, so that other processes find it."""
    source: Hashable = None
    """Argument of `make`: plain values, such as a path."""
    senses: bool = True
    """Whether the driver needs observations; nothing is rendered for a driver that does not."""
    origin: str = ""
    """Origin for the results: a path, or a few words."""
    digest: str = ""
    """Text that distinguishes drivers of one name, such as a checksum of the file."""
    cars: int = 1
    """Number of cars that it drives side by side; above 1, `make` makes a `BatchDriver`."""
    renderer: str = ""
    """Renderer of the images that it learned from; empty if it did not learn or this is unknown."""

    def driver(self) -> Driver | Expert:
        """Make the driver."""
        return self.make(self.source)


class FixedDecision:
    """A driver with one decision, called as an expert so that nothing needs to be sensed; it ignores the true state."""

    def __init__(self, decision: Decision, name: str) -> None:
        """Always answer with `decision`."""
        self.name = name
        self._decision = decision

    def follow(self, route: Route) -> None:
        """Nothing depends on the route."""

    def command(self, state: VehicleState) -> Decision:  # noqa: ARG002 - the state is ignored
        """Return the one decision."""
        return self._decision


def constant_driver_spec(curvature: float = 0.0) -> DriverSpec:
    """Return a driver that holds one curvature [1/m]."""
    origin = f"curvature {curvature:g} 1/m"
    return DriverSpec("constant", _make_constant, curvature, senses=False, origin=origin, digest=origin)


def _make_constant(curvature: float) -> Expert:
    return FixedDecision(Decision(curvature), ConstantDriver(curvature).name)
