"""What a process holds after thousands of resets."""

from pathlib import Path

import pytest

from navsim.sensing.camera import Rig
from navsim.simulation.config import SimulationConfig
from navsim.simulation.scenario import Scenario
from navsim.simulation.simulation import Simulation

RESETS, TOWNS = 10_000, 100


def resident_mib() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20


@pytest.mark.linux
@pytest.mark.slow
@pytest.mark.parametrize("renderer", ["opengl", "tiny"])
def test_memory_stays_flat_over_ten_thousand_resets(renderer: str) -> None:
    marks = []
    with Simulation(SimulationConfig(rig=Rig.PILOTNET, renderer=renderer)) as simulation:  # type: ignore[arg-type]
        for reset in range(RESETS):
            town = f"train-{reset * TOWNS // RESETS % 10}"
            simulation.reset(Scenario(town, route=reset % 50))
            simulation.step(0.01)
            if reset % 100 == 99:
                marks.append(resident_mib())
    # Ten towns take turns; after each has been seen once, the process has what it needs.
    assert max(marks[-10:]) - max(marks[10:20]) < 10.0
    assert max(marks) < 400.0  # one process with its libraries, driver and one world
