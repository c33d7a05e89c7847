"""The settings of a training run."""

from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Gt, Le

from agents.policies.networks.config import PolicyConfig
from agents.policies.networks.network import SharedTrunks
from agents.policies.policy import HEADS, NETWORKS, network_class
from agents.training.augmentation import AugmentationConfig
from agents.training.closed_loop import ClosedLoopConfig
from agents.training.optimization import EmaConfig, OptimizerConfig
from agents.training.runtime import Storage
from agents.training.samples import BalanceConfig
from navsim.config import Constrained
from navsim.datasets.collection import DriveGroup
from navsim.datasets.dataset import DataFolders
from navsim.errors import ConfigError
from navsim.evaluation.routes import RouteSuite
from navsim.roads.generators.towns import DEFAULT_GENERATORS, Generator, Split
from navsim.seeding import derived_seed

REGULARISERS = ("weight_norm", "log_scale")
"""Terms that may be added to the loss of a head that has them."""


@dataclass(frozen=True)
class LossConfig(Constrained):
    """Terms added to the head's own loss.

    The regularisers, `weight_norm` and `log_scale`, are off by default. Both are known only from a re-implementation of
    the source (Amini et al., ICRA 2019), without their constants: the exponent and the target below are ours.
    """

    weight_norm: Annotated[float, Ge(0), Le(1e6)] = 0.0
    """Weight of the L_p norm of the mixture's weights phi."""
    weight_norm_power: Annotated[float, Ge(0.1), Le(10)] = 2.0
    """Power p of that norm, not 1: above 1 the norm is smallest for equal weights, below 1 for a single component."""
    log_scale: Annotated[float, Ge(0), Le(1e6)] = 0.0
    """Weight of (log sigma - c)^2, averaged over the components."""
    log_scale_target: Annotated[float, Ge(-20), Le(0)] = -3.0
    """Target c of that term, with sigma in units of `max_curvature`: -3 is a twentieth of the range."""
    command: Annotated[float, Gt(0), Le(1e6)] = 10.0
    """Weight of the squared error of the command in units of `max_curvature`, for networks with a branch for the route.
    The source trains both jointly and gives no weight: ours makes the two terms of one size."""
    segmentation: Annotated[float, Ge(0), Le(1e6)] = 0.0
    """Weight of the cross entropy of a decoder that predicts each pixel's class from the camera trunk, for drives that
    were recorded with classes. The decoder helps the trunk to learn and is not used for driving."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.weight_norm_power == 1:
            raise ConfigError("loss.weight_norm_power must not be 1, where the norm is the same for all weights")

    @property
    def weights(self) -> dict[str, float]:
        """Weights of the regularisers that are on, by name."""
        return {name: getattr(self, name) for name in REGULARISERS if getattr(self, name)}


def check_loss(loss: LossConfig, policy: PolicyConfig) -> None:
    """Raise ConfigError if a term has a weight that the policy's head or network does not have."""
    has_camera = not policy.blind and "camera" in policy.inputs
    if loss.segmentation and not (has_camera and issubclass(network_class(policy.network), SharedTrunks)):
        having = ", ".join(name for name, network in NETWORKS.items() if issubclass(network, SharedTrunks))
        raise ConfigError(
            f"loss.segmentation = {loss.segmentation} needs a network with a camera trunk ({having}) that is not blind"
        )
    for name, weight in loss.weights.items():
        if name not in HEADS[policy.head].regularisers:
            having = ", ".join(kind for kind, head in HEADS.items() if name in head.regularisers)
            raise ConfigError(
                f"loss.{name} = {weight} needs a head with that term ({having}); policy.head is {policy.head}"
            )


@dataclass(frozen=True)
class DaggerConfig(Constrained):
    """DAgger: the policy drives, the expert labels, the set grows, training goes on (Ross et al., AISTATS 2011).

    Policy and expert drive in turns, in towns of the training split alone.
    """

    rounds: Annotated[int, Ge(0)] = 0
    """Number of rounds after the training on the recorded drives; 0 leaves it at that. The round that drove best is
    kept; of a policy without the route as input, the last round."""
    routes: int = 48
    """Number of drives in a round; about 500 frames each, fewer where the policy fails."""
    towns: int = 24
    """Number of training towns over which the drives are spread, drawn again for each round."""
    epochs: Annotated[int, Ge(1)] = 4
    """Epochs of a round, over all drives so far. Each round starts from the weights that drove, with a schedule of its
    own: new weights would spend most of the time on learning again what the policy can do already."""
    beta: Annotated[float, Ge(0), Le(1)] = 0.5
    """Share of the time that the expert drives in round 1. The source's round of the expert alone (beta = 1) is the
    recorded drives."""
    decay: Annotated[float, Ge(0), Le(1)] = 0.5
    """Factor of that share from round to round, as in the source; 0 leaves round 2 and all later ones to the policy."""
    window: Annotated[float, Gt(0)] = 2.0
    """Time between two draws of who drives, policy or expert [s]."""
    generators: tuple[Generator, ...] = DEFAULT_GENERATORS
    """Generators of the towns, in turn."""
    real_towns: tuple[str, ...] = ()
    """Towns from OpenStreetMap extracts, each `osm:FILE`, that take turns with the training towns."""
    workers: Annotated[int, Ge(1)] | None = None
    """Number of processes that drive; None takes one per core."""
    num_envs: Annotated[int, Ge(1)] = 2
    """Number of drives in a town that a process drives side by side and renders in one pass."""

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            _ = self.drives(0, 1)
        except ConfigError as error:
            raise ConfigError(f"dagger: {error}") from None

    def expert_share(self, number: int) -> float:
        """Return the expert's share of the windows in round `number`, counted from 1: beta decay^(number - 1)."""
        return float(self.beta * self.decay ** (number - 1))

    def drives(self, seed: int, number: int) -> tuple[DriveGroup, ...]:
        """Return the drives of round `number`, counted from 1, by town; the run's `seed` decides towns and routes."""
        drawn = derived_seed(seed, "dagger", number)
        suite = RouteSuite(self.routes, 0, self.towns, Split.TRAIN, drawn, self.generators, real_towns=self.real_towns)
        scenarios = sorted(suite.scenarios(), key=lambda scenario: scenario.town)
        return tuple(tuple(group) for _, group in groupby(scenarios, key=lambda scenario: scenario.town))


@dataclass(frozen=True)
class TrainingRunConfig(Constrained):
    """Settings of every training run, of a policy or of a network of perception."""

    data: DataFolders = Path("runs/data")
    """Folder with the recorded drives, in `train` and `validation`; or several folders of the same cameras and maps,
    which count as one."""
    run_dir: Path = Path("runs/training")
    """Folder for checkpoints, logs and figures."""
    seed: Annotated[int, Ge(0)] = 0
    """Seed of initial weights, order and augmentation."""
    epochs: Annotated[int, Ge(1)] = 10
    """Number of epochs, each of which shows every frame once."""
    batch_size: Annotated[int, Ge(2)] = 16
    """Number of frames per step of the optimiser."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    """Settings of the optimiser."""
    ema: EmaConfig = field(default_factory=EmaConfig)
    """Moving average of the weights, which is validated, used and kept."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device to train on; `auto` takes CUDA if there is a device."""
    precision: Literal["auto", "bfloat16", "float32"] = "auto"
    """Type of the layers' arithmetic; `auto` takes bfloat16 where the hardware has it. Losses are always float32."""
    resume: bool = False
    """Whether to continue the unfinished run in `run_dir`."""


@dataclass(frozen=True)
class TrainConfig(TrainingRunConfig):
    """Settings of the training of a policy."""

    data: DataFolders = Path("runs/demo/data")
    run_dir: Path = Path("runs/demo/policy")
    batch_size: Annotated[int, Ge(2)] = 64
    """Number of frames per step of the optimiser, over all parts and processes together. On little data small batches
    learn faster: at 16 k frames, 8 epochs of 64 beat 10 of 256."""
    accumulate: Annotated[int, Ge(1)] = 1
    """Number of parts in which each process computes its frames of a batch, one after another, to need less memory; the
    step is the same within rounding."""
    storage: Storage = "auto"
    """Place of the pictures: `device`, in its memory; `mapped`, in a file beside the data that is written once; `auto`,
    on the device if they take at most 60% of its free memory. The choice does not change the policy."""
    packed_folder: Path | None = None
    """Folder for the files of `mapped`, for data that cannot be written to; None stands for `packed` in the data
    folder."""
    lane_keeping_fraction: Annotated[float, Gt(0), Le(1)] = 1.0
    """Share of the lane-keeping frames that an epoch takes, drawn again for each epoch; frames near junctions or away
    from the lane's middle are always taken. Below 1 it spends the time where driving is hard."""
    balance: BalanceConfig = field(default_factory=BalanceConfig)
    """How much more often sharp curves are shown than they occur."""
    policy: PolicyConfig = field(default_factory=PolicyConfig)
    """Inputs, network and head of the policy."""
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    """Variation of the training pictures."""
    loss: LossConfig = field(default_factory=LossConfig)
    """Terms added to the head's own loss."""
    closed_loop: ClosedLoopConfig = field(default_factory=ClosedLoopConfig)
    """Validation by driving."""
    dagger: DaggerConfig = field(default_factory=DaggerConfig)
    """Rounds of on-policy correction."""
    patience: Annotated[int, Ge(0)] = 0
    """Number of validations without improvement after which the run stops early; 0 never stops it. With
    `closed_loop.every`, validations with drives count. It cuts the learning rate's schedule short, whose last epochs
    bring most."""
    compile: bool = False
    """Whether to compile network and loss with torch.compile: half a minute or more before the first step, then often
    faster on a GPU. Needs a C++ compiler."""
    deterministic: bool = False
    """Whether to allow only operations that give the same bits every time, where torch knows, and to choose no
    algorithm by trying which is fastest. On a CPU training repeats bit for bit in any case, and this costs a twentieth
    of the speed. On a GPU it costs more, and an operation without such a variant ends the run with torch's error."""
    pictures: Annotated[int, Ge(0), Le(100)] = 6
    """Number of validation frames whose predicted fans are drawn after each epoch."""
    activations: Annotated[int, Ge(0)] = 4
    """Number of epochs after which the convolutions' outputs for a validation frame are logged; 0 never logs them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_loss(self.loss, self.policy)
        if self.loss.segmentation and self.dagger.rounds:
            raise ConfigError("loss.segmentation does not go with dagger.rounds, whose drives are without classes")
        if self.accumulate > self.batch_size:
            raise ConfigError(f"accumulate must be at most batch_size ({self.batch_size}), got {self.accumulate}")


def choose_device(config: TrainingRunConfig) -> torch.device:
    """Return the device to train on.

    Raises:
        ConfigError: If CUDA is asked for and missing.
    """
    if config.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device = 'cuda': no CUDA device here; 'auto' or 'cpu' works everywhere")
    if config.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(config.device)


def choose_dtype(config: TrainingRunConfig, device: torch.device) -> torch.dtype:
    """Return the type of the layers' arithmetic on `device`."""
    wanted = config.precision
    if wanted == "auto":
        native = torch.cuda.is_bf16_supported() if device.type == "cuda" else _cpu_has_bfloat16()
        wanted = "bfloat16" if native else "float32"
    return torch.bfloat16 if wanted == "bfloat16" else torch.float32


def _cpu_has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 itself; elsewhere torch emulates it, slower than float32."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False
    return "amx_bf16" in flags or "avx512_bf16" in flags
