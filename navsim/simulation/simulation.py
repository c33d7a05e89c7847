"""One car that drives scenarios in steps of 0.1 s: town, physics, sensors and the rules that end a drive."""

import math
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np
from gymnasium.error import ClosedEnvironmentError

from navsim.errors import ActionError
from navsim.geometry import Pose
from navsim.rendering.interface import RenderBuffers, Renderer, RenderRequest
from navsim.roads.routing import Progress, Route
from navsim.seeding import generator
from navsim.sensing.camera import Camera
from navsim.sensing.observation import Image, Observation
from navsim.simulation.config import SimulationConfig, car_sensors, make_renderer, mounted_cameras
from navsim.simulation.expert import curve_speed, speed_profile
from navsim.simulation.scenario import Outcome, Scenario, scenario_route
from navsim.simulation.termination import check_termination
from navsim.simulation.town import Town, TownCache
from navsim.world.obstacles import ObstacleKind
from navsim.world.scenery.scene import Scene
from navsim.world.vehicle import VehicleState, varied_vehicle
from navsim.world.world import World

__all__ = ["SimState", "Simulation", "SimulationConfig", "TimeStep", "simulations"]

_NO_IMAGES: Image = np.zeros((0, 0, 0, 3), np.uint8)


@dataclass(frozen=True, eq=False)
class SimState:
    """State after a reset or a control step, before anything is sensed."""

    state: VehicleState
    """True state of the car."""
    progress: Progress
    """Place of the car along its route."""
    outcome: Outcome | None
    """How the drive ended, or None while it goes on."""
    requests: tuple[RenderRequest, ...]
    """Images that the car's cameras take; empty if the drive was begun with `sense=False`."""


@dataclass(frozen=True, eq=False)
class TimeStep:
    """State after a reset or a control step, with what the car senses."""

    observation: Observation | None
    """What the car senses; None if the drive was begun with `sense=False`."""
    state: VehicleState
    """True state of the car."""
    progress: Progress
    """Place of the car along its route."""
    outcome: Outcome | None
    """How the drive ended, or None while it goes on."""
    images: Image
    """Images without noise and faults (C, H, W, 3) uint8, for recordings; (0, ...) if nothing is sensed."""


class Simulation:
    """A world with one car; holds the physics and a renderer, so close it or use it in a `with` block.

    One car needs `reset` and `step` alone. Several that share a renderer are stepped by `begin` and `advance`, which
    render nothing; the caller renders for all in one pass and gives each its images by `observe`. A closed simulation
    raises `gymnasium.error.ClosedEnvironmentError`.
    """

    def __init__(
        self, config: SimulationConfig, renderer: Renderer | None = None, towns: TownCache | None = None
    ) -> None:
        """Start the physics; nothing is driven before `reset`.

        Args:
            config: The car, its sensors and the rules.
            renderer: Shared renderer, which its owner closes; None starts the one that `config` names.
            towns: Shared cache of towns; None makes one.

        Raises:
            ConfigError: If the renderer is not available.
        """
        self.config = config
        self.towns = towns or TownCache(config.map)
        self.renderer = renderer or make_renderer(config.renderer)
        self._owns_renderer = renderer is None
        self._world = World(config.vehicle, config.control_step)
        self._town: Town | None = None
        self._rendered: Scene | None = None
        self._state: SimState | None = None
        self._sense = False
        self.closed = False

    @property
    def renderer_name(self) -> str:
        """Name of the renderer in use."""
        return self.renderer.name

    @property
    def town(self) -> Town:
        """Town that is driven; only after `reset`."""
        if self._town is None:
            raise RuntimeError("no town yet: call reset(scenario) first")
        return self._town

    @property
    def state(self) -> SimState:
        """State after the last reset or control step; only after `reset`."""
        if self._state is None:
            raise RuntimeError("nothing is driven yet: call reset(scenario) first")
        return self._state

    @property
    def struck(self) -> ObstacleKind | None:
        """What the car touched in this drive; None if nothing."""
        contact = self._world.contact
        return None if contact is None else contact.kind

    @property
    def time_limit(self) -> float:
        """Time allowed for the route [s]."""
        return self.config.rules.allowed_time(self.route.length)

    def reset(self, scenario: Scenario, sense: bool = True) -> TimeStep:
        """Begin a drive.

        Args:
            scenario: What to drive; with the config it decides everything.
            sense: Whether to make observations; without them no image is rendered.

        Raises:
            TownError: If the town or route cannot be built.
        """
        return self.see(self.begin(scenario, sense))

    def step(self, curvature: float) -> TimeStep:
        """Drive for one control step.

        Args:
            curvature: Path curvature [1/m], positive to the left, at most `vehicle.max_curvature` in magnitude. It is
                executed `faults.latency_steps` control steps later.

        Raises:
            ActionError: If the command is not finite or out of range; the car is left as it was.
            RuntimeError: If the drive has ended.
        """
        return self.see(self.advance(curvature))

    def begin(self, scenario: Scenario, sense: bool = True) -> SimState:
        """Begin a drive as `reset` does, but render nothing."""
        self._check_open()
        town = self.towns.town(scenario.town, scenario.appearance)
        if town is not self._town:
            self._world.load(town.scene.obstacles)
            self._town = town
        if sense:
            self._show(town.scene)
        self.scenario = scenario
        self.route: Route = scenario_route(town.network, scenario)
        self._speeds = speed_profile(self.route.path, self.config.cruise_speed, self.config.lateral_acceleration)
        self._sensors = car_sensors(self.config, scenario, town, self.route)
        self._late = deque([0.0] * self.config.faults.latency_steps)
        self._mounted = mounted_cameras(self.config, scenario) if sense else ()
        self._sense = sense
        self._standing_time = self._elapsed = self._station = 0.0
        start = self.route.path.pose(0.0).moved(
            left=scenario.start.lateral, turn=math.radians(scenario.start.heading_deg)
        )
        spread, draws = self.config.vehicle_spread, generator(scenario.seed, scenario.name, "vehicle")
        vehicle = varied_vehicle(self.config.vehicle, spread, town.appearance.grip, draws)
        return self._located(self._world.place(start, float(self._speeds[0]), vehicle))

    def advance(self, curvature: float) -> SimState:
        """Drive for one control step as `step` does, but render nothing."""
        self._check_open()
        limit = self.config.vehicle.max_curvature
        if not (math.isfinite(curvature) and abs(curvature) <= limit * (1 + 1e-6)):
            raise ActionError(
                f"a commanded curvature must be finite and within -{limit} to {limit} 1/m, got {curvature}"
            )
        if self.state.outcome is not None:
            raise RuntimeError(f"the drive has ended ({self.state.outcome}): call reset(scenario) first")
        self._late.append(curvature)
        executed = self._late.popleft()
        state = self._world.step(executed, self.target_speed(executed))
        self._elapsed = self.config.control_step
        stands = state.speed <= self.config.rules.standing_speed
        self._standing_time = self._standing_time + self._elapsed if stands else 0.0
        return self._located(state)

    def observe(self, images: Image) -> TimeStep:
        """Sense the world after `begin` or `advance`; once for each.

        Args:
            images: Images for the state's requests (C, H, W, 3) uint8; ignored if there were none.
        """
        now, car = self.state, self.state.state
        seen = self._sensors.sense(images, car.pose, car.speed, car.time, self._elapsed) if self._sense else None
        return TimeStep(seen, car, now.progress, now.outcome, images)

    def see(self, state: SimState) -> TimeStep:
        """Render the camera images after `begin` or `advance`, and sense; once for each."""
        return self.observe(self.renderer.render(state.requests) if state.requests else _NO_IMAGES)

    def target_speed(self, curvature: float) -> float:
        """Speed [m/s] for the route at the car's place and for a commanded curvature [1/m]."""
        planned = float(np.interp(self._station, self.route.path.stations, self._speeds))
        # Commands may be rougher than the road; they slow the car down only where they would make it slide.
        return min(planned, curve_speed(curvature, 2 * self.config.lateral_acceleration, self.config.cruise_speed))

    def chase_view(self, camera: Camera) -> Image:
        """Render one more view (H, W, 3) uint8 from `camera`, fixed to the car."""
        self._show(self.town.scene)
        view: Image = self.renderer.render([RenderRequest(self.town.scene, camera, self.state.state.pose)])[0]
        return view

    def measure(self, camera: Camera, pose: Pose) -> RenderBuffers:
        """Render the town from `camera` on a car at `pose`, with depth and class of each pixel."""
        self._show(self.town.scene)
        return self.renderer.render_buffers([RenderRequest(self.town.scene, camera, pose)])

    def close(self) -> None:
        """Free the physics, and the renderer if it is this simulation's own; may be called again."""
        self._world.close()
        if self._owns_renderer:
            self.renderer.close()
        elif self._rendered is not None:
            self.renderer.remove(self._rendered)
        self._rendered = None
        self.closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check_open(self) -> None:
        """Raise ClosedEnvironmentError after `close`."""
        if self.closed:
            raise ClosedEnvironmentError("this simulation is closed; make another one to drive again")

    def _show(self, scene: Scene) -> None:
        """Load a scene into the renderer in place of the last one; drives that do not sense never load one."""
        self._check_open()
        if self._rendered is scene:
            return
        if self._rendered is not None:
            self.renderer.remove(self._rendered)
        self.renderer.add(scene)
        self._rendered = scene

    def _located(self, state: VehicleState) -> SimState:
        """Find the car's place on the route and check whether the drive ends there."""
        progress = self.route.progress(state.pose, near=self._station)
        self._station = progress.station
        rules, network, touched = self.config.rules, self.town.network, self._world.contact
        outcome = check_termination(rules, network, self.route, state, progress, touched, self._standing_time)
        requests = tuple(RenderRequest(self.town.scene, camera, state.pose) for camera in self._mounted)
        self._state = SimState(state, progress, outcome, requests)
        return self._state


@contextmanager
def simulations(config: SimulationConfig, count: int) -> Iterator[tuple[Simulation, ...]]:
    """Start simulations that share one renderer and the towns that they drive in; leaving the block closes them.

    Args:
        config: Settings of each simulation.
        count: Number of simulations.

    Raises:
        ConfigError: If the renderer is not available.
    """
    renderer, towns = make_renderer(config.renderer), TownCache(config.map, capacity=count)
    cars = tuple(Simulation(config, renderer, towns) for _ in range(count))
    try:
        yield cars
    finally:
        for car in cars:
            car.close()
        renderer.close()
