"""Drives in held-out towns: the expert drives there once, and the same places are drawn under many conditions."""

from dataclasses import replace

from agents.perception.config import HeldOutConfig
from navsim.evaluation.routes import RouteSuite
from navsim.progress import progress
from navsim.roads.generators.towns import Split
from navsim.simulation.episode import Episode
from navsim.simulation.expert import LaneExpert
from navsim.simulation.rollout import drive
from navsim.simulation.settings import SimulationConfig
from navsim.simulation.simulation import Simulation
from navsim.simulation.termination import Rules


def held_out_drives(config: HeldOutConfig, simulation: SimulationConfig) -> list[Episode]:
    """Let the expert drive one route in each of the held-out towns to its end; nothing is drawn."""
    suite = RouteSuite(config.towns, 0, config.towns, Split.TEST, config.seed, config.generators)
    expert = LaneExpert(simulation.expert, simulation.vehicle)
    # Whoever draws nothing starts no context of OpenGL.
    with (
        Simulation(replace(simulation, renderer="tiny", rules=Rules())) as car,
        progress("driving", config.towns, "routes") as advance,
    ):
        episodes = []
        for scenario in suite.scenarios():
            episodes.append(drive(car, expert, scenario, sense=False, record_images=False))
            advance()
    return episodes
