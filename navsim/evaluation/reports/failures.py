"""The part of a report about failed drives: descriptions, clips of their last seconds, commands to replay them.

Clips are files in the evaluation's folder, drawn once from the kept drives.
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
from navsim.evaluation.reports.charts import data_uri
from navsim.evaluation.reports.score_tables import Results, driver_label
from navsim.evaluation.results_store import DRIVES_NAME
from navsim.evaluation.suites import SuiteStage
from navsim.number_formats import metres, percent, seconds
from navsim.sensing.observation import Image
from navsim.simulation.config import SimulationConfig
from navsim.simulation.episode import Episode
from navsim.simulation.episode_rerenderer import EpisodeRerenderer
from navsim.simulation.scenario import Outcome
from navsim.storage import write_bytes
from navsim.viewer.replay import rollout_step
from navsim.visualization.canvas import downsized
from navsim.visualization.dashboard import DashboardContext, compose_dashboard, excerpt
from navsim.visualization.drive_events import DriveLog
from navsim.visualization.palette import driver_colours

DriveRow = Mapping[str, Any]
"""One drive of `results.json`, see `navsim.evaluation.reports.results.drive_mapping`."""
CLIPS_NAME = "clips"
"""Name of the folder with the clips."""
CLIP_SECONDS = 5.0
"""Length of the end of a drive that a clip shows [s]."""
CLIP_WIDTH = 480
"""Width of a clip [px]."""
ROWS_SHOWN = 60
"""Largest number of a driver's failures that are listed without a clip."""
_EVERY = 2  # control steps for each picture
_HOLD = 1500  # time that the last picture stays [ms]
_QUALITY = 55
_NO_FILE = "the command of this evaluation drives it again"


@dataclass(frozen=True)
class Clip:
    """A moving picture for a page."""

    uri: str
    """Address that holds the whole picture."""
    width: int
    """Width of the picture [px]."""
    height: int
    """Height of the picture [px]."""


@dataclass(frozen=True)
class Failure:
    """A drive that failed, as text."""

    name: str
    """Name of the drive."""
    outcome: str
    """Outcome of the drive."""
    text: str
    """Where and when it failed, or the error."""
    command: str
    """Command that replays the drive."""
    clip: Clip | None
    """Clip of its last seconds, if there is one."""


@dataclass(frozen=True)
class DriverFailures:
    """One driver's drives that failed."""

    heading: str
    """Name of the driver, with its mark."""
    colour: int
    """Index of the driver's colour in `palette.DRIVERS`."""
    failed: int
    """Number of drives that failed."""
    total: int
    """Number of drives."""
    kinds: str
    """Number of failures of each kind, as text."""
    shown: tuple[Failure, ...]
    """Failures with a clip."""
    rest: tuple[Failure, ...]
    """Failures without a clip that are listed."""
    left_out: int
    """Number of failures that are not listed."""


def worth_clips(rows: Sequence[DriveRow], limit: int) -> tuple[DriveRow, ...]:
    """Choose failed drives for clips: up to `limit`, every kind of failure in turn, in the order of the drives."""
    failed = [row for row in rows if "error" not in row and row["outcome"] != Outcome.ARRIVED]
    kinds = dict.fromkeys(row["outcome"] for row in failed)
    by_kind = [[row for row in failed if row["outcome"] == kind] for kind in kinds]
    turns = [row for turn in zip_longest(*by_kind) for row in turn if row is not None]
    return tuple(turns[:limit])


def write_clips(folder: Path, results: Results, stages: Sequence[SuiteStage], limit: int) -> None:
    """Draw the clips that are missing, up to `limit` for each driver.

    Args:
        folder: Folder of the evaluation.
        results: Results of the evaluation.
        stages: Parts of the suite, each with its simulation.
        limit: Largest number of clips for each driver.

    Raises:
        EpisodeError: If a kept drive is missing or damaged.
        TownError: If a town cannot be built.
        ConfigError: If the renderer that draws the clips is not available.
        StorageError: If a clip cannot be written.
    """
    own = (_of_driver(results, name) for name in results["drivers"])
    chosen = [row for rows in own for row in worth_clips(rows, limit) if not _clip_path(folder, row).exists()]
    chosen.sort(key=lambda row: (row["scenario"]["town"], row["scenario"]["appearance"]))  # a town is built once
    for stage in stages:
        rows = [row for row in chosen if row["part"] == stage.name]
        paths = [_drive_file(folder, row) for row in rows]
        for row, data in zip(rows, clips(stage.simulation, paths), strict=True):
            write_bytes(_clip_path(folder, row), data)


def clips(simulation: SimulationConfig, paths: Iterable[Path]) -> Iterator[bytes]:
    """Draw clips of kept drives at the recorded poses.

    Args:
        simulation: Simulation in which they were driven. Noise of the cameras is not drawn.
        paths: Files of the drives.

    Yields:
        One WebP file for each drive.

    Raises:
        EpisodeError: If a file is missing or damaged.
        TownError: If a town cannot be built.
        ConfigError: If the renderer is not available.
    """
    rerenderer = EpisodeRerenderer(simulation)
    try:
        for path in paths:
            episode = rerenderer.rerender(tail(read_episode(path, images=False, distributions=True), CLIP_SECONDS))
            yield _encoded(list(_pictures(episode, simulation)), 1000 * _EVERY * simulation.control_step)
    finally:
        rerenderer.close()


def tail(episode: Episode, length: float) -> Episode:
    """Return the last `length` seconds of a drive, at least one command, without images."""
    steps = len(episode)
    first = min(int((episode.times < episode.times[-1] - length - 1e-9).sum()), steps - 1)
    states = ("times", "poses", "speeds", "stations", "offsets", "route_offsets", "heading_errors")
    commands = ("commands", "labels", "gps")
    parts = {name: getattr(episode, name)[first:] for name in (*states, *commands)}
    parts |= {name: getattr(episode, name)[:0] for name in ("images", "road_maps", "route_maps")}
    return replace(episode, **parts, densities=episode.densities[first:])


def _pictures(episode: Episode, simulation: SimulationConfig) -> Iterator[Image]:
    """Draw every second step of a drive with images, the last one among them."""
    context = DashboardContext(
        driver=episode.driver,
        scenario=episode.scenario.name,
        cameras=simulation.cameras,
        map=simulation.map,
        route_length=episode.route_length,
        passages=episode.passages,
        max_curvature=simulation.vehicle.max_curvature,
    )
    log, last = DriveLog(), len(episode) - 1
    for index in range(len(episode)):
        step = rollout_step(episode, simulation, index)
        log = log.after(step, episode.passages)
        if (last - index) % _EVERY == 0:
            yield downsized(excerpt(compose_dashboard(step, context, log=log)), CLIP_WIDTH)


def _encoded(pictures: Sequence[Image], duration: float) -> bytes:
    """Encode pictures (H, W, 3) as an endless WebP, each shown for `duration` [ms], the last one longer."""
    frames = [Picture.fromarray(picture) for picture in pictures]
    times = [round(duration)] * (len(frames) - 1) + [_HOLD]
    buffer = BytesIO()
    frames[0].save(
        buffer, "WEBP", save_all=True, append_images=frames[1:], duration=times, loop=0, quality=_QUALITY, method=3
    )
    return buffer.getvalue()


def driver_failures(folder: Path, results: Results, limit: int) -> tuple[DriverFailures, ...]:
    """Describe every driver's failures, with the clips that `write_clips` has drawn.

    Args:
        folder: Folder of the evaluation.
        results: Results of the evaluation.
        limit: Largest number of clips for each driver.
    """
    colours = driver_colours(results["drivers"])
    return tuple(
        _driver_failures(folder, name, colour, _of_driver(results, name), limit) for name, colour in colours.items()
    )


def _driver_failures(folder: Path, name: str, colour: int, rows: Sequence[DriveRow], limit: int) -> DriverFailures:
    """Describe one driver's failures."""
    failed, chosen = [row for row in rows if row["outcome"] != Outcome.ARRIVED], worth_clips(rows, limit)
    rest = [row for row in failed if row not in chosen]
    counts = {kind: sum(row["outcome"] == kind for row in failed) for kind in Outcome}
    return DriverFailures(
        heading=driver_label(name),
        colour=colour,
        failed=len(failed),
        total=len(rows),
        kinds=", ".join(f"{kind.replace('_', ' ')} {count}" for kind, count in counts.items() if count),
        shown=tuple(_failure(folder, row, _read_clip(_clip_path(folder, row))) for row in failed if row in chosen),
        rest=tuple(_failure(folder, row, None) for row in rest[:ROWS_SHOWN]),
        left_out=max(len(rest) - ROWS_SHOWN, 0),
    )


def _failure(folder: Path, row: DriveRow, clip: Clip | None) -> Failure:
    """Describe a failed drive."""
    name = row["name"] + (f", part {row['part']}" if row["part"] else "")
    outcome = row["outcome"].replace("_", " ")
    if "error" in row:
        return Failure(name, outcome, row["error"], _NO_FILE, clip)
    struck = "" if row["struck"] is None else f"({row['struck']}) "
    driven = f"{percent(row['completion'])} of {metres(row['route_length'], 0)}"
    text = (
        f"{struck}after {seconds(row['time'])} and {driven}; "
        f"up to {metres(row['lane_offset_max'])} off the lane's middle"
    )
    command = f"navsim watch --replay {shlex.quote(str(_drive_file(folder, row)))}"
    return Failure(name, outcome, text, command, clip)


def _read_clip(path: Path) -> Clip:
    data = path.read_bytes()
    width, height = Picture.open(BytesIO(data)).size
    return Clip(data_uri("image/webp", data), width, height)


def _of_driver(results: Results, name: str) -> list[DriveRow]:
    return [row for row in results["drives"] if row["driver"] == name]


def _drive_file(folder: Path, row: DriveRow) -> Path:
    return Path(folder, DRIVES_NAME, row["part"], row["driver"], f"{row['name']}.parquet")


def _clip_path(folder: Path, row: DriveRow) -> Path:
    return Path(folder, CLIPS_NAME, row["part"], row["driver"], f"{row['name']}.webp")
