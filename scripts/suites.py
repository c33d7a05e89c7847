"""Drivers over all suites on one page: `python scripts/suites.py --config configs/suites-page.yaml`.

What is driven is not driven again, so that an interrupted run goes on with the same command, and a suite or driver more
costs only its own drives.
"""

from navsim.cli import check_libraries, run_script

check_libraries()

import json
import logging
import platform
import sys
from typing import Any

from rich.console import Console

from agents.drivers.registry import PolicyEvaluationConfig, resolve
from agents.experiments.suites_config import SuitesPageConfig
from navsim.config import parse_config
from navsim.errors import ConfigError
from navsim.evaluation.reports.results import failures
from navsim.evaluation.reports.run import RESULTS_NAME, run_evaluation
from navsim.evaluation.reports.suites_page import Repeat, Repeats, SuiteResults, repeat, suites_page
from navsim.evaluation.suites import load_suite
from navsim.parallel import available_cores
from navsim.provenance import git_revision
from navsim.storage import write_text

RENDERERS = ("opengl", "tiny")


def main() -> None:
    """Drive what is not yet driven and write the page; drives that broke off or changed make the exit code 1."""
    config = parse_config(SuitesPageConfig, "Measure drivers on all suites and write one page of tables.")
    if not config.drivers:
        raise ConfigError("nobody drives; give --config with drivers such as configs/suites-page.yaml")
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    console, broken = Console(), list[str]()
    plan = {suite: config.left_out(suite) for suite in config.suites}  # unknown suites are refused before any drive,
    for name in config.drivers:
        resolve(config.evaluation(config.suites[0], name))  # and drivers that cannot be had
    suites = [_suite(config, suite, left_out, console, broken) for suite, left_out in plan.items()]
    repeats = _repeats(config, {suite.name: suite for suite in suites}, console, broken)
    drivers = {name: driver.words or f"`{driver.driver}`" for name, driver in config.drivers.items()}
    page = suites_page(config.title, drivers, suites, repeats, _about(config))
    write_text(config.page, page)
    console.print(page, highlight=False, soft_wrap=True, markup=False)
    console.print(f"the page is {config.page}", highlight=False, soft_wrap=True)
    broken += [f"{name}: {len(r.changed)} drives ended otherwise" for name, r in repeats.again.items() if r.changed]
    for line in broken:
        print(f"error: {line}", file=sys.stderr)
    sys.exit(1 if broken else 0)


def _suite(config: SuitesPageConfig, suite: str, left_out: str, console: Console, broken: list[str]) -> SuiteResults:
    """Drive one suite with every driver."""
    title = load_suite(suite).title or suite
    if left_out:
        console.print(f"{suite} is left out: {left_out}", highlight=False, soft_wrap=True)
        return SuiteResults(suite, title, left_out=left_out)
    names = [name for name in config.drivers if config.drives(name, suite)]
    results = {name: _driven(config.evaluation(suite, name), console, broken) for name in names}
    return SuiteResults(suite, title, results)


def _repeats(config: SuitesPageConfig, suites: dict[str, SuiteResults], console: Console, broken: list[str]) -> Repeats:
    """Drive one suite again, where that is asked for."""
    again: dict[str, Repeat] = {}
    redrawn: dict[str, Repeat] = {}
    first = second = ""
    checked = suites.get(config.checked)
    if checked is None or not checked.results:
        return Repeats(config.checked)
    for name in config.again:
        other = _driven(config.evaluation(config.checked, name, "again"), console, broken)
        again[name] = repeat(checked.results[name], other)
    for name in config.redrawn:
        first = str(checked.results[name]["renderer"])
        second = next(renderer for renderer in RENDERERS if renderer != first)
        other = _driven(config.evaluation(config.checked, name, second, second), console, broken)
        redrawn[name] = repeat(checked.results[name], other, junctions_only=True)
    return Repeats(config.checked, again, (first, second), redrawn)


def _driven(settings: PolicyEvaluationConfig, console: Console, broken: list[str]) -> dict[str, Any]:
    """Drive one driver on one suite; returns its results, and adds to `broken` what broke off."""
    console.print(f"\n{settings.title}: {settings.out}", highlight=False, soft_wrap=True)
    broken += failures(run_evaluation(settings, resolve(settings), console))
    results: dict[str, Any] = json.loads((settings.out / RESULTS_NAME).read_text())
    return results


def _about(config: SuitesPageConfig) -> str:
    """Where and how it was driven, in a sentence."""
    return (
        f"Seed {config.seed}, on {available_cores()} cores ({platform.machine()}), at revision {git_revision()[:10]}; "
        "`scripts/suites.py` makes this page."
    )


if __name__ == "__main__":
    run_script(main)
