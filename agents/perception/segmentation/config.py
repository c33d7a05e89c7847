"""The configuration of learning to tell classes apart."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from agents.perception.config import PerceptionConfig
from agents.perception.segmentation.network import SegmentationNetworkConfig
from agents.training.averaging import EmaConfig
from agents.training.optimization import OptimizerConfig
from navsim.errors import ConfigError


@dataclass(frozen=True)
class SegmentationConfig(PerceptionConfig):
    """What to learn from, what to learn, and how."""

    task: Literal["segmentation"] = "segmentation"
    """What is learned: the class of every pixel."""
    data: Path = Path("runs/segmentation/data")
    """Folder with the recorded drives, in `train` and `validation`, with their classes."""
    run_dir: Path = Path("runs/segmentation/network")
    every: int = 4
    """Each so many-th frame of the drives is looked at: neighbouring frames look alike."""
    epochs: int = 12
    optimizer: OptimizerConfig = field(default_factory=lambda: OptimizerConfig(learning_rate=5e-3))
    ema: EmaConfig = field(default_factory=lambda: EmaConfig(decay=0.99))
    balance: float = 0.35
    """How much more the pixels of rare classes weigh: a class of share p weighs p ** -balance, before the weights are
    made 1 on average. 0 is the plain cross entropy, with 1 every class weighs the same in all."""
    network: SegmentationNetworkConfig = field(default_factory=SegmentationNetworkConfig)
    """The network."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.balance <= 1:
            raise ConfigError(f"balance must be 0 to 1, got {self.balance}")
