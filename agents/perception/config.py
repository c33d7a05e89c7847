"""What the configurations of all tasks of perception say."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from agents.training.augmentation import ImageVariation
from agents.training.optimization import EmaConfig, OptimizerConfig
from navsim.config import check_limits
from navsim.errors import ConfigError
from navsim.roads.generators.towns import TOWN_GENERATORS, Generator, check_generators
from navsim.world.scenery.appearance import parse_spec


@dataclass(frozen=True)
class HeldOutConfig:
    """In which towns and under which conditions the trained network is judged: none of them was learned from."""

    towns: int = 12
    """Held-out towns of the split `test`; the expert drives one route in each."""
    every: int = 15
    """Each so many-th frame of those drives is judged."""
    seed: int = 0
    """Decides towns and routes."""
    generators: tuple[Generator, ...] = TOWN_GENERATORS
    """Who draws the towns, in turn."""
    conditions: tuple[str, ...] = ("", "fog", "rain", "dusk", "night", "winter", "shift-2")
    """Appearances in which the same pictures are drawn, see `navsim.world.scenery.appearance`; empty draws those of
    training for each town."""
    overlays: int = 4
    """Pictures shown for each of the conditions."""

    def __post_init__(self) -> None:
        check_generators(self.generators)
        for spec in self.conditions:
            parse_spec(spec)
        if not self.conditions or len(set(self.conditions)) < len(self.conditions):
            raise ConfigError(f"held_out.conditions must name conditions, each once, got {list(self.conditions)}")
        limits = {"towns": (1, 1000), "every": (1, 10**6), "seed": (0, 2**32), "overlays": (0, 100)}
        check_limits(self, limits, "held_out.")


@dataclass(frozen=True)
class PerceptionConfig:
    """What to learn from, and how; what is learned is the task's to say."""

    task: str = ""
    """What is learned."""
    data: Path = Path("runs/perception/data")
    """Folder with the recorded drives, in `train` and `validation`, with their labels."""
    run_dir: Path = Path("runs/perception/network")
    """Folder for checkpoints, logs and results."""
    seed: int = 0
    """Seed of initial weights, order and variation."""
    every: int = 1
    """Each so many-th frame of the drives is learned from: neighbouring frames look alike."""
    epochs: int = 10
    """How often each of them is seen."""
    batch_size: int = 16
    """Pictures per step of the optimiser."""
    augmentation: ImageVariation = field(default_factory=lambda: ImageVariation(noise=0.04))
    """Variation of the training pictures."""
    mirrored: float = 0.5
    """Share of the training pictures that are mirrored left and right, with their labels."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    """The optimiser."""
    ema: EmaConfig = field(default_factory=EmaConfig)
    """The moving average of the weights; what is validated and kept."""
    held_out: HeldOutConfig = field(default_factory=HeldOutConfig)
    """What is judged at the end."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train; `auto` takes CUDA if there is a device."""
    precision: Literal["auto", "bfloat16", "float32"] = "auto"
    """Type of the layers' arithmetic; `auto` takes bfloat16 where the hardware has it. Losses are always float32."""
    resume: bool = False
    """Continue the unfinished run in `run_dir` after its last whole epoch."""

    def __post_init__(self) -> None:
        if not 0 <= self.mirrored <= 1:
            raise ConfigError(f"mirrored must be 0 to 1, got {self.mirrored}")
        limits = {"seed": (0, 2**32), "every": (1, 10**6), "epochs": (1, 10**6), "batch_size": (2, 10**6)}
        check_limits(self, limits)
