"""Measure speed and memory: `python scripts/benchmark.py simulation`."""

from navsim.startup import check_libraries, run_script

check_libraries()

from typing import Annotated

import tyro
from rich.console import Console

from navsim.benchmarks.simulation import Case, Figures, SimulationBenchmark, best, measure
from navsim.benchmarks.singles import measure_singles
from navsim.benchmarks.tables import cases_table, singles_table
from navsim.config import to_mapping
from navsim.parallel import available_cores
from navsim.progress import progress
from navsim.recording.versions import git_revision, software_versions
from navsim.storage import write_json

TABLE_WIDTH = 130
"""Least width of the tables, in characters."""


def simulation(config: Annotated[SimulationBenchmark, tyro.conf.arg(name="")]) -> None:
    """Measure the simulator: steps per second, time per part, resets, memory.

    Args:
        config: Which cases.
    """
    rounds: dict[Case, list[Figures]] = {case: [] for case in config.cases}
    with progress("measuring", config.rounds * len(rounds), "cases") as advance:
        for _ in range(config.rounds):
            for case, measured in rounds.items():
                measured.append(measure(config, case))
                advance()
    results = {case: best(measured) for case, measured in rounds.items()}
    singles = measure_singles(config.renderers[-1]) if config.singles else None
    values = {
        "cases": [{"case": to_mapping(case), "best": to_mapping(figures)} for case, figures in results.items()],
        "rounds": [[to_mapping(figures) for figures in measured] for measured in rounds.values()],
        "singles": None if singles is None else to_mapping(singles),
        "config": to_mapping(config),
        "machine": {"cores": available_cores()},
        "versions": software_versions(),
        "git_revision": git_revision(),
    }
    write_json(config.out, values)
    screen = Console()
    console = Console(width=max(screen.width, TABLE_WIDTH))  # a log file may have long lines
    console.print(cases_table(results))
    if singles is not None:
        console.print(singles_table(singles))
    console.print(f"all rounds, as JSON: {config.out}", highlight=False, soft_wrap=True)


def main() -> None:
    """Do what the command line says."""
    tyro.extras.subcommand_cli_from_dict({"simulation": simulation}, description="Measure speed and memory.")


if __name__ == "__main__":
    run_script(main)
