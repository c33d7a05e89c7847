"""Collecting: the expert drives, pulled aside by steering noise, and every drive becomes one file."""

import weakref
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from typing import Any

from navsim.config import to_mapping
from navsim.datasets.collection_config import CollectConfig, data_settings, planned_towns
from navsim.datasets.dataset import DatasetDescription, episode_path
from navsim.datasets.files import write_episode
from navsim.datasets.production import Maker, Plan, Recording, Work, claim_folder, produce
from navsim.datasets.statistics import Statistics
from navsim.simulation.batched_rollout import Crew, drive_together, simulations
from navsim.simulation.episode_rerenderer import Redrawer
from navsim.simulation.expert import LaneExpert
from navsim.simulation.sensor_setup import position_fixes
from navsim.versions import git_revision, software_versions

NO_RENDERER = "none"
"""What is recorded as the renderer of drives without images."""


@dataclass(frozen=True)
class Collection:
    """What a data folder holds after a collection."""

    recording: Recording
    """What this run has added; nothing if all was there."""
    statistics: Statistics
    """What is in the folder."""


def collect(config: CollectConfig) -> Collection:
    """Record every drive that is not yet in the folder and write its statistics.

    Raises:
        ConfigError: If the folder holds data of other settings.
        StorageError: If the folder holds something else, or an unfinished collection and `config.resume` is off, or
            the disk is full; drives recorded so far are whole and stay.
        WorkerError: If the process of a drive died whenever it was tried; all other drives are recorded.
        KeyboardInterrupt: After Ctrl-C, with words on how to go on.
    """
    towns = tuple(planned_towns(config))
    prepare_folder(config)
    plan = Plan(config.out, towns, "collecting", config.workers, config.resume)
    return Collection(*produce(plan, make_recorder, config))


def prepare_folder(config: CollectConfig) -> None:
    """Make the data folder, or check that the one that is there is of the same settings.

    Raises:
        ConfigError: Naming the settings that differ.
        StorageError: If the folder holds something else.
    """
    settings = data_settings(config)
    settings.pop("simulation")
    claim_folder(config.out, DatasetDescription(config.simulation, settings, software_versions(), git_revision()))


def make_recorder(config: CollectConfig) -> Maker:
    """Start simulations and return the function that records drives in one town and tells their numbers of steps."""
    stack = ExitStack()
    # Drives without images start no context of OpenGL, which may not be there.
    simulation = config.simulation if config.images else replace(config.simulation, renderer="tiny")
    cars = stack.enter_context(simulations(simulation, min(config.worlds, config.routes_per_town)))
    crews = [Crew(car, LaneExpert(config.simulation.expert, config.simulation.vehicle)) for car in cars]
    redrawer = stack.enter_context(closing(Redrawer(simulation, cars[0].renderer, cars[0].shelf)))
    metadata: dict[str, Any] = {
        "simulation": to_mapping(config.simulation),
        "noise": to_mapping(config.noise),
        "renderer": cars[0].renderer_name if config.images else NO_RENDERER,
    }

    def record(scenarios: Work) -> list[int]:
        steps = []
        for episode in drive_together(crews, scenarios, config.noise, sense=config.images):
            if not config.images:
                episode = replace(episode, gps=position_fixes(simulation, episode.scenario, episode.poses[:-1]))
            if "classes" in config.channels:
                episode = replace(episode, classes=redrawer.classes(episode))
            if "objects" in config.channels:
                episode = replace(episode, objects=redrawer.objects(episode))
            write_episode(episode, episode_path(config.out, episode.scenario), metadata)
            steps.append(len(episode))
        return steps

    weakref.finalize(record, stack.close)  # the cars go when nobody can drive them any more
    return record
