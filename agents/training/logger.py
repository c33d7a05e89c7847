"""What is measured while training runs: mean losses, and where the time goes.

What a run tells while it trains: TensorBoard curves and pictures, `metrics.json`.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from agents.scoring.calibration import Scores
from agents.training.closed_loop import DriveScores
from agents.training.distributed import ALONE, ProcessGroup
from agents.training.run_folder import RunFolder
from navsim.config import from_mapping, to_mapping
from navsim.sensing.observation import Image
from navsim.storage import write_json

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Sums = dict[str, float]
"""Plain values of a `Means`."""


class Means:
    """Running means of named numbers, kept on the device so that nothing has to wait for them."""

    def __init__(self, sums: Mapping[str, float] | None = None, count: int = 0) -> None:
        """Go on from the sums of `count` steps."""
        self._sums = {name: torch.tensor(value, dtype=torch.float64) for name, value in (sums or {}).items()}
        self.count = count

    @staticmethod
    def shared(sums: Mapping[str, float], count: int, group: ProcessGroup) -> "Means":
        """Go on from sums over all processes, which the first one carries on."""
        return Means(sums if group.first else dict.fromkeys(sums, 0.0), count)

    def add(self, values: Mapping[str, Tensor]) -> None:
        """Add the values of one step, scalars; of a group of processes, each adds its part."""
        for name, value in values.items():
            value = value.detach().double()
            self._sums[name] = self._sums[name].to(value.device) + value if name in self._sums else value
        self.count += 1

    def sums(self, group: ProcessGroup = ALONE) -> Sums:
        """The sums over all processes, each of which must ask."""
        if not self._sums:
            return {}
        names = sorted(self._sums)
        total = group.sum(torch.stack([self._sums[name] for name in names]))
        return dict(zip(names, total.tolist(), strict=True))

    def means(self, group: ProcessGroup = ALONE) -> Sums:
        """The means over all steps; none before the first."""
        return {name: value / self.count for name, value in self.sums(group).items()}


class Stopwatch:
    """Adds up the time of the parts of the work [s]."""

    def __init__(self, device: torch.device) -> None:
        """Start at zero.

        Args:
            device: Where the work is done. A GPU works on while the program goes ahead, so that a part's time is known
                only after waiting for it; see `watching`.
        """
        self._device = device
        self.watching = True
        """Whether parts are timed; on a GPU it costs speed, so have it on in few steps."""
        self.seconds: dict[str, float] = {}
        """Time of each part so far."""

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Time what is done inside the block."""
        if not self.watching:
            yield
            return
        self._wait()
        started = time.perf_counter()
        try:
            yield
        finally:
            self._wait()
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started

    def shares(self) -> dict[str, float]:
        """Each part's share of the time of all parts."""
        total = sum(self.seconds.values())
        return {name: value / total for name, value in self.seconds.items()} if total > 0 else {}

    def _wait(self) -> None:
        """Wait until the device has done what was asked of it."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)


@dataclass
class History:
    """What is known of the run so far; travels in the checkpoint."""

    step: int = 0
    """Steps taken."""
    best_nll: float | None = None
    """Validation score of the best epoch so far [nats]."""
    best_epoch: int = 0
    """Its number, counted from 1: the one that drove best, or where none has driven, that of least NLL."""
    epochs: list[dict[str, Any]] = field(default_factory=list)
    """For each epoch that ended: epoch, step, losses, scores, how it drove (or None), images per second, seconds."""

    @property
    def best(self) -> dict[str, Any] | None:
        """The record of the best epoch; None before the first has ended."""
        return self.epochs[self.best_epoch - 1] if self.epochs else None

    def add(
        self,
        epoch: int,
        scores: Scores,
        losses: Mapping[str, float],
        drives: DriveScores | None = None,
        seconds: Mapping[str, float] | None = None,
        images_per_second: float = 0.0,
    ) -> bool:
        """Note an epoch that ended; returns whether it is the best so far.

        Args:
            epoch: Its number, counted from 1.
            scores: Of the validation.
            losses: Means of the terms of the training loss, `nll` among them.
            drives: How it drove, if it did.
            seconds: What took how long.
            images_per_second: Rate of training.
        """
        row = {
            "epoch": epoch,
            "step": self.step,
            "train_nll": losses["nll"],
            "losses": dict(losses),
            "validation": to_mapping(scores),
            "closed_loop": None if drives is None else asdict(drives),
            "images_per_second": round(images_per_second, 1),
            "seconds": {name: round(value, 3) for name, value in (seconds or {}).items()},
        }
        best = self.best is None or score_key(row) > score_key(self.best)
        self.epochs.append(row)
        if best:
            self.best_nll, self.best_epoch = scores.nll, epoch
        return best

    def epochs_without_improvement(self) -> int:
        """How many validations in a row have not been better than the best, of those that could have been.

        Once an epoch has driven, those that have not driven cannot be the best.
        """
        driven = self.best is not None and self.best["closed_loop"] is not None
        return sum(not driven or row["closed_loop"] is not None for row in self.epochs[self.best_epoch :])


def score_key(row: Mapping[str, Any]) -> tuple[float, ...]:
    """What makes an epoch better than another: arrivals, then the share of the routes driven, then NLL."""
    drives, nll = row["closed_loop"], row["validation"]["nll"]
    return (-1.0, 0.0, -nll) if drives is None else (drives["arrived"], drives["completion"], -nll)


def read_history(folder: RunFolder) -> History:
    """The history in a run's `metrics.json`."""
    known = History.__dataclass_fields__
    values = {key: value for key, value in folder.read_metrics().items() if key in known}
    return from_mapping(History, values, str(folder.metrics))


class TrainingLogger:
    """Writes the run's TensorBoard log and `metrics.json`; a silent one writes nothing."""

    def __init__(self, folder: RunFolder, step: int, silent: bool = False) -> None:
        """Open the log; what an earlier process wrote past `step` is hidden."""
        self._folder = folder
        self._writer = None if silent else SummaryWriter(str(folder.tensorboard), purge_step=step)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.close()

    def log_scalars(self, group: str, values: Mapping[str, float | None], step: int) -> None:
        """Add one point to each of the curves `group/name`."""
        for name, value in values.items():
            if value is not None and self._writer is not None:
                self._writer.add_scalar(f"{group}/{name}", value, step)

    def log_image(self, name: str, picture: Image, step: int) -> None:
        """Add a picture (H, W, 3) uint8."""
        if self._writer is not None:
            self._writer.add_image(name, picture, step, dataformats="HWC")

    def histogram(self, name: str, values: Tensor, step: int) -> None:
        """Add how values of any shape are distributed."""
        if self._writer is not None:
            self._writer.add_histogram(name, values, step)

    def save(self, history: "DataclassInstance", finished: bool, facts: Mapping[str, Any]) -> None:
        """Write `metrics.json` anew.

        Raises:
            StorageError: If it cannot be written.
        """
        if self._writer is not None:
            write_json(self._folder.metrics, {"finished": finished, **facts, **asdict(history)})
