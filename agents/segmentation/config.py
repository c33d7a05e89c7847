"""The configuration of learning to tell classes apart."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from agents.segmentation.network import SegmentationNetworkConfig
from agents.training.augmentation import ImageVariation
from agents.training.averaging import EmaConfig
from agents.training.optimization import OptimizerConfig
from navsim.errors import ConfigError
from navsim.roads.towns import Generator, check_generators
from navsim.world.appearance import parse_spec


@dataclass(frozen=True)
class HeldOutConfig:
    """In which towns and under which conditions the trained network is judged: none of them was learned from."""

    towns: int = 12
    """Held-out towns of the split `test`; the expert drives one route in each."""
    every: int = 15
    """Each so many-th frame of those drives is judged."""
    seed: int = 0
    """Decides towns and routes."""
    generators: tuple[Generator, ...] = tuple(Generator)
    """Who draws the towns, in turn."""
    conditions: tuple[str, ...] = ("", "fog", "rain", "dusk", "night", "winter", "shift-2")
    """Appearances in which the same pictures are drawn, see `navsim.world.appearance`; empty draws those of training
    for each town."""
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
class SegmentationConfig:
    """What to learn from, what to learn, and how."""

    task: Literal["segmentation"] = "segmentation"
    """What is learned: the class of every pixel."""
    data: Path = Path("runs/segmentation/data")
    """Folder with the recorded drives, in `train` and `validation`, with their classes."""
    run_dir: Path = Path("runs/segmentation/network")
    """Folder for checkpoints, logs and results."""
    seed: int = 0
    """Seed of initial weights, order and variation."""
    every: int = 4
    """Each so many-th frame of the drives is learned from: neighbouring frames look alike."""
    epochs: int = 12
    """How often each of them is seen."""
    batch_size: int = 16
    """Pictures per step of the optimiser."""
    balance: float = 0.35
    """How much more the pixels of rare classes weigh: a class of share p weighs p ** -balance, before the weights are
    made 1 on average. 0 is the plain cross entropy, with 1 every class weighs the same in all."""
    network: SegmentationNetworkConfig = field(default_factory=SegmentationNetworkConfig)
    """The network."""
    augmentation: ImageVariation = field(default_factory=lambda: ImageVariation(noise=0.04))
    """Variation of the training pictures."""
    mirrored: float = 0.5
    """Share of the training pictures that are mirrored left and right, with their classes."""
    optimizer: OptimizerConfig = field(default_factory=lambda: OptimizerConfig(learning_rate=5e-3))
    """The optimiser."""
    ema: EmaConfig = field(default_factory=lambda: EmaConfig(decay=0.99))
    """The moving average of the weights; what is validated and kept."""
    held_out: HeldOutConfig = field(default_factory=HeldOutConfig)
    """What is judged at the end."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train; `auto` takes CUDA if there is a device."""
    precision: Literal["auto", "bfloat16", "float32"] = "auto"
    """Type of the layers' arithmetic; `auto` takes bfloat16 where the hardware has it. The loss is always float32."""
    resume: bool = False
    """Continue the unfinished run in `run_dir` after its last whole epoch."""

    def __post_init__(self) -> None:
        for name in ("balance", "mirrored"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} must be 0 to 1, got {getattr(self, name)}")
        limits = {"seed": (0, 2**32), "every": (1, 10**6), "epochs": (1, 10**6), "batch_size": (2, 10**6)}
        check_limits(self, limits)


def check_limits(config: object, limits: dict[str, tuple[int, int]], prefix: str = "") -> None:
    """Raise ConfigError if a field of `config` lies outside its limits, both included."""
    for name, (low, high) in limits.items():
        if not low <= getattr(config, name) <= high:
            raise ConfigError(f"{prefix}{name} must be {low} to {high}, got {getattr(config, name)}")
