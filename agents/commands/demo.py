"""The main job, whole: collect drives, train a policy and its blind twin, drive held-out towns, print the table.

Each step is a command that can be run by hand with the same options; each resumes what it finds half done.
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path

from agents.commands.main import command_line, missing_package
from agents.policies import has_torch
from navsim.cli import say
from navsim.config import parse_config
from navsim.parallel import available_cores
from navsim.run_folder import locked_folder
from navsim.storage import find_file, write_json
from navsim.subprocesses import run, run_in_background


@dataclass(frozen=True)
class DemoConfig:
    """Folders of the demo; the settings of its steps stand in the four files of `configs`."""

    configs: Path = Path("configs/demo")
    """Folder with collect.yaml, train.yaml, blind.yaml and evaluate.yaml."""
    out: Path = Path("runs/demo")
    """Folder that those files name; holds the times of the steps and the blind twin's log, too."""


@dataclass(frozen=True)
class Step:
    """A part of the demo: one command, or two at once with half of the cores each."""

    title: str
    """Purpose of the step, for its heading."""
    command: tuple[str, ...]
    """Command line of the step, without Python."""
    in_background: tuple[str, ...] = ()
    """Second command line, which runs at the same time and writes to a log."""


def steps(configs: Path) -> tuple[Step, ...]:
    """The demo's steps in order."""

    def command(name: str, settings: str, *more: str) -> tuple[str, ...]:
        return command_line(name, "--config", str(configs / settings), *more)

    return (
        Step("collect drives", command("collect", "collect.yaml", "--resume")),
        Step(
            "train the policy and its blind twin",
            command("train", "train.yaml", "--resume"),
            in_background=command("train", "blind.yaml", "--resume"),
        ),
        Step("drive held-out towns", command("evaluate", "evaluate.yaml")),
    )


def demo() -> None:
    """Run the steps one after the other and say how long each took."""
    config = parse_config(DemoConfig, "Collect, train and evaluate, as `make demo` does.")
    if not has_torch():
        raise missing_package("demo", "torch")
    with locked_folder(config.out, "demo"):
        _demo(config)


def _demo(config: DemoConfig) -> None:
    """Run the steps, in a folder that no other demo uses."""
    record = config.out / "demo.json"
    seconds: dict[str, float] = json.loads(record.read_bytes()) if record.exists() else {}
    todo = steps(find_file(config.configs, "configs"))
    for number, step in enumerate(todo, 1):
        say(f"\n=== step {number} of {len(todo)}: {step.title} ===")
        started = time.monotonic()
        run_step(step, config.out / "blind.log")
        seconds[step.title] = round(seconds.get(step.title, 0.0) + time.monotonic() - started, 1)
        write_json(record, seconds)
    say("\ntimes: " + ", ".join(f"{step.title} {seconds[step.title]:.0f} s" for step in todo))
    total = sum(seconds[step.title] for step in todo)
    say(f"the demo took {total / 60:.1f} minutes in all; everything is in {config.out}/")


def run_step(step: Step, log: Path) -> None:
    """Run a step to its end.

    Two trainings with one thread each learn more images per second on two cores than one training with two, and do
    not collapse when something else takes a core.

    Raises:
        NavsimError: If a command failed; it has said why.
        KeyboardInterrupt: If it was interrupted; it has saved what it could.
    """
    if not step.in_background:
        run(step.command)
        return
    say(f"in the background: {' '.join(step.in_background)}, which writes to {log}")
    half = {"OMP_NUM_THREADS": str(max(available_cores() // 2, 1))}
    with run_in_background(step.in_background, log, half):
        run(step.command, half)
        say("waiting for the blind twin")
