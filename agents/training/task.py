"""The interface between the trainer and a training task: frames, loss, validation."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Generic, TypeVar

import torch
from torch import Tensor, nn

from agents.policies.checkpoint import CheckpointFormat
from agents.training.logger import Stopwatch, TrainingLogger
from agents.training.run_folder import RunFolder
from agents.training.samples import Draw
from navsim.progress import Advance

N = TypeVar("N", bound=nn.Module)


@dataclass(frozen=True, eq=False)
class BatchPart:
    """Frames of a batch that are computed together. P: frames of the part."""

    index: Tensor
    """Numbers (P,) of the frames in the training data."""
    weights: Tensor
    """Weights (P,) of the frames' losses."""
    step: int
    """Number of the step, counted from 0."""
    first: int
    """Place of the first frame in the batch."""
    batch_size: int
    """Frames of the whole batch."""


@dataclass(frozen=True, eq=False)
class BatchLoss:
    """The loss of a part of a batch, averaged over its frames."""

    total: Tensor
    """Scalar that is minimised."""
    terms: Mapping[str, Tensor]
    """Scalars to log, by name."""


@dataclass(frozen=True, eq=False)
class EndedEpoch(Generic[N]):
    """An epoch whose steps are all taken, ready to be validated."""

    number: int
    """Number of the epoch, counted from 1."""
    step: int
    """Steps taken in the run so far."""
    network: N
    """The averaged network, in evaluation mode."""
    losses: Mapping[str, float]
    """Means of the terms of the loss over the epoch."""
    rate: float
    """Frames trained on per second."""
    watch: Stopwatch
    """Stopwatch of training, validation and driving."""
    shares: Mapping[str, float]
    """Share of each part of a step in its time, over the run so far."""
    folder: RunFolder
    """Folder of the run."""
    save: Callable[[Path], None]
    """Function that writes the network as a checkpoint for use."""
    logger: TrainingLogger
    """Logger of curves and pictures."""
    stopped: Callable[[], bool]
    """Function that returns whether a stop was requested."""
    advance: Advance
    """Function that shows progress."""


class TrainingTask(ABC, Generic[N]):
    """What is learned and from what; the trainer owns steps, weights, history and checkpoints."""

    unit: ClassVar[str] = "images"
    """Name of what an epoch counts."""
    network: N
    """The network to train, on its device, with its initial weights."""
    module: nn.Module
    """What `losses` calls: the network, or the network with its loss."""
    modules: Mapping[str, nn.Module] = MappingProxyType({})
    """Further modules that are trained but not kept for use, by the prefix of their names in checkpoints."""
    format: CheckpointFormat[Any, N]
    """The kind of checkpoint."""
    header: Any
    """Header of the checkpoints; the trainer fills in `progress`."""
    data_name: str
    """Fingerprint of the data."""
    device: torch.device
    """Where the network is trained."""
    dtype: torch.dtype
    """Type of the layers' arithmetic."""
    frames_per_epoch: int
    """Number of frames that `draw` returns."""
    accumulate: int = 1
    """Parts in which each process computes its share of a batch."""
    patience: int = 0
    """Validations without improvement after which the run stops; 0 never stops it."""
    compiled: bool = False
    """Whether `module` is compiled."""
    sum_dtype: torch.dtype = torch.float64
    """Type in which losses are summed over an epoch."""

    @abstractmethod
    def draw(self, epoch: int) -> Draw:
        """Draw the frames of epoch `epoch`, which with the seed decides them alone."""

    def prefetch(self, indices: Sequence[Tensor]) -> None:
        """Note the frames of the coming calls of `losses`, in the memory that these get, to read them ahead."""

    @abstractmethod
    def layer_seed(self, step: int, rank: int) -> int:
        """Return the seed of torch's generator for step `step` in process `rank`, for layers and losses that draw."""

    @abstractmethod
    def losses(self, module: nn.Module, part: BatchPart, watch: Stopwatch) -> BatchLoss:
        """Compute the loss of a part of a batch.

        Args:
            module: `self.module`, as it is compiled and shared between processes.
            part: The frames.
            watch: Times the parts of the work.
        """

    @abstractmethod
    def validate(self, epoch: EndedEpoch[N]) -> dict[str, Any] | None:
        """Validate the network after an epoch, and log what was found.

        Returns:
            The epoch's record for the history; None if the validation was stopped.
        """

    @abstractmethod
    def score_key(self, record: Mapping[str, Any]) -> Any:
        """Return a value that is larger for a better epoch, from its record."""

    @abstractmethod
    def best_text(self, record: Mapping[str, Any]) -> str:
        """Describe the score of the best epoch, from its record."""

    def best_scores(self, record: Mapping[str, Any] | None) -> dict[str, Any]:  # noqa: ARG002 - for others
        """Return scores of the best epoch that are stored beside the history; the first epoch has no `record` yet."""
        return {}

    @abstractmethod
    def check_header(self, path: Path, header: Any) -> None:
        """Raise CheckpointError if the checkpoint at `path` with this header was trained on other cameras."""

    @property
    @abstractmethod
    def facts(self) -> dict[str, object]:
        """What stays the same during the run and is noted with its metrics."""
