"""Pictures of held-out towns: the expert drives there once, and the same places are drawn under many conditions."""

from collections.abc import Sequence
from dataclasses import replace

from agents.segmentation.config import HeldOutConfig
from agents.segmentation.pictures import LabelledPictures, joined, of_cameras
from navsim.driving.episode import Episode
from navsim.driving.expert import LaneExpert
from navsim.driving.redrawing import Redrawer, under
from navsim.driving.rollout import drive
from navsim.driving.rules import Rules
from navsim.driving.settings import SimulationConfig
from navsim.driving.simulation import Simulation
from navsim.evaluation.suite import RouteSuite
from navsim.progress import progress
from navsim.roads.towns import Split


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


def pictures_under(redrawer: Redrawer, drives: Sequence[Episode], condition: str, every: int) -> LabelledPictures:
    """Draw each `every`-th frame of drives under a condition, see `navsim.world.appearance`, with its classes."""
    parts = []
    for episode in drives:
        seen = redrawer.measure(
            replace(episode, scenario=under(episode.scenario, condition)), range(0, len(episode), every)
        )
        parts.append(of_cameras(seen.images, seen.semantic, episode.scenario.town))
    return joined(parts)
