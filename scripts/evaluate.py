"""Measure drivers on held-out towns: `python scripts/evaluate.py --config configs/demo/evaluate.yaml`."""

from navsim.cli import check_libraries, run_script

check_libraries()

import logging
import sys
from collections.abc import Sequence

from rich.console import Console

from agents.drivers.registry import PolicyEvaluationConfig, resolve
from navsim.config import parse_config
from navsim.drivers.sandbox import guarded
from navsim.drivers.spec import DriverSpec
from navsim.evaluation.metrics.drives import Drive
from navsim.evaluation.reports.parts import has_parts, parts_terminal_table
from navsim.evaluation.reports.results import driver_scores, failures, terminal_table
from navsim.evaluation.reports.run import run_evaluation
from navsim.simulation.simulation import Simulation
from navsim.viewer.viewer import Viewer


def main() -> None:
    """Drive, then print the table; drives that broke off make the exit code 1."""
    config = parse_config(PolicyEvaluationConfig, "Measure drivers in closed loop on held-out towns and routes.")
    console = Console()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    driver_specs = resolve(config)
    if config.gui:
        console.print(terminal_table(driver_scores(watch(config, driver_specs)), "watched to the end"))
        return
    drives = run_evaluation(config, driver_specs, console)
    console.print(terminal_table(driver_scores(drives), config.title))
    if has_parts(config.stages):
        console.print(parts_terminal_table(drives, config.stages))
    console.print(f"results, table, report.html and pictures are in {config.out}/", highlight=False, soft_wrap=True)
    broken = failures(drives)
    for line in broken:
        print(f"error: {line}", file=sys.stderr)
    sys.exit(1 if broken else 0)


def watch(config: PolicyEvaluationConfig, driver_specs: Sequence[DriverSpec]) -> list[Drive]:
    """Show the drives in the window, driver by driver, until the watcher quits.

    Raises:
        DisplayError: If there is no display.
    """
    drives: list[Drive] = []
    with Simulation(config.stages[0].simulation) as simulation, Viewer(simulation, config.viewer) as viewer:
        for driver_spec in driver_specs:
            episodes = viewer.watch(guarded(driver_spec.driver(), config.decision_limit), config.stages[0].scenarios)
            drives += [Drive(driver_spec.name, episode.scenario, episode, 0.0) for episode in episodes]
            if viewer.ended:
                break
    return drives


if __name__ == "__main__":
    run_script(main)
