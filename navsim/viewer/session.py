"""Watching, whole: drives chosen by keys, recorded drives, and the same as a film where there is no display."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from types import TracebackType

from navsim.datasets.recorder import KEYBOARD, DriveRecorder
from navsim.drivers.keyboard import KeyboardInput, with_takeover
from navsim.drivers.protocol import Driver, Expert
from navsim.drivers.sandbox import DECISION_LIMIT, safe_driver
from navsim.drivers.spec import DriverSpec
from navsim.errors import StorageError, TownError
from navsim.sensing.observation import Image
from navsim.simulation.episode import Episode
from navsim.simulation.scenario import Scenario, scenario_route
from navsim.simulation.simulation import Simulation
from navsim.simulation.town import load_town_map
from navsim.storage import write_bytes
from navsim.viewer.config import FILMS, PICTURE, WatchConfig
from navsim.viewer.controls import NEXT, Capabilities, Choice, Choices, Playback
from navsim.viewer.dashboard_window import Painter
from navsim.viewer.offscreen import OffscreenRecorder, StopRecording, film_drive
from navsim.viewer.replay import RecordedDrive, check_replay, play
from navsim.viewer.viewer import Viewer
from navsim.visualization.canvas import png
from navsim.visualization.video import GifWriter, Mp4Writer, encoder_problem

Say = Callable[[str], None]
"""Prints a line."""
ALL_CHOICES = Capabilities(tuple(Choice), steering=True, filming=True)
REPLAYING = Capabilities(filming=True)


def check_route(scenario: Scenario) -> None:
    """Refuse a scenario whose town or route cannot be had, before a window opens.

    Raises:
        TownError: If so.
    """
    scenario_route(load_town_map(scenario.town).network, scenario)


class Session:
    """A window in which driver, town, weather and route can be chosen."""

    def __init__(
        self,
        simulation: Simulation,
        viewer: Viewer,
        driver_specs: Mapping[str, DriverSpec],
        hands: KeyboardInput,
        recorder: DriveRecorder | None,
        say: Say,
    ) -> None:
        """Show nothing yet.

        Args:
            simulation: In what is driven.
            viewer: The windows, with `ALL_CHOICES` and the same `hands`.
            driver_specs: Drivers by the names in the choices.
            hands: Who may take the wheel.
            recorder: Takes drives by hand.
            say: Prints lines.
        """
        self._simulation, self._viewer, self._hands = simulation, viewer, hands
        self._entrants, self._recorder, self._say = driver_specs, recorder, say
        self._drivers: dict[str, Driver | Expert] = {}

    def run(self, choices: Choices) -> list[Episode]:
        """Show drives until the watcher quits; returns those that were watched to their end.

        Raises:
            TownError: If the first town or route cannot be had.
        """
        episodes: list[Episode] = []
        shown: Choices | None = None
        while not self._viewer.ended:
            try:
                episode = self._drive(choices)
            except TownError as error:
                if shown is None:
                    raise
                self._say(f"not shown: {error}")
                choices = shown
                continue
            shown = choices
            episodes += [episode] if episode is not None else []
            choices = choices.after(self._viewer.playback.wish or NEXT)
        return episodes

    def _drive(self, choices: Choices) -> Episode | None:
        name = choices.drivers[choices.driver]
        scenario = choices.scenario if self._recorder is None else self._recorder.fresh(choices.scenario)
        self._hands.begin(at_start=name == KEYBOARD)
        pilot = with_takeover(self._driver(name), self._hands)
        pilot.name = name
        episode = self._viewer.drive(pilot, scenario, record_images=self._recorder is not None)
        if episode is None:
            return None
        self._say(f"{name} on {scenario.name}: {episode.outcome}, {100 * episode.completion:.0f}% of the route")
        if self._recorder is not None and self._hands.used:
            path = self._recorder.add(episode, name if name == KEYBOARD else f"{name}+{KEYBOARD}")
            self._say(f"recorded {len(episode)} steps in {path}")
        return replace(episode, driver=name)

    def _driver(self, name: str) -> Driver | Expert:
        """The driver of that name, made when it is first needed."""
        if name not in self._drivers:
            self._drivers[name] = safe_driver(self._entrants[name].driver(), DECISION_LIMIT)
        return self._drivers[name]


def watch_choices(
    config: WatchConfig, driver_specs: Sequence[DriverSpec], say: Say, painter: Painter | None = None
) -> list[Episode]:
    """Open the window on the first of the choices, and show what is chosen until the watcher quits.

    Args:
        config: What to show, and how.
        driver_specs: Who may drive.
        say: Prints lines.
        painter: Who draws the panel; None takes `navsim.viewer.dashboard_window.DrivePainter`.

    Raises:
        DisplayError: If there is no display.
        TownError: If the first town or route cannot be had.
        StorageError: If the folder for records is another's.
    """
    choices = config.choices(tuple(driver_spec.name for driver_spec in driver_specs))
    check_route(choices.scenario)
    hands = KeyboardInput(config.simulation.vehicle.max_curvature, config.simulation.control_step)
    with Simulation(config.simulation) as simulation:
        with Viewer(simulation, config.viewer, ALL_CHOICES, hands, config.films, painter) as viewer:
            recorder = None
            if config.record is not None:
                recorder = DriveRecorder(config.record, config.simulation, simulation.renderer_name)
            session = Session(
                simulation,
                viewer,
                {driver_spec.name: driver_spec for driver_spec in driver_specs},
                hands,
                recorder,
                say,
            )
            episodes = session.run(choices)
        _say_films(viewer, say)
    return episodes


def watch_replay(config: WatchConfig, recording: RecordedDrive, say: Say, painter: Painter | None = None) -> str:
    """Show a recorded drive in the window, again and again, until the watcher quits or goes on.

    Args:
        config: How to show it.
        recording: The drive.
        say: Prints lines.
        painter: Who draws the panel; None takes `navsim.viewer.dashboard_window.DrivePainter`.

    Returns:
        What `check_replay` has found: empty if the drive is the same.

    Raises:
        DisplayError: If there is no display.
        TownError: If the town cannot be had.
    """
    with Simulation(recording.simulation) as simulation:
        with Viewer(simulation, config.viewer, REPLAYING, None, config.films, painter) as viewer:
            difference = check_replay(simulation, recording)
            say(_checked(recording, difference))
            viewer.note = (difference and "replay differs: recorded states are shown") or "replay: poses as recorded"
            while not viewer.ended:
                viewer.show(recording.episode.driver, lambda on_step: play(simulation, recording, on_step))
                if viewer.playback.wish is not None and viewer.playback.wish.step:
                    break
        _say_films(viewer, say)
    return difference


def film(config: WatchConfig, driver_specs: Sequence[DriverSpec], say: Say, painter: Painter | None = None) -> None:
    """Write a film or a picture of the first choice, without a display; arguments as for `watch_choices`.

    Raises:
        TownError: If the town or route cannot be had.
        StorageError: If the file cannot be written.
    """
    scenario = config.choices(tuple(driver_spec.name for driver_spec in driver_specs)).scenario
    check_route(scenario)
    with Simulation(config.simulation) as simulation, _Output(config) as output:
        driver = safe_driver(driver_specs[0].driver(), DECISION_LIMIT)
        driver.name = driver_specs[0].name
        film_drive(simulation, driver, scenario, _look(config), output, painter)
    say(output.words)


def film_replay(config: WatchConfig, recording: RecordedDrive, say: Say, painter: Painter | None = None) -> str:
    """Write a film or a picture of a recorded drive, without a display; arguments and result as of `watch_replay`.

    Raises:
        TownError: If the town cannot be had.
        StorageError: If the file cannot be written.
    """
    with Simulation(recording.simulation) as simulation, _Output(config) as output:
        difference = check_replay(simulation, recording)
        say(_checked(recording, difference))
        reel = OffscreenRecorder(simulation, recording.episode.driver, _look(config), output, painter)
        with suppress(StopRecording):
            reel.end(play(simulation, recording, reel.show))
    say(output.words)
    return difference


class _Output:
    """The file of a film or picture: takes what lies in the wanted stretch of time."""

    def __init__(self, config: WatchConfig) -> None:
        if config.out.suffix in FILMS and encoder_problem():
            raise StorageError(f"{config.out}: cannot be written: {encoder_problem()}")
        self._config = config
        rate = 1 / config.simulation.control_step
        self._mp4 = Mp4Writer(config.out, rate) if config.out.suffix == ".mp4" else None
        self._gif = GifWriter(config.out, rate) if config.out.suffix == ".gif" else None
        self._count = 0

    def __enter__(self) -> "_Output":
        if self._mp4 is not None:
            self._mp4.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._mp4 is not None:
            self._mp4.__exit__(kind, error, trace)
        if self._gif is not None and kind is None and self._count:
            self._gif.save()

    @property
    def words(self) -> str:
        """What was written."""
        if not self._count:
            return f"nothing is written: the drive ends before {self._config.begin:g} s"
        return f"{self._config.out}: {self._count} picture{'s' if self._count > 1 else ''}"

    def wants(self, time: float) -> bool:
        """Whether a moment [s] lies in the stretch; raises `StopRecording` when it is over."""
        config = self._config
        if config.length and time > config.begin + config.length:
            raise StopRecording
        return time > config.begin - 1e-6

    def take(self, picture: Image) -> None:
        """Take a picture; raises `StopRecording` when only one is wanted."""
        self._count += 1
        if self._config.out.suffix == PICTURE:
            write_bytes(self._config.out, png(picture))
            raise StopRecording
        for writer in (self._mp4, self._gif):
            if writer is not None:
                writer.add(picture)


def _look(config: WatchConfig) -> Playback:
    """How films without a window look."""
    return Playback(view=config.viewer.view, salient=config.viewer.saliency)


def _checked(recording: RecordedDrive, difference: str) -> str:
    """What a check has found, in a line."""
    same = f"all {len(recording.episode.poses)} poses as recorded, bit by bit"
    return f"{recording.path}: {difference or same}"


def _say_films(viewer: Viewer, say: Say) -> None:
    for path in viewer.films:
        say(f"film: {path}")
