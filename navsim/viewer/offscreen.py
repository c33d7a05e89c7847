"""Films of what is watched: the town seen from a camera beside the panel, picture by picture, window or not."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import numpy as np

from navsim.drivers.protocol import Driver, Expert, Explain, explanation_of
from navsim.geometry import Pose
from navsim.rendering.window.viewpoints import Viewpoint
from navsim.sensing.observation import Image
from navsim.simulation.episode import Episode
from navsim.simulation.rollout import RolloutStep, drive
from navsim.simulation.scenario import Outcome, Scenario
from navsim.simulation.simulation import Simulation
from navsim.viewer.controls import Playback
from navsim.viewer.dashboard_window import DrivePainter, Painter
from navsim.visualization.canvas import BRIGHT, Colour
from navsim.visualization.dashboard import HEIGHT, WIDTH, PanelContext, compose_panel
from navsim.visualization.drive_events import DriveLog
from navsim.visualization.scene_view import draw_scene
from navsim.visualization.video import HOLD_FRAMES, Mp4Writer


def compose_picture(
    simulation: Simulation, moment: RolloutStep, view: Viewpoint, trail: tuple[Pose, ...], panel: Image
) -> Image:
    """The town from a camera, and the panel beside it: (540, 1920, 3).

    Args:
        simulation: In whose town the car drives.
        moment: What is shown.
        view: Where the camera stands.
        trail: Where the car has been.
        panel: What `compose_panel` has drawn of the moment (540, 960, 3).
    """
    scene = draw_scene(simulation, moment, view, trail, WIDTH, HEIGHT)
    return np.concatenate([scene, panel], axis=1)


class FilmCamera:
    """Films on demand: each film is a new file in a folder, whole once it is stopped."""

    def __init__(self, folder: Path) -> None:
        """Film nothing yet."""
        self._folder = folder
        self._open: ExitStack | None = None
        self._writer: Mp4Writer | None = None
        self.films: tuple[Path, ...] = ()
        """The files that were begun."""

    def take(
        self, simulation: Simulation, moment: RolloutStep, view: Viewpoint, trail: tuple[Pose, ...], panel: Image
    ) -> None:
        """Add a moment to the film, which begins with it if there is none."""
        if self._writer is None:
            path = self._free_path(simulation.scenario.name)
            self._open = ExitStack()
            self._writer = self._open.enter_context(Mp4Writer(path, 1 / simulation.config.control_step))
            self.films = (*self.films, path)
        self._writer.add(compose_picture(simulation, moment, view, trail, panel))

    def stop(self) -> None:
        """Finish the film, if there is one.

        Raises:
            StorageError: If it cannot be written.
        """
        if self._open is not None:
            open_, self._open, self._writer = self._open, None, None
            open_.close()

    def _free_path(self, name: str) -> Path:
        """A file of that name that is not there yet."""
        paths = (self._folder / f"{name}{f'-{number}' if number else ''}.mp4" for number in range(10_000))
        return next(path for path in paths if not path.exists() and path not in self.films)


class StopRecording(Exception):  # noqa: N818 it is no error
    """Raised by whoever takes pictures and needs no more."""


class FrameSink(Protocol):
    """Whoever pictures are made for."""

    def wants(self, time: float) -> bool:
        """Whether a picture of the moment at `time` [s since the start] is wanted; may raise `StopRecording`."""

    def take(self, picture: Image) -> None:
        """Take a picture (540, 1920, 3); may raise `StopRecording`."""


class OffscreenRecorder:
    """Turns moments into pictures, for a file instead of a window."""

    def __init__(
        self,
        simulation: Simulation,
        driver: str,
        look: Playback,
        taker: FrameSink,
        painter: Painter | None = None,
        explain: Explain | None = None,
    ) -> None:
        """Make pictures of one drive.

        Args:
            simulation: In what is driven.
            driver: Name of who drives.
            look: The town's camera, and whether to show what the driver looks at.
            taker: Who the pictures are for.
            painter: Who draws the panel; None takes `DrivePainter`.
            explain: Tells what the driver looks at; None if it cannot.
        """
        self._simulation, self._driver, self._look, self._taker = simulation, driver, look, taker
        self._painter: Painter = painter or DrivePainter()
        self._explain = explain
        self._story = DriveLog()
        self._last: RolloutStep | None = None

    def show(self, moment: RolloutStep, outcome: Outcome | None = None) -> None:
        """Draw a moment, if it is wanted."""
        if self._last is None:
            self._painter.begin(self._simulation, self._driver, self._explain)
        if outcome is None:
            self._painter.note(moment)
            self._story = self._story.after(moment, self._simulation.route.passages)
        self._last = moment
        if not self._taker.wants(moment.step.state.time):
            return
        panel = self._painter.draw(moment, outcome, self._story, self._look.salient)
        picture = compose_picture(self._simulation, moment, self._look.view, self._story.trail, panel)
        for _ in range(1 if outcome is None else HOLD_FRAMES):
            self._taker.take(picture)

    def end(self, episode: Episode) -> None:
        """Draw how the drive ended, for a while."""
        if self._last is not None:
            self.show(self._last, episode.outcome)


def film_drive(
    simulation: Simulation,
    driver: Driver | Expert,
    scenario: Scenario,
    look: Playback,
    taker: FrameSink,
    painter: Painter | None = None,
) -> Episode | None:
    """Drive a scenario without a window and make pictures of it, the last ones with the outcome.

    Args:
        simulation: In what is driven.
        driver: Who steers.
        scenario: What to drive.
        look: The town's camera, and whether to show what the driver looks at.
        taker: Who the pictures are for.
        painter: Who draws the panel; None takes `DrivePainter`.

    Returns:
        The drive, or None if the taker had enough before its end.
    """
    reel = OffscreenRecorder(simulation, driver.name, look, taker, painter, explanation_of(driver))
    try:
        episode = drive(simulation, driver, scenario, sense=True, record_images=False, on_step=reel.show)
        reel.end(episode)
    except StopRecording:
        return None
    return episode


def film_dashboard(
    simulation: Simulation,
    driver: Driver | Expert,
    scenario: Scenario,
    name: str,
    add: Callable[[Image], None],
    colour: Colour = BRIGHT,
) -> Outcome:
    """Drive a scenario again, as it was driven before, and show each step's dashboard, the last with the outcome.

    Args:
        simulation: World to drive in.
        driver: Driver that steers.
        scenario: Scenario to drive.
        name: Name of the driver on the dashboards.
        add: Called with each dashboard (540, 960, 3) uint8.
        colour: Colour of the driver's name.
    """
    last: list[RolloutStep] = []

    def on_step(step: RolloutStep) -> None:
        add(compose_panel(step, PanelContext.of(simulation, name, colour)))
        last[:] = [step]

    outcome = drive(simulation, driver, scenario, sense=True, record_images=False, on_step=on_step).outcome
    for _ in range(HOLD_FRAMES):
        add(compose_panel(last[0], PanelContext.of(simulation, name, colour), outcome))
    return outcome
