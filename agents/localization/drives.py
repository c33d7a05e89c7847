"""Drives to localise: the expert's, of a given length through held-out towns, recorded once and kept."""

from collections.abc import Sequence
from pathlib import Path

from navsim.datasets.files import read_episode, read_header, write_episode
from navsim.errors import EpisodeError
from navsim.simulation.episode import Episode
from navsim.simulation.expert import LaneExpert
from navsim.simulation.rollout import drive
from navsim.simulation.scenario import Scenario
from navsim.simulation.simulation import Simulation, SimulationConfig


def recorded_drive(folder: Path, scenario: Scenario, simulation: SimulationConfig) -> Episode:
    """The drive of a scenario with its images: read if it was recorded before, else driven and kept.

    Raises:
        EpisodeError: If the file holds another drive or other pictures.
        TownError: If the town has no such route.
        StorageError: If it cannot be written.
    """
    path = folder / f"{scenario.name}.parquet"
    if path.exists():
        check_pictures(path, simulation)
        episode = read_episode(path)
        if episode.scenario != scenario:
            raise EpisodeError(f"{path}: holds a drive of {episode.scenario}, not of {scenario}; remove it")
        return episode
    with Simulation(simulation) as world:
        episode = drive(world, LaneExpert(simulation.expert, simulation.vehicle), scenario)
        write_episode(episode, path, {"renderer": world.renderer_name})
    return episode


def check_pictures(path: Path, simulation: SimulationConfig) -> None:
    """Make sure that a recorded drive has the pictures that a policy's cameras take.

    Raises:
        EpisodeError: If it was recorded without images, or with others.
    """
    header = read_header(path)
    camera = simulation.cameras[0]
    wanted = (len(simulation.cameras), camera.height, camera.width, 3)
    if "images" not in header.recorded or tuple(header.shapes["images"]) != wanted:
        shape = tuple(header.shapes["images"]) if "images" in header.recorded else "none"
        raise EpisodeError(f"{path}: its images are {shape}; the policy was trained with {wanted}")


def spread_drives(towns: Sequence[str], count: int, length: float, first: int = 0) -> tuple[Scenario, ...]:
    """`count` scenarios of routes `length` [m] long, the towns taking turns, routes numbered from `first`."""
    return tuple(
        Scenario(town=towns[i % len(towns)], route=first + i // len(towns), length=length) for i in range(count)
    )
