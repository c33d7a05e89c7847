"""Short clips of how drives failed: what the car saw in its last seconds, the maps, the fan and the curve.

The part of a report that comes first to those who build drivers: drives that failed, with clips and commands.
"""

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from itertools import zip_longest
from pathlib import Path
from typing import Any

from PIL import Image as Picture

from navsim.datasets.episode_files import read_episode
from navsim.evaluation.metrics.drives import Drive, largest_lane_offset
from navsim.evaluation.reports.page import data_uri
from navsim.evaluation.reports.results import SEES_TRUTH
from navsim.evaluation.results_store import DRIVES_NAME, drive_name, drive_path
from navsim.evaluation.suites import SuiteStage
from navsim.sensing.observation import Image
from navsim.simulation.config import SimulationConfig
from navsim.simulation.episode import Episode
from navsim.simulation.episode_rerenderer import EpisodeRerenderer
from navsim.simulation.scenario import Outcome
from navsim.viewer.replay import moment
from navsim.visualization.canvas import downsized
from navsim.visualization.dashboard import PanelContext, compose_panel, excerpt
from navsim.visualization.drive_events import DriveLog

CLIP_SECONDS = 5.0
"""How much of the end of a drive is shown [s]."""
CLIP_WIDTH = 480
"""Of a clip [px]."""
_EVERY = 2  # control steps for each picture
_HOLD = 1500  # how long the last picture stays [ms]
_QUALITY = 55


@dataclass(frozen=True)
class Clip:
    """A moving picture for a page."""

    uri: str
    """Its address, which holds it."""
    width: int
    """[px]."""
    height: int
    """[px]."""


def worth_clips(drives: Sequence[Drive], limit: int) -> tuple[Drive, ...]:
    """Failed drives to show clips of: up to `limit`, every kind of failure in turn, in the order of the drives."""
    failed = [drive for drive in drives if drive.episode is not None and drive.outcome is not Outcome.ARRIVED]
    kinds = dict.fromkeys(drive.outcome for drive in failed)
    rows = [[drive for drive in failed if drive.outcome is kind] for kind in kinds]
    turns = [drive for turn in zip_longest(*rows) for drive in turn if drive is not None]
    return tuple(turns[:limit])


def tail(episode: Episode, seconds: float) -> Episode:
    """The end of a drive: its last seconds, at least one command; images are left out."""
    steps = len(episode)
    first = min(int((episode.times < episode.times[-1] - seconds - 1e-9).sum()), steps - 1)
    states = ("times", "poses", "speeds", "stations", "offsets", "heading_errors")
    commands = ("commands", "labels", "gps")
    parts = {name: getattr(episode, name)[first:] for name in (*states, *commands)}
    parts |= {name: getattr(episode, name)[:0] for name in ("images", "road_maps", "route_maps")}
    return replace(episode, **parts, densities=episode.densities[first:])


def clips(simulation: SimulationConfig, paths: Iterable[Path]) -> Iterator[Clip]:
    """Draw clips of kept drives anew, at the recorded poses.

    Args:
        simulation: What they were driven in. Noise of the cameras is not drawn.
        paths: Their files.

    Yields:
        One clip for each.

    Raises:
        EpisodeError: If a file is missing or damaged.
        TownError: If a town cannot be built.
        ConfigError: If the renderer cannot be had.
    """
    redrawer = EpisodeRerenderer(simulation)
    try:
        for path in paths:
            episode = redrawer.redraw(tail(read_episode(path, images=False, distributions=True), CLIP_SECONDS))
            yield _encoded(list(_pictures(episode, simulation)), 1000 * _EVERY * simulation.control_step)
    finally:
        redrawer.close()


def _pictures(episode: Episode, simulation: SimulationConfig) -> Iterator[Image]:
    """Every so many-th moment of a drive with images, the last one among them."""
    context = PanelContext(
        driver=episode.driver,
        scenario=episode.scenario.name,
        cameras=simulation.cameras,
        map=simulation.map,
        route_length=episode.route_length,
        passages=episode.passages,
        max_curvature=simulation.vehicle.max_curvature,
    )
    story, last = DriveLog(), len(episode) - 1
    for index in range(len(episode)):
        now = moment(episode, simulation, index)
        story = story.after(now, episode.passages)
        if (last - index) % _EVERY == 0:
            yield downsized(excerpt(compose_panel(now, context, story=story)), CLIP_WIDTH)


def _encoded(pictures: Sequence[Image], duration: float) -> Clip:
    """Pictures (H, W, 3) as an endless WebP, each shown for `duration` [ms], the last one longer."""
    frames = [Picture.fromarray(picture) for picture in pictures]
    times = [round(duration)] * (len(frames) - 1) + [_HOLD]
    buffer = BytesIO()
    frames[0].save(
        buffer, "WEBP", save_all=True, append_images=frames[1:], duration=times, loop=0, quality=_QUALITY, method=3
    )
    return Clip(data_uri("image/webp", buffer.getvalue()), frames[0].width, frames[0].height)


ROWS_SHOWN = 60
"""Failures of a driver listed without a clip."""
_NO_FILE = "the command of this evaluation drives it again"


@dataclass(frozen=True)
class ReportConfig:
    """What a report is of."""

    title: str
    """What was driven, in a few words."""
    folder: Path
    """Of the evaluation: where the drives are kept."""
    stages: tuple[SuiteStage, ...]
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
    drives: Sequence[Drive], colours: Mapping[str, int], settings: ReportConfig
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


def _clips(chosen: Sequence[Drive], settings: ReportConfig) -> dict[Drive, Clip]:
    """Clips of drives, part by part, since each part has a simulation of its own."""
    pictures = dict[Drive, Clip]()
    for stage in settings.stages:
        own = [drive for drive in chosen if drive.part == stage.name]
        own.sort(key=lambda drive: (drive.scenario.town, drive.scenario.appearance))  # a town is built once
        if own:
            pictures |= zip(own, clips(stage.simulation, [_file(drive, settings) for drive in own]), strict=True)
    return pictures


def _of_driver(
    name: str, colour: int, drives: Sequence[Drive], pictures: Mapping[Drive, Clip], settings: ReportConfig
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


def _words(drive: Drive, settings: ReportConfig) -> Failure:
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


def _file(drive: Drive, settings: ReportConfig) -> Path:
    """Where a drive is kept."""
    return drive_path(settings.folder / DRIVES_NAME / drive.part, drive.driver, drive.scenario)
