"""What the rounds of on-policy correction consist of, decided by their settings alone.

The configuration of a training run.
"""

from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Literal, Protocol

import torch

from agents.policies.networks.config import PolicyConfig
from agents.training.augmentation import AugmentationConfig
from agents.training.closed_loop import ClosedLoopConfig
from agents.training.losses import LossConfig, check_loss
from agents.training.optimization import EmaConfig, OptimizerConfig
from agents.training.runtime import Storage
from agents.training.sampling import BalanceConfig
from navsim.config import check_limits
from navsim.datasets.collection import Work
from navsim.errors import ConfigError
from navsim.evaluation.routes import RouteSuite
from navsim.roads.generators.towns import DEFAULT_GENERATORS, Generator, Split
from navsim.seeding import derived_seed


@dataclass(frozen=True)
class DaggerConfig:
    """DAgger: the policy drives, the expert labels, the set grows, training goes on (Ross et al., AISTATS 2011).

    Policy and expert take turns at the wheel, in towns of the training split alone.
    """

    rounds: int = 0
    """How many rounds follow the training on the recorded drives; 0 leaves it at that. The round that drove best
    is kept, or of a policy that sees no route, the last."""
    routes: int = 48
    """Drives of a round; about 500 frames each, fewer where the policy fails."""
    towns: int = 24
    """Training towns over which they are spread, drawn anew for each round."""
    epochs: int = 4
    """Epochs of a round, over all drives so far. Each goes on from the weights that drove, with a schedule of its own:
    training anew would spend most of its time on learning again what the policy can do already."""
    beta: float = 0.5
    """Share of the time that the expert drives in round 1. The source's round of the expert alone (beta = 1) is the
    recorded drives."""
    decay: float = 0.5
    """Factor of that share from round to round, as in the source; 0 leaves round 2 and all later ones to the policy."""
    window: float = 2.0
    """Whoever drives does so for so long [s] before the wheel is given out anew."""
    generators: tuple[Generator, ...] = DEFAULT_GENERATORS
    """Who draws the towns, in turn."""
    workers: int | None = None
    """Number of processes that drive; None takes one per core."""
    num_envs: int = 2
    """Drives of a town that a process drives side by side and draws in one pass."""

    def __post_init__(self) -> None:
        for name, least in {"rounds": 0, "epochs": 1, "num_envs": 1}.items():
            if getattr(self, name) < least:
                raise ConfigError(f"dagger.{name} must be at least {least}, got {getattr(self, name)}")
        if self.workers is not None and self.workers < 1:
            raise ConfigError(f"dagger.workers must be at least 1, got {self.workers}")
        for name in ("beta", "decay"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"dagger.{name} must be 0 to 1, got {getattr(self, name)}")
        if not self.window > 0:
            raise ConfigError(f"dagger.window must be above 0, got {self.window}")
        try:
            _ = self.works(0, 1)
        except ConfigError as error:
            raise ConfigError(f"dagger: {error}") from None

    def expert_share(self, number: int) -> float:
        """Share of the windows that the expert drives in round `number`, counted from 1: beta decay^(number - 1)."""
        return float(self.beta * self.decay ** (number - 1))

    def works(self, seed: int, number: int) -> tuple[Work, ...]:
        """The drives of round `number`, counted from 1, town by town; the run's `seed` decides towns and routes."""
        drawn = derived_seed(seed, "dagger", number)
        suite = RouteSuite(self.routes, 0, self.towns, Split.TRAIN, drawn, self.generators)
        drives = sorted(suite.scenarios(), key=lambda scenario: scenario.town)
        return tuple(tuple(group) for _, group in groupby(drives, key=lambda scenario: scenario.town))


@dataclass(frozen=True)
class TrainConfig:
    """What to learn from, what to learn, and how."""

    data: Path = Path("runs/demo/data")
    """Folder with the recorded drives, in `train` and `validation`."""
    run_dir: Path = Path("runs/demo/policy")
    """Folder for checkpoints, logs and figures."""
    seed: int = 0
    """Seed of initial weights, order and augmentation."""
    epochs: int = 10
    """How often every frame is seen."""
    batch_size: int = 64
    """Frames per step of the optimiser, over all parts and processes together; on little data small batches learn
    faster: at 16 k frames, 8 epochs of 64 beat 10 of 256."""
    accumulate: int = 1
    """Parts in which each process computes its frames of a batch, one after another, so that they need less memory; the
    step is the same within rounding."""
    storage: Storage = "auto"
    """Where the pictures are kept: `device`, in its memory; `mapped`, in a file beside the data that is written once;
    `auto`, on the device if they take at most 60% of its free memory. What is learned is the same."""
    lane_keeping_fraction: float = 1.0
    """Share of the frames that only hold the lane, drawn anew for each epoch; those near junctions or recovering from
    an offset are always taken. Below 1 it spends the time where driving is hard."""
    balance: BalanceConfig = field(default_factory=BalanceConfig)
    """How much more often sharp curves are shown than they come."""
    policy: PolicyConfig = field(default_factory=PolicyConfig)
    """The network."""
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    """Variation of the training pictures."""
    loss: LossConfig = field(default_factory=LossConfig)
    """Terms added to the head's own loss."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    """The optimiser."""
    ema: EmaConfig = field(default_factory=EmaConfig)
    """The moving average of the weights; what is validated, driven and kept."""
    closed_loop: ClosedLoopConfig = field(default_factory=ClosedLoopConfig)
    """Validation by driving."""
    dagger: DaggerConfig = field(default_factory=DaggerConfig)
    """Rounds of on-policy correction."""
    patience: int = 0
    """Stop early once so many validations in a row were not better than the best; 0 never. With `closed_loop.every`,
    those count that drove. It cuts the learning rate's schedule short, whose last epochs bring most."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train; `auto` takes CUDA if there is a device."""
    precision: Literal["auto", "bfloat16", "float32"] = "auto"
    """Type of the layers' arithmetic; `auto` takes bfloat16 where the hardware has it. The loss is always float32."""
    compile: bool = False
    """Compile network and loss with torch.compile: half a minute or more before the first step, then often faster on a
    GPU. Needs a C++ compiler."""
    deterministic: bool = False
    """Allow only operations that give the same bits every time, where torch knows, and choose none by trying which is
    fastest. On a CPU training repeats bit for bit in any case, and this costs a twentieth of the speed; on a GPU it
    costs more, and an operation that has no such variant ends the run with torch's error naming it."""
    pictures: int = 6
    """Validation frames whose predicted fans are drawn after each epoch."""
    activations: int = 4
    """After every so many epochs, what the convolutions answer to a validation frame is logged; 0 never."""
    resume: bool = False
    """Continue the unfinished run in `run_dir`."""

    def __post_init__(self) -> None:
        check_loss(self.loss, self.policy)
        if self.loss.segmentation and self.dagger.rounds:
            raise ConfigError("loss.segmentation does not go with dagger.rounds, whose drives are without classes")
        if not 0 < self.lane_keeping_fraction <= 1:
            raise ConfigError(f"lane_keeping_fraction must be above 0 and at most 1, got {self.lane_keeping_fraction}")
        limits = {
            "seed": (0, 2**32),
            "epochs": (1, 10**6),
            "batch_size": (2, 10**6),
            "accumulate": (1, 10**4),
            "patience": (0, 10**6),
            "pictures": (0, 100),
            "activations": (0, 10**6),
        }
        check_limits(self, limits)
        if self.accumulate > self.batch_size:
            raise ConfigError(f"accumulate must be at most batch_size ({self.batch_size}), got {self.accumulate}")


class Hardware(Protocol):
    """What a configuration says of where to compute."""

    @property
    def device(self) -> Literal["auto", "cpu", "cuda"]:
        """Where to train."""
        ...

    @property
    def precision(self) -> Literal["auto", "bfloat16", "float32"]:
        """Type of the layers' arithmetic."""
        ...


def choose_device(config: Hardware) -> torch.device:
    """The device to train on.

    Raises:
        ConfigError: If CUDA is asked for and missing.
    """
    if config.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device = 'cuda': no CUDA device here; 'auto' or 'cpu' works everywhere")
    if config.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(config.device)


def choose_dtype(config: Hardware, device: torch.device) -> torch.dtype:
    """Type of the layers' arithmetic on `device`."""
    wanted = config.precision
    if wanted == "auto":
        native = torch.cuda.is_bf16_supported() if device.type == "cuda" else _cpu_has_bfloat16()
        wanted = "bfloat16" if native else "float32"
    return torch.bfloat16 if wanted == "bfloat16" else torch.float32


def _cpu_has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 itself; elsewhere torch emulates it, slower than float32."""
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return "amx_bf16" in flags or "avx512_bf16" in flags
