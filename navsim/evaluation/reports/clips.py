"""Short clips of how drives failed: what the car saw in its last seconds, the maps, the fan and the curve."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from itertools import zip_longest
from pathlib import Path

from PIL import Image as Picture

from navsim.datasets.files import read_episode
from navsim.evaluation.metrics.drives import Drive
from navsim.evaluation.reports.page import data_uri
from navsim.sensing.observation import Image
from navsim.simulation.episode import Episode
from navsim.simulation.episode_rerenderer import Redrawer
from navsim.simulation.scenario import Outcome
from navsim.simulation.simulation import SimulationConfig
from navsim.viewer.replay import moment
from navsim.visualization.canvas import downsized
from navsim.visualization.drive_events import Story
from navsim.visualization.panel import PanelContext, compose_panel, excerpt

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
    redrawer = Redrawer(simulation)
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
    story, last = Story(), len(episode) - 1
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
