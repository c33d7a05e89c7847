"""Measure speed and memory: `python scripts/benchmark.py simulation` or `training`."""

from navsim.cli import check_libraries, run_script

check_libraries()

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro
from rich.console import Console

from agents.experiments.benchmark_tables import cases_table, devices_table, loops_table, singles_table
from agents.experiments.hardware_limits import Ceilings, measure_ceilings
from agents.experiments.simulation_benchmark import BenchmarkCase, Figures, SimulationBenchmark, best, measure
from agents.experiments.single_benchmarks import measure_singles
from agents.experiments.training_benchmark import (
    LOOPS,
    DeviceSpeed,
    Loop,
    Speed,
    TrainingBenchmark,
    fastest,
    measure_loop,
    measure_network,
    measured_networks,
    record_drives,
)
from agents.training.config import choose_dtype
from navsim.config import to_mapping
from navsim.progress import progress
from navsim.provenance import git_revision, machine, software_versions
from navsim.storage import write_json
from navsim.tables import Table

TABLE_WIDTH = 130
"""Least width of the tables, in characters."""


def simulation(config: Annotated[SimulationBenchmark, tyro.conf.arg(name="")]) -> None:
    """Measure the simulator: steps per second, time per part, resets, memory.

    Args:
        config: Which cases.
    """
    rounds: dict[BenchmarkCase, list[Figures]] = {case: [] for case in config.cases}
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
        **circumstances(config),
    }
    write_json(config.out, values)
    tables = [cases_table(results)] if singles is None else [cases_table(results), singles_table(singles)]
    show(tables, config.out)


def training(config: Annotated[TrainingBenchmark, tyro.conf.arg(name="")]) -> None:
    """Measure training: frames per second of ours and of a plain loop; on a GPU, networks against its ceilings.

    Args:
        config: What is measured, and how long.
    """
    record_drives(config)
    rounds: list[dict[Loop, Speed]] = []
    with progress("measuring", config.rounds * len(LOOPS), "loops") as advance:
        for _ in range(config.rounds):
            rounds.append({})
            for loop in LOOPS:
                rounds[-1][loop] = measure_loop(config, loop)
                advance()
    best = fastest(rounds)
    values: dict[str, Any] = {
        "best": {loop: to_mapping(speed) for loop, speed in best.items()},
        "rounds": [{loop: to_mapping(speed) for loop, speed in measured.items()} for measured in rounds],
        **circumstances(config),
    }
    values["versions"]["torch"] = torch.__version__
    tables = [loops_table(best, rounds)]
    if torch.cuda.is_available() and config.gpu_seconds > 0:
        gpu, ceilings, speeds = measure_gpu(config)
        values["gpu"] = {
            "device": gpu,
            "ceilings": to_mapping(ceilings),
            "networks": [to_mapping(speed) for speed in speeds],
        }
        tables.append(devices_table(speeds, ceilings, gpu))
    write_json(config.out, values)
    show(tables, config.out)


def measure_gpu(config: TrainingBenchmark) -> tuple[str, Ceilings, list[DeviceSpeed]]:
    """The GPU's name, its ceilings, and how fast it trains each network."""
    device = torch.device("cuda")
    train = replace(config.train, device="cuda", batch_size=config.gpu_batch)
    ceilings = measure_ceilings(device, choose_dtype(train, device))
    names = measured_networks()
    speeds = []
    with progress("measuring on the GPU", len(names), "networks") as advance:
        for name in names:
            speeds.append(measure_network(name, train, config.gpu_frames, config.gpu_seconds, ceilings))
            advance()
    return torch.cuda.get_device_name(device), ceilings, speeds


def circumstances(config: Any) -> dict[str, Any]:
    """With which settings, where and with what a benchmark was run, as plain values."""
    return {
        "config": to_mapping(config),
        "machine": machine(),
        "versions": dict(software_versions()),
        "git_revision": git_revision(),
    }


def show(tables: list[Table], out: Path) -> None:
    """Print tables, and where the same is as JSON."""
    screen = Console()
    console = Console(width=max(screen.width, TABLE_WIDTH))  # a log file may have long lines
    for table in tables:
        console.print(table.rich())
    console.print(f"all rounds, as JSON: {out}", highlight=False, soft_wrap=True)


def main() -> None:
    """Do what the command line says."""
    tyro.extras.subcommand_cli_from_dict(
        {"simulation": simulation, "training": training}, description="Measure speed and memory."
    )


if __name__ == "__main__":
    run_script(main)
