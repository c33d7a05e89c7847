"""Commands that drive in closed loop: measure drivers, watch them, compare results, measure all suites."""

import logging
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import tyro
from annotated_types import Ge, MinLen
from rich.console import Console

from agents.drivers.registry import PolicyEvaluationConfig, PolicyWatchConfig, resolve, watchable_drivers
from agents.experiments.suites_config import SuitesPageConfig
from navsim.cli import say
from navsim.config import parse_config
from navsim.drivers.protocol import DriverSpec
from navsim.drivers.sandbox import safe_driver
from navsim.errors import ConfigError, DisplayError
from navsim.evaluation.metrics.drives import Drive
from navsim.evaluation.reports import comparison
from navsim.evaluation.reports.compare_page import Checkpoint, compare_page, offline_correlations, offline_score
from navsim.evaluation.reports.results import broken_drives, results_mapping
from navsim.evaluation.reports.run import REPORT_NAME, run_evaluation
from navsim.evaluation.reports.score_tables import scores_table, summary_table
from navsim.evaluation.reports.suites_page import (
    Repeat,
    Repeats,
    SuiteResults,
    compare_repeat,
    suites_page,
    suites_summary,
)
from navsim.evaluation.suites import load_suite
from navsim.parallel import available_cores
from navsim.provenance import git_revision
from navsim.run_folder import locked_folder
from navsim.simulation.scenario import check_routes
from navsim.simulation.simulation import Simulation
from navsim.storage import write_json, write_text
from navsim.subprocesses import one_thread
from navsim.tables import show
from navsim.viewer.replay import read_recording
from navsim.viewer.session import film, film_replay, watch_choices, watch_replay
from navsim.viewer.viewer import Viewer
from navsim.world.bullet import require_display


def evaluate() -> None:
    """Drive, then print the table; the exit code is 1 if a drive broke off."""
    config = parse_config(PolicyEvaluationConfig, "Measure drivers in closed loop on held-out towns and routes.")
    _log_to_terminal()
    driver_specs = resolve(config)
    if config.gui:
        show(scores_table(results_mapping(drive_in_window(config, driver_specs), {}), "watched to the end"))
        return
    results = run_evaluation(config, driver_specs, Console())
    show(summary_table(results, config.title))
    say(f"all scores: {config.out / REPORT_NAME}, with table.md, results.json and pictures beside it")
    _exit_with(broken_drives(results))


def drive_in_window(config: PolicyEvaluationConfig, driver_specs: Sequence[DriverSpec]) -> list[Drive]:
    """Show the drives in the window, driver by driver, until the user quits.

    Raises:
        DisplayError: If no display is available.
    """
    require_display("run without --gui or under xvfb-run")
    drives: list[Drive] = []
    with Simulation(config.stages[0].simulation) as simulation, Viewer(simulation, config.viewer) as viewer:
        for driver_spec in driver_specs:
            episodes = viewer.watch(
                safe_driver(driver_spec.driver(), config.decision_limit), config.stages[0].scenarios
            )
            drives += [Drive(driver_spec.name, episode.scenario, episode, 0.0) for episode in episodes]
            if viewer.ended:
                break
    return drives


@dataclass(frozen=True)
class WatchCommandConfig(PolicyWatchConfig):
    """Settings of `navsim watch`, which needs no training and shows something within seconds."""

    driver: Annotated[tuple[str, ...], MinLen(1)] = ("reference", "expert")
    """Drivers as for `navsim evaluate`, or `keyboard`; keys can always choose the built-in ones."""
    length: Annotated[float, Ge(0)] = 20.0
    """Length of the film [s]; 0 for the rest of the drive."""


def watch() -> None:
    """Open the window, or write a film if that is asked for or no window can be opened."""
    config = parse_config(WatchCommandConfig, "Watch drivers in a window, drive oneself, replay recorded drives.")
    _log_to_terminal()
    with one_thread():  # a batch of one gains nothing from a second one, and the film's encoder needs a core
        try:
            _show(config)
        except DisplayError as error:
            if config.needs_keyboard:
                raise
            say(f"{error}; writing a film instead")
            _show(replace(config, headless=True))


def _show(config: WatchCommandConfig) -> None:
    """Show drives in the window, or in a film with `headless`.

    Raises:
        DisplayError: If a window is wanted and cannot be opened.
    """
    if not config.headless:
        require_display("the keyboard needs one, films do not" if config.needs_keyboard else "")
    if config.replay is not None:
        recording = read_recording(config.replay)
        (film_replay if config.headless else watch_replay)(config, recording, say)
        return
    driver_specs = watchable_drivers(config)
    (film if config.headless else watch_choices)(config, driver_specs, say)


@dataclass(frozen=True)
class CompareConfig:
    """Results that are compared."""

    results: Annotated[tuple[Path, ...], tyro.conf.Positional] = ()
    """Folders of evaluations, or their `results.json` files, all of one suite."""
    baseline: str | None = None
    """Name of the driver that the others are compared with; None takes the first."""
    out: Path = Path("runs/comparison")
    """Folder of `comparison.html`, `comparison.md` and `comparison.json`."""


def compare() -> None:
    """Compare results, write the page and print the differences in arrivals."""
    config = parse_config(CompareConfig, "Compare results over the same routes, with paired differences.")
    results = comparison.read_results(config.results)
    found = comparison.ordered(comparison.columns(results), config.baseline)
    comparisons = [comparison.compare(found[0], other) for other in found[1:]]
    checkpoints = trained_checkpoints(found)
    fingerprint = str(next(iter(results.values()))["fingerprint"])
    title = f"{len(found)} drivers over {found[0].arrived.total} routes"
    text = comparison.comparison_markdown(title, found, comparisons, offline_text(checkpoints))
    page = compare_page(title, fingerprint, found, comparisons, checkpoints)
    summary = comparison.summary_table(title, found, comparisons)
    with locked_folder(config.out):
        write_text(config.out / "comparison.md", text)
        write_text(config.out / "comparison.html", page)
        write_json(config.out / "comparison.json", {"fingerprint": fingerprint, "drivers": summary.records()})
    show(summary)
    say(f"all differences: {config.out}/comparison.html, with comparison.md and comparison.json beside it")


def trained_checkpoints(found: Sequence[comparison.Column]) -> tuple[Checkpoint, ...]:
    """Return the drivers whose training run holds offline scores.

    Raises:
        CheckpointError: If a run's `metrics.json` cannot be read.
    """
    known = []
    for column in found:
        score, arrived = offline_score(Path(column.origin)), column.arrived
        if score is not None and arrived.value is not None:
            completion = column.mean(comparison.MEASURES[0]) or 0.0
            known.append(
                Checkpoint(column.name, score.nll, score.curvature_error, arrived.value, arrived.interval, completion)
            )
    return tuple(known)


def offline_text(checkpoints: Sequence[Checkpoint]) -> str:
    """Return as Markdown how offline scores correlate with driving; empty without checkpoints."""
    if not checkpoints:
        return ""
    lines = [f"* {pair}: {found.text}" for pair, found in offline_correlations(checkpoints).items()]
    return "\n".join([f"## Predicting and driving, {len(checkpoints)} checkpoints", "", *lines])


RENDERERS = ("opengl", "tiny")


def run_suites() -> None:
    """Drive what is not yet driven and write the page; the exit code is 1 if a drive broke off or changed."""
    config = parse_config(SuitesPageConfig, "Measure drivers on all suites and write one page of tables.")
    if not config.drivers:
        raise ConfigError("nobody drives; give --config with drivers such as configs/suites-page.yaml")
    _log_to_terminal()
    broken = list[str]()
    plan = {suite: config.left_out(suite) for suite in config.suites}  # unknown suites are refused before any drive,
    for name in config.drivers:
        resolve(config.evaluation(config.suites[0], name))  # and unusable drivers, too
    check_routes(
        scenario
        for suite, left_out in plan.items()
        for stage in (() if left_out else config.evaluation(suite, next(iter(config.drivers))).stages)
        for scenario in stage.scenarios
    )
    with locked_folder(config.out):
        suites = [_run_suite(config, suite, left_out, broken) for suite, left_out in plan.items()]
        repeats = _run_repeats(config, {suite.name: suite for suite in suites}, broken)
        drivers = {name: driver.label or f"`{driver.driver}`" for name, driver in config.drivers.items()}
        page = suites_page(config.title, drivers, suites, repeats, _circumstances(config))
        write_text(config.page, page)
    show(suites_summary(suites))
    say(f"all scores: {config.page}")
    broken += [
        f"{name}: {len(run.changed)} drives ended otherwise" for name, run in repeats.second_run.items() if run.changed
    ]
    _exit_with(broken)


def _run_suite(config: SuitesPageConfig, suite: str, left_out: str, broken: list[str]) -> SuiteResults:
    """Drive one suite with every driver."""
    title = load_suite(suite).title or suite
    if left_out:
        say(f"{suite} is left out: {left_out}")
        return SuiteResults(suite, title, left_out=left_out)
    names = [name for name in config.drivers if config.drives(name, suite)]
    results = {name: _run_driver(config.evaluation(suite, name), broken) for name in names}
    return SuiteResults(suite, title, results)


def _run_repeats(config: SuitesPageConfig, suites: dict[str, SuiteResults], broken: list[str]) -> Repeats:
    """Drive one suite again, with the same renderer and with the other one, where the configuration says so."""
    suite = config.repeat_suite
    second_run: dict[str, Repeat] = {}
    other_renderer: dict[str, Repeat] = {}
    first = second = ""
    if suite not in suites or not suites[suite].results:
        return Repeats(suite)
    results = suites[suite].results
    for name in config.repeat:
        other = _run_driver(config.evaluation(suite, name, "again"), broken)
        second_run[name] = compare_repeat(results[name], other)
    for name in config.other_renderer:
        first = str(results[name]["renderer"])
        second = next(renderer for renderer in RENDERERS if renderer != first)
        other = _run_driver(config.evaluation(suite, name, second, second), broken)
        other_renderer[name] = compare_repeat(results[name], other, junctions_only=True)
    return Repeats(suite, second_run, (first, second), other_renderer)


def _run_driver(settings: PolicyEvaluationConfig, broken: list[str]) -> dict[str, Any]:
    """Drive one suite with one driver; returns its results, and adds to `broken` what broke off."""
    say(f"\n{settings.title}: {settings.out}")
    results = run_evaluation(settings, resolve(settings), Console())
    broken += broken_drives(results)
    return results


def _circumstances(config: SuitesPageConfig) -> str:
    """Machine, revision and command, in a sentence."""
    return (
        f"Seed {config.seed}, on {available_cores()} cores ({platform.machine()}), at revision {git_revision()[:10]}; "
        "`navsim run-suites` makes this page."
    )


def _log_to_terminal() -> None:
    """Print the lines that the packages log, such as which renderer was chosen."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)


def _exit_with(faults: Sequence[str]) -> None:
    """End the program: with code 1 and a line for each fault if there is any, else with code 0."""
    for line in faults:
        print(f"error: {line}", file=sys.stderr)
    sys.exit(1 if faults else 0)
