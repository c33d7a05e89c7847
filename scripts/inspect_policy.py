"""What a policy learned to see, as one HTML page: `python scripts/inspect_policy.py CHECKPOINT --data FOLDER`.

Not `inspect.py`: scripts stand first in Python's search path, and the standard library has a module of that name.
"""

from navsim.cli import check_libraries, run_script

check_libraries()

from rich.console import Console

from agents.interpretability.inspection import InspectConfig, inspect_policy
from agents.interpretability.writing import headlines, write_inspection
from navsim.config import parse_config
from navsim.tables import Table


def main() -> None:
    """Inspect, write the page, print the main numbers."""
    config = parse_config(
        InspectConfig, "Look into a policy: filters, feature maps, saliency, what decisions depend on."
    )
    seen = inspect_policy(config)
    page = write_inspection(seen, config.folder)
    rows = [(line.words, line.value, line.interval) for line in headlines(seen)]
    table = Table(("what", "value", "95% interval"), rows, title=f"{seen.numbers.frames} frames")
    console = Console()
    console.print(table.rich())
    for note in seen.numbers.notes:
        console.print(f"note: {note}", highlight=False, soft_wrap=True)
    console.print(f"written: {page}, with its pictures and numbers beside it", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    run_script(main)
