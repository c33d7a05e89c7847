"""Watching a driver: the town in PyBullet's window, what the car senses and decides in a panel beside it."""

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
    DrivePainter,
    FrameRate,
    Painter,
    PanelWindow,
    with_keys,
)
from navsim.viewer.offscreen import FilmCamera
from navsim.visualization.drive_events import DriveLog
from navsim.visualization.scene_view import moment_fan
from navsim.world.scenery.scene import Scene

_FRAME_TIME = 1 / 60  # shortest time between two pictures [s]
_OUTCOME_TIME = 1.0  # how long the end of a drive is shown [s]

Play = Callable[[Callable[[RolloutStep], None]], Episode]
"""Plays a drive: hands each moment to the given function, and returns the whole."""


class _DriveLeft(Exception):  # noqa: N818 leaving is no error
    """The watcher does not want to see the rest of the drive."""


class Viewer:
    """The windows and the state of the playback, over any number of drivers; use `close` or a `with` block."""

    def __init__(
        self,
        simulation: Simulation,
        options: ViewerConfig,
        abilities: Capabilities | None = None,
        hands: KeyboardInput | None = None,
        films: Path | None = None,
        painter: Painter | None = None,
    ) -> None:
        """Open the windows; the simulation stays its owner's to close.

        Args:
            simulation: In what is driven.
            options: How it is shown.
            abilities: What the keys may do; None takes the default.
            hands: What steering keys go to.
            films: Folder for films; needed where keys may make them.
            painter: Who draws the panel; None takes `DrivePainter`.

        Raises:
            DisplayError: If there is no display.
        """
        self._painter: Painter = painter or DrivePainter()
        allowed = replace(abilities or Capabilities(), saliency=self._painter.salient and options.panel)
        self.playback = Playback(
            options.real_time_factor, options.view, abilities=allowed, salient=options.saliency and allowed.saliency
        )
        """What the watcher wants."""
        self.story = DriveLog()
        """The drive that is shown, so far."""
        self.frame_rate = FrameRate()
        """How smoothly the window moves."""
        self.showing = ("", "", "")
        """Driver, town and conditions that are shown."""
        self.note = ""
        """A line for the corner of the window, such as what a replay's check has found."""
        self._simulation = simulation
        self._hands = hands
        self._pause_at = options.pause_at
        self._window = Window(simulation.config.vehicle)
        self._panel = PanelWindow("navsim panel", corner=(WIDTH, 0)) if options.panel else None
        self._films = FilmCamera(films) if films is not None else None
        self._loaded: tuple[Scene, int, bool] | None = None
        self._driver = ""
        self._explain: Explain | None = None
        self._last: RolloutStep | None = None
        self._due = 0.0
        self._count = 0

    @property
    def ended(self) -> bool:
        """Whether the watcher has quit or closed the window."""
        return self.playback.ended or not self._window.is_open

    @property
    def films(self) -> tuple[Path, ...]:
        """The files of the films that were made."""
        return () if self._films is None else self._films.films

    @property
    def senses(self) -> bool:
        """Whether what the car senses is shown, whoever drives."""
        return self._panel is not None or self._films is not None

    def watch(self, driver: Driver | Expert, scenarios: Sequence[Scenario]) -> tuple[Episode, ...]:
        """Show the drives one after the other; returns those that were watched to their end, without images."""
        episodes: dict[int, Episode] = {}
        index = 0
        while index < len(scenarios) and not self.ended:
            episode = self.drive(driver, scenarios[index])
            if episode is not None:
                episodes[index] = episode
            index = max(index + (self.playback.wish or NEXT).step, 0)
        return tuple(episodes[index] for index in sorted(episodes))

    def drive(self, driver: Driver | Expert, scenario: Scenario, record_images: bool = False) -> Episode | None:
        """Drive a scenario and show it; returns the drive if it was watched to its end, else None."""
        sense = self.senses or record_images or not isinstance(driver, Expert)

        def play(on_step: Callable[[RolloutStep], None]) -> Episode:
            return drive(self._simulation, driver, scenario, sense=sense, record_images=record_images, on_step=on_step)

        return self.show(driver.name, play, explanation_of(driver))

    def show(self, driver: str, play: Play, explain: Explain | None = None) -> Episode | None:
        """Show a drive while it is played in the simulation's town; returns it if it was watched to its end.

        Args:
            driver: Name of who drives.
            play: Plays the drive.
            explain: Tells what the driver looks at; None if it cannot.
        """
        self.playback = replace(self.playback, wish=None)
        self.story, self._driver, self._explain, self._last = DriveLog(), driver, explain, None
        try:
            episode = play(self._show_moment)
        except _DriveLeft:
            return None
        with suppress(_DriveLeft):  # it has come to its end
            self._show_end(episode)
        return episode

    def close(self) -> None:
        """Close the windows, and finish a film; may be called again."""
        self._window.close()
        if self._panel is not None:
            self._panel.close()
        if self._films is not None:
            self._films.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _show_moment(self, moment: RolloutStep) -> None:
        """Let the car glide from the last moment to this one, show this one, and wait while paused.

        Raises:
            _DriveLeft: If the watcher wants no more of this drive.
        """
        if self._last is None:
            self._load()
            self._painter.begin(self._simulation, self._driver, self._explain)
            self._last, self._due, self._count = moment, time.monotonic(), 0
        self._painter.note(moment)
        self._glide(self._last, moment)
        pausing = 0 < self._pause_at <= moment.step.state.time and self._last.step.state.time < self._pause_at
        self._last = moment
        self.playback = replace(self.playback, stepping=False, paused=self.playback.paused or pausing)
        by_hand = self._hands is not None and self._hands.wheel.active
        self.story = self.story.after(moment, self._simulation.route.passages, by_hand)
        self._show_car(moment, moment.step.state.pose, None)
        self._show_panel(moment, None)
        self._take_keys()  # also where there was no time to glide
        while self.playback.paused and not self.playback.stepping:
            salient = self.playback.salient
            self._pass_frame(time.monotonic())
            if self.playback.salient is not salient:
                self._show_panel(moment, None)
            self._show_car(moment, moment.step.state.pose, None)

    def _load(self) -> None:
        """Load town and route into the window, unless they are there, and wait until they can be seen."""
        town, scenario = self._simulation.town, self._simulation.scenario
        self.showing = (self._driver, scenario.town, scenario.appearance)
        wanted = (town.scene, scenario.route, scenario.junctions)
        if self._loaded is None or self._loaded[0] is not wanted[0] or self._loaded[1:] != wanted[1:]:
            self._window.load(town.scene, self._simulation.route.path)
            self._loaded = wanted
        self._window.wait_until_drawn()  # time runs from here

    def _glide(self, last: RolloutStep, moment: RolloutStep) -> None:
        """Show the way between two moments, for as long as a control step takes at the chosen speed.

        The picture lags one control step behind: the car's next pose is known only when it has driven.
        """
        if self.playback.speed == 0:
            self._due = time.monotonic()
            return
        duration = self._simulation.config.control_step / self.playback.speed
        self._due = max(self._due + duration, time.monotonic())
        while (left := self._due - (now := time.monotonic())) > 0:
            pose = interpolate_pose(last.step.state.pose, moment.step.state.pose, 1 - left / duration)
            self._show_car(last, pose, None)
            self._pass_frame(now)

    def _show_end(self, episode: Episode) -> None:
        """Show how the drive ended for a moment, or until a paused one goes on."""
        if self._last is None:
            return
        self._show_panel(self._last, episode.outcome)
        begun = time.monotonic()
        while self.playback.paused or time.monotonic() - begun < _OUTCOME_TIME:
            self._show_car(self._last, episode.pose(-1), episode.outcome)
            self._pass_frame(time.monotonic())
            if self.playback.stepping:
                break

    def _show_car(self, moment: RolloutStep, pose: Pose, outcome: Outcome | None) -> None:
        self._window.view = self.playback.view
        self.frame_rate = self.frame_rate.after(time.monotonic())
        status = self._status if outcome is None else outcome.replace("_", " ")
        small = "   ".join(filter(None, (self.note, self._simulation.town.attribution)))
        lines = (motion_words(moment), self._title, status, *([small] if small else []))
        self._window.show(pose, moment_fan(moment), lines, self.story.trail)

    def _show_panel(self, moment: RolloutStep, outcome: Outcome | None) -> None:
        """Draw the panel, unless it has to give way, and film it if wanted."""
        filming = self._films is not None and self.playback.filming
        shown = self._panel is not None and self._panel.is_open
        self._count += 1
        kept = outcome is not None or filming or self.playback.paused
        skipped = not kept and (self._count - 1) % self.frame_rate.panel_every > 0
        if self._films is not None and not filming:
            self._films.stop()
        if skipped or not (shown or filming):
            return
        panel = self._painter.draw(moment, outcome, self.story, self.playback.salient)
        if self._panel is not None:
            self._panel.show(with_keys(panel, self.playback.abilities))
        if filming and self._films is not None:
            self._films.take(self._simulation, moment, self.playback.view, self.story.trail, panel)

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
        if self._hands is not None:
            self._hands.update(keys, self._window.held)
        for key in keys:
            self.playback = self.playback.after(key)
        if self.ended or self.playback.wish is not None:
            raise _DriveLeft

    @property
    def _title(self) -> str:
        return f"{self._driver}   {self._simulation.scenario.name}"

    @property
    def _status(self) -> str:
        """Pace, frame rate, and what else goes on, in words."""
        return self.playback.status(self.frame_rate.words, "by hand" if self.story.by_hand else "")


def motion_words(moment: RolloutStep) -> str:
    """Speed and place in the lane, in words."""
    offset = moment.step.progress.offset
    return f"{moment.step.state.speed:.1f} m/s   {abs(offset):.2f} m {'left' if offset > 0 else 'right'}"


def interpolate_pose(a: Pose, b: Pose, share: float) -> Pose:
    """The pose at `share` of the way from `a` to `b`, turned the shorter way round; shares are cut to [0, 1]."""
    share = min(max(share, 0.0), 1.0)
    turn = float(wrap_angle(b.heading - a.heading))
    return Pose(a.x + share * (b.x - a.x), a.y + share * (b.y - a.y), a.heading + share * turn)
