"""What a run tells while it trains: TensorBoard curves and pictures, `metrics.json`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from types import TracebackType
from typing import Any, Self

from torch.utils.tensorboard import SummaryWriter

from agents.scoring.calibration import Scores
from agents.training.run_folder import RunFolder
from navsim.config import to_mapping
from navsim.sensing.observation import Image
from navsim.storage import write_json


@dataclass
class History:
    """What is known of the run so far; travels in the checkpoint."""

    step: int = 0
    """Steps taken."""
    best_nll: float | None = None
    """Best validation score so far [nats]."""
    best_epoch: int = 0
    """The epoch that it belongs to, counted from 1."""
    epochs: list[dict[str, Any]] = field(default_factory=list)
    """For each epoch that ended: epoch, step, scores, images per second, seconds."""

    def add(self, epoch: int, scores: Scores, train_nll: float, images_per_second: float) -> bool:
        """Note the scores of an epoch; returns whether they are the best so far."""
        values = {"epoch": epoch, "step": self.step, "train_nll": train_nll, "validation": to_mapping(scores)}
        self.epochs.append(values | {"images_per_second": round(images_per_second, 1)})
        if self.best_nll is not None and scores.nll >= self.best_nll:
            return False
        self.best_nll, self.best_epoch = scores.nll, epoch
        return True


class Journal:
    """Writes the run's TensorBoard log and `metrics.json`."""

    def __init__(self, folder: RunFolder, step: int) -> None:
        """Open the log; what an earlier process wrote past `step` is hidden."""
        self._folder = folder
        self._writer = SummaryWriter(str(folder.tensorboard), purge_step=step)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    def curves(self, group: str, values: Mapping[str, float | None], step: int) -> None:
        """Add one point to each of the curves `group/name`."""
        for name, value in values.items():
            if value is not None:
                self._writer.add_scalar(f"{group}/{name}", value, step)

    def picture(self, name: str, picture: Image, step: int) -> None:
        """Add a picture (H, W, 3) uint8."""
        self._writer.add_image(name, picture, step, dataformats="HWC")

    def save(self, history: History, finished: bool, facts: Mapping[str, Any]) -> None:
        """Write `metrics.json` anew.

        Raises:
            StorageError: If it cannot be written.
        """
        values = {"finished": finished, **facts, **asdict(history)}
        write_json(self._folder.metrics, values)
