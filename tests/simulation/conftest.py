from collections.abc import Iterator

import pytest

from navsim.drivers.protocol import Decision
from navsim.sensing.camera import Camera
from navsim.sensing.observation import Observation
from navsim.sensing.roadmap import MapSpec
from navsim.simulation.config import SimulationConfig
from navsim.simulation.simulation import Simulation

SMALL = SimulationConfig(
    cameras=(Camera(width=32, height=16),), map=MapSpec(size_px=16, ego_row=10, metres_per_pixel=3.0)
)


class Watcher:
    """A driver that keeps what it saw."""

    name = "watcher"

    def begin(self, seed: int) -> None:
        self.seen: list[Observation] = []

    def drive(self, observation: Observation) -> Decision:
        self.seen.append(observation)
        return Decision(0.0)


@pytest.fixture(scope="module")
def simulation() -> Iterator[Simulation]:
    """One simulation for a whole file: `reset` must leave nothing behind."""
    with Simulation(SMALL) as shared:
        yield shared
