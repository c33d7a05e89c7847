"""The configuration of learning to find objects."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from agents.segmentation.config import HeldOutConfig, check_limits
from agents.training.augmentation import ImageVariation
from agents.training.averaging import EmaConfig
from agents.training.optimization import OptimizerConfig
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
class DetectionConfig:
    """What to learn from, what to learn, and how."""

    task: Literal["detection"] = "detection"
    """What is learned: boxes around cars, people and signs."""
    data: Path = Path("runs/detection/data")
    """Folder with the recorded drives, in `train` and `validation`, with their objects."""
    run_dir: Path = Path("runs/detection/detector")
    """Folder for checkpoints, logs and results."""
    seed: int = 0
    """Seed of initial weights, order and variation."""
    detector: DetectorName = "own"
    """`own`, the project's two-stage detector in plain torch, or `torchvision`, the same idea as that library builds
    it: an optional extra."""
    every: int = 6
    """Each so many-th frame of the drives is learned from: neighbouring frames look alike."""
    validate_every: int = 15
    """The same of the frames that are validated on."""
    epochs: int = 8
    """How often each frame is seen."""
    batch_size: int = 16
    """Pictures per step of the optimiser."""
    counted: CountedConfig = field(default_factory=CountedConfig)
    """Which objects are learned and counted."""
    augmentation: ImageVariation = field(default_factory=lambda: ImageVariation(noise=0.04))
    """Variation of the training pictures."""
    mirrored: float = 0.5
    """Share of the training pictures that are mirrored left and right, with their boxes."""
    optimizer: OptimizerConfig = field(default_factory=lambda: OptimizerConfig(learning_rate=2e-3, max_gradient_norm=5))
    """The optimiser."""
    ema: EmaConfig = field(default_factory=lambda: EmaConfig(decay=0.995))
    """The moving average of the weights; what is validated and kept."""
    held_out: HeldOutConfig = field(
        default_factory=lambda: HeldOutConfig(every=10, conditions=("", "fog", "night"), overlays=6)
    )
    """What is judged at the end."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train; `auto` takes CUDA if there is a device."""
    precision: Literal["auto", "bfloat16", "float32"] = "auto"
    """Type of the layers' arithmetic; `auto` takes bfloat16 where the hardware has it. Boxes are always float32."""
    resume: bool = False
    """Continue the unfinished run in `run_dir` after its last whole epoch."""

    def __post_init__(self) -> None:
        if not 0 <= self.mirrored <= 1:
            raise ConfigError(f"mirrored must be 0 to 1, got {self.mirrored}")
        limits = {
            "seed": (0, 2**32),
            "every": (1, 10**6),
            "validate_every": (1, 10**6),
            "epochs": (1, 10**6),
            "batch_size": (2, 10**6),
        }
        check_limits(self, limits)
