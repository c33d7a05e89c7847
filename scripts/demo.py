"""The main job, whole: collect drives, train a policy and its blind twin, drive held-out towns, print the table.

Each step is a script that can be run by hand with the same words; each resumes what it finds half done.
"""

from navsim.cli import check_libraries, run_script

check_libraries()

import json
import time
from dataclasses import dataclass
from pathlib import Path

from navsim.config import parse_config
from navsim.parallel import available_cores
from navsim.storage import write_json
from navsim.subprocesses import run, run_in_background

SCRIPTS = Path(__file__).parent


@dataclass(frozen=True)
class DemoConfig:
    """What the demo reads and writes; the steps' own settings stand in the four files of `configs`."""

    configs: Path = SCRIPTS.parent / "configs" / "demo"
    """Folder with collect.yaml, train.yaml, blind.yaml and evaluate.yaml."""
    out: Path = Path("runs/demo")
    """Folder that those files name; holds the times of the steps and the blind twin's log, too."""


@dataclass(frozen=True)
class Step:
    """A part of the demo: one script, or two at once with half of the cores each."""

    title: str
    """What it does."""
    words: tuple[str, ...]
    """The script and its arguments."""
    run_in_background: tuple[str, ...] = ()
    """Another script that runs at the same time and writes to a log."""


def steps(configs: Path) -> tuple[Step, ...]:
    """The demo's steps in order."""

    def words(script: str, settings: str, *more: str) -> tuple[str, ...]:
        return (str(SCRIPTS / script), "--config", str(configs / settings), *more)

    return (
        Step("collect drives", words("collect.py", "collect.yaml", "--resume")),
        Step(
            "train the policy and its blind twin",
            words("train.py", "train.yaml", "--resume"),
            run_in_background=words("train.py", "blind.yaml", "--resume"),
        ),
        Step("drive held-out towns", words("evaluate.py", "evaluate.yaml")),
    )


def main() -> None:
    """Run the steps one after the other and say how long each took."""
    config = parse_config(DemoConfig, "Collect, train and evaluate, as `make demo` does.")
    record = config.out / "demo.json"
    seconds: dict[str, float] = json.loads(record.read_text()) if record.exists() else {}
    todo = steps(config.configs)
    for number, step in enumerate(todo, 1):
        print(f"\n=== step {number} of {len(todo)}: {step.title} ===", flush=True)
        started = time.monotonic()
        run_step(step, config.out / "blind.log")
        seconds[step.title] = round(seconds.get(step.title, 0.0) + time.monotonic() - started, 1)
        write_json(record, seconds)
    print("\ntimes: " + ", ".join(f"{step.title} {seconds[step.title]:.0f} s" for step in todo))
    total = sum(seconds[step.title] for step in todo)
    print(f"the demo took {total / 60:.1f} minutes in all; everything is in {config.out}/")


def run_step(step: Step, log: Path) -> None:
    """Run a step to its end.

    Two trainings with one thread each learn more images per second on two cores than one training with two, and do
    not collapse when something else takes a core.

    Raises:
        NavsimError: If a script failed; it has said why.
        KeyboardInterrupt: If it was interrupted; it has saved what it could.
    """
    if not step.run_in_background:
        run(step.words)
        return
    print(f"beside it runs {' '.join(step.run_in_background)}, which writes to {log}", flush=True)
    half = {"OMP_NUM_THREADS": str(max(available_cores() // 2, 1))}
    with run_in_background(step.run_in_background, log, half):
        run(step.words, half)
        print("waiting for the blind twin", flush=True)


if __name__ == "__main__":
    run_script(main)
