"""Settings of all tasks of perception."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from annotated_types import Ge, Le

from agents.training.augmentation import ImageVariation
from agents.training.config import TrainingRunConfig
from navsim.config import Constrained
from navsim.datasets.dataset import DataFolders
from navsim.errors import ConfigError
from navsim.roads.generators.towns import TOWN_GENERATORS, Generator, check_generators
from navsim.world.scenery.appearance import parse_spec


@dataclass(frozen=True)
class HeldOutConfig(Constrained):
    """Towns and conditions in which the trained network is evaluated; none of the towns is in the training data."""

    towns: Annotated[int, Ge(1), Le(1000)] = 12
    """Number of held-out towns of the split `test`; the expert drives one route in each."""
    every: Annotated[int, Ge(1)] = 15
    """Step between the frames of those drives that are evaluated [frames]."""
    seed: Annotated[int, Ge(0)] = 0
    """Seed of towns and routes."""
    generators: tuple[Generator, ...] = TOWN_GENERATORS
    """Generators of the towns, in turn."""
    conditions: tuple[str, ...] = ("", "fog", "rain", "dusk", "night", "winter", "shift-2")
    """Appearances in which the same pictures are rendered, see `navsim.world.scenery.appearance`; empty takes those of
    training for each town."""
    overlays: Annotated[int, Ge(0), Le(100)] = 4
    """Number of pictures shown for each condition."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_generators(self.generators)
        for spec in self.conditions:
            parse_spec(spec)
        if not self.conditions or len(set(self.conditions)) < len(self.conditions):
            raise ConfigError(f"held_out.conditions must name conditions, each once, got {list(self.conditions)}")


@dataclass(frozen=True)
class PerceptionConfig(TrainingRunConfig):
    """Settings of the training of a network of perception, without those of its task."""

    task: str = ""
    """Name of the task."""
    data: DataFolders = Path("runs/perception/data")
    """Folder with the recorded drives, in `train` and `validation`, with their labels; or several folders."""
    run_dir: Path = Path("runs/perception/network")
    """Folder for checkpoints, logs and results."""
    every: Annotated[int, Ge(1)] = 1
    """Step between the frames of the drives that are learned from, as neighbouring frames look alike [frames]."""
    augmentation: ImageVariation = field(default_factory=lambda: ImageVariation(noise=0.04))
    """Variation of the training pictures."""
    mirrored: Annotated[float, Ge(0), Le(1)] = 0.5
    """Share of the training pictures that are mirrored left and right, with their labels."""
    held_out: HeldOutConfig = field(default_factory=HeldOutConfig)
    """Evaluation at the end."""
