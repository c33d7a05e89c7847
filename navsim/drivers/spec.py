"""Who is measured: drivers by name, with what it takes to make them in another process."""

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
    """A function of a module, so that other processes find it; makes the driver from `source`."""
    source: Hashable = None
    """Its argument: plain values, such as a path."""
    looks: bool = True
    """Whether it senses; nothing is rendered for one that does not."""
    origin: str = ""
    """Where it comes from, for the results: a path, or a few words."""
    digest: str = ""
    """Tells two drivers of one name apart, such as a checksum of the file."""
    cars: int = 1
    """How many cars it drives side by side; above 1, `make` makes a `BatchDriver`."""
    renderer: str = ""
    """What drew the images that it learned from, if it did and that is known."""

    def driver(self) -> Driver | Expert:
        """Make the driver."""
        return self.make(self.source)


class Unseeing:
    """A driver that ignores what it senses, driven without sensing: it is asked like an expert, but not told more."""

    def __init__(self, decision: Decision, name: str) -> None:
        """Always answer with `decision`."""
        self.name = name
        self._decision = decision

    def follow(self, route: Route) -> None:
        """Nothing depends on the route."""

    def command(self, state: VehicleState) -> Decision:  # noqa: ARG002 - it does not look
        """Return the one decision."""
        return self._decision


def constant_driver_spec(curvature: float = 0.0) -> DriverSpec:
    """A driver that holds one curvature [1/m]."""
    words = f"curvature {curvature:g} 1/m"
    return DriverSpec("constant", _make_constant, curvature, looks=False, origin=words, digest=words)


def _make_constant(curvature: float) -> Expert:
    constant = ConstantDriver(curvature)
    return Unseeing(Decision(curvature), constant.name)
