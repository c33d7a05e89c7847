"""The main job, whole: collect drives, train a policy and its blind twin, drive held-out towns, print the table.

Each step is a script that can be run by hand with the same words; each resumes what it finds half done.
"""

from navsim.startup import check_libraries, run_script

check_libraries()

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from navsim.config import parse_config
from navsim.errors import NavsimError
from navsim.parallel import available_cores
from navsim.storage import write_json

SCRIPTS = Path(__file__).parent
INTERRUPTED = 130


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
    beside: tuple[str, ...] = ()
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
            beside=words("train.py", "blind.yaml", "--resume"),
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
    if not step.beside:
        check(step.words, run(step.words))
        return
    log.parent.mkdir(parents=True, exist_ok=True)
    print(f"beside it runs {' '.join(step.beside)}, which writes to {log}", flush=True)
    surroundings = {**os.environ, "OMP_NUM_THREADS": str(max(available_cores() // 2, 1))}
    with log.open("a") as file:
        other = subprocess.Popen([sys.executable, *step.beside], env=surroundings, stdout=file, stderr=file)
        try:
            check(step.words, run(step.words, surroundings))
            if other.poll() is None:
                print("waiting for the blind twin", flush=True)
        except BaseException:
            other.send_signal(signal.SIGINT)  # it saves its state and ends
            other.wait()
            raise
        code = other.wait()
    if code != 0:
        print(log.read_text(), file=sys.stderr)
    check(step.beside, code)


def run(words: tuple[str, ...], surroundings: dict[str, str] | None = None) -> int:
    """Run a script and return its exit code; after Ctrl-C it is given the time to save."""
    process = subprocess.Popen([sys.executable, *words], env=surroundings)
    try:
        return process.wait()
    except KeyboardInterrupt:
        try:
            return process.wait(timeout=5)  # the terminal sent it the same Ctrl-C
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
            return process.wait()


def check(words: tuple[str, ...], code: int) -> None:
    """Turn a script's exit code into an error."""
    if code == INTERRUPTED:
        raise KeyboardInterrupt("interrupted; the same command goes on from here")
    if code != 0:
        raise NavsimError(f"{words[0]} ended with code {code}; mend what it says above and run the same command again")


if __name__ == "__main__":
    run_script(main)
