"""One car driving scenarios: town, physics, senses and the rules that end a drive, in steps of 0.1 s."""

import math
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np

from navsim.errors import ActionError
from navsim.geometry import Pose
from navsim.rendering.interface import RenderBuffers, Renderer, RenderRequest
from navsim.roads.routing import Progress, Route
from navsim.seeding import generator
from navsim.sensing.camera import Camera
from navsim.sensing.faults import with_noise
from navsim.sensing.observation import Image, Observation
from navsim.simulation.config import SimulationConfig, make_renderer
from navsim.simulation.expert import curve_speed, speed_profile
from navsim.simulation.scenario import Outcome, Scenario
from navsim.simulation.sensor_setup import gps_sensor, mounted_cameras, noisy_map
from navsim.simulation.termination import check_termination
from navsim.simulation.town import Town, TownCache, scenario_route
from navsim.world.obstacles import ObstacleKind
from navsim.world.scenery.scene import Scene
from navsim.world.vehicle import VehicleState, varied_vehicle
from navsim.world.world import World

__all__ = ["SimState", "Simulation", "SimulationConfig", "TimeStep"]

_NOTHING: Image = np.zeros((0, 0, 0, 3), np.uint8)


@dataclass(frozen=True, eq=False)
class SimState:
    """The moment after a reset or a control step, before anything is sensed."""

    state: VehicleState
    """The truth."""
    progress: Progress
    """Where the car is along its route."""
    outcome: Outcome | None
    """How the drive ended, or None while it goes on."""
    shots: tuple[RenderRequest, ...]
    """The pictures that the car's cameras take; none when the drive was begun with `sense=False`."""


@dataclass(frozen=True, eq=False)
class TimeStep:
    """The moment after a reset or a control step."""

    observation: Observation | None
    """What the car senses; None when the drive was begun with `sense=False`."""
    state: VehicleState
    """The truth."""
    progress: Progress
    """Where the car is along its route."""
    outcome: Outcome | None
    """How the drive ended, or None while it goes on."""
    images: Image
    """Pictures before the cameras' noise (C, H, W, 3) uint8, to be recorded; none when nothing is sensed."""


class Simulation:
    """A world with one car; holds the physics and a renderer, so close it or use it in a `with` block.

    `reset` and `step` are all that one car needs. Several simulations that share a renderer are stepped by `begin` and
    `advance`, which leave the pictures to be drawn for all of them in one go, and then told what their cars see by
    `observe`.
    """

    def __init__(
        self, config: SimulationConfig, renderer: Renderer | None = None, shelf: TownCache | None = None
    ) -> None:
        """Start the physics; nothing is driven before `reset`.

        Args:
            config: The car, its senses and the rules.
            renderer: One to share, which stays its owner's to close; None starts the one that `config` names.
            shelf: Towns to share; None keeps its own.

        Raises:
            ConfigError: If the renderer cannot be had.
        """
        self.config = config
        self.shelf = shelf or TownCache(config.map)
        self.renderer = renderer or make_renderer(config.renderer)
        self._owns_renderer = renderer is None
        self._world = World(config.vehicle, config.control_step)
        self._town: Town | None = None
        self._rendered: Scene | None = None
        self._situation: SimState | None = None
        self._sense = False

    @property
    def renderer_name(self) -> str:
        """The renderer in use."""
        return self.renderer.name

    @property
    def town(self) -> Town:
        """The town that is driven; only after `reset`."""
        if self._town is None:
            raise RuntimeError("no town yet: call reset(scenario) first")
        return self._town

    @property
    def situation(self) -> SimState:
        """The moment after the last reset or control step; only after `reset`."""
        if self._situation is None:
            raise RuntimeError("nothing is driven yet: call reset(scenario) first")
        return self._situation

    @property
    def struck(self) -> ObstacleKind | None:
        """What the car has touched in this drive, if anything."""
        contact = self._world.contact
        return None if contact is None else contact.kind

    @property
    def time_limit(self) -> float:
        """Time allowed for the route [s]."""
        return self.config.rules.allowed_time(self.route.length)

    def reset(self, scenario: Scenario, sense: bool = True) -> TimeStep:
        """Begin a drive.

        Args:
            scenario: What to drive; together with the config it decides everything.
            sense: Whether observations are wanted; without them no image is rendered.

        Raises:
            TownError: If the town or route cannot be built.
        """
        return self.see(self.begin(scenario, sense))

    def step(self, curvature: float) -> TimeStep:
        """Drive for one control step.

        Args:
            curvature: Path curvature [1/m], positive to the left, at most `vehicle.max_curvature` in magnitude.

        Raises:
            ActionError: If the command is not finite or out of range; the car is left as it was.
            RuntimeError: If the drive has ended.
        """
        return self.see(self.advance(curvature))

    def begin(self, scenario: Scenario, sense: bool = True) -> SimState:
        """Begin a drive as `reset` does, but draw nothing."""
        town = self.shelf.town(scenario.town, scenario.appearance)
        if town is not self._town:
            self._world.load(town.scene.obstacles)
            self._town = town
        if sense:
            self._show(town.scene)
        self.scenario = scenario
        self.route: Route = scenario_route(town.network, scenario)
        self._map = noisy_map(self.config, scenario, town, self.route)
        self._speeds = speed_profile(self.route.path, self.config.cruise_speed, self.config.lateral_acceleration)
        self._gps = gps_sensor(self.config, scenario)
        self._pixels = generator(scenario.seed, scenario.name, "camera noise")
        self._mounted = mounted_cameras(self.config, scenario) if sense else ()
        self._sense = sense
        self._still = 0.0
        self._elapsed = 0.0
        self._station = 0.0
        start = self.route.path.pose(0.0).moved(
            left=scenario.start.lateral, turn=math.radians(scenario.start.heading_deg)
        )
        spread, draws = self.config.vehicle_spread, generator(scenario.seed, scenario.name, "vehicle")
        vehicle = varied_vehicle(self.config.vehicle, spread, town.appearance.grip, draws)
        return self._judged(self._world.place(start, float(self._speeds[0]), vehicle))

    def advance(self, curvature: float) -> SimState:
        """Drive for one control step as `step` does, but draw nothing."""
        limit = self.config.vehicle.max_curvature
        if not (math.isfinite(curvature) and abs(curvature) <= limit * (1 + 1e-6)):
            raise ActionError(
                f"a commanded curvature must be finite and within -{limit} to {limit} 1/m, got {curvature}"
            )
        if self.situation.outcome is not None:
            raise RuntimeError(f"the drive has ended ({self.situation.outcome}): call reset(scenario) first")
        state = self._world.step(curvature, self.target_speed(curvature))
        self._elapsed = self.config.control_step
        self._still = 0.0 if state.speed > self.config.rules.standing_speed else self._still + self._elapsed
        return self._judged(state)

    def observe(self, images: Image) -> TimeStep:
        """Sense the world after `begin` or `advance`; once for each.

        Args:
            images: The pictures of the situation's shots (C, H, W, 3) uint8; ignored if there were none.
        """
        now = self.situation
        return TimeStep(self._sensed(images) if self._sense else None, now.state, now.progress, now.outcome, images)

    def see(self, situation: SimState) -> TimeStep:
        """Draw what the cameras see after `begin` or `advance`, and sense; once for each."""
        return self.observe(self.renderer.render(situation.shots) if situation.shots else _NOTHING)

    def target_speed(self, curvature: float) -> float:
        """Speed [m/s] that is right for the route at the car's place and for a commanded curvature."""
        planned = float(np.interp(self._station, self.route.path.stations, self._speeds))
        # Commands may be rougher than the road; they slow the car down only where they would make it slide.
        return min(planned, curve_speed(curvature, 2 * self.config.lateral_acceleration, self.config.cruise_speed))

    def chase_view(self, camera: Camera) -> Image:
        """Draw one more view (H, W, 3) uint8 from `camera`, fixed to the car."""
        self._show(self.town.scene)
        view: Image = self.renderer.render([RenderRequest(self.town.scene, camera, self.situation.state.pose)])[0]
        return view

    def measure(self, camera: Camera, pose: Pose) -> RenderBuffers:
        """Draw the town from `camera` on a car at `pose`, with the depth of each pixel."""
        self._show(self.town.scene)
        return self.renderer.measure([RenderRequest(self.town.scene, camera, pose)])

    def close(self) -> None:
        """Free the physics, and the renderer if it is this simulation's own; may be called again."""
        self._world.close()
        if self._owns_renderer:
            self.renderer.close()
        elif self._rendered is not None:
            self.renderer.remove(self._rendered)
        self._rendered = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _show(self, scene: Scene) -> None:
        """Hand a scene to the renderer, unless it has it: drives that do not sense never load one."""
        if self._rendered is scene:
            return
        if self._rendered is not None:
            self.renderer.remove(self._rendered)
        self.renderer.add(scene)
        self._rendered = scene

    def _judged(self, state: VehicleState) -> SimState:
        """Locate the car and judge it."""
        progress = self.route.progress(state.pose, near=self._station)
        self._station = progress.station
        rules, town = self.config.rules, self.town
        outcome = check_termination(rules, town.network, self.route, state, progress, self._world.contact, self._still)
        shots = tuple(RenderRequest(town.scene, camera, state.pose) for camera in self._mounted)
        self._situation = SimState(state, progress, outcome, shots)
        return self._situation

    def _sensed(self, images: Image) -> Observation:
        """What the car senses; the maps are drawn where the GPS says it is."""
        gps = self._gps.measure(self.situation.state.pose, self._elapsed)
        road_map, route_map = self._map.patches(self.config.map, gps)
        return Observation(
            images=with_noise(images, self.config.camera_noise, self._pixels),
            road_map=road_map,
            route_map=route_map,
            speed=self.situation.state.speed,
            gps=gps,
            cameras=self.config.cameras,
        )
