"""Small data folders whose objects are rectangles in the colour of their class."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from agents.perception.detection.pictures import BoxedPictures, CountedConfig, DetectionConfig, objects_source
from agents.perception.pictures import PerceptionFrame
from agents.training.optimization import OptimizerConfig
from navsim.geometry import Array
from navsim.sensing.camera import Camera
from navsim.sensing.observation import Image
from navsim.simulation.config import SimulationConfig
from navsim.simulation.episode import Episode
from tests.agents.small_runs import MAP, small_episode, small_folder

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
    return small_folder(folder, train, validation, boxed_episode, SIMULATION)


def small_detection(data: Path, run: Path, **changes: object) -> DetectionConfig:
    """A run of two epochs of three steps."""
    config = DetectionConfig(
        data=data,
        run_dir=run,
        every=1,
        validate_every=6,
        epochs=2,
        optimizer=OptimizerConfig(learning_rate=3e-3, max_gradient_norm=5.0),
        device="cpu",
        precision="float32",
    )
    return replace(config, **changes)  # type: ignore[arg-type]


def boxed_pictures(count: int, seed: int = 0) -> BoxedPictures:
    """Pictures of two towns."""
    rng = np.random.default_rng(seed)
    parts = [PerceptionFrame(*boxed_frames(count // 2, rng), f"test-{town}") for town in range(2)]
    return objects_source(CountedConfig()).joined(parts)
