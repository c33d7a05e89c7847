"""What is measured while training runs, and where it is written: TensorBoard and `metrics.json`."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from agents.training.distributed import ALONE, ProcessGroup
from agents.training.run_folder import RunFolder
from navsim.config import from_mapping
from navsim.sensing.observation import Image
from navsim.storage import write_json

Sums = dict[str, float]
"""Plain values of a `Means`."""


class Means:
    """Running means of named numbers, kept on the device so that nothing has to wait for them."""

    def __init__(
        self, sums: Mapping[str, float] | None = None, count: int = 0, dtype: torch.dtype = torch.float64
    ) -> None:
        """Continue from the sums of `count` steps, adding up in `dtype`."""
        self._sums = {name: torch.tensor(value, dtype=dtype) for name, value in (sums or {}).items()}
        self.count, self.dtype = count, dtype

    @staticmethod
    def shared(
        sums: Mapping[str, float], count: int, group: ProcessGroup, dtype: torch.dtype = torch.float64
    ) -> "Means":
        """Continue from sums over all processes, which the first process keeps."""
        return Means(sums if group.first else dict.fromkeys(sums, 0.0), count, dtype)

    def add(self, values: Mapping[str, Tensor]) -> None:
        """Add the values of one step, scalars; each of several processes adds its part."""
        for name, value in values.items():
            value = value.detach().to(self.dtype)
            self._sums[name] = self._sums[name].to(value.device) + value if name in self._sums else value
        self.count += 1

    def sums(self, group: ProcessGroup = ALONE) -> Sums:
        """Return the sums over all processes, each of which must call this."""
        if not self._sums:
            return {}
        names = sorted(self._sums)
        total = group.sum(torch.stack([self._sums[name] for name in names]))
        return dict(zip(names, total.tolist(), strict=True))

    def means(self, group: ProcessGroup = ALONE) -> Sums:
        """Return the means over all steps; there are none before the first."""
        return {name: value / self.count for name, value in self.sums(group).items()}


class Stopwatch:
    """Adds up the times of the parts of some work [s]."""

    def __init__(self, device: torch.device) -> None:
        """Start at zero.

        Args:
            device: Device of the work. A GPU works while the program continues, so a part's time is known only after
                waiting for the GPU; see `watching`.
        """
        self._device = device
        self.watching = True
        """Whether parts are timed; on a GPU that costs speed, so turn it on in few steps."""
        self.seconds: dict[str, float] = {}
        """Time of each part so far [s]."""

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Time the block."""
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
        """Return each part's share of the time of all parts."""
        total = sum(self.seconds.values())
        return {name: value / total for name, value in self.seconds.items()} if total > 0 else {}

    def _wait(self) -> None:
        """Wait until the device has finished its work."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)


@dataclass
class History:
    """The epochs of a run so far; stored in its checkpoints."""

    step: int = 0
    """Number of steps taken."""
    best_epoch: int = 0
    """Number of the best epoch, counted from 1."""
    epochs: list[dict[str, Any]] = field(default_factory=list)
    """Record of each epoch that ended: epoch, step, losses, scores, speed."""

    @staticmethod
    def of(values: Mapping[str, Any], source: str) -> "History":
        """Read a history among other plain values from `source`.

        Raises:
            ConfigError: If a value has another type.
        """
        known = History.__dataclass_fields__
        return from_mapping(History, {key: value for key, value in values.items() if key in known}, source)

    @property
    def best(self) -> dict[str, Any] | None:
        """Record of the best epoch; None before the first has ended."""
        return self.epochs[self.best_epoch - 1] if self.epochs else None

    def add(self, record: dict[str, Any], score_key: Callable[[Mapping[str, Any]], Any]) -> bool:
        """Add the record of an epoch; returns whether its `score_key` is the largest so far."""
        best = self.best is None or score_key(record) > score_key(self.best)
        self.epochs.append(record)
        if best:
            self.best_epoch = len(self.epochs)
        return best

    def epochs_without_improvement(self) -> int:
        """Count the epochs since the best one, of those that could have been better.

        Once an epoch has driven, those that have not driven cannot be the best.
        """
        driven = self.best is not None and self.best.get("closed_loop") is not None
        return sum(not driven or record["closed_loop"] is not None for record in self.epochs[self.best_epoch :])


def read_history(folder: RunFolder) -> History:
    """Read the history in a run's `metrics.json`."""
    return History.of(folder.read_metrics(), str(folder.metrics))


class TrainingLogger:
    """Writes the run's TensorBoard log and `metrics.json`; a silent one writes nothing."""

    def __init__(self, folder: RunFolder, step: int, silent: bool = False) -> None:
        """Open the log; points that an earlier process wrote after `step` are hidden."""
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

    def log_image(self, name: str, image: Image, step: int) -> None:
        """Add an image (H, W, 3) uint8."""
        if self._writer is not None:
            self._writer.add_image(name, image, step, dataformats="HWC")

    def log_histogram(self, name: str, values: Tensor, step: int) -> None:
        """Add a histogram of values of any shape."""
        if self._writer is not None:
            self._writer.add_histogram(name, values, step)

    def save(self, metrics: Mapping[str, Any], finished: bool) -> None:
        """Write `metrics.json`.

        Raises:
            StorageError: If it cannot be written.
        """
        if self._writer is not None:
            write_json(self._folder.metrics, {**metrics, "finished": finished})
