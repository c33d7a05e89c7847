"""Small data folders whose objects are rectangles in the colour of their class."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from agents.detection.config import CountedConfig
from agents.detection.pictures import Pictures, joined
from navsim.driving.episode import Episode
from navsim.driving.simulation import SimulationConfig
from navsim.geometry import Array
from navsim.recording.dataset import DatasetDescription, episode_path, write_description
from navsim.recording.files import write_episode
from navsim.sensing.camera import Camera
from navsim.sensing.observation import Image
from tests.agents.small_runs import MAP, small_episode

CAMERA = Camera(width=64, height=32)
SIMULATION = SimulationConfig(cameras=(CAMERA,), map=MAP)
COLOURS = ((60, 90, 230), (40, 200, 80), (230, 60, 40))
"""Of cars, people and signs."""
SIZES = ((24, 14), (6, 16), (10, 20))
"""Width and height of each [px]; they differ by a tenth."""


def boxed_frames(count: int, rng: np.random.Generator) -> tuple[Image, Array]:
    """Pictures (count, 1, 32, 64, 3) with at most one object in each half, and the objects (N, OBJECT_COLUMNS)."""
    images = rng.integers(100, 130, (count, 1, CAMERA.height, CAMERA.width, 3)).astype(np.uint8)
    rows = []
    for frame in range(count):
        for left in (0, 32):
            kind = int(rng.integers(4))
            if kind < 3:
                width, height = (round(size * rng.uniform(0.9, 1.1)) for size in SIZES[kind])
                x, y = left + int(rng.integers(32 - width)), int(rng.integers(32 - height))
                images[frame, 0, y : y + height, x : x + width] = COLOURS[kind]
                rows.append((frame, 0, kind, x, y, x + width, y + height, 1.0))
    return images, np.array(rows, float).reshape(-1, 8)


def boxed_episode(town: str, steps: int = 12, seed: int = 0) -> Episode:
    """A drive with objects."""
    images, objects = boxed_frames(steps, np.random.default_rng(seed))
    return replace(small_episode(town, steps, seed), images=images, objects=objects)


def boxed_folder(folder: Path, train: int = 4, validation: int = 2) -> Path:
    """Write a data folder with one episode per town."""
    write_description(folder, DatasetDescription(SIMULATION, {"seed": 0}, {"numpy": "2"}, "unknown"))
    towns = [f"train-{i}" for i in range(train)] + [f"validation-{i}" for i in range(validation)]
    for seed, town in enumerate(towns):
        episode = boxed_episode(town, seed=seed)
        write_episode(episode, episode_path(folder, episode.scenario), {"renderer": "made up"})
    return folder


def boxed_pictures(count: int, seed: int = 0) -> Pictures:
    """Pictures of two towns."""
    rng = np.random.default_rng(seed)
    parts = [(*boxed_frames(count // 2, rng), f"test-{town}") for town in range(2)]
    return joined(parts, CountedConfig())
