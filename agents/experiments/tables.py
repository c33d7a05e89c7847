"""Benchmarks as tables for a terminal."""

from collections.abc import Mapping

from rich.table import Table

from agents.experiments.simulation_benchmark import Case, Figures
from agents.experiments.single_benchmarks import ENVIRONMENTS, Singles

_MILLISECONDS = 1e3
_MEGABYTES = 1e-6


def cases_table(results: Mapping[Case, Figures]) -> Table:
    """One row for each case."""
    title = "both maps; times per step of one world in ms; the rest is the expert at the wheel and does not count"
    table = Table(title=title)
    heads = ("cameras", "renderer", "worlds", "processes", "steps/s", "physics", "render", "maps", "rest")
    for head in (*heads, "reset new [ms]", "same [ms]", "MB/process"):
        table.add_column(head, justify="left" if head in ("cameras", "renderer") else "right")
    for case, figures in results.items():
        times = (figures.physics, figures.render, figures.maps, figures.rest)
        table.add_row(
            f"{case.cameras} x {case.height}x{case.width}",
            case.renderer,
            str(case.worlds),
            str(case.processes),
            f"{figures.steps_per_second:.0f}",
            *(f"{_MILLISECONDS * part:.2f}" for part in times),
            *(f"{_MILLISECONDS * part:.0f}" for part in (figures.reset_new_town, figures.reset_same_town)),
            f"{_MEGABYTES * figures.memory:.0f}",
        )
    return table


def singles_table(singles: Singles) -> Table:
    """One row for each figure."""
    table = Table(title="one camera of 66x200 and both maps", show_header=False)
    rows = {
        "start of Python to first picture": f"{singles.first_image:.2f} s",
        "road-map patches of 50x50": f"{singles.map_patches:.0f} per s",
        "TownEnvironment": f"{singles.environment:.0f} steps/s",
        f"TownVectorEnvironment, {ENVIRONMENTS} in one process": f"{singles.vector:.0f} steps/s",
        f"AsyncVectorEnv, {ENVIRONMENTS} in as many processes": f"{singles.asynchronous:.0f} steps/s",
    }
    for name, text in rows.items():
        table.add_row(name, text)
    return table
