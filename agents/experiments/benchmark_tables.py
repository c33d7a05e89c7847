"""Benchmarks as tables for a terminal.

Benchmarks of training as tables for a terminal.
"""

from collections.abc import Mapping, Sequence

from rich.table import Table

from agents.experiments.hardware_limits import Ceilings
from agents.experiments.simulation_benchmark import BenchmarkCase, Figures
from agents.experiments.single_benchmarks import ENVIRONMENTS, Singles
from agents.experiments.training_benchmark import DeviceSpeed, Loop, Speed

_MILLISECONDS = 1e3
_MEGABYTES = 1e-6


def cases_table(results: Mapping[BenchmarkCase, Figures]) -> Table:
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
            str(case.num_envs),
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


def loops_table(best: Mapping[Loop, Speed], rounds: Sequence[Mapping[Loop, Speed]]) -> Table:
    """Our trainer and the plain loop, best of all rounds, and how many times faster ours is."""
    ratio = best["ours"].images_per_second / best["plain"].images_per_second
    each = ", ".join(f"{r['ours'].images_per_second / r['plain'].images_per_second:.1f}" for r in rounds)
    parts = list(best["ours"].parts)
    table = Table(title=f"training: ours is {ratio:.1f} times as fast (round by round {each}); times per step in ms")
    for head in ("loop", "frames/s", "step", *parts):
        table.add_column(head, justify="left" if head == "loop" else "right")
    for loop, speed in best.items():
        times = [speed.parts.get(name) for name in parts]
        table.add_row(
            loop,
            f"{speed.images_per_second:.0f}",
            f"{_MILLISECONDS * speed.step:.1f}",
            *("-" if seconds is None else f"{_MILLISECONDS * seconds:.1f}" for seconds in times),
        )
    return table


def devices_table(speeds: Sequence[DeviceSpeed], ceilings: Ceilings, device: str) -> Table:
    """One row for each network on a device."""
    rates = f"copies {ceilings.bandwidth / 1e9:.0f} GB/s, multiplies {ceilings.arithmetic / 1e12:.1f} TFLOP/s"
    table = Table(title=f"{device}: {rates}; data on the device")
    heads = (
        "network",
        "cameras",
        "batch",
        "samples/s",
        "peak memory",
        "MFLOP",
        "MB moved",
        "of arithmetic",
        "of memory",
    )
    for head in heads:
        table.add_column(head, justify="left" if head in ("network", "cameras") else "right")
    for speed in speeds:
        table.add_row(
            speed.network,
            speed.cameras,
            str(speed.batch_size),
            f"{speed.samples_per_second:.0f}",
            "-" if speed.peak_memory is None else f"{speed.peak_memory / 1e9:.1f} GB",
            f"{speed.cost.operations / 1e6:.0f}",
            f"{speed.cost.traffic / 1e6:.1f}",
            f"{speed.shares.arithmetic:.0%}",
            f"{speed.shares.bandwidth:.0%}",
        )
    return table
