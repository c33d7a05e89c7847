"""Entry points of the viewer: drives chosen by keys, replays of recorded drives, and films without a display."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace

from navsim.datasets.recorder import KEYBOARD, DriveRecorder
from navsim.drivers.keyboard import KeyboardInput, with_takeover
from navsim.drivers.protocol import Driver, DriverSpec, Expert, Explain, explanation_of
from navsim.drivers.sandbox import DECISION_LIMIT, safe_driver
from navsim.errors import TownError
from navsim.run_folder import locked_folder
from navsim.simulation.episode import Episode
from navsim.simulation.rollout import RolloutStep, drive
from navsim.simulation.scenario import Scenario, scenario_route
from navsim.simulation.simulation import Simulation
from navsim.simulation.town import load_town_map
from navsim.viewer.config import PICTURE, WatchConfig
from navsim.viewer.controls import NEXT, Capabilities, Choice, Choices
from navsim.viewer.dashboard_window import Painter
from navsim.viewer.offscreen import FrameSink, OffscreenRecorder, StopRecording
from navsim.viewer.replay import RecordedDrive, check_replay, play
from navsim.viewer.viewer import Play, Viewer

PrintLine = Callable[[str], None]
"""Prints a line."""
ALL_CAPABILITIES = Capabilities(tuple(Choice), steering=True, filming=True)
REPLAY_CAPABILITIES = Capabilities(filming=True)


def check_route(scenario: Scenario) -> None:
    """Check a scenario before a window opens.

    Raises:
        TownError: If its town or route does not exist.
    """
    scenario_route(load_town_map(scenario.town).network, scenario)


class Session:
    """A window in which keys choose driver, town, weather and route."""

    def __init__(
        self,
        simulation: Simulation,
        viewer: Viewer,
        driver_specs: Mapping[str, DriverSpec],
        keyboard: KeyboardInput,
        recorder: DriveRecorder | None,
        print_line: PrintLine,
    ) -> None:
        """Prepare to show drives.

        Args:
            simulation: Simulation to drive in.
            viewer: Viewer with `ALL_CAPABILITIES` and the same `keyboard`.
            driver_specs: Drivers by the names in the choices.
            keyboard: Keys for manual steering.
            recorder: Recorder of manual drives, if they are kept.
            print_line: Function that prints a line.
        """
        self._simulation, self._viewer, self._keyboard = simulation, viewer, keyboard
        self._driver_specs, self._recorder, self._print_line = driver_specs, recorder, print_line
        self._drivers: dict[str, Driver | Expert] = {}

    def run(self, choices: Choices) -> list[Episode]:
        """Show drives until the user quits; return the completed ones.

        Raises:
            TownError: If the first town or route does not exist.
        """
        episodes: list[Episode] = []
        shown: Choices | None = None
        while not self._viewer.ended:
            try:
                episode = self._drive(choices)
            except TownError as error:
                if shown is None:
                    raise
                self._print_line(f"not shown: {error}")
                choices = shown
                continue
            shown = choices
            episodes += [episode] if episode is not None else []
            choices = choices.after(self._viewer.playback.command or NEXT)
        return episodes

    def _drive(self, choices: Choices) -> Episode | None:
        """Show the chosen drive; return it if it was completed."""
        name = choices.drivers[choices.driver]
        scenario = choices.scenario if self._recorder is None else self._recorder.fresh(choices.scenario)
        self._keyboard.begin(at_start=name == KEYBOARD)
        driver = with_takeover(self._driver(name), self._keyboard)
        driver.name = name
        episode = self._viewer.drive(driver, scenario, record_images=self._recorder is not None)
        if episode is None:
            return None
        self._print_line(f"{name} on {scenario.name}: {episode.outcome}, {100 * episode.completion:.0f}% of the route")
        if self._recorder is not None and self._keyboard.used:
            path = self._recorder.add(episode, name if name == KEYBOARD else f"{name}+{KEYBOARD}")
            self._print_line(f"recorded {len(episode)} steps in {path}")
        return replace(episode, driver=name)

    def _driver(self, name: str) -> Driver | Expert:
        """Return the driver with that name, made at its first use."""
        if name not in self._drivers:
            self._drivers[name] = safe_driver(self._driver_specs[name].driver(), DECISION_LIMIT)
        return self._drivers[name]


def watch_choices(
    config: WatchConfig, driver_specs: Sequence[DriverSpec], print_line: PrintLine, painter: Painter | None = None
) -> list[Episode]:
    """Open the window and show the drives that keys choose, until the user quits.

    Args:
        config: What to show, and how.
        driver_specs: Drivers to choose from.
        print_line: Function that prints a line.
        painter: Painter of the dashboard; None for `navsim.viewer.dashboard_window.DashboardPainter`.

    Returns:
        The completed drives.

    Raises:
        DisplayError: If no display is available.
        TownError: If the first town or route does not exist.
        StorageError: If the folder for recorded drives was made with other settings, or another process writes to it.
    """
    choices = config.choices(tuple(driver_spec.name for driver_spec in driver_specs))
    check_route(choices.scenario)
    by_name = {driver_spec.name: driver_spec for driver_spec in driver_specs}
    keyboard = KeyboardInput(config.simulation.vehicle.max_curvature, config.simulation.control_step)
    held = nullcontext() if config.record is None else locked_folder(config.record)
    with held, Simulation(config.simulation) as simulation:
        with Viewer(simulation, config.viewer, ALL_CAPABILITIES, keyboard, config.films, painter) as viewer:
            recorder = None
            if config.record is not None:
                recorder = DriveRecorder(config.record, config.simulation, simulation.renderer_name)
            episodes = Session(simulation, viewer, by_name, keyboard, recorder, print_line).run(choices)
        _print_films(viewer, print_line)
    return episodes


def watch_replay(
    config: WatchConfig, recording: RecordedDrive, print_line: PrintLine, painter: Painter | None = None
) -> str:
    """Show a recorded drive in the window, repeatedly, until the user quits or asks for another route.

    Args:
        config: How to show the drive.
        recording: Recorded drive.
        print_line: Function that prints a line.
        painter: Painter of the dashboard; None for `navsim.viewer.dashboard_window.DashboardPainter`.

    Returns:
        Result of `check_replay`: empty if the drive is the same.

    Raises:
        DisplayError: If no display is available.
        TownError: If the town does not exist.
    """
    with Simulation(recording.simulation) as simulation:
        with Viewer(simulation, config.viewer, REPLAY_CAPABILITIES, None, config.films, painter) as viewer:
            difference = check_replay(simulation, recording)
            print_line(_check_result(recording, difference))
            viewer.note = (difference and "replay differs: recorded states are shown") or "replay: poses as recorded"
            while not viewer.ended:
                viewer.show(recording.episode.driver, lambda on_step: play(simulation, recording, on_step))
                if viewer.playback.command is not None and viewer.playback.command.step:
                    break
        _print_films(viewer, print_line)
    return difference


def film(
    config: WatchConfig, driver_specs: Sequence[DriverSpec], print_line: PrintLine, painter: Painter | None = None
) -> None:
    """Write a film or a picture of the first choice, without a display; arguments as for `watch_choices`.

    Raises:
        TownError: If the town or route does not exist.
        StorageError: If the file cannot be written.
    """
    scenario = config.choices(tuple(driver_spec.name for driver_spec in driver_specs)).scenario
    check_route(scenario)
    with Simulation(config.simulation) as simulation:
        driver = safe_driver(driver_specs[0].driver(), DECISION_LIMIT)
        driver.name = driver_specs[0].name

        print_line(f"{config.out}: {driver.name} on {scenario.name}, {_interval_text(config)}")

        def play_drive(on_step: Callable[[RolloutStep], None]) -> Episode:
            return drive(simulation, driver, scenario, sense=True, record_images=False, on_step=on_step)

        print_line(_film_play(config, simulation, driver.name, play_drive, painter, explanation_of(driver)))


def film_replay(
    config: WatchConfig, recording: RecordedDrive, print_line: PrintLine, painter: Painter | None = None
) -> str:
    """Write a film or a picture of a recorded drive, without a display; arguments and result as of `watch_replay`.

    Raises:
        TownError: If the town does not exist.
        StorageError: If the file cannot be written.
    """
    with Simulation(recording.simulation) as simulation:
        difference = check_replay(simulation, recording)
        print_line(_check_result(recording, difference))

        def play_recording(on_step: Callable[[RolloutStep], None]) -> Episode:
            return play(simulation, recording, on_step)

        print_line(_film_play(config, simulation, recording.episode.driver, play_recording, painter, None))
    return difference


def _film_play(
    config: WatchConfig,
    simulation: Simulation,
    driver: str,
    play_drive: Play,
    painter: Painter | None,
    explain: Explain | None,
) -> str:
    """Write `config.out` while a drive is played; return a line that says what was written."""
    with FrameSink(config.out, 1 / simulation.config.control_step, config.begin, config.length) as sink:
        view, saliency = config.viewer.view, config.viewer.saliency
        recorder = OffscreenRecorder(simulation, driver, view, saliency, sink, painter, explain)
        with suppress(StopRecording):
            recorder.end(play_drive(recorder.show))
    return sink.result


def _interval_text(config: WatchConfig) -> str:
    """Return which part of a drive is filmed, and how to choose another."""
    if config.out.suffix == PICTURE:
        return f"a picture at {config.begin:g} s"
    if config.length:
        return f"from {config.begin:g} to {config.begin + config.length:g} s (length 0: to the end)"
    return f"from {config.begin:g} s to the end"


def _check_result(recording: RecordedDrive, difference: str) -> str:
    """Return the line that reports the check of a replay."""
    same = f"all {len(recording.episode.poses)} poses as recorded, bit by bit"
    return f"{recording.path}: {difference or same}"


def _print_films(viewer: Viewer, print_line: PrintLine) -> None:
    for path in viewer.films:
        print_line(f"film: {path}")
