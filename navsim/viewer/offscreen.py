"""Films of drives: the town seen from a camera, with the dashboard beside it, with or without a window."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import numpy as np

from navsim.drivers.protocol import Driver, Expert, Explain
from navsim.errors import StorageError
from navsim.geometry import Pose
from navsim.rendering.window.viewpoints import Viewpoint
from navsim.sensing.observation import Image
from navsim.simulation.episode import Episode
from navsim.simulation.rollout import RolloutStep, drive
from navsim.simulation.scenario import Outcome, Scenario
from navsim.simulation.simulation import Simulation
from navsim.storage import write_bytes
from navsim.viewer.dashboard_window import DashboardPainter, Painter
from navsim.visualization.canvas import BRIGHT, Colour, png
from navsim.visualization.dashboard import HEIGHT, WIDTH, DashboardContext, compose_dashboard
from navsim.visualization.drive_events import DriveLog
from navsim.visualization.scene_view import draw_scene
from navsim.visualization.video import HOLD_FRAMES, GifWriter, Mp4Writer, encoder_problem


def compose_picture(
    simulation: Simulation, step: RolloutStep, view: Viewpoint, trail: tuple[Pose, ...], dashboard: Image
) -> Image:
    """Return the town from a camera with the dashboard beside it (540, 1920, 3).

    Args:
        simulation: Simulation that the car drives in.
        step: Control step to show.
        view: Viewpoint of the camera.
        trail: Past poses of the car.
        dashboard: Dashboard of the step (540, 960, 3).
    """
    scene = draw_scene(simulation, step, view, trail, WIDTH, HEIGHT)
    return np.concatenate([scene, dashboard], axis=1)


class FilmRecorder:
    """Records films on demand; each film is a new file in a folder, which appears when the film is stopped."""

    def __init__(self, folder: Path) -> None:
        """Begin without a film."""
        self._folder = folder
        self._stack = ExitStack()
        self._writer: Mp4Writer | None = None
        self.films: tuple[Path, ...] = ()
        """Files of all films that were started."""

    def add(
        self, simulation: Simulation, step: RolloutStep, view: Viewpoint, trail: tuple[Pose, ...], dashboard: Image
    ) -> None:
        """Add a step to the film; start one if there is none."""
        if self._writer is None:
            path = self._free_path(simulation.scenario.name)
            self._writer = self._stack.enter_context(Mp4Writer(path, 1 / simulation.config.control_step))
            self.films += (path,) if self._writer.available else ()
        self._writer.add(compose_picture(simulation, step, view, trail, dashboard))

    def stop(self) -> None:
        """Finish the film, if there is one.

        Raises:
            StorageError: If the film cannot be written.
        """
        self._writer = None
        self._stack.close()

    def _free_path(self, name: str) -> Path:
        """Return a path with that name and a number, at which no file exists yet."""
        paths = (self._folder / f"{name}{f'-{number}' if number else ''}.mp4" for number in range(10_000))
        return next(path for path in paths if not path.exists() and path not in self.films)


class StopRecording(Exception):  # noqa: N818 it is no error
    """Raised by a frame sink that needs no more frames."""


class FrameSink:
    """Writes the frames of an interval of time to a film, or the first of them to a picture; use a `with` block."""

    def __init__(self, path: Path, frames_per_second: float, begin: float = 0.0, length: float = 0.0) -> None:
        """Prepare to write `path`.

        Args:
            path: File to write: .mp4, .gif, or .png for one picture.
            frames_per_second: Rate of the film.
            begin: Time of the first frame [s since the start of the drive].
            length: Length of the interval [s]; 0 for the rest of the drive.

        Raises:
            StorageError: If films cannot be encoded on this machine.
        """
        self._path, self._begin, self._length = path, begin, length
        self._writer: Mp4Writer | GifWriter | None = None
        self._count = 0
        if path.suffix != ".png":
            if encoder_problem():
                raise StorageError(f"{path}: cannot be written: {encoder_problem()}")
            self._writer = (GifWriter if path.suffix == ".gif" else Mp4Writer)(path, frames_per_second)

    def __enter__(self) -> "FrameSink":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.__exit__(kind, error, trace)

    @property
    def result(self) -> str:
        """Line that says what was written."""
        if not self._count:
            return f"nothing is written: the drive ends before {self._begin:g} s"
        return f"{self._path}: {self._count} picture{'s' if self._count > 1 else ''}"

    def wants(self, time: float) -> bool:
        """Return whether a time [s since the start] is in the interval.

        Raises:
            StopRecording: If the interval is over.
        """
        if self._length and time > self._begin + self._length:
            raise StopRecording
        return time > self._begin - 1e-6

    def add(self, frame: Image) -> None:
        """Add a frame (540, 1920, 3).

        Raises:
            StopRecording: If only one frame is wanted.
            StorageError: If the file cannot be written.
        """
        self._count += 1
        if self._writer is None:
            write_bytes(self._path, png(frame))
            raise StopRecording
        self._writer.add(frame)


class OffscreenRecorder:
    """Draws the steps of one drive for a file, without a window."""

    def __init__(
        self,
        simulation: Simulation,
        driver: str,
        view: Viewpoint,
        show_saliency: bool,
        sink: FrameSink,
        painter: Painter | None,
        explain: Explain | None,
    ) -> None:
        """Prepare to draw a drive.

        Args:
            simulation: Simulation of the drive.
            driver: Name of the driver.
            view: Viewpoint of the camera.
            show_saliency: Whether the dashboard shows the driver's saliency.
            sink: Receiver of the frames.
            painter: Painter of the dashboard; None for `DashboardPainter`.
            explain: Function that returns the driver's saliency; None if it has none.
        """
        self._simulation, self._driver, self._sink = simulation, driver, sink
        self._view, self._show_saliency = view, show_saliency
        self._painter: Painter = painter or DashboardPainter()
        self._explain = explain
        self._log = DriveLog()
        self._last: RolloutStep | None = None

    def show(self, step: RolloutStep, outcome: Outcome | None = None) -> None:
        """Draw a step, if the sink wants it."""
        if self._last is None:
            self._painter.begin(self._simulation, self._driver, self._explain)
        if outcome is None:
            self._painter.observe(step)
            self._log = self._log.after(step, self._simulation.route.passages)
        self._last = step
        if not self._sink.wants(step.time_step.state.time):
            return
        dashboard = self._painter.draw(step, outcome, self._log, self._show_saliency)
        picture = compose_picture(self._simulation, step, self._view, self._log.trail, dashboard)
        for _ in range(1 if outcome is None else HOLD_FRAMES):
            self._sink.add(picture)

    def end(self, episode: Episode) -> None:
        """Draw the outcome of the drive, in several frames."""
        if self._last is not None:
            self.show(self._last, episode.outcome)


def film_dashboard(
    simulation: Simulation,
    driver: Driver | Expert,
    scenario: Scenario,
    name: str,
    add: Callable[[Image], None],
    colour: Colour = BRIGHT,
) -> Outcome:
    """Drive a scenario and draw the dashboard of each step, the last several times with the outcome.

    Args:
        simulation: Simulation to drive in.
        driver: Driver that steers.
        scenario: Scenario to drive.
        name: Name of the driver on the dashboards.
        add: Function that takes each dashboard (540, 960, 3) uint8.
        colour: Colour of the driver's name.
    """
    last: list[RolloutStep] = []

    def on_step(step: RolloutStep) -> None:
        add(compose_dashboard(step, DashboardContext.of(simulation, name, colour)))
        last[:] = [step]

    outcome = drive(simulation, driver, scenario, sense=True, record_images=False, on_step=on_step).outcome
    for _ in range(HOLD_FRAMES):
        add(compose_dashboard(last[0], DashboardContext.of(simulation, name, colour), outcome))
    return outcome
