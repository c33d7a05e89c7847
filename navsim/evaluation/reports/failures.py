"""The part of a report that comes first to those who build drivers: drives that failed, with clips and commands."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from navsim.evaluation.metrics.drives import Drive, largest_lane_offset
from navsim.evaluation.reports.clips import Clip, clips, worth_clips
from navsim.evaluation.reports.results import SEES_TRUTH
from navsim.evaluation.results_store import DRIVES_NAME, drive_name, drive_path
from navsim.evaluation.suites import Stage
from navsim.simulation.scenario import Outcome

ROWS_SHOWN = 60
"""Failures of a driver listed without a clip."""

_NO_FILE = "the command of this evaluation drives it again"


@dataclass(frozen=True)
class ReportSettings:
    """What a report is of."""

    title: str
    """What was driven, in a few words."""
    folder: Path
    """Of the evaluation: where the drives are kept."""
    stages: tuple[Stage, ...]
    """The parts that were driven."""
    about: Mapping[str, Any]
    """Conditions of the evaluation, as in `results.json`."""
    clips: int
    """Most clips of failures for each driver."""


@dataclass(frozen=True)
class Failure:
    """A drive that failed, in words."""

    name: str
    """Which."""
    outcome: str
    """How it ended."""
    words: str
    """More about it."""
    command: str
    """What replays it."""


@dataclass(frozen=True)
class DriverFailures:
    """One driver's drives that failed."""

    heading: str
    """The driver."""
    colour: int
    """Number of its colour."""
    failed: int
    """How many."""
    total: int
    """Out of how many."""
    kinds: str
    """How many of each kind."""
    shown: tuple[tuple[Failure, Clip], ...]
    """Those with a clip."""
    rest: tuple[Failure, ...]
    """Those without."""
    left_out: int
    """How many are not listed."""


def heading(name: str) -> str:
    """A driver's name, with the mark of those who see the truth."""
    return f"{name} *" if name == SEES_TRUTH else name


def driver_failures(
    drives: Sequence[Drive], colours: Mapping[str, int], settings: ReportSettings
) -> tuple[DriverFailures, ...]:
    """Every driver's failures, those worth a clip with one.

    Args:
        drives: All drives of all drivers.
        colours: Number of each driver's colour.
        settings: What the report is of.

    Raises:
        EpisodeError: If a kept drive is missing or damaged.
        TownError: If a town cannot be built.
        ConfigError: If the renderer that draws the clips cannot be had.
    """
    own = {name: [drive for drive in drives if drive.driver == name] for name in colours}
    chosen = [drive for name in own for drive in worth_clips(own[name], settings.clips)]
    pictures = _clips(chosen, settings)
    return tuple(_of_driver(name, colours[name], own[name], pictures, settings) for name in own)


def _clips(chosen: Sequence[Drive], settings: ReportSettings) -> dict[Drive, Clip]:
    """Clips of drives, part by part, since each part has a simulation of its own."""
    pictures = dict[Drive, Clip]()
    for stage in settings.stages:
        own = [drive for drive in chosen if drive.part == stage.name]
        own.sort(key=lambda drive: (drive.scenario.town, drive.scenario.appearance))  # a town is built once
        if own:
            pictures |= zip(own, clips(stage.simulation, [_file(drive, settings) for drive in own]), strict=True)
    return pictures


def _of_driver(
    name: str, colour: int, drives: Sequence[Drive], pictures: Mapping[Drive, Clip], settings: ReportSettings
) -> DriverFailures:
    """One driver's failures in words."""
    failed = [drive for drive in drives if drive.outcome is not Outcome.ARRIVED]
    rest = [drive for drive in failed if drive not in pictures]
    counts = {kind: sum(drive.outcome is kind for drive in failed) for kind in Outcome}
    return DriverFailures(
        heading=heading(name),
        colour=colour,
        failed=len(failed),
        total=len(drives),
        kinds=", ".join(f"{kind.replace('_', ' ')} {count}" for kind, count in counts.items() if count),
        shown=tuple((_words(drive, settings), pictures[drive]) for drive in failed if drive in pictures),
        rest=tuple(_words(drive, settings) for drive in rest[:ROWS_SHOWN]),
        left_out=max(len(rest) - ROWS_SHOWN, 0),
    )


def _words(drive: Drive, settings: ReportSettings) -> Failure:
    """A failed drive in words."""
    name = drive_name(drive.scenario) + (f", part {drive.part}" if drive.part else "")
    outcome, episode = drive.outcome.replace("_", " "), drive.episode
    if episode is None:
        return Failure(name, outcome, drive.error, _NO_FILE)
    struck = "" if episode.struck is None else f" ({episode.struck.value})"
    words = (
        f"{struck} after {episode.times[-1]:.1f} s and {episode.completion:.0%} of {episode.route_length:.0f} m; "
        f"up to {largest_lane_offset(episode):.2f} m off the lane's middle"
    )
    command = f"python scripts/watch.py --replay {shlex.quote(str(_file(drive, settings)))}"
    return Failure(name, outcome, words.strip(), command)


def _file(drive: Drive, settings: ReportSettings) -> Path:
    """Where a drive is kept."""
    return drive_path(settings.folder / DRIVES_NAME / drive.part, drive.driver, drive.scenario)
