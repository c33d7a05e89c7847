"""A driving simulator and closed-loop harness: towns, physics, cameras, maps, recording, measuring.

The names of `__all__` are imported when they are first used, so that `import navsim` alone stays fast.
"""

import importlib
from typing import TYPE_CHECKING

import gymnasium

if TYPE_CHECKING:
    from navsim.drivers.protocol import Decision, Driver
    from navsim.sensing.observation import Observation
    from navsim.simulation.config import SimulationConfig
    from navsim.simulation.episode import Episode
    from navsim.simulation.rollout import drive
    from navsim.simulation.scenario import Scenario
    from navsim.simulation.simulation import Simulation

__all__ = ["Decision", "Driver", "Episode", "Observation", "Scenario", "Simulation", "SimulationConfig", "drive"]

_MODULES = {
    "Decision": "navsim.drivers.protocol",
    "Driver": "navsim.drivers.protocol",
    "Episode": "navsim.simulation.episode",
    "Observation": "navsim.sensing.observation",
    "Scenario": "navsim.simulation.scenario",
    "Simulation": "navsim.simulation.simulation",
    "SimulationConfig": "navsim.simulation.config",
    "drive": "navsim.simulation.rollout",
}

gymnasium.register(
    "navsim/Town-v0",
    entry_point="navsim.simulation.environment:TownEnvironment",
    vector_entry_point="navsim.simulation.vector:TownVectorEnvironment",
)


def __getattr__(name: str) -> object:
    """Import a public name.

    Raises:
        AttributeError: If the name is not public.
    """
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)
