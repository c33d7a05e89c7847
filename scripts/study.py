"""Compare ways to learn in one table: `python scripts/study.py --config configs/studies/learning.yaml`.

Collects the study's data, then trains and drives every variant with the project's own scripts; what is done is not done
again, so that an interrupted study goes on with the same command.
"""

from navsim.cli import check_libraries, run_script

check_libraries()

import platform
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from agents.experiments.study_config import StudyConfig, check_networks
from agents.experiments.study_report import page, read_contrast, read_finding
from navsim.config import parse_config, to_mapping
from navsim.errors import ConfigError
from navsim.parallel import available_cores
from navsim.progress import progress
from navsim.provenance import git_revision
from navsim.storage import write_text, write_yaml
from navsim.subprocesses import run, run_chains

SCRIPTS = Path(__file__).parent


def main() -> None:
    """Collect, train, drive, and write the page."""
    config = parse_config(StudyConfig, "Compare ways to learn on the same data and budget.")
    if not config.variants:
        raise ConfigError("nothing to compare; give --config with a study such as configs/studies/learning.yaml")
    check_networks(config)
    console = Console()
    for name in config.data:
        run(_collect(config, name))
    chains = {config.out / key / "log.txt": _train_and_drive(config, key) for key in config.variants}
    threads = str(max(available_cores() // config.side_by_side, 1))
    with progress("variants", len(chains), "variants") as advance:
        run_chains(chains, config.side_by_side, {"OMP_NUM_THREADS": threads}, lambda log: advance(1, log.parent.name))
    findings = {key: read_finding(config, key) for key in config.variants}
    contrasts = [(contrast, read_contrast(config, contrast)) for contrast in config.contrasts]
    words = page(config, findings, _about(config), contrasts)
    write_text(config.page, words)
    console.print(words, highlight=False, soft_wrap=True, markup=False)
    console.print(f"the page is {config.page}", highlight=False, soft_wrap=True)


def _collect(config: StudyConfig, name: str) -> Sequence[str]:
    path = config.out / f"{name}.yaml"
    write_yaml(path, to_mapping(config.collection(name)))
    return (str(SCRIPTS / "collect.py"), "--config", str(path), "--resume")


def _train_and_drive(config: StudyConfig, key: str) -> tuple[Sequence[str], ...]:
    train, evaluate = (config.out / key / f"{step}.yaml" for step in ("train", "evaluate"))
    write_yaml(train, to_mapping(config.training(key)))
    write_yaml(evaluate, to_mapping(config.evaluation(key)))
    return (
        (str(SCRIPTS / "train.py"), "--config", str(train), "--resume"),
        (str(SCRIPTS / "evaluate.py"), "--config", str(evaluate)),
    )


def _about(config: StudyConfig) -> str:
    """Where and how it was done, in a sentence."""
    return (
        f"Done on {available_cores()} cores ({platform.machine()}), {config.side_by_side} variants at a time, "
        f"at revision {git_revision()[:10]}; `python scripts/study.py` makes this page."
    )


if __name__ == "__main__":
    run_script(main)
