"""Pictures of localisation: the belief on the town's map, curves over a drive, and a film of one drive."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from matplotlib.figure import Figure

from agents.localization.config import LocalizationCase, LocalizeConfig, Method
from agents.localization.run import Tracks, drives_folder, localise_drive, make_context, open_policy, recorded_drive
from agents.localization.tracking import NEAR, Track, TrackLog, TrackPoint
from navsim.evaluation.reports.charts import save_figure
from navsim.geometry import Array, Pose
from navsim.localization.posterior import PosePosterior
from navsim.rendering.window.window_scene import fit_text
from navsim.roads.network import RoadNetwork
from navsim.sensing.observation import Image
from navsim.sensing.roadmap import MapSpec, rasterise_roads
from navsim.simulation.scenario import Scenario
from navsim.simulation.town import attribution_of
from navsim.visualization.canvas import (
    ACCENT,
    BRIGHT,
    CAR,
    DIM,
    ROUTE,
    SURFACE,
    TRUTH,
    Rectangle,
    Text,
    blank,
    fill,
    paste,
    polygon,
    polyline,
    written,
)
from navsim.visualization.video import GifWriter, Mp4Writer

WIDTH, HEIGHT = 960, 540
"""Size of a film's frames [px]: that of the dashboard."""
MAP_BOX = Rectangle(16, 52, 600, 472)
"""Place of the town's map in a frame."""
_LEGEND = WIDTH - 330  # left edge, beside the title [px]
_CAMERA_BOX = Rectangle(632, 52, 312, 120)
_ERROR_BOX = Rectangle(632, 234, 312, 118)
_ENTROPY_BOX = Rectangle(632, 406, 312, 118)
_ROAD_COLOUR = np.array((62, 70, 84))
_COLOURS = {
    "odometry": "#8e9bb0",
    "roads": "#c2a25a",
    "network": "#2f6fde",
    "network_roads": "#d9694f",
    "soft": "#b25fc4",
    "soft_roads": "#3fa66b",
    "gps": "#6b7585",
    "uniform": "#c3c9d3",
}
_INK = "#1d232c"
_MIN_LEVEL = 70  # of 255: lower levels would look like the empty map
_MAX_ERROR = 100.0  # upper end of the curves in films [m]


class BeliefMap:
    """A town's map fitted into a box, on which beliefs are drawn."""

    def __init__(self, network: RoadNetwork, box: Rectangle, credit: str = "") -> None:
        """Fit the roads into a box; `credit` is the attribution of the map."""
        self.credit = credit
        x0, y0, x1, y1 = network.bounds
        # Drawn finer and averaged, roads thinner than a pixel keep their share of it.
        scale = max((x1 - x0) / box.width, (y1 - y0) / box.height) / 2
        raster = rasterise_roads(network, MapSpec(metres_per_pixel=scale))
        height, width = raster.image.shape
        self._box = box.fitted(width, height)
        self._raster = raster
        self._scale = self._box.width / (width * raster.metres_per_pixel)  # pixels per metre
        shrunk = cv2.resize(raster.image, (self._box.width, self._box.height), interpolation=cv2.INTER_AREA)
        share = shrunk[..., None] / 255.0
        self._base = (np.array(SURFACE) * (1 - share) + _ROAD_COLOUR * share).astype(np.uint8)

    def pixels(self, positions: Array) -> Array:
        """Convert positions (N, 2) [m] to pixels of the frame (N, 2)."""
        east, south = positions[:, 0] - self._raster.west, self._raster.north - positions[:, 1]
        return np.stack([self._box.x + east * self._scale, self._box.y + south * self._scale], axis=-1)

    def draw(self, canvas: Image, posterior: PosePosterior) -> None:
        """Draw the map with the belief as a heat map, its peak in white."""
        places = self.pixels(posterior.poses[:, :2]) - [self._box.x, self._box.y]
        bounds = ((0, self._box.height), (0, self._box.width))
        shape = (self._box.height, self._box.width)
        counted, _, _ = np.histogram2d(places[:, 1], places[:, 0], shape, bounds, weights=posterior.weights)
        heat = np.asarray(cv2.GaussianBlur(counted, (0, 0), max(1.5 * self._scale, 2.0)), float)
        share = np.cbrt(heat / max(heat.max(), 1e-12))  # otherwise a sharp peak hides all other places
        levels = _MIN_LEVEL + (255 - _MIN_LEVEL) * share
        colours = cv2.applyColorMap(levels.astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
        opacity = np.clip(share * 1.6, 0, 1)[..., None]
        canvas[self._box.slices] = (self._base * (1 - opacity) + colours * opacity).astype(np.uint8)

    def arrow(self, canvas: Image, pose: Pose, colour: tuple[int, int, int], size: float = 9.0) -> None:
        """Draw a pose as an arrow."""
        (x, y), c, s = self.pixels(pose.position[None])[0], np.cos(pose.heading), -np.sin(pose.heading)
        shape = size * np.array([(1.0, 0.0), (-0.8, 0.7), (-0.4, 0.0), (-0.8, -0.7)])
        polygon(canvas, shape @ np.array([[c, s], [-s, c]]) + [x, y], colour)

    def circle(self, canvas: Image, position: Array, radius: float, colour: tuple[int, int, int]) -> None:
        """Draw a circle of `radius` [m]."""
        x, y = self.pixels(position[None])[0]
        cv2.circle(canvas, (round(x), round(y)), max(round(radius * self._scale), 3), colour, 2, cv2.LINE_AA)


def compose_picture(title: str, belief_map: BeliefMap, point: TrackPoint, track: Track, camera: Image | None) -> Image:
    """Draw one moment of a drive with its belief.

    Args:
        title: Title of the frame.
        belief_map: Map of the town.
        point: The update.
        track: The drive up to the update.
        camera: Image of the first camera (H, W, 3); None without images.

    Returns:
        The frame (540, 960, 3) uint8 RGB.
    """
    canvas = blank(WIDTH, HEIGHT)
    belief_map.draw(canvas, point.posterior)
    if point.fix is not None:
        belief_map.circle(canvas, point.fix.pose[:2], 2 * point.fix.sigma, CAR)
    belief_map.arrow(canvas, point.posterior.estimate, ACCENT, 8.0)
    belief_map.arrow(canvas, point.truth, TRUTH)
    fitted_title, size = fit_text(title, 18, _LEGEND - 18 - 12)
    texts = [Text(fitted_title, 18, 26, size, BRIGHT, "lm"), *_legend()]
    fill(canvas, _CAMERA_BOX, SURFACE)
    if camera is not None:
        paste(canvas, _CAMERA_BOX.fitted(camera.shape[1], camera.shape[0]), camera, smooth=True)
    error, near = track.errors[-1], track.near[-1]
    label = f"{track.times[-1]:.1f} s, {track.distances[-1]:.0f} m, {track.junctions[-1]:.0f} junctions"
    texts.append(Text(label, _CAMERA_BOX.x, _CAMERA_BOX.y + _CAMERA_BOX.height + 12, 14, DIM))
    texts.append(Text(belief_map.credit, 18, HEIGHT - 4, 11, DIM, "ls"))
    texts.append(
        Text(f"error {error:.1f} m, {near:.0%} within {NEAR:g} m", _ERROR_BOX.x, _ERROR_BOX.y - 24, 15, BRIGHT)
    )
    texts.append(Text(f"entropy {track.entropies[-1]:.1f} nats", _ENTROPY_BOX.x, _ENTROPY_BOX.y - 24, 15, BRIGHT))
    _curve(canvas, _ERROR_BOX, track.distances, np.sqrt(np.minimum(track.errors, _MAX_ERROR) / _MAX_ERROR), ACCENT)
    level = _ERROR_BOX.y + _ERROR_BOX.height * (1 - np.sqrt(NEAR / _MAX_ERROR))
    polyline(canvas, [(_ERROR_BOX.x, level), (_ERROR_BOX.x + _ERROR_BOX.width, level)], DIM, 1)
    texts.append(Text(f"{NEAR:g} m", _ERROR_BOX.x + _ERROR_BOX.width - 4, level - 2, 12, DIM, "rs"))
    top = max(float(track.entropies.max()), 1.0)
    _curve(canvas, _ENTROPY_BOX, track.distances, np.clip(track.entropies / top, 0, 1), ROUTE)
    return written(canvas, texts)


def _legend() -> list[Text]:
    """Return the legend of the marks."""
    marks = (("true pose", TRUTH), ("estimate", ACCENT), ("GPS fix, two sigma", CAR))
    return [Text(text, _LEGEND + 92 * i, 26, 13, colour, "lm") for i, (text, colour) in enumerate(marks)]


def _curve(canvas: Image, box: Rectangle, x: Array, shares: Array, colour: tuple[int, int, int]) -> None:
    """Draw a curve of values in [0, 1] in a box."""
    fill(canvas, box, SURFACE)
    if len(x) > 1:
        across = box.x + box.width * (x - x[0]) / max(float(x[-1] - x[0]), 1e-9)
        polyline(canvas, np.stack([across, box.y + box.height * (1 - shares)], axis=-1), colour, 2)


def plot_curves(tracks: Mapping[str, Sequence[Track]], title: str) -> Figure:
    """Plot error and entropy against time and against junctions passed, the median over drives of each method.

    Args:
        tracks: Tracks by method, of the same drives.
        title: Title of the figure.
    """
    figure = Figure(figsize=(11.5, 6.4), dpi=110, layout="constrained")
    figure.suptitle(title, fontsize=13, color=_INK, x=0.01, ha="left")
    axes = figure.subplots(2, 2, sharex="col")
    for method, drives in tracks.items():
        for row, name in enumerate(("errors", "entropies")):
            for column, against in enumerate(("times", "junctions")):
                x, low, middle, high = _quartiles(drives, against, name)
                colour = _COLOURS.get(method, _INK)
                axes[row, column].plot(x, middle, color=colour, linewidth=2, label=method.replace("_", " + "))
                axes[row, column].fill_between(x, low, high, color=colour, alpha=0.12, linewidth=0)
    for row, label in enumerate(("position error [m]", "entropy of the position [nats]")):
        axes[row, 0].set_ylabel(label)
    for column, label in enumerate(("time [s]", "junctions passed")):
        axes[0, column].set_yscale("log")
        axes[0, column].axhline(NEAR, color="#c3c9d3", linewidth=1, zorder=0)
        axes[1, column].set_xlabel(label)
    axes[0, 1].legend(frameon=False, fontsize=9)
    for ax in axes.flat:
        ax.grid(color="#e3e7ed")
        ax.spines[["top", "right"]].set_visible(False)
    return figure


def _quartiles(drives: Sequence[Track], against: str, name: str) -> tuple[Array, Array, Array, Array]:
    """Return quartiles over drives (P,) at times, or junction counts, that half of the drives reach."""
    end = float(np.median([getattr(track, against)[-1] for track in drives]))
    points = np.linspace(0, end, 120) if against == "times" else np.arange(int(end) + 1.0)
    rows = []
    for track in drives:
        at = np.searchsorted(getattr(track, against), points, side="right") - 1
        values = getattr(track, name)[np.maximum(at, 0)].astype(float)
        values[points > getattr(track, against)[-1]] = np.nan
        rows.append(values)
    low, middle, high = np.nanpercentile(np.stack(rows), [25, 50, 75], axis=0)
    return points, low, middle, high


def plot_regions(network: RoadNetwork, posterior: PosePosterior, truth: Pose, title: str) -> Figure:
    """Plot a belief on a town's map with its 50 and 90% credible regions."""
    figure = Figure(figsize=(6.5, 6.5), dpi=110, layout="constrained")
    ax = figure.subplots()
    for road in network.roads:
        ax.plot(*road.centre.points.T, color="#cfd5de", linewidth=4, zorder=1, solid_capstyle="round")
    for level, colour in ((0.9, "#f2b48c"), (0.5, "#d9694f")):
        inside = posterior.credible_region(level)
        east, north = posterior.poses[inside, :2].T
        ax.scatter(east, north, s=5, color=colour, zorder=2, label=f"{level:.0%} region")
    ax.plot(truth.x, truth.y, "*", color="#1a8f56", markersize=14, markeredgecolor="white", zorder=3, label="truth")
    ax.set(aspect="equal", xticks=[], yticks=[])
    ax.set_title(title, fontsize=12, color=_INK, loc="left")
    ax.legend(frameon=False, fontsize=9)
    return figure


FRAMES_PER_SECOND = 10.0
"""Frame rate of films [1/s]: an update takes about 0.3 s of the drive, so that films run three times as fast."""
_PREFERRED: tuple[Method, ...] = (
    "network_roads",
    "network",
    "soft_roads",
    "soft",
    "roads",
    "odometry",
    "gps",
    "uniform",
)


def write_gallery(config: LocalizeConfig, tracks: Mapping[Scenario, Tracks]) -> None:
    """Write `curves-CASE.png` for each case and, if wanted, `localised.mp4`, `localised.gif` and `regions.png`.

    Raises:
        StorageError: If they cannot be written.
    """
    for case in config.cases:
        methods = [method for method in config.methods if config.applies(case, method)]
        chosen: dict[str, list[Track]] = {
            method: [found[case.name][method] for found in tracks.values()] for method in methods
        }
        title = f"{config.title}: {case.name}, {len(tracks)} drives, median and quartiles"
        save_figure(plot_curves(chosen, title), config.out / f"curves-{case.name}.png")
    if config.film:
        film_drive(config, *choose_film(config, tracks))


def choose_film(config: LocalizeConfig, tracks: Mapping[Scenario, Tracks]) -> tuple[Scenario, LocalizationCase, Method]:
    """Choose the drive for the film: without a prior if there is such a case, localised, and late rather than early."""
    case = next((case for case in config.cases if case.gps_sigma is None), config.cases[-1])
    method = next(name for name in _PREFERRED if name in config.methods and config.applies(case, name))

    def score_track(track: Track) -> tuple[bool, int]:
        return track.found_at is not None, track.found_at or 0

    scenario = max(tracks, key=lambda scenario: score_track(tracks[scenario][case.name][method]))
    return scenario, case, method


def film_drive(config: LocalizeConfig, scenario: Scenario, case: LocalizationCase, method: Method) -> None:
    """Localise one drive again and film the belief."""
    context = make_context(config, open_policy(config.checkpoint), scenario.town)
    episode = recorded_drive(drives_folder(config), scenario, context.simulation)
    credit = attribution_of(scenario.town)
    belief_map = BeliefMap(context.network, MAP_BOX, credit)
    title = f"{method}, case {case.name}: {scenario.name}"
    log, last_point = TrackLog(), list[TrackPoint]()
    with (
        GifWriter(config.out / "localised.gif", FRAMES_PER_SECOND) as gif,
        Mp4Writer(config.out / "localised.mp4", FRAMES_PER_SECOND) as mp4,
    ):

        def show(point: TrackPoint) -> None:
            log.add(point)
            picture = compose_picture(title, belief_map, point, log.track(0), episode.images[point.index, 0])
            mp4.add(picture)
            gif.add(picture)
            last_point[:] = [point]

        localise_drive(config, context, episode, case, method, show)
    end = last_point[0]
    label = f"{method}, case {case.name}, at the end: entropy {end.posterior.entropy:.1f} nats\n{credit}".strip()
    save_figure(plot_regions(context.network, end.posterior, end.truth, label), config.out / "regions.png")
