"""Small data folders whose pictures tell their classes by colour."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from agents.perception.segmentation.network import SegmentationNetworkConfig
from agents.perception.segmentation.pictures import LabelledPictures
from agents.perception.segmentation.task import SegmentationConfig
from agents.training.optimization import OptimizerConfig
from navsim.sensing.observation import Image
from navsim.simulation.episode import Episode
from navsim.world.scenery.meshes import SemanticClass
from tests.agents.small_runs import small_episode, small_folder

SHOWN = (SemanticClass.ROAD, SemanticClass.GROUND, SemanticClass.BUILDING, SemanticClass.SKY)
"""The classes in the pictures; they lie in bands, one below the other, the sky on top."""
COLOURS = {
    SemanticClass.ROAD: (90, 90, 95),
    SemanticClass.GROUND: (90, 150, 60),
    SemanticClass.BUILDING: (180, 90, 70),
    SemanticClass.SKY: (150, 190, 240),
}


def banded_classes(count: int, cameras: int, size: int, rng: np.random.Generator) -> Image:
    """Classes (count, cameras, size, size): bands that begin anywhere."""
    edges = np.sort(rng.integers(1, size, (count, cameras, len(SHOWN) - 1)))
    rows = np.arange(size)[None, None, :, None]
    band = (rows >= edges[:, :, None, :]).sum(axis=-1)  # 0 on top
    classes = np.array(SHOWN[::-1], np.uint8)[band]
    return np.asarray(np.repeat(classes[..., None], size, axis=-1))


def coloured(classes: Image, rng: np.random.Generator) -> Image:
    """Pictures (..., 3) of classes (...): their colours, a little noisy."""
    palette = np.zeros((len(SemanticClass), 3))
    for member, colour in COLOURS.items():
        palette[member] = colour
    return np.clip(palette[classes] + rng.normal(0, 6, (*classes.shape, 3)), 0, 255).astype(np.uint8)


def labelled_episode(town: str, steps: int = 12, seed: int = 0) -> Episode:
    """A drive of 32x32 px with classes."""
    rng = np.random.default_rng(seed)
    classes = banded_classes(steps, 1, 32, rng)
    return replace(small_episode(town, steps, seed), images=coloured(classes, rng), classes=classes)


def labelled_folder(folder: Path, train: int = 3, validation: int = 2) -> Path:
    """Write a data folder with one episode per town."""
    return small_folder(folder, train, validation, labelled_episode)


def small_segmentation(data: Path, run: Path, **changes: object) -> SegmentationConfig:
    """A run of four epochs of nine steps."""
    config = SegmentationConfig(
        data=data,
        run_dir=run,
        every=1,
        epochs=4,
        batch_size=4,
        network=SegmentationNetworkConfig((8, 16), 8),
        optimizer=OptimizerConfig(learning_rate=1e-2),
        device="cpu",
        precision="float32",
    )
    return replace(config, **changes)  # type: ignore[arg-type]


def labelled_pictures(count: int, towns: int = 2, seed: int = 0) -> LabelledPictures:
    """Pictures of 32x32 px, from the towns in turn."""
    rng = np.random.default_rng(seed)
    classes = banded_classes(count, 1, 32, rng)[:, 0]
    names = np.array([f"test-{i % towns}" for i in range(count)])
    return LabelledPictures(coloured(classes, rng), classes, names)
