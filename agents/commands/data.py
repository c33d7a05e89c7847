"""Commands for recorded data: record drives, render them again, examine a data folder, draw views of towns."""

import logging
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from navsim.cli import run_subcommand, say
from navsim.config import parse_config
from navsim.datasets.collection import RecordingStats
from navsim.datasets.collection import collect as collect_drives
from navsim.datasets.collection_config import CollectConfig, described_collection
from navsim.datasets.dataset import checked_episodes, episode_files, open_dataset, read_description
from navsim.datasets.rerender import RerenderConfig
from navsim.datasets.rerender import rerender as rerender_drives
from navsim.datasets.statistics import episode_statistics, statistics_table
from navsim.errors import EpisodeError
from navsim.progress import progress
from navsim.sensing.camera import Camera
from navsim.simulation.config import RendererName, make_renderer
from navsim.storage import write_bytes
from navsim.tables import Table, show
from navsim.visualization.canvas import png
from navsim.visualization.contact_sheet import Channel, SheetView
from navsim.visualization.contact_sheet import contact_sheet as draw_sheet

Folder = Annotated[Path, tyro.conf.Positional]


def collect() -> None:
    """Record drives, then print what is in the data folder."""
    config = parse_config(
        CollectConfig, "Record drives of the expert as data to learn from.", convert=described_collection
    )
    collection = collect_drives(config)
    show(statistics_table(collection.statistics))
    say(f"{_outcome('recorded', collection.recording)}; the data is in {config.out}")


def rerender() -> None:
    """Render recorded drives again, then print what is in the new data folder."""
    config = parse_config(RerenderConfig, "Render recorded drives with other cameras, renderer or appearance.")
    rendering = rerender_drives(config)
    show(statistics_table(rendering.statistics))
    say(f"{_outcome('rendered', rendering.recording)}; the data is in {config.out}")


def _outcome(verb: str, done: RecordingStats) -> str:
    """How many drives were written, and how fast."""
    if not done.drives:
        return "done before: no drive is missing"
    speed = f"{done.steps_per_second:.0f} steps/s by {done.workers} processes"
    return f"{verb} {done.drives} drives, {done.steps} steps in {done.seconds:.0f} s: {speed}"


def dataset() -> None:
    """Run the part of the command that the command line names: info, verify or statistics."""
    parts = {"info": info, "verify": verify, "statistics": statistics}
    run_subcommand(parts, "Examine recorded data: info, verify, statistics.")


def info(folder: Folder) -> None:
    """Say what a data folder holds and how it was made, without reading a frame.

    Args:
        folder: The data folder.
    """
    dataset = open_dataset(folder)
    headers = list(dataset.headers.values())
    size = sum(path.stat().st_size for path in dataset.headers)
    simulation, description = dataset.description.simulation, dataset.description
    cameras = ", ".join(f"{camera.name} {camera.width}x{camera.height}" for camera in simulation.cameras)
    rows = {
        "episodes": f"{len(dataset)} in {len({header.scenario.town for header in headers})} towns",
        "frames": str(dataset.frames),
        "size": f"{size / 1e6:.1f} MB, {size / dataset.frames / 1e3:.1f} kB per frame",
        "cameras": cameras,
        "channels": _counted(name for header in headers for name in header.channels) or "no pictures",
        "map": f"{simulation.map.size_px} px of {simulation.map.metres_per_pixel} m",
        "drivers": _counted(header.driver for header in headers),
        "renderers": _counted(str(header.metadata.get("renderer")) for header in headers),
        "outcomes": _counted(str(header.outcome) for header in headers),
        "git revision": description.git_revision,
        "versions": ", ".join(f"{name} {number}" for name, number in description.versions.items()),
    }
    settings = dict(description.collection)
    if "rendered_from" in settings:
        rows["rendered from"] = str(settings.pop("rendered_from")["folder"])
    rows["settings"] = ", ".join(f"{name} {value}" for name, value in settings.items())
    show(Table(("", ""), list(rows.items()), title=str(folder), text_columns=2))


def _counted(names: Iterable[str]) -> str:
    """Each name with how often it occurs, the most frequent first."""
    return ", ".join(f"{count} {name}" for name, count in Counter(names).most_common())


def verify(folder: Folder) -> None:
    """Read every file of a data folder whole and name the damaged ones.

    Args:
        folder: The data folder.

    Raises:
        EpisodeError: If a file is damaged.
    """
    read_description(folder)
    files, bad = len(episode_files(folder)), []
    with progress("verifying", files, "episodes") as advance:
        for _, error in checked_episodes(folder):
            bad += [] if error is None else [str(error)]
            advance()
    if bad:
        raise EpisodeError(f"{len(bad)} of {files} episodes are damaged; remove them: " + "; ".join(bad))
    say(f"{folder}: all {files} episodes are whole")


def statistics(folder: Folder) -> None:
    """Count what was driven: kilometres, junctions, outcomes, steering.

    Args:
        folder: The data folder.
    """
    dataset = open_dataset(folder)
    show(statistics_table(episode_statistics(dataset.episodes(images=False))))


@dataclass(frozen=True)
class SheetConfig:
    """Views of towns and how they are drawn."""

    views: tuple[SheetView, ...] = (SheetView(),)
    """Places to look from."""
    camera: Camera = field(default_factory=lambda: Camera("picture", 480, 240, fov_deg=90.0, pitch_deg=-4.0))
    """Camera of all views."""
    columns: int = 3
    """Number of views in a row."""
    channel: Channel = Channel.COLOUR
    """Channel that is shown: colour, depth or classes."""
    renderer: RendererName = "auto"
    """Renderer that draws the views."""
    out: Path = Path("runs/pictures.png")
    """File of the picture."""


def contact_sheet() -> None:
    """Draw the views and write them as one PNG."""
    config = parse_config(SheetConfig, "Draw views of towns as one picture.")
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    renderer = make_renderer(config.renderer)
    try:
        sheet = draw_sheet(config.views, config.camera, renderer, config.columns, config.channel)
    finally:
        renderer.close()
    write_bytes(config.out, png(sheet))
    say(f"{len(config.views)} views: {config.out}")
