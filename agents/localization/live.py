"""Live view of the belief on the town's map during a drive, in a window or as a film."""

from dataclasses import replace

import numpy as np

from agents.drivers.registry import watchable_drivers
from agents.localization.config import LocalizationCase, LocalizeConfig, make_localiser
from agents.localization.pictures import MAP_BOX, BeliefMap, compose_picture
from agents.localization.run import LocalizationContext, make_context, open_policy, simulation_of
from agents.localization.tracking import LocalizationStep, Track, Tracker, TrackLog, TrackPoint, check_duration
from agents.policies.networks.config import check_sensors
from agents.policies.policy import Policy
from navsim.drivers.protocol import Explain
from navsim.roads.routing import JunctionPassage
from navsim.seeding import generator
from navsim.sensing.observation import Image
from navsim.simulation.rollout import RolloutStep
from navsim.simulation.scenario import Outcome
from navsim.simulation.simulation import Simulation
from navsim.simulation.town import attribution_of
from navsim.viewer.replay import read_recording
from navsim.viewer.session import PrintLine, film, film_replay, watch_choices, watch_replay
from navsim.visualization.drive_events import DriveLog
from navsim.world.bullet import require_display

_FILM_INSTEAD = "give --action film for a film instead"


class BeliefPainter:
    """Localises a drive under way and draws the belief; a `navsim.viewer.dashboard_window.Painter`."""

    supports_saliency = False

    def __init__(self, config: LocalizeConfig, policy: Policy) -> None:
        """Localise by `config.watched_method` in `config.watched_case`."""
        self._config, self._policy = config, policy
        self._case: LocalizationCase = next(case for case in config.cases if case.name == config.watched_case)
        self._context: tuple[str, LocalizationContext, BeliefMap] | None = None
        self._drive: _Drive | None = None

    def begin(self, simulation: Simulation, driver: str, explain: Explain | None) -> None:  # noqa: ARG002
        """Begin a drive.

        Raises:
            TownError: If the town has no junction.
        """
        config, scenario = self._config, simulation.scenario
        if self._context is None or self._context[0] != scenario.town:
            context = make_context(config, self._policy, scenario.town)
            belief_map = BeliefMap(context.network, MAP_BOX, attribution_of(scenario.town))
            self._context = scenario.town, context, belief_map
        _, context, belief_map = self._context
        rng = generator(config.seed, scenario.name, self._case.name, config.watched_method)
        localiser = make_localiser(config.watched_method, config.filter, config.exponents, context.evidence, rng)
        tracker = Tracker(scenario, localiser, context.evidence.lanes, self._case, config.tracking)
        title = f"{config.watched_method}, case {self._case.name}: {driver} on {scenario.name}"
        self._drive = _Drive(title, tracker, belief_map, simulation.route.passages)

    def observe(self, rollout_step: RolloutStep) -> None:
        """Process one control step."""
        self._current_drive.step(rollout_step)

    def draw(self, rollout_step: RolloutStep, outcome: Outcome | None, log: DriveLog, show_saliency: bool) -> Image:  # noqa: ARG002
        """Draw the belief after the last update, with the car's true pose now."""
        return self._current_drive.picture(rollout_step, outcome)

    @property
    def track(self) -> Track:
        """Track of the drive so far."""
        return self._current_drive.track

    @property
    def _current_drive(self) -> "_Drive":
        if self._drive is None:
            raise RuntimeError("begin must be called first")
        return self._drive


class _Drive:
    """A drive under way with its tracker."""

    def __init__(
        self, title: str, tracker: Tracker, belief_map: BeliefMap, passages: tuple[JunctionPassage, ...]
    ) -> None:
        self._title, self._tracker, self._chart, self._passages = title, tracker, belief_map, passages
        self._log, self._count = TrackLog(), 0
        self._last_point: TrackPoint | None = None

    def step(self, rollout_step: RolloutStep) -> None:
        """Process the next control step."""
        point = self._tracker.advance(live_step(rollout_step, self._count, self._passages))
        self._count += 1
        if point is not None:
            self._log.add(point)
            self._last_point = point

    @property
    def track(self) -> Track:
        return self._log.track(self._tracker.ignored)

    def picture(self, rollout_step: RolloutStep, outcome: Outcome | None) -> Image:
        """Draw the last belief, and the car as it is now."""
        if self._last_point is None:
            raise RuntimeError("step must be called first")
        title = self._title if outcome is None else f"{self._title}: {outcome.replace('_', ' ')}"
        now = replace(self._last_point, truth=rollout_step.time_step.state.pose)
        observation = rollout_step.time_step.observation
        camera = None if observation is None else observation.images[0]
        return compose_picture(title, self._chart, now, self.track, camera)


def live_step(rollout_step: RolloutStep, index: int, passages: tuple[JunctionPassage, ...]) -> LocalizationStep:
    """Return control step `index` of a drive under way, along a route with `passages`."""
    step = rollout_step.time_step
    return LocalizationStep(
        index=index,
        time=step.state.time,
        pose=step.state.pose,
        speed=step.state.speed,
        steering=rollout_step.command,
        images=np.zeros((0, 1, 1, 3), np.uint8) if step.observation is None else step.observation.images,
        junctions=sum(passage.end <= step.progress.station for passage in passages),
    )


def watch_live(config: LocalizeConfig, print_line: PrintLine) -> None:
    """Open the window, or write a film where `config.action` is `film`.

    Raises:
        CheckpointError: If the checkpoint is unusable, sees no unrouted map, or has other cameras than the replayed
            drive.
        DisplayError: If the window has no display.
        EpisodeError: If the drive to replay cannot be read, or is too short.
        TownError: If the first town or route cannot be built, or the town has no junction.
    """
    filming = config.action == "film"
    if not filming:
        require_display(_FILM_INSTEAD)
    policy, car = open_policy(config.checkpoint), simulation_of(config.checkpoint)
    simulation = replace(config.watch.simulation, cameras=car.cameras, map=car.map)
    options = replace(config.watch.viewer, dashboard=True)  # the dashboard shows the belief
    watch = replace(config.watch, simulation=simulation, viewer=options, headless=filming)
    painter = BeliefPainter(config, policy)
    if watch.replay is not None:
        recording = read_recording(watch.replay)
        simulation_config = recording.simulation
        check_sensors(config.checkpoint, (car.cameras, car.map), (simulation_config.cameras, simulation_config.map))
        check_duration(recording.episode)
        (film_replay if filming else watch_replay)(watch, recording, print_line, painter)
        return
    driver_specs = watchable_drivers(watch)
    make_context(config, policy, watch.choices((driver_specs[0].name,)).scenario.town)  # errors before a window opens
    if filming:
        film(watch, driver_specs, print_line, painter)
    else:
        watch_choices(watch, driver_specs, print_line, painter)
