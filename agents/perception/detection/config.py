"""The configuration of learning to find objects."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from agents.perception.config import HeldOutConfig, PerceptionConfig
from agents.training.averaging import EmaConfig
from agents.training.optimization import OptimizerConfig
from navsim.config import check_limits
from navsim.errors import ConfigError

DetectorName = Literal["own", "torchvision"]


@dataclass(frozen=True)
class CountedConfig:
    """Which objects are learned and counted; finding one of the others is neither right nor wrong."""

    least_height: int = 8
    """Height of the box around what is visible [px]."""
    least_visible: float = 0.3
    """Visible share of the outline."""

    def __post_init__(self) -> None:
        if not (0 <= self.least_height <= 1000 and 0 <= self.least_visible <= 1):
            raise ConfigError(
                "counted needs least_height of 0 to 1000 and least_visible of 0 to 1, "
                f"got {self.least_height} and {self.least_visible}"
            )


@dataclass(frozen=True)
class DetectionConfig(PerceptionConfig):
    """What to learn from, what to learn, and how."""

    task: Literal["detection"] = "detection"
    """What is learned: boxes around cars, people and signs."""
    data: Path = Path("runs/detection/data")
    """Folder with the recorded drives, in `train` and `validation`, with their objects."""
    run_dir: Path = Path("runs/detection/detector")
    every: int = 6
    epochs: int = 8
    optimizer: OptimizerConfig = field(default_factory=lambda: OptimizerConfig(learning_rate=2e-3, max_gradient_norm=5))
    ema: EmaConfig = field(default_factory=lambda: EmaConfig(decay=0.995))
    held_out: HeldOutConfig = field(
        default_factory=lambda: HeldOutConfig(every=10, conditions=("", "fog", "night"), overlays=6)
    )
    detector: DetectorName = "own"
    """`own`, the project's two-stage detector in plain torch, or `torchvision`, the same idea as that library builds
    it: an optional extra."""
    validate_every: int = 15
    """Each so many-th frame of the validation drives is validated on."""
    counted: CountedConfig = field(default_factory=CountedConfig)
    """Which objects are learned and counted."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_limits(self, {"validate_every": (1, 10**6)})
