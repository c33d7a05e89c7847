"""Measure drivers on held-out towns: `python scripts/evaluate.py --config configs/demo/evaluate.yaml`."""

from navsim.startup import check_libraries, run_script

check_libraries()

import hashlib
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from agents.acting import ActingConfig
from agents.evaluating import EvaluationSettings
from agents.export.facts import ONNX_NAME, ExportFacts
from agents.learned import CARS
from agents.onnx_driver import OnnxDriver, read_facts
from navsim.config import parse_config
from navsim.driving.drivers import Driver
from navsim.driving.simulation import Simulation, SimulationConfig
from navsim.errors import CheckpointError, ConfigError
from navsim.evaluation.archive import Drive
from navsim.evaluation.entrants import Entrant, constant_entrant, expert_entrant
from navsim.evaluation.parts import has_parts, parts_terminal_table
from navsim.evaluation.report import driver_scores, failures, terminal_table
from navsim.evaluation.run import run_evaluation
from navsim.evaluation.viewer import Viewer

if TYPE_CHECKING:
    from agents.training.checkpoint import CheckpointInfo

SUFFIXES = (".safetensors", ".onnx")
ONNX = "onnx:"
"""Before the path of an exported policy, a file or the folder around it."""
WORDS = ("policy", "blind", "constant", "expert")


def main() -> None:
    """Drive, then print the table; drives that broke off make the exit code 1."""
    config = parse_config(EvaluationSettings, "Measure drivers in closed loop on held-out towns and routes.")
    console = Console()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    entrants = resolve(config)
    if config.gui:
        console.print(terminal_table(driver_scores(watch(config, entrants)), "watched to the end"))
        return
    drives = run_evaluation(config, entrants, console)
    console.print(terminal_table(driver_scores(drives), config.title))
    if has_parts(config.stages):
        console.print(parts_terminal_table(drives, config.stages))
    console.print(f"results, table and pictures are in {config.out}/", highlight=False, soft_wrap=True)
    broken = failures(drives)
    for line in broken:
        print(f"error: {line}", file=sys.stderr)
    sys.exit(1 if broken else 0)


def resolve(config: EvaluationSettings) -> tuple[Entrant, ...]:
    """Turn the words after `--driver` into drivers, each under a name of its own.

    Raises:
        ConfigError: If a word is none of a driver.
        CheckpointError: If a checkpoint is missing, damaged or made for other cameras or another map.
    """
    entrants: list[Entrant] = []
    for word in config.driver:
        entrant = _entrant(word, config, {entrant.name for entrant in entrants})
        if entrant.name in {known.name for known in entrants}:
            raise ConfigError(f"driver {word!r} is named twice")
        entrants.append(entrant)
    return tuple(entrants)


def _entrant(word: str, config: EvaluationSettings, taken: set[str]) -> Entrant:
    """One driver by its word."""
    if word == "expert":
        return expert_entrant(config.simulation)
    if word == "constant":
        return constant_entrant()
    if word in ("policy", "blind"):
        path = policy_path(config.policy if word == "policy" else config.blind)
        if not path.is_file():
            raise CheckpointError(f"{path}: no such checkpoint file, which driver {word!r} stands for (set {word})")
        return policy_entrant(path, config, word)
    if not word.startswith(ONNX) and not word.endswith(SUFFIXES):
        kinds = f"{' or '.join(f'*{suffix}' for suffix in SUFFIXES)}, or {ONNX}FOLDER"
        raise ConfigError(f"unknown driver {word!r}: give a policy's path ({kinds}) or one of {', '.join(WORDS)}")
    path = Path(word.removeprefix(ONNX))
    if word.startswith(ONNX) and path.suffix != ".onnx":
        path = path / ONNX_NAME
    name = "blind" if about_policy(path).policy.blind else "policy"
    return policy_entrant(path, config, name if name not in taken else f"{path.parent.name}-{path.stem}")


def policy_path(path: Path) -> Path:
    """The file of a policy: `path`, or the exported one in that folder."""
    return path / ONNX_NAME if path.is_dir() else path


def about_policy(path: Path) -> "CheckpointInfo | ExportFacts":
    """What a policy's file says about itself.

    Raises:
        CheckpointError: If it cannot be used.
        ConfigError: If it is an exported one, and onnxruntime is not installed.
    """
    if path.suffix == ".onnx":
        return read_facts(path)
    from agents.training.checkpoint import read_info  # torch is slow to import, and not every driver needs it

    return read_info(path)


def policy_entrant(path: Path, config: EvaluationSettings, name: str) -> Entrant:
    """A learned driver, after trying whether its checkpoint fits the car.

    Raises:
        CheckpointError: If it is missing, damaged or made for other cameras or another map.
    """
    source = (path, config.simulation, name, config.acting)
    make_policy(source)
    digest = hashlib.sha256(path.read_bytes() + repr(config.acting).encode()).hexdigest()[:16]
    renderer = about_policy(path).versions.get("renderer", "")
    return Entrant(name, make_policy, source, origin=str(path), digest=digest, cars=CARS, renderer=renderer)


def make_policy(source: tuple[Path, SimulationConfig, str, ActingConfig]) -> Driver:
    """Load a learned driver, in this process or a worker."""
    path, simulation, name, acting = source
    if path.suffix == ".onnx":
        return OnnxDriver(path, simulation.cameras, simulation.map, name, acting)
    from agents.driver import PolicyDriver

    return PolicyDriver(path, simulation.cameras, simulation.map, name, acting)


def watch(config: EvaluationSettings, entrants: Sequence[Entrant]) -> list[Drive]:
    """Show the drives in the window, driver by driver, until the watcher quits.

    Raises:
        DisplayError: If there is no display.
    """
    drives: list[Drive] = []
    with Simulation(config.stages[0].simulation) as simulation, Viewer(simulation, config.viewer) as viewer:
        for entrant in entrants:
            episodes = viewer.watch(entrant.driver(), config.stages[0].scenarios)
            drives += [Drive(entrant.name, episode.scenario, episode, 0.0) for episode in episodes]
            if viewer.ended:
                break
    return drives


if __name__ == "__main__":
    run_script(main)
