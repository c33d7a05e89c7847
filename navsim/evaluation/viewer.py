"""Watching a driver: the town in PyBullet's window, what the car senses and decides in a panel beside it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

import numpy as np

from navsim.driving.drivers import Decision, Driver, Expert
from navsim.driving.episode import Episode
from navsim.driving.rollout import Moment, drive
from navsim.driving.scenario import Outcome, Scenario
from navsim.driving.simulation import Simulation
from navsim.errors import ConfigError
from navsim.evaluation.canvas import DIM, Text, blank, written
from navsim.evaluation.panel import PanelContext, compose_panel
from navsim.evaluation.panel_window import PanelWindow
from navsim.evaluation.viewer_keys import HELP, Playback
from navsim.geometry import Pose, wrap_angle
from navsim.rendering.road_fan import Fan
from navsim.rendering.viewpoints import View
from navsim.rendering.window import WIDTH, Window
from navsim.sensing.observation import Image

_FRAME_TIME = 1 / 60  # shortest time between two pictures [s]
_OUTCOME_TIME = 1.0  # how long the end of a drive is shown [s]
_HELP_HEIGHT = 28  # of the line under the panel [px]


@dataclass(frozen=True)
class ViewerOptions:
    """How drives are watched."""

    real_time_factor: float = 1.0
    """Simulated over real time; 0 for as fast as possible."""
    panel: bool = True
    """Whether the panel with cameras, maps and distribution is shown."""
    view: View = View.CHASE
    """The window's first camera."""

    def __post_init__(self) -> None:
        if not 0 <= self.real_time_factor <= 100:
            raise ConfigError(f"viewer.real_time_factor must be 0 to 100, got {self.real_time_factor}")


class _DriveLeft(Exception):  # noqa: N818 leaving is no error
    """The watcher does not want to see the rest of the drive."""


def watch(
    simulation: Simulation, driver: Driver | Expert, scenarios: Sequence[Scenario], options: ViewerOptions
) -> tuple[Episode, ...]:
    """Show a driver in a window, scenario by scenario, until the last one or until the watcher quits.

    Returns:
        The drives that were watched to their end, without images.

    Raises:
        DisplayError: If there is no display.
    """
    with Viewer(simulation, options) as viewer:
        return viewer.watch(driver, scenarios)


class Viewer:
    """The windows and the state of the playback, over any number of drivers; use `close` or a `with` block."""

    def __init__(self, simulation: Simulation, options: ViewerOptions) -> None:
        """Open the windows; the simulation stays its owner's to close.

        Raises:
            DisplayError: If there is no display.
        """
        self.playback = Playback(options.real_time_factor, options.view)
        """What the watcher wants."""
        self._simulation = simulation
        self._window = Window(simulation.config.vehicle)
        self._panel = PanelWindow("navsim panel", corner=(WIDTH, 0)) if options.panel else None
        self._driver = ""
        self._last: Moment | None = None
        self._due = 0.0

    @property
    def ended(self) -> bool:
        """Whether the watcher has quit or closed the window."""
        return self.playback.ended or not self._window.is_open

    def watch(self, driver: Driver | Expert, scenarios: Sequence[Scenario]) -> tuple[Episode, ...]:
        """Show the drives one after the other; returns those that were watched to their end, without images."""
        episodes = (self._watch_one(driver, scenario) for scenario in scenarios if not self.ended)
        return tuple(episode for episode in episodes if episode is not None)

    def close(self) -> None:
        """Close the windows; may be called again."""
        self._window.close()
        if self._panel is not None:
            self._panel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _watch_one(self, driver: Driver | Expert, scenario: Scenario) -> Episode | None:
        self.playback = replace(self.playback, skipping=False)
        self._driver, self._last = driver.name, None
        sense = self._panel is not None or not isinstance(driver, Expert)
        try:
            episode = drive(
                self._simulation, driver, scenario, sense=sense, record_images=False, on_step=self._show_moment
            )
            self._show_end(episode)
        except _DriveLeft:
            return None
        return episode

    def _show_moment(self, moment: Moment) -> None:
        """Let the car glide from the last moment to this one, show this one, and wait while paused.

        Raises:
            _DriveLeft: If the watcher wants no more of this drive.
        """
        if self._last is None:
            self._window.load(self._simulation.town.scene, self._simulation.route.path)
            self._window.settle()  # time runs from when the town can be seen
            self._last, self._due = moment, time.monotonic()
        self._glide(self._last, moment)
        self._last = moment
        self.playback = replace(self.playback, stepping=False)
        self._show_panel(moment, None)
        self._show_car(moment, moment.step.state.pose, None)
        self._take_keys()  # also where there was no time to glide
        while self.playback.paused and not self.playback.stepping:
            self._pass_frame(time.monotonic())
            self._show_car(moment, moment.step.state.pose, None)

    def _glide(self, last: Moment, moment: Moment) -> None:
        """Show the way between two moments, for as long as a control step takes at the chosen speed.

        The picture lags one control step behind: the car's next pose is known only when it has driven.
        """
        if self.playback.speed == 0:
            self._due = time.monotonic()
            return
        duration = self._simulation.config.control_step / self.playback.speed
        self._due = max(self._due + duration, time.monotonic())
        while (left := self._due - (now := time.monotonic())) > 0:
            pose = _between(last.step.state.pose, moment.step.state.pose, 1 - left / duration)
            self._show_car(last, pose, None)
            self._pass_frame(now)

    def _show_end(self, episode: Episode) -> None:
        """Show how the drive ended for a moment, or until a paused one goes on."""
        if self._last is None:
            return
        x, y, heading = episode.poses[-1]
        self._show_panel(self._last, episode.outcome)
        begun = time.monotonic()
        while self.playback.paused or time.monotonic() - begun < _OUTCOME_TIME:
            self._show_car(self._last, Pose(float(x), float(y), float(heading)), episode.outcome)
            self._pass_frame(time.monotonic())
            if self.playback.stepping:
                break

    def _show_car(self, moment: Moment, pose: Pose, outcome: Outcome | None) -> None:
        self._window.view = self.playback.view
        status = self.playback.words if outcome is None else outcome.replace("_", " ")
        credit = self._simulation.town.map.attribution
        lines = (_motion(moment), self._title, status, *([credit] if credit else []))
        self._window.show(pose, _fan(moment.decision), lines)

    def _show_panel(self, moment: Moment, outcome: Outcome | None) -> None:
        if self._panel is None or not self._panel.is_open:
            return
        simulation = self._simulation
        context = PanelContext(
            driver=self._driver,
            scenario=simulation.scenario.name,
            cameras=simulation.config.cameras,
            map=simulation.config.map,
            route_length=simulation.route.length,
            passages=simulation.route.passages,
            max_curvature=simulation.config.vehicle.max_curvature,
        )
        self._panel.show(_with_help(compose_panel(moment, context, outcome)))

    def _pass_frame(self, begun: float) -> None:
        """Take keys and wait until the picture begun at that time has been shown for a frame's time."""
        self._take_keys()
        time.sleep(max(0.0, begun + _FRAME_TIME - time.monotonic()))

    def _take_keys(self) -> None:
        """Let the keys of both windows act.

        Raises:
            _DriveLeft: If the watcher wants no more of this drive.
        """
        keys = self._window.keys() + (self._panel.keys() if self._panel is not None else ())
        for key in keys:
            self.playback = self.playback.after(key)
        if self.ended or self.playback.skipping:
            raise _DriveLeft

    @property
    def _title(self) -> str:
        return f"{self._driver}   {self._simulation.scenario.name}"


def _fan(decision: Decision) -> Fan:
    return Fan(decision.curvature, decision.grid, decision.density)


def _motion(moment: Moment) -> str:
    """Speed and place in the lane, in words."""
    offset = moment.step.progress.offset
    return f"{moment.step.state.speed:.1f} m/s   {abs(offset):.2f} m {'left' if offset > 0 else 'right'}"


def _between(a: Pose, b: Pose, share: float) -> Pose:
    """The pose at `share` in [0, 1] of the way from `a` to `b`."""
    share = min(max(share, 0.0), 1.0)
    turn = float(wrap_angle(b.heading - a.heading))
    return Pose(a.x + share * (b.x - a.x), a.y + share * (b.y - a.y), a.heading + share * turn)


def _with_help(panel: Image) -> Image:
    """The panel (H, W, 3) with a line under it that names the keys."""
    width = panel.shape[1]
    line = written(blank(width, _HELP_HEIGHT), [Text(HELP, width / 2, _HELP_HEIGHT / 2 - 2, 14, DIM, "mm")])
    return np.concatenate([panel, line])
