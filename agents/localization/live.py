"""Where is the car, live: the belief on the town's map while one drives, in a window or as a film."""

from dataclasses import replace

import numpy as np

from agents.drivers.registry import watchable_drivers
from agents.localization.cases import LocalizationCase, make_localiser
from agents.localization.config import LocalizeConfig
from agents.localization.pictures import MAP_PLACE, Chart, compose_picture
from agents.localization.run import LocalizationContext, make_bench, open_policy, simulation_of
from agents.localization.track import Track, TrackLog, TrackPoint
from agents.localization.tracking import LocalizationStep, Tracker, check_lasts
from agents.policies.networks.config import check_sensors
from agents.policies.policy import Policy
from navsim.drivers.protocol import Explain
from navsim.roads.routing import JunctionPassage
from navsim.seeding import generator
from navsim.sensing.observation import Image
from navsim.sensing.roadmap import rasterise_roads
from navsim.simulation.rollout import RolloutStep
from navsim.simulation.scenario import Outcome
from navsim.simulation.simulation import Simulation
from navsim.simulation.town_map import attribution_of
from navsim.viewer.replay import read_recording
from navsim.viewer.session import Say, film, film_replay, watch_choices, watch_replay
from navsim.visualization.drive_events import DriveLog
from navsim.world.bullet import require_display

_FILM_INSTEAD = "give --action film for a film instead"


class BeliefPainter:
    """Localises a drive as it is driven, and draws the belief; a `navsim.viewer.dashboard_window.Painter`."""

    salient = False

    def __init__(self, config: LocalizeConfig, policy: Policy) -> None:
        """Localise by `config.watched_method` in `config.watched_case`."""
        self._config, self._policy = config, policy
        self._case: LocalizationCase = next(case for case in config.cases if case.name == config.watched_case)
        self._town: tuple[str, LocalizationContext, Chart] | None = None
        self._drive: _Drive | None = None

    def begin(self, simulation: Simulation, driver: str, explain: Explain | None) -> None:  # noqa: ARG002 - not asked
        """A drive begins.

        Raises:
            TownError: If the town has no junction.
        """
        config, scenario = self._config, simulation.scenario
        if self._town is None or self._town[0] != scenario.town:
            bench = make_bench(config, self._policy, scenario.town)
            raster = rasterise_roads(bench.network, bench.simulation.map)
            chart = Chart(raster, MAP_PLACE, attribution_of(scenario.town))
            self._town = scenario.town, bench, chart
        _, bench, chart = self._town
        rng = generator(config.seed, scenario.name, self._case.name, config.watched_method)
        localiser = make_localiser(config.watched_method, config.filter, config.exponents, bench.evidence, rng)
        tracker = Tracker(scenario, localiser, bench.evidence.lanes, self._case, config.tracking)
        title = f"{config.watched_method}, case {self._case.name}: {driver} on {scenario.name}"
        self._drive = _Drive(title, tracker, chart, simulation.route.passages)

    def note(self, moment: RolloutStep) -> None:
        """Follow the car."""
        self._under_way.follow(moment)

    def draw(self, moment: RolloutStep, outcome: Outcome | None, story: DriveLog, salient: bool) -> Image:  # noqa: ARG002
        """Draw the belief as of the last update, and where the car truly is now."""
        return self._under_way.picture(moment, outcome)

    @property
    def track(self) -> Track:
        """The drive so far."""
        return self._under_way.track

    @property
    def _under_way(self) -> "_Drive":
        if self._drive is None:
            raise RuntimeError("begin must be called first")
        return self._drive


class _Drive:
    """One drive that is being localised."""

    def __init__(self, title: str, tracker: Tracker, chart: Chart, passages: tuple[JunctionPassage, ...]) -> None:
        self._title, self._tracker, self._chart, self._passages = title, tracker, chart, passages
        self._log, self._count = TrackLog(), 0
        self._last: TrackPoint | None = None

    def follow(self, moment: RolloutStep) -> None:
        """Take the next control step."""
        updated = self._tracker.follow(sight_of(moment, self._count, self._passages))
        self._count += 1
        if updated is not None:
            self._log.add(updated)
            self._last = updated

    @property
    def track(self) -> Track:
        return self._log.track(self._tracker.ignored)

    def picture(self, moment: RolloutStep, outcome: Outcome | None) -> Image:
        """The last belief, and the car as it is now."""
        if self._last is None:
            raise RuntimeError("a step must be followed first")
        title = self._title if outcome is None else f"{self._title}: {outcome.replace('_', ' ')}"
        now = replace(self._last, truth=moment.step.state.pose)
        observation = moment.step.observation
        camera = None if observation is None else observation.images[0]
        return compose_picture(title, self._chart, now, self.track, camera)


def sight_of(moment: RolloutStep, index: int, passages: tuple[JunctionPassage, ...]) -> LocalizationStep:
    """What a tracker is told of control step `index` of a drive under way, along a route with `passages`."""
    step = moment.step
    return LocalizationStep(
        index=index,
        time=step.state.time,
        pose=step.state.pose,
        speed=step.state.speed,
        steering=moment.command,
        images=np.zeros((0, 1, 1, 3), np.uint8) if step.observation is None else step.observation.images,
        junctions=sum(passage.end <= step.progress.station for passage in passages),
    )


def watch_live(config: LocalizeConfig, say: Say) -> None:
    """Open the window, or write a film where `config.action` is `film`.

    Raises:
        CheckpointError: If the checkpoint is unusable, sees no unrouted map, or was made for other cameras than those
            of the drive that is to replay.
        DisplayError: If a window has no display.
        EpisodeError: If the drive that is to replay cannot be read, or is too short.
        TownError: If the first town or route cannot be had, or the town has no junction.
    """
    filming = config.action == "film"
    if not filming:
        require_display(_FILM_INSTEAD)
    policy, car = open_policy(config.checkpoint), simulation_of(config.checkpoint)
    simulation = replace(config.watch.simulation, cameras=car.cameras, map=car.map)
    options = replace(config.watch.viewer, panel=True)  # nobody would see the belief
    settings = replace(config.watch, simulation=simulation, viewer=options, headless=filming)
    painter = BeliefPainter(config, policy)
    if settings.replay is not None:
        recording = read_recording(settings.replay)
        drive = recording.simulation
        check_sensors(config.checkpoint, (car.cameras, car.map), (drive.cameras, drive.map))
        check_lasts(recording.episode)
        (film_replay if filming else watch_replay)(settings, recording, say, painter)
        return
    driver_specs = watchable_drivers(settings)
    make_bench(config, policy, settings.choices((driver_specs[0].name,)).scenario.town)  # refused before a window opens
    if filming:
        film(settings, driver_specs, say, painter)
    else:
        watch_choices(settings, driver_specs, say, painter)
