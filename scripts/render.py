"""Render recorded drives anew: `python scripts/render.py --source runs/data --out runs/pilotnet --rig pilotnet`."""

from navsim.cli import check_libraries, run_script

check_libraries()

from rich.console import Console

from navsim.config import parse_config
from navsim.datasets.rerender import RenderConfig, rerender
from navsim.datasets.statistics import statistics_table


def main() -> None:
    """Render, then print what is in the new data folder."""
    config = parse_config(RenderConfig, "Render recorded drives with other cameras, renderer or appearance.")
    rendering = rerender(config)
    console = Console()
    console.print(statistics_table(rendering.statistics).rich())
    done = rendering.recording
    if done.drives:
        speed = f"{done.steps_per_second:.0f} steps/s by {done.workers} processes"
        news = f"rendered {done.drives} drives, {done.steps} steps in {done.seconds:.0f} s: {speed}"
    else:
        news = "done before: no drive is missing"
    console.print(f"{news}; the data is in {config.out}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    run_script(main)
