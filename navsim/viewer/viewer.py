"""The viewer of drives: the town in PyBullet's window, and the dashboard in a window beside it."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from navsim.drivers.keyboard import KeyboardInput
from navsim.drivers.protocol import Driver, Expert, Explain, explanation_of
from navsim.geometry import Pose, wrap_angle
from navsim.rendering.window.window import WIDTH, Window
from navsim.simulation.episode import Episode
from navsim.simulation.rollout import RolloutStep, drive
from navsim.simulation.scenario import Outcome, Scenario
from navsim.simulation.simulation import Simulation
from navsim.viewer.config import ViewerConfig
from navsim.viewer.controls import NEXT, Capabilities, Playback
from navsim.viewer.dashboard_window import (
    DashboardPainter,
    DashboardWindow,
    FrameRate,
    Painter,
    with_keys,
)
from navsim.viewer.offscreen import FilmRecorder
from navsim.visualization.drive_events import DriveLog
from navsim.visualization.scene_view import step_fan
from navsim.world.scenery.scene import Scene

_FRAME_TIME = 1 / 60  # shortest time between two pictures [s]
_OUTCOME_TIME = 1.0  # time for which the outcome of a drive is shown [s]

Play = Callable[[Callable[[RolloutStep], None]], Episode]
"""Plays a drive: calls the given function with each control step, and returns the episode."""


class _DriveSkipped(Exception):  # noqa: N818 it is no error
    """Raised when the user skips the rest of the drive."""


class Viewer:
    """The windows and the state of the playback, for any number of drives; use `close` or a `with` block."""

    def __init__(
        self,
        simulation: Simulation,
        config: ViewerConfig,
        capabilities: Capabilities | None = None,
        keyboard: KeyboardInput | None = None,
        films: Path | None = None,
        painter: Painter | None = None,
    ) -> None:
        """Open the windows.

        Args:
            simulation: Simulation to drive in; the caller closes it.
            config: How drives are shown.
            capabilities: Keys that have an effect; None for the default.
            keyboard: Receiver of the steering keys.
            films: Folder for films; needed if keys can make them.
            painter: Painter of the dashboard; None for `DashboardPainter`.

        Raises:
            DisplayError: If no display is available.
        """
        self._painter: Painter = painter or DashboardPainter()
        allowed = replace(capabilities or Capabilities(), saliency=self._painter.supports_saliency and config.dashboard)
        self.playback = Playback(
            config.real_time_factor,
            config.view,
            capabilities=allowed,
            show_saliency=config.saliency and allowed.saliency,
        )
        """State that keys change."""
        self.log = DriveLog()
        """Events and past path of the current drive."""
        self.frame_rate = FrameRate()
        """Rate of the window's pictures."""
        self.showing = ("", "", "")
        """Names of the current driver, town and conditions."""
        self.note = ""
        """Line for the corner of the window, such as the result of a replay's check."""
        self._simulation = simulation
        self._keyboard = keyboard
        self._pause_at = config.pause_at
        self._window = Window(simulation.config.vehicle)
        self._dashboard = DashboardWindow("navsim dashboard", corner=(WIDTH, 0)) if config.dashboard else None
        self._films = FilmRecorder(films) if films is not None else None
        self._loaded: tuple[Scene, int, bool] | None = None
        self._driver = ""
        self._explain: Explain | None = None
        self._last: RolloutStep | None = None
        self._due = 0.0
        self._count = 0

    @property
    def ended(self) -> bool:
        """Whether the user has quit or closed the window."""
        return self.playback.ended or not self._window.is_open

    @property
    def films(self) -> tuple[Path, ...]:
        """Files of the films that were made."""
        return () if self._films is None else self._films.films

    @property
    def needs_observations(self) -> bool:
        """Whether observations are shown, so that every driver's car has to sense."""
        return self._dashboard is not None or self._films is not None

    def watch(self, driver: Driver | Expert, scenarios: Sequence[Scenario]) -> tuple[Episode, ...]:
        """Show drives one after the other; return the completed ones, without images."""
        episodes: dict[int, Episode] = {}
        index = 0
        while index < len(scenarios) and not self.ended:
            episode = self.drive(driver, scenarios[index])
            if episode is not None:
                episodes[index] = episode
            index = max(index + (self.playback.command or NEXT).step, 0)
        return tuple(episodes[index] for index in sorted(episodes))

    def drive(self, driver: Driver | Expert, scenario: Scenario, record_images: bool = False) -> Episode | None:
        """Drive a scenario and show it; return the episode if it was completed, else None."""
        sense = self.needs_observations or record_images or not isinstance(driver, Expert)

        def play(on_step: Callable[[RolloutStep], None]) -> Episode:
            return drive(self._simulation, driver, scenario, sense=sense, record_images=record_images, on_step=on_step)

        return self.show(driver.name, play, explanation_of(driver))

    def show(self, driver: str, play: Play, explain: Explain | None = None) -> Episode | None:
        """Show a drive while it is played in the simulation's town; return the episode if it was completed.

        Args:
            driver: Name of the driver.
            play: Function that plays the drive.
            explain: Function that returns the driver's saliency; None if it has none.
        """
        self.playback = replace(self.playback, command=None)
        self.log, self._driver, self._explain, self._last = DriveLog(), driver, explain, None
        try:
            episode = play(self._show_step)
        except _DriveSkipped:
            return None
        with suppress(_DriveSkipped):  # it is complete already
            self._show_end(episode)
        return episode

    def close(self) -> None:
        """Close the windows and finish the film; may be called again."""
        self._window.close()
        if self._dashboard is not None:
            self._dashboard.close()
        if self._films is not None:
            self._films.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _show_step(self, step: RolloutStep) -> None:
        """Animate the car from the last step to this one, show this one, and wait while paused.

        Raises:
            _DriveSkipped: If the user skips the rest of the drive.
        """
        if self._last is None:
            self._load()
            self._painter.begin(self._simulation, self._driver, self._explain)
            self._last, self._due, self._count = step, time.monotonic(), 0
        self._painter.observe(step)
        self._animate(self._last, step)
        pausing = 0 < self._pause_at <= step.time_step.state.time and self._last.time_step.state.time < self._pause_at
        self._last = step
        self.playback = replace(self.playback, stepping=False, paused=self.playback.paused or pausing)
        manual = self._keyboard is not None and self._keyboard.wheel.active
        self.log = self.log.after(step, self._simulation.route.passages, manual)
        self._show_car(step, step.time_step.state.pose, None)
        self._show_dashboard(step, None)
        self._process_keys()  # also where there was no time for an animation
        while self.playback.paused and not self.playback.stepping:
            show_saliency = self.playback.show_saliency
            self._pass_frame(time.monotonic())
            if self.playback.show_saliency is not show_saliency:
                self._show_dashboard(step, None)
            self._show_car(step, step.time_step.state.pose, None)

    def _load(self) -> None:
        """Load town and route into the window if they have changed, and wait until they are visible."""
        town, scenario = self._simulation.town, self._simulation.scenario
        self.showing = (self._driver, scenario.town, scenario.appearance)
        wanted = (town.scene, scenario.route, scenario.junctions)
        if self._loaded is None or self._loaded[0] is not wanted[0] or self._loaded[1:] != wanted[1:]:
            self._window.load(town.scene, self._simulation.route.path)
            self._loaded = wanted
        self._window.wait_until_drawn()  # the drive's time begins here

    def _animate(self, last: RolloutStep, step: RolloutStep) -> None:
        """Show the motion between two steps, for the duration of a control step at the chosen pace.

        The picture lags one control step behind, since the next pose is known only after driving.
        """
        if self.playback.speed == 0:
            self._due = time.monotonic()
            return
        duration = self._simulation.config.control_step / self.playback.speed
        self._due = max(self._due + duration, time.monotonic())
        while (left := self._due - (now := time.monotonic())) > 0:
            pose = interpolate_pose(last.time_step.state.pose, step.time_step.state.pose, 1 - left / duration)
            self._show_car(last, pose, None)
            self._pass_frame(now)

    def _show_end(self, episode: Episode) -> None:
        """Show the outcome of the drive for a second, or until a pause ends."""
        if self._last is None:
            return
        self._show_dashboard(self._last, episode.outcome)
        begun = time.monotonic()
        while self.playback.paused or time.monotonic() - begun < _OUTCOME_TIME:
            self._show_car(self._last, episode.pose(-1), episode.outcome)
            self._pass_frame(time.monotonic())
            if self.playback.stepping:
                break

    def _show_car(self, step: RolloutStep, pose: Pose, outcome: Outcome | None) -> None:
        """Draw the window with the car at a pose."""
        self._window.view = self.playback.view
        self.frame_rate = self.frame_rate.after(time.monotonic())
        status = self._status if outcome is None else outcome.replace("_", " ")
        small = "   ".join(filter(None, (self.note, self._simulation.town.attribution)))
        lines = (motion_text(step), self._title, status, *([small] if small else []))
        self._window.show(pose, step_fan(step), lines, self.log.trail)

    def _show_dashboard(self, step: RolloutStep, outcome: Outcome | None) -> None:
        """Draw the dashboard, unless this step is skipped for the frame rate, and film it if wanted."""
        filming = self._films is not None and self.playback.filming
        shown = self._dashboard is not None and self._dashboard.is_open
        self._count += 1
        kept = outcome is not None or filming or self.playback.paused
        skipped = not kept and (self._count - 1) % self.frame_rate.dashboard_every > 0
        if self._films is not None and not filming:
            self._films.stop()
        if skipped or not (shown or filming):
            return
        dashboard = self._painter.draw(step, outcome, self.log, self.playback.show_saliency)
        if self._dashboard is not None:
            self._dashboard.show(with_keys(dashboard, self.playback.capabilities))
        if filming and self._films is not None:
            self._films.add(self._simulation, step, self.playback.view, self.log.trail, dashboard)

    def _pass_frame(self, begun: float) -> None:
        """Process keys and wait until the picture begun at that time has been visible for one frame."""
        self._process_keys()
        time.sleep(max(0.0, begun + _FRAME_TIME - time.monotonic()))

    def _process_keys(self) -> None:
        """Process the keys of both windows.

        Raises:
            _DriveSkipped: If the user skips the rest of the drive.
        """
        keys = self._window.keys() + (self._dashboard.keys() if self._dashboard is not None else ())
        if self._keyboard is not None:
            self._keyboard.update(keys, self._window.held)
        for key in keys:
            self.playback = self.playback.after(key)
        if self.ended or self.playback.command is not None:
            raise _DriveSkipped

    @property
    def _title(self) -> str:
        return f"{self._driver}   {self._simulation.scenario.name}"

    @property
    def _status(self) -> str:
        """Pace, frame rate, and whether a person steers."""
        return self.playback.status(self.frame_rate.text, "manual" if self.log.manual else "")


def motion_text(step: RolloutStep) -> str:
    """Return speed and offset from the lane's centre, as text."""
    offset = step.time_step.progress.offset
    return f"{step.time_step.state.speed:.1f} m/s   {abs(offset):.2f} m {'left' if offset > 0 else 'right'}"


def interpolate_pose(a: Pose, b: Pose, fraction: float) -> Pose:
    """Return the pose at a fraction of the way from `a` to `b`, clipped to [0, 1], turning by the smaller angle."""
    fraction = min(max(fraction, 0.0), 1.0)
    turn = float(wrap_angle(b.heading - a.heading))
    return Pose(a.x + fraction * (b.x - a.x), a.y + fraction * (b.y - a.y), a.heading + fraction * turn)
