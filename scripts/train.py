"""Train a policy on recorded drives: `python scripts/train.py --config configs/demo/train.yaml`."""

from navsim.startup import INTERRUPTED, check_libraries, run_script

check_libraries()

import sys
from typing import Any

from rich.console import Console
from rich.table import Table

from agents.training.config import TrainConfig, choose_device
from agents.training.dataset import load_training_data
from agents.training.distributed import Group, process_group
from agents.training.journal import History
from agents.training.loop import train
from agents.training.memory import keep_freed_memory
from agents.training.run_folder import RunFolder, open_run
from navsim.config import from_mapping, parse_config
from navsim.errors import NavsimError


def main() -> None:
    """Train, then print the scores of each epoch."""
    config = parse_config(TrainConfig, "Train a policy on recorded drives.")
    with process_group(choose_device(config).type == "cuda") as group:
        console = Console(quiet=not group.first)
        folder = open_run(config)
        if folder.finished:
            console.print(f"{folder.path}: this run is done; nothing to do", highlight=False, soft_wrap=True)
        else:
            learn(config, folder, group, console)
        if group.first:
            history = read_history(folder)
            console.print(epochs_table(history))
            console.print(f"best: epoch {history.best_epoch}, {folder.best}", highlight=False, soft_wrap=True)


def learn(config: TrainConfig, folder: RunFolder, group: Group, console: Console) -> None:
    """Load the data and train."""
    data = load_training_data(config.data, config.policy)
    console.print(
        f"{len(data.train)} frames to learn from, {len(data.validation)} to validate on",
        highlight=False,
        soft_wrap=True,
    )
    keep_freed_memory()
    try:
        train(config, data, folder, group)
    except KeyboardInterrupt:
        if group.first:
            raise
        sys.exit(INTERRUPTED)  # the first process says it for all
    except NavsimError as error:
        if group.alone:
            raise
        raise type(error)(f"process {group.rank} of {group.size}: {error}") from None


def read_history(folder: RunFolder) -> History:
    """The history in a run's `metrics.json`."""
    known = History.__dataclass_fields__
    values = {key: value for key, value in folder.read_metrics().items() if key in known}
    return from_mapping(History, values, str(folder.metrics))


def epochs_table(history: History) -> Table:
    """Scores of all epochs; the best is marked."""
    driven = any(row["closed_loop"] for row in history.epochs)
    more = ["arrived", "completion"] if driven else []
    table = Table("epoch", "train nll", "val. nll", "off straights", "mode error 1/m", *more, "images/s")
    for row in history.epochs:
        scores = row["validation"]
        without = scores["nll_without_spike"]
        table.add_row(
            f"{row['epoch']}{' *' if row['epoch'] == history.best_epoch else ''}",
            f"{row['train_nll']:.3f}",
            f"{scores['nll']:.3f}",
            "-" if without is None else f"{without:.3f}",
            f"{scores['curvature_error']:.5f}",
            *(drives_cells(row["closed_loop"]) if driven else []),
            f"{row['images_per_second']:.0f}",
        )
    return table


def drives_cells(drives: dict[str, Any] | None) -> list[str]:
    """How an epoch drove: arrivals and route completion."""
    if drives is None:
        return ["-", "-"]
    return [f"{drives['arrived']} of {drives['routes']}", f"{drives['completion']:.0%}"]


if __name__ == "__main__":
    run_script(main)
