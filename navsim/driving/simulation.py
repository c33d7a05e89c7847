"""One car driving scenarios: town, physics, senses and the rules that end a drive, in steps of 0.1 s."""

import math
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import numpy as np

from navsim.driving.expert import ExpertSpec
from navsim.driving.rules import Rules, judge
from navsim.driving.scenario import Outcome, Scenario
from navsim.driving.speed import curve_speed, speed_profile
from navsim.driving.town import Town, build_town_for_driving, scenario_route
from navsim.errors import ActionError, ConfigError
from navsim.randomness import generator
from navsim.rendering.renderer import RendererName, make_renderer
from navsim.rendering.shots import Shot
from navsim.roads.routing import Progress, Route
from navsim.sensing.camera import Camera
from navsim.sensing.gps import GpsSensor, GpsSpec
from navsim.sensing.observation import Image, Observation
from navsim.sensing.roadmap import MapSpec, draw_map, rasterise_route
from navsim.world.scene import Scene
from navsim.world.vehicle import VehicleSpec, VehicleState
from navsim.world.world import World


@dataclass(frozen=True)
class SimulationConfig:
    """The car, its senses and the rules; the scenario says where it drives."""

    cameras: tuple[Camera, ...] = (Camera(),)
    """Cameras on the car, all of one size."""
    map: MapSpec = field(default_factory=MapSpec)
    """Map patches."""
    gps: GpsSpec = field(default_factory=GpsSpec)
    """Errors of the position fix."""
    vehicle: VehicleSpec = field(default_factory=VehicleSpec)
    """The car."""
    expert: ExpertSpec = field(default_factory=ExpertSpec)
    """The expert that labels."""
    rules: Rules = field(default_factory=Rules)
    """What ends a drive."""
    renderer: RendererName = "auto"
    """What draws the camera images."""
    control_step: float = 0.1
    """Time between two commands [s]."""
    cruise_speed: float = 8.0
    """Speed on straights [m/s]."""
    lateral_acceleration: float = 2.0
    """Bound in the route's curves, by which speed is chosen [m/s^2]."""

    def __post_init__(self) -> None:
        sizes = {(camera.width, camera.height) for camera in self.cameras}
        if len(sizes) != 1:
            raise ConfigError(f"simulation.cameras must be one or more cameras of one size, got {sorted(sizes)}")
        for name in ("control_step", "cruise_speed", "lateral_acceleration"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"simulation.{name} must be above 0, got {getattr(self, name)}")


@dataclass(frozen=True, eq=False)
class Step:
    """The moment after a reset or a control step."""

    observation: Observation | None
    """What the car senses; None when the drive was begun with `sense=False`."""
    state: VehicleState
    """The truth."""
    progress: Progress
    """Where the car is along its route."""
    outcome: Outcome | None
    """How the drive ended, or None while it goes on."""


class Simulation:
    """A world with one car; holds the physics and the renderer, so close it or use it in a `with` block."""

    def __init__(self, config: SimulationConfig) -> None:
        """Start the physics and choose the renderer; nothing is driven before `reset`.

        Raises:
            ConfigError: If the renderer cannot be had.
        """
        self.config = config
        self._world = World(config.vehicle, config.control_step)
        self._renderer = make_renderer(config.renderer)
        self._town: Town | None = None
        self._rendered: Scene | None = None
        self._sense = False

    @property
    def renderer_name(self) -> str:
        """The renderer in use."""
        return self._renderer.name

    @property
    def town(self) -> Town:
        """The town that is driven; only after `reset`."""
        if self._town is None:
            raise RuntimeError("no town yet: call reset(scenario) first")
        return self._town

    @property
    def time_limit(self) -> float:
        """Time allowed for the route [s]."""
        return self.config.rules.time_limit(self.route.length)

    def reset(self, scenario: Scenario, sense: bool = True) -> Step:
        """Begin a drive.

        Args:
            scenario: What to drive; together with the config it decides everything.
            sense: Whether observations are wanted; without them no image is rendered.

        Raises:
            TownError: If the town or route cannot be built.
        """
        if self._town is None or self._town.name != scenario.town:
            self._town = build_town_for_driving(scenario.town, self.config.map)
            self._world.load(self._town.scene.obstacles)
        if sense:
            self._load_renderer(self._town)
        self.scenario = scenario
        self.route: Route = scenario_route(self._town.network, scenario)
        self._route_raster = rasterise_route(self.route.path, self.config.map)
        self._speeds = speed_profile(self.route.path, self.config.cruise_speed, self.config.lateral_acceleration)
        self._gps = GpsSensor(self.config.gps, generator(scenario.seed, scenario.name, "gps"))
        self._sense = sense
        self._still = 0.0
        self._station = 0.0
        self._outcome: Outcome | None = None
        start = self.route.path.pose(0.0).moved(
            left=scenario.start.lateral, turn=math.radians(scenario.start.heading_deg)
        )
        return self._after(self._world.place(start, float(self._speeds[0])), elapsed=0.0)

    def step(self, curvature: float) -> Step:
        """Drive for one control step.

        Args:
            curvature: Path curvature [1/m], positive to the left, at most `vehicle.max_curvature` in magnitude.

        Raises:
            ActionError: If the command is not finite or out of range; the car is left as it was.
            RuntimeError: If the drive has ended.
        """
        limit = self.config.vehicle.max_curvature
        if not (math.isfinite(curvature) and abs(curvature) <= limit * (1 + 1e-6)):
            raise ActionError(
                f"a commanded curvature must be finite and within -{limit} to {limit} 1/m, got {curvature}"
            )
        if self._outcome is not None:
            raise RuntimeError(f"the drive has ended ({self._outcome}): call reset(scenario) first")
        state = self._world.step(curvature, self.target_speed(curvature))
        self._still = 0.0 if state.speed > self.config.rules.standing_speed else self._still + self.config.control_step
        return self._after(state, elapsed=self.config.control_step)

    def target_speed(self, curvature: float) -> float:
        """Speed [m/s] that is right for the route at the car's place and for a commanded curvature."""
        planned = float(np.interp(self._station, self.route.path.stations, self._speeds))
        # Commands may be rougher than the road; they slow the car down only where they would make it slide.
        return min(planned, curve_speed(curvature, 2 * self.config.lateral_acceleration, self.config.cruise_speed))

    def chase_view(self, camera: Camera) -> Image:
        """Draw one more view (H, W, 3) uint8 from `camera`, fixed to the car."""
        self._load_renderer(self.town)
        view: Image = self._renderer.render([Shot(self.town.scene, camera, self._world.state.pose)])[0]
        return view

    def close(self) -> None:
        """Free physics and renderer; may be called again."""
        self._world.close()
        self._renderer.close()
        self._rendered = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _load_renderer(self, town: Town) -> None:
        """Hand the renderer a town's scene, unless it has it: drives that do not sense never load one."""
        if self._rendered is not town.scene:
            if self._rendered is not None:
                self._renderer.remove(self._rendered)
            self._renderer.add(town.scene)
            self._rendered = town.scene

    def _after(self, state: VehicleState, elapsed: float) -> Step:
        """Locate the car, judge it and sense."""
        progress = self.route.progress(state.pose, near=self._station)
        self._station = progress.station
        self._outcome = judge(
            self.config.rules, self.town.network, self.route, state, progress, self._world.contact, self._still
        )
        return Step(self._observe(state, elapsed) if self._sense else None, state, progress, self._outcome)

    def _observe(self, state: VehicleState, elapsed: float) -> Observation:
        """Sense the world from the car's true pose; the maps are drawn where the GPS says it is."""
        gps = self._gps.measure(state.pose, elapsed)
        return Observation(
            images=self._renderer.render([Shot(self.town.scene, c, state.pose) for c in self.config.cameras]),
            road_map=draw_map(self.town.raster, self.config.map, gps),
            route_map=draw_map(self._route_raster, self.config.map, gps),
            speed=state.speed,
            gps=gps,
        )
