"""Score a policy's distributions on recorded drives: `python scripts/score.py --checkpoint FILE --data FOLDER`."""

from navsim.cli import check_libraries, run_script

check_libraries()

from rich.console import Console

from agents.scoring.predictions import ScoreConfig, score_checkpoint
from navsim.config import parse_config
from navsim.evaluation.reports.plots import save_figure
from navsim.storage import write_json


def main() -> None:
    """Score, print the table, write it as JSON and PNG."""
    config = parse_config(ScoreConfig, "Score a policy's distributions on recorded drives; calibrate it if wanted.")
    report = score_checkpoint(config)
    folder = config.checkpoint.parent if config.out is None else config.out
    name = f"{config.checkpoint.stem}-{config.split}-scores"
    write_json(folder / f"{name}.json", report.mapping())
    save_figure(report.figure(), folder / f"{name}.png")
    console = Console()
    console.print(report.table().rich())
    if config.calibrate:
        words = (
            f"{config.checkpoint}: temperature is now {report.fitted_temperature:.3f}, probabilities are recalibrated"
        )
        console.print(words, highlight=False, soft_wrap=True)
    console.print(f"written: {folder / name}.json and .png", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    run_script(main)
