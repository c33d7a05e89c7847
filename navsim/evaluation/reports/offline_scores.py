"""How well checkpoints predicted recorded drives, from the folders of their training runs. No torch."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from navsim.errors import CheckpointError


@dataclass(frozen=True)
class OfflineScore:
    """Validation scores of the epoch that a checkpoint is from."""

    epoch: int
    """Its number, counted from 1."""
    nll: float
    """Mean negative log-likelihood of the expert's commands [nats]."""
    curvature_error: float
    """Mean absolute error of the mode [1/m]."""


def offline_score(checkpoint: Path) -> OfflineScore | None:
    """The scores of `best.safetensors` or `last.safetensors` in a run's folder, from the `metrics.json` beside it.

    Returns:
        The scores; None for any other file, and where there are none.

    Raises:
        CheckpointError: If there is a `metrics.json` that cannot be read.
    """
    path = checkpoint.parent / "metrics.json"
    if checkpoint.name not in ("best.safetensors", "last.safetensors") or not path.is_file():
        return None
    try:
        metrics: dict[str, Any] = json.loads(path.read_text())
        epochs = metrics["epochs"]
        if not epochs:
            return None
        number = metrics["best_epoch"] if checkpoint.stem == "best" else len(epochs)
        scores = epochs[number - 1]["validation"]
        return OfflineScore(number, float(scores["nll"]), float(scores["curvature_error"]))
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise CheckpointError(f"{path}: cannot be read: {error}") from None
