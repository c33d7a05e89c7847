"""Episodes and data folders made up for tests, and how to compare them."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np

from navsim.datasets.collection_config import CollectConfig
from navsim.datasets.dataset import DatasetDescription, episode_files, episode_path, write_description
from navsim.datasets.episode_files import write_episode
from navsim.roads.elements import Manoeuvre
from navsim.roads.routing import JunctionPassage
from navsim.sensing.camera import Camera
from navsim.sensing.roadmap import MapSpec
from navsim.simulation.config import SimulationConfig
from navsim.simulation.episode import Episode
from navsim.simulation.expert import SteeringNoise
from navsim.simulation.scenario import Outcome, Scenario, StartOffset
from navsim.simulation.termination import Rules

TINY = SimulationConfig(cameras=(Camera(width=16, height=8),), map=MapSpec(size_px=10, ego_row=7), renderer="tiny")
"""A simulation with the smallest images; its episodes have the shapes of `made_up_episode`."""

SHORT_COLLECTION = CollectConfig(
    simulation=dataclasses.replace(TINY, rules=Rules(slowest_mean_speed=200.0, spare_time=1.0)),
    train_towns=1,
    validation_towns=1,
    routes_per_town=3,
    noise=SteeringNoise(bursts_per_minute=60.0),
    workers=1,
)
"""Six drives of about three seconds each, then their time is up."""


def made_up_episode(
    scenario: Scenario | None = None,
    steps: int = 5,
    shape: tuple[int, int, int] = (1, 8, 16),
    map_size: int = 10,
    images: bool = True,
    seed: int = 0,
) -> Episode:
    """Random arrays in the form of an episode."""
    rng = np.random.default_rng(seed)
    kept = steps if images else 0
    maps = rng.integers(0, 256, (2, kept, map_size, map_size)).astype(np.uint8)
    return Episode(
        scenario=Scenario(start=StartOffset(0.1, -2.3)) if scenario is None else scenario,
        driver="expert",
        outcome=Outcome.LEFT_ROAD,
        route_length=123.456,
        passages=(JunctionPassage(10.1, 20.2, Manoeuvre.LEFT, 3), JunctionPassage(90.0, 99.9, Manoeuvre.STRAIGHT, 0)),
        images=rng.integers(0, 256, (kept, *shape, 3)).astype(np.uint8),
        road_maps=maps[0],
        route_maps=maps[1],
        gps=rng.normal(size=(steps, 3)),
        commands=rng.normal(size=steps) * 0.1,
        labels=rng.normal(size=steps) * 0.1,
        times=np.linspace(0, steps * 0.1, steps + 1),
        poses=rng.normal(size=(steps + 1, 3)),
        speeds=rng.uniform(0, 9, steps + 1),
        stations=np.linspace(0, 50, steps + 1),
        offsets=rng.normal(size=steps + 1),
        heading_errors=rng.normal(size=steps + 1),
    )


def assert_same_episode(a: Episode, b: Episode) -> None:
    """Fail unless all values, types and shapes are equal, NaN equal to NaN."""
    for field in dataclasses.fields(Episode):
        left, right = getattr(a, field.name), getattr(b, field.name)
        if isinstance(left, np.ndarray):
            assert left.dtype == right.dtype, field.name
            assert left.shape == right.shape, field.name
            assert left.tobytes() == right.tobytes(), field.name
        else:
            assert left == right, field.name


def made_up_folder(folder: Path, train: int = 2, validation: int = 1) -> list[Episode]:
    """Write a data folder with one episode per town."""
    write_description(folder, DatasetDescription(TINY, {"seed": 0}, {"numpy": "2"}, "unknown"))
    names = [f"train-{i}" for i in range(train)] + [f"validation-{i}" for i in range(validation)]
    episodes = [made_up_episode(Scenario(name), steps=3 + i, seed=i) for i, name in enumerate(names)]
    for episode in episodes:
        write_episode(episode, episode_path(folder, episode.scenario), {})
    return episodes


def spread(both: Path, *folders: Path) -> None:
    """Copy the episodes of a folder into others in turn."""
    for i, path in enumerate(episode_files(both)):
        target = folders[i % len(folders)]
        (target / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(both / "dataset.json", target)
        shutil.copy(path, target / path.parent.name)
