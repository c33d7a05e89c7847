"""Commands for experiments: studies that compare ways to learn, and benchmarks of speed and memory."""

import platform
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro

from agents.commands.main import command_line
from agents.experiments.hardware_limits import Ceilings, measure_ceilings
from agents.experiments.simulation_benchmark import (
    BenchmarkCase,
    Figures,
    SimulationBenchmark,
    best,
    cases_table,
    measure,
)
from agents.experiments.single_benchmarks import measure_singles, singles_table
from agents.experiments.study_config import StudyConfig, check_networks
from agents.experiments.study_report import page, read_contrast, read_finding, study_summary
from agents.experiments.training_benchmark import (
    LOOPS,
    DeviceSpeed,
    Loop,
    Speed,
    TrainingBenchmark,
    devices_table,
    fastest,
    loops_table,
    measure_loop,
    measure_network,
    measured_networks,
    record_drives,
)
from agents.training.config import choose_dtype
from navsim.cli import run_subcommand, say
from navsim.config import parse_config, to_mapping
from navsim.errors import ConfigError
from navsim.evaluation.reports.comparison import read_results
from navsim.parallel import available_cores
from navsim.progress import progress
from navsim.provenance import git_revision, machine, software_versions
from navsim.run_folder import locked_folder
from navsim.simulation.scenario import check_routes
from navsim.storage import write_json, write_text, write_yaml
from navsim.subprocesses import run, run_chains
from navsim.tables import Table, show

TABLE_WIDTH = 130
"""Smallest width of the tables [characters]."""


def run_study() -> None:
    """Collect, train, drive, and write the page."""
    config = parse_config(StudyConfig, "Compare ways to learn on the same data and budget.")
    if not config.variants:
        raise ConfigError("nothing to compare; give --config with a study such as configs/studies/learning.yaml")
    check_networks(config)
    stages = (stage for key in config.variants for stage in config.evaluation(key).stages)
    check_routes(scenario for stage in stages for scenario in stage.scenarios)
    with locked_folder(config.out):
        _run_study(config)


def _run_study(config: StudyConfig) -> None:
    """Run a study, in a folder that no other process uses."""
    for name in config.data:
        run(_collect(config, name))
    chains = {config.out / key / "log.txt": _train_and_drive(config, key) for key in config.variants}
    threads = str(max(available_cores() // config.side_by_side, 1))
    with progress("variants", len(chains), "variants") as advance:
        run_chains(chains, config.side_by_side, {"OMP_NUM_THREADS": threads}, lambda log: advance(1, log.parent.name))
    read_results([config.evaluation(key).out for key in config.variants])  # refuses results of different suites
    findings = {key: read_finding(config, key) for key in config.variants}
    contrasts = [(contrast, read_contrast(config, contrast)) for contrast in config.contrasts]
    write_text(config.page, page(config, findings, _about(config), contrasts))
    show(study_summary(config, findings))
    say(f"all scores: {config.page}")


def _collect(config: StudyConfig, name: str) -> Sequence[str]:
    path = config.out / f"{name}.yaml"
    write_yaml(path, to_mapping(config.collection(name)))
    return command_line("collect", "--config", str(path), "--resume")


def _train_and_drive(config: StudyConfig, key: str) -> tuple[Sequence[str], ...]:
    train, evaluate = (config.out / key / f"{step}.yaml" for step in ("train", "evaluate"))
    write_yaml(train, to_mapping(config.training(key)))
    write_yaml(evaluate, to_mapping(config.evaluation(key)))
    return (
        command_line("train", "--config", str(train), "--resume"),
        command_line("evaluate", "--config", str(evaluate)),
    )


def _about(config: StudyConfig) -> str:
    """Where and how it was done, in a sentence."""
    return (
        f"Done on {available_cores()} cores ({platform.machine()}), {config.side_by_side} variants at a time, "
        f"at revision {git_revision()[:10]}; `navsim run-study` makes this page."
    )


def benchmark() -> None:
    """Run the benchmark that the command line names: simulation or training."""
    run_subcommand({"simulation": simulation, "training": training}, "Measure speed and memory: simulation, training.")


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
    report_figures(tables, config.out)


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
    report_figures(tables, config.out)


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


def report_figures(tables: list[Table], out: Path) -> None:
    """Print tables, and where the same is as JSON."""
    for table in tables:
        show(table, TABLE_WIDTH)  # a log file may have long lines
    say(f"all rounds, as JSON: {out}")
