"""One evaluation from its settings to its files: drives, results.json, table.md, plots, report and a film."""

import json
import logging
import platform
import shutil
import time
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from navsim.config import from_mapping, to_mapping
from navsim.datasets.dataset import IDENTITY_NAME
from navsim.drivers.protocol import DriverSpec
from navsim.drivers.sandbox import safe_driver
from navsim.errors import DriverError
from navsim.evaluation.config import EvaluationConfig
from navsim.evaluation.metrics.drives import Drive
from navsim.evaluation.reports.charts import plot_scores, save_figure
from navsim.evaluation.reports.failures import CLIPS_NAME, write_clips
from navsim.evaluation.reports.maps import plot_town, town_to_show
from navsim.evaluation.reports.report_page import report_page
from navsim.evaluation.reports.results import has_parts, parts_mapping, results_mapping
from navsim.evaluation.reports.score_tables import results_markdown
from navsim.evaluation.results_store import DRIVES_NAME, kept_drives
from navsim.evaluation.runner import EvaluationJob, evaluate, pending
from navsim.evaluation.suites import SuiteStage, blind_parts, fingerprint
from navsim.parallel import available_cores
from navsim.progress import progress
from navsim.provenance import git_revision, software_versions
from navsim.roads.elements import Manoeuvre
from navsim.run_folder import Values, claim_folder, current_settings, locked_folder
from navsim.sensing.observation import Image
from navsim.simulation.config import SimulationConfig
from navsim.simulation.scenario import Outcome, check_routes
from navsim.simulation.simulation import Simulation
from navsim.simulation.town import (
    MapName,
    attribution_of,
    is_osm_town,
    load_town_map,
    town_by_content,
    town_seed,
    town_slug,
)
from navsim.storage import write_json, write_text
from navsim.viewer.offscreen import film_dashboard
from navsim.visualization.palette import DRIVERS, driver_colours
from navsim.visualization.video import HOLD_FRAMES, GifWriter, Mp4Writer

RESULTS_NAME, TABLE_NAME = "results.json", "table.md"
REPORT_NAME = "report.html"
SCORES_NAME, TOWN_NAME = "scores.png", "town.png"
GIF_NAME, MP4_NAME = "drive.gif", "drive.mp4"
OUTPUTS = (RESULTS_NAME, TABLE_NAME, REPORT_NAME, SCORES_NAME, TOWN_NAME, GIF_NAME, MP4_NAME)
"""Names of all files that are written beside the drives."""
_log = logging.getLogger(__name__)


def run_evaluation(config: EvaluationConfig, driver_specs: Sequence[DriverSpec], console: Console) -> dict[str, Any]:
    """Drive the missing drives and write the missing files.

    Args:
        config: Routes, simulation and folder.
        driver_specs: The drivers.
        console: Console for messages and progress.

    Returns:
        Content of `results.json`.

    Raises:
        ConfigError: If the folder holds another evaluation.
        StorageError: If something cannot be written, or another process writes to the folder.
        TownError: If a town cannot be built or has too few routes, or its map was replaced during the evaluation.
        ReplacedError: If a driver's file was replaced during the evaluation; finished drives are kept.
    """
    with Simulation(config.stages[0].simulation) as simulation:  # the workers have their own; this one films
        renderer = simulation.renderer_name
        _show_notes(config, driver_specs, renderer, console)
        check_routes(scenario for stage in config.stages for scenario in stage.scenarios)
        with locked_folder(config.out):
            _claim(config, identity(config, driver_specs, renderer))
            drives = _drive_and_score(config, driver_specs, renderer, console)
            write_report(config.out, config)
            if config.film and not (config.out / GIF_NAME).exists():
                try:
                    _film(config, simulation, driver_specs[0], _first_part(drives), console)
                except DriverError as error:  # it has driven this before, but may be random
                    console.print(f"no film: {driver_specs[0].name}: {error}", highlight=False, soft_wrap=True)
            return read_results(config.out)


def _drive_and_score(
    config: EvaluationConfig, driver_specs: Sequence[DriverSpec], renderer: str, console: Console
) -> list[Drive]:
    """Drive the missing drives and write `results.json` if it is missing; return all drives."""
    stages = config.stages
    jobs = [_job(config, stage, driver_specs) for stage in stages]
    left = sum(pending(job, stage.scenarios) for job, stage in zip(jobs, stages, strict=True))
    if left:
        for name in OUTPUTS:  # an earlier call wrote them of fewer drives
            (config.out / name).unlink(missing_ok=True)
        shutil.rmtree(config.out / CLIPS_NAME, ignore_errors=True)
    else:
        console.print(f"{config.out}: all drives are done", highlight=False, soft_wrap=True)
    started = time.perf_counter()
    drives: list[Drive] = []
    for job, stage in zip(jobs, stages, strict=True):
        if stage.name and pending(job, stage.scenarios):
            console.print(f"part {stage.name}", highlight=False)
        done = evaluate(job, stage.scenarios, config.processes, console.file)
        drives += [replace(drive, part=stage.name) for drive in done]
    about = _about(config, driver_specs, renderer)
    about |= {"driven": left, "wall_seconds": time.perf_counter() - started}
    if has_parts(stages):
        about |= {"parts": parts_mapping(drives, stages)}
    if not (config.out / RESULTS_NAME).exists():
        write_json(config.out / RESULTS_NAME, results_mapping(drives, about))
    return drives


def _job(config: EvaluationConfig, stage: SuiteStage, driver_specs: Sequence[DriverSpec]) -> EvaluationJob:
    """Return drivers, simulation and folder of a part."""
    folder = config.out / DRIVES_NAME
    folder = folder / stage.name if stage.name else folder
    return EvaluationJob(stage.simulation, tuple(driver_specs), folder, config.decision_limit)


def _first_part(drives: Sequence[Drive]) -> list[Drive]:
    """Return the drives of the suite's first part, which pictures and films show."""
    return [drive for drive in drives if drive.part == drives[0].part]


def identity(config: EvaluationConfig, driver_specs: Sequence[DriverSpec], renderer: str) -> dict[str, Any]:
    """Return the values that all drives of one evaluation share, as plain values."""
    routes = replace(config.own_routes, town=config.town and str(town_by_content(config.town)))
    maps = sorted(map_files(config.stages))
    return {
        "suite": to_mapping(routes) if config.suite is None else {"name": Path(config.suite).stem, "seed": config.seed},
        "fingerprint": fingerprint(config.stages),
        "town": None if config.town is None else f"{town_seed(config.town):x}",
        "drivers": {driver_spec.name: driver_spec.digest for driver_spec in driver_specs},
        "renderer": renderer,
        "simulation": to_mapping(config.simulation),
        **({"maps": maps} if maps else {}),
    }


def map_files(stages: Sequence[SuiteStage]) -> dict[str, str]:
    """Return the real towns of an evaluation with the files of their maps."""
    towns = dict.fromkeys(scenario.town for stage in stages for scenario in stage.scenarios)
    return {str(town): str(town.file) for town in towns if isinstance(town, MapName)}


def _claim(config: EvaluationConfig, settings: Values) -> None:
    """Make the folder that of this evaluation, see `claim_folder`."""
    path = config.out / IDENTITY_NAME

    def updated(stored: Values) -> Values:
        simulation = current_settings(SimulationConfig, stored.get("simulation", {}), path)
        suite = stored.get("suite", {})
        suite |= {"name": Path(suite["name"]).stem} if "name" in suite else {}  # a path in earlier versions
        return stored | {"suite": suite, "simulation": simulation}

    advice = f"give another --out, or remove {path} and {config.out / DRIVES_NAME}"
    claim_folder(config.out, IDENTITY_NAME, settings, "an evaluation", advice, updated)


def _about(config: EvaluationConfig, driver_specs: Sequence[DriverSpec], renderer: str) -> dict[str, Any]:
    """Return the conditions of the evaluation."""
    known, maps = identity(config, driver_specs, renderer), map_files(config.stages)
    return {
        "identity": known,
        "fingerprint": known["fingerprint"],
        "config": to_mapping(config),
        "map_attribution": _credit(config.stages),
        "origins": {driver_spec.name: driver_spec.origin for driver_spec in driver_specs},
        "trained_with_renderer": {
            driver_spec.name: driver_spec.renderer for driver_spec in driver_specs if driver_spec.renderer
        },
        "renderer": renderer,
        "versions": software_versions(),
        "git_revision": git_revision(),
        "machine": {"cores": available_cores(), "processes": config.processes, "platform": platform.platform()},
        **({"maps": maps} if maps else {}),
    }


def _show_notes(config: EvaluationConfig, specs: Sequence[DriverSpec], renderer: str, console: Console) -> None:
    """Print which parts leave drivers without images, and which drivers learned from another renderer."""
    others = [spec for spec in specs if spec.renderer not in ("", "unknown", renderer)]
    text = "learned from images of the {} renderer and drives with {}"
    notes = blind_parts(config.stages) + [f"{spec.name} {text.format(spec.renderer, renderer)}" for spec in others]
    for note in notes:
        console.print(f"note: {note}", highlight=False, soft_wrap=True)


def _credit(stages: Sequence[SuiteStage]) -> str:
    """Return the credit due to the makers of the towns' maps."""
    towns = dict.fromkeys(scenario.town for stage in stages for scenario in stage.scenarios)
    return "; ".join(dict.fromkeys(filter(None, map(attribution_of, towns))))


def write_report(folder: Path, config: EvaluationConfig) -> None:
    """Write the tables, plots, clips and page that are missing, from `results.json` and the kept drives.

    Args:
        folder: Folder of a finished evaluation.
        config: Settings of the evaluation, see `recorded_config`.

    Raises:
        EpisodeError: If a kept drive is missing or damaged.
        ConfigError: If the renderer that draws the clips is not available.
        StorageError: If something cannot be written.
    """
    results = read_results(folder)
    table, report, scores, town = (folder / name for name in (TABLE_NAME, REPORT_NAME, SCORES_NAME, TOWN_NAME))
    if not table.exists():
        write_text(table, results_markdown(results, config.title))
    if not scores.exists():
        save_figure(plot_scores(results, driver_colours(results["drivers"]), config.title), scores)
    if report.exists() and town.exists():
        return
    drives = kept_drives(folder, results)
    if not report.exists():
        write_clips(folder, results, config.stages, config.clips)
        write_text(report, report_page(config.title, folder, results, drives, config.clips))
    if not town.exists():
        _plot_town(_first_part(drives), town)


def read_results(folder: Path) -> dict[str, Any]:
    """Return the content of a finished evaluation's `results.json`."""
    values: dict[str, Any] = json.loads((folder / RESULTS_NAME).read_bytes())
    return values


def recorded_config(folder: Path) -> EvaluationConfig:
    """Return the settings of a finished evaluation, without those of learned drivers.

    Raises:
        ConfigError: If its results hold settings that are not valid.
    """
    known = {field.name for field in fields(EvaluationConfig)}
    values = {name: value for name, value in read_results(folder)["config"].items() if name in known}
    return from_mapping(EvaluationConfig, values, str(folder / RESULTS_NAME))


def _plot_town(drives: Sequence[Drive], path: Path) -> None:
    """Plot the paths in the town where the first driver failed most often."""
    town = town_to_show(drives)
    own = [drive for drive in drives if drive.scenario.town == town]
    own = [drive for drive in own if drive.scenario.junctions] or own
    title = f"{town_slug(town)}\n{attribution_of(town)}" if is_osm_town(town) else f"held-out town {town}"
    save_figure(plot_town(load_town_map(town).network, own, title), path)


def _film(
    config: EvaluationConfig, simulation: Simulation, driver_spec: DriverSpec, drives: Sequence[Drive], console: Console
) -> None:
    """Film one drive of a driver, see `drive_to_show`."""
    chosen = drive_to_show([drive for drive in drives if drive.driver == driver_spec.name])
    if chosen is None or chosen.episode is None:
        console.print(f"no film: {driver_spec.name} finished no drive", highlight=False)
        return
    rate = 1 / config.simulation.control_step
    colour = DRIVERS[driver_colours(drive.driver for drive in drives)[driver_spec.name]].on_dark
    with (
        GifWriter(config.out / GIF_NAME, rate) as gif,
        Mp4Writer(config.out / MP4_NAME, rate) as mp4,
        progress("filming", len(chosen.episode) + HOLD_FRAMES, "pictures", file=console.file) as advance,
    ):

        def take(dashboard: Image) -> None:
            gif.add(dashboard)
            mp4.add(dashboard)
            advance()

        driver = safe_driver(driver_spec.driver(), config.decision_limit)
        outcome = film_dashboard(simulation, driver, chosen.scenario, driver_spec.name, take, colour)
    if outcome is not chosen.episode.outcome:
        _log.warning("the filmed drive %s ended otherwise than the measured one: %s", chosen.scenario.name, outcome)


def drive_to_show(drives: Sequence[Drive]) -> Drive | None:
    """Return the drive to film: arrived, with the most turns, then the shortest; None if no drive was finished."""

    def rank(drive: Drive) -> tuple[bool, float, float]:
        if drive.episode is None:
            return (False, -1.0, 0.0)
        turns = sum(passage.manoeuvre is not Manoeuvre.STRAIGHT for passage in drive.episode.passages)
        arrived = drive.episode.outcome is Outcome.ARRIVED
        return (arrived, turns if arrived else drive.episode.completion, -drive.episode.route_length)

    finished = [drive for drive in drives if drive.episode is not None]
    return max(finished, key=rank, default=None)
