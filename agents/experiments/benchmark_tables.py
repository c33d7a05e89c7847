"""Benchmarks of simulation and training as tables for a terminal."""

from collections.abc import Mapping, Sequence

from agents.experiments.hardware_limits import Ceilings
from agents.experiments.simulation_benchmark import BenchmarkCase, Figures
from agents.experiments.single_benchmarks import ENVIRONMENTS, Singles
from agents.experiments.training_benchmark import DeviceSpeed, Loop, Speed
from navsim.number_formats import MISSING, number, percent, seconds
from navsim.tables import Table

_MILLISECONDS = 1e3
_MEGABYTES = 1e-6


def cases_table(results: Mapping[BenchmarkCase, Figures]) -> Table:
    """Return one row for each case."""
    headers = ("cameras", "renderer", "worlds", "processes", "steps/s", "physics", "render", "maps", "rest")
    rows = [
        (
            f"{case.cameras} x {case.height}x{case.width}",
            case.renderer,
            str(case.num_envs),
            str(case.processes),
            number(figures.steps_per_second, 0),
            *(number(_MILLISECONDS * part) for part in (figures.physics, figures.render, figures.maps, figures.rest)),
            *(number(_MILLISECONDS * part, 0) for part in (figures.reset_new_town, figures.reset_same_town)),
            number(_MEGABYTES * figures.memory, 0),
        )
        for case, figures in results.items()
    ]
    title = "both maps; times per step of one world in ms; the rest is the expert, which drives and does not count"
    return Table((*headers, "reset new [ms]", "same [ms]", "MB/process"), rows, title=title, text_columns=2)


def singles_table(singles: Singles) -> Table:
    """Return one row for each figure."""
    rows = (
        ("start of Python to first picture", seconds(singles.first_image, 2)),
        ("road-map patches of 50x50", f"{number(singles.map_patches, 0)} per s"),
        ("TownEnvironment", f"{number(singles.environment, 0)} steps/s"),
        (f"TownVectorEnvironment, {ENVIRONMENTS} in one process", f"{number(singles.vector, 0)} steps/s"),
        (f"AsyncVectorEnv, {ENVIRONMENTS} in as many processes", f"{number(singles.asynchronous, 0)} steps/s"),
    )
    return Table(("", ""), rows, title="one camera of 66x200 and both maps")


def loops_table(best: Mapping[Loop, Speed], rounds: Sequence[Mapping[Loop, Speed]]) -> Table:
    """Return our trainer and the plain loop, best of all rounds, with the ratio of their speeds."""
    ratio = best["ours"].images_per_second / best["plain"].images_per_second
    each = ", ".join(f"{r['ours'].images_per_second / r['plain'].images_per_second:.1f}" for r in rounds)
    parts = list(best["ours"].parts)
    rows = [
        (
            loop,
            number(speed.images_per_second, 0),
            number(_MILLISECONDS * speed.step, 1),
            *(number(_MILLISECONDS * speed.parts[name], 1) if name in speed.parts else MISSING for name in parts),
        )
        for loop, speed in best.items()
    ]
    title = f"training: ours is {ratio:.1f} times as fast (round by round {each}); times per step in ms"
    return Table(("loop", "frames/s", "step", *parts), rows, title=title)


def devices_table(speeds: Sequence[DeviceSpeed], ceilings: Ceilings, device: str) -> Table:
    """Return one row for each network on a device."""
    rates = f"copies {ceilings.bandwidth / 1e9:.0f} GB/s, multiplies {ceilings.arithmetic / 1e12:.1f} TFLOP/s"
    headers = ("network", "cameras", "batch", "samples/s", "peak memory", "MFLOP", "MB moved")
    rows = [
        (
            speed.network,
            speed.cameras,
            str(speed.batch_size),
            number(speed.samples_per_second, 0),
            number(None if speed.peak_memory is None else speed.peak_memory / 1e9, 1, "GB"),
            number(speed.cost.operations / 1e6, 0),
            number(speed.cost.traffic / 1e6, 1),
            percent(speed.shares.arithmetic),
            percent(speed.shares.bandwidth),
        )
        for speed in speeds
    ]
    title = f"{device}: {rates}; data on the device"
    return Table((*headers, "of arithmetic", "of memory"), rows, title=title, text_columns=2)
