"""Record drives of the expert: `python scripts/collect.py --config configs/demo/collect.yaml`."""

from navsim.cli import check_libraries, run_script

check_libraries()

from rich.console import Console

from navsim.config import parse_config
from navsim.datasets.collection import collect
from navsim.datasets.collection_config import CollectConfig
from navsim.datasets.statistics import statistics_table


def main() -> None:
    """Collect, then print what is in the data folder."""
    config = parse_config(CollectConfig, "Record drives of the expert as data to learn from.")
    collection = collect(config)
    console = Console()
    console.print(statistics_table(collection.statistics).rich())
    done = collection.recording
    if done.drives:
        speed = f"{done.steps_per_second:.0f} steps/s by {done.workers} processes"
        news = f"recorded {done.drives} drives, {done.steps} steps in {done.seconds:.0f} s: {speed}"
    else:
        news = "done before: no drive is missing"
    console.print(f"{news}; the data is in {config.out}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    run_script(main)
