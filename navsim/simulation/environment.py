"""The Gymnasium environment `navsim/Town-v0`."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from typing import Any, SupportsFloat, cast

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from navsim.config import from_mapping
from navsim.errors import ActionError
from navsim.geometry import Array
from navsim.rendering.window.window import Window
from navsim.roads.generators.towns import DEFAULT_GENERATORS, Split, spread_towns
from navsim.sensing.camera import Camera
from navsim.sensing.observation import Image, Observation
from navsim.simulation.config import EnvironmentConfig, SimulationConfig, scenario_option, simulation_config
from navsim.simulation.scenario import Outcome, Scenario, StartOffset
from navsim.simulation.simulation import SimState, Simulation, TimeStep

CHASE_CAMERA = Camera("chase", 640, 360, fov_deg=70.0, position=(-8.0, 0.0, 4.0), pitch_deg=-14.0)
"""The view of `render_mode="rgb_array"`: behind and above the car."""

Observations = dict[str, NDArray[Any]]


class TownEnvironment(gymnasium.Env[Observations, NDArray[np.float32]]):
    """Steer a car along a route through an unknown town, by cameras and a coarse map.

    ## Action Space
    `Box(-1, 1, (1,), float32)`: path curvature, positive to the left, over the car's largest curvature (0.2 1/m by
    default). The speed is held by the environment's longitudinal controller: 8 m/s, less in the route's curves.

    ## Observation Space
    A `Dict` of one time step:

    | key | space | holds |
    | --- | --- | --- |
    | each camera's name | `Box(0, 255, (H, W, 3), uint8)` | its image, RGB |
    | `road_map` | `Box(0, 255, (S, S, 1), uint8)` | all roads around the measured pose, heading-up |
    | `route_map` | `Box(0, 255, (S, S, 1), uint8)` | the route on the same patch |
    | `speed` | `Box(0, 100, (1,), float32)` | speed [m/s] |
    | `gps` | `Box(+-(1e5, 1e5, pi), (3,), float32)` | measured x, y [m] and heading [rad] |

    ## Rewards
    Metres of progress along the route, less 0.1 times the squared offset from the lane's centre [m2], per step of
    0.1 s; 10 more on arrival, 10 less when the drive fails.

    ## Starting State
    A route of 300 m to 600 m through at least two junctions, in one of `towns` towns of `split`, both drawn with the
    reset's seed; the car stands within 0.5 m of the lane's centre and 5 degrees of its direction, already rolling.
    `reset(options={"scenario": Scenario(...)})` drives a given scenario instead.

    ## Episode End
    Terminated on arrival, on contact with a kerb, building or tree, or when the car is more than 2 m from the centre of
    its lane. Truncated when it stands for 5 s or the time for the route is up.
    `info` holds `scenario`, `outcome` (None while the drive goes on), `station`, `offset`, `completion`, and `cameras`:
    for each its `intrinsics` (3, 3) [px] and `vehicle_from_camera` (4, 4) (camera axes: right, down, ahead) [m].

    ## Arguments
    * `split`: `"train"`, `"validation"` or `"test"`; their towns are disjoint.
    * `towns`: how many towns of the split to draw from.
    * `generators`: generators of these towns, in turn: one or more of `"town"`, `"grid"`, `"suburb"`, `"village"`.
    * `appearance`: conditions such as `"dusk+rain"` or `"shift-2"`; empty for those of training.
    * `config`: a `navsim.simulation.simulation.SimulationConfig`, or a mapping such as `{"cruise_speed": 5.0}`.
    * `render_mode`: `None`, `"rgb_array"` (a chase view) or `"human"` (a window).

    ## Version History
    * v0: first version.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array", "human"], "render_fps": 10}  # noqa: RUF012 - as Env has it

    def __init__(
        self,
        split: str = Split.TRAIN,
        towns: int = 32,
        config: SimulationConfig | Mapping[str, Any] | None = None,
        render_mode: str | None = None,
        generators: Sequence[str] = DEFAULT_GENERATORS,
        appearance: str = "",
        simulation: Simulation | None = None,
    ) -> None:
        """Make an environment; one process may hold any number of them.

        Args:
            split: Split of the towns.
            towns: Number of towns.
            config: The car, its sensors and the rules, or those of their settings that differ from the defaults.
            render_mode: View that `render` shows.
            generators: Generators of the towns, in turn.
            appearance: Conditions, see `navsim.world.scenery.appearance`.
            simulation: Simulation of the same `config` to drive in, which `close` closes; None starts one.

        Raises:
            ConfigError: If an argument is not valid.
            DisplayError: If `render_mode` is "human" and a display is missing.
        """
        given = {"split": split, "towns": towns, "render_mode": render_mode, "appearance": appearance}
        arguments = from_mapping(EnvironmentConfig, given | {"generators": generators}, "TownEnvironment")
        self._config = simulation_config(config)
        self.render_mode = render_mode
        self._towns = spread_towns(arguments.split, range(arguments.towns), arguments.generators)
        self._appearance = appearance
        self._window = Window() if render_mode == "human" else None
        self._simulation = simulation or Simulation(self._config)
        self._last: TimeStep | None = None
        self._cameras = {camera.name: calibration(camera) for camera in self._config.cameras}
        self.action_space = spaces.Box(-1.0, 1.0, (1,), np.float32)
        self.observation_space = _observation_space(self._config)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, dict[str, Any]]:
        """Begin a drive; the class describes `seed` and `options`.

        Raises:
            ClosedEnvironmentError: If the environment is closed.
            ConfigError: If an option is unknown or has another type.
            TownError: If the town or route of a given scenario cannot be built.
        """
        return self.finish_reset(self._simulation.see(self.begin(seed=seed, options=options)))

    def step(self, action: NDArray[np.float32]) -> tuple[Observations, SupportsFloat, bool, bool, dict[str, Any]]:
        """Steer for 0.1 s.

        Raises:
            ActionError: If `action` is not one finite number in [-1, 1].
            ClosedEnvironmentError: If the environment is closed.
            ResetNeeded: If no drive was begun.
        """
        return self.finish_step(self._simulation.see(self.advance(action)))

    def begin(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> SimState:
        """Begin a drive as `reset` does, but render nothing: `finish_reset` follows with the images."""
        self._check_open()
        given = scenario_option(options)
        super().reset(seed=seed)
        scenario = self._draw_scenario()  # drawn even if not used: options do not shift later draws
        return self._simulation.begin(scenario if given is None else given)

    def finish_reset(self, step: TimeStep) -> tuple[Observations, dict[str, Any]]:
        """Return what `reset` returns, given what was sensed after `begin`."""
        self._last = step
        if self._window is not None:
            self._window.load(self._simulation.town.scene, self._simulation.route.path)
            self._window.show(step.state.pose)
        return self._observations(step), self._info(step)

    def advance(self, action: NDArray[np.float32]) -> SimState:
        """Steer for 0.1 s as `step` does, but render nothing: `finish_step` follows with the images."""
        self._check_open()
        if self._last is None:
            raise gymnasium.error.ResetNeeded("call reset() before step()")
        value = action_values(action, (1,)).item()
        return self._simulation.advance(value * self._config.vehicle.max_curvature)

    def finish_step(self, step: TimeStep) -> tuple[Observations, float, bool, bool, dict[str, Any]]:
        """Return what `step` returns, given what was sensed after `advance`."""
        if self._last is None:
            raise gymnasium.error.ResetNeeded("call reset() before step()")
        reward = _reward(step, step.progress.station - self._last.progress.station)
        self._last = step
        if self._window is not None:
            self._window.show(step.state.pose)
        truncated = step.outcome in (Outcome.STUCK, Outcome.TIMED_OUT)
        terminated = step.outcome is not None and not truncated
        return self._observations(step), reward, terminated, truncated, self._info(step)

    def render(self) -> Image | None:
        """Return the chase view (360, 640, 3) uint8 in mode "rgb_array"; the window of mode "human" updates itself.

        Raises:
            ClosedEnvironmentError: If the environment is closed.
        """
        self._check_open()
        return self._simulation.chase_view(CHASE_CAMERA) if self.render_mode == "rgb_array" else None

    def close(self) -> None:
        """Free the physics, the renderer and the window; may be called again."""
        self._simulation.close()
        if self._window is not None:
            self._window.close()

    def _check_open(self) -> None:
        """Raise Gymnasium's error for it after `close`, also where that was the vector's."""
        if self._simulation.closed:
            raise gymnasium.error.ClosedEnvironmentError("this environment is closed; make another one to drive again")

    def _draw_scenario(self) -> Scenario:
        """Draw town, route and start."""
        draw = self.np_random
        return Scenario(
            town=str(self._towns[int(draw.integers(len(self._towns)))]),
            route=int(draw.integers(1000)),
            seed=int(draw.integers(2**31)),
            start=StartOffset(float(draw.uniform(-0.5, 0.5)), float(draw.uniform(-5.0, 5.0))),
            appearance=self._appearance,
        )

    def _observations(self, step: TimeStep) -> Observations:
        """Split an observation by sensor, in the shapes of the observation space."""
        seen = step.observation
        if seen is None:
            raise RuntimeError("the environment always senses")
        return _by_sensor(seen, self._config.cameras)

    def _info(self, step: TimeStep) -> dict[str, Any]:
        """Information for debugging, with the true state."""
        return {
            "scenario": self._simulation.scenario,
            "outcome": step.outcome,
            "station": step.progress.station,
            "offset": step.progress.offset,
            "completion": step.progress.fraction,
            "cameras": deepcopy(self._cameras),  # Gymnasium forbids to give the same object twice
        }


def _observation_space(config: SimulationConfig) -> spaces.Space[Observations]:
    """Return the space of what `_by_sensor` returns."""
    size = config.map.size_px
    images: dict[str, spaces.Space[Any]] = {
        c.name: spaces.Box(0, 255, (c.height, c.width, 3), np.uint8) for c in config.cameras
    }
    limit = np.array([1e5, 1e5, 3.1416], dtype=np.float32)  # float32 may round a heading of pi upwards
    others: dict[str, spaces.Space[Any]] = {
        "road_map": spaces.Box(0, 255, (size, size, 1), np.uint8),
        "route_map": spaces.Box(0, 255, (size, size, 1), np.uint8),
        "speed": spaces.Box(0.0, 100.0, (1,), np.float32),
        "gps": spaces.Box(-limit, limit, dtype=np.float32),
    }
    # Gymnasium types a Dict space by its keys but an environment by its observations; both are the same.
    return cast("spaces.Space[Observations]", spaces.Dict({**images, **others}))


def _by_sensor(seen: Observation, cameras: tuple[Camera, ...]) -> Observations:
    """Return one array for each sensor."""
    fix = np.array([seen.gps.x, seen.gps.y, seen.gps.heading], dtype=np.float32)
    return {
        **{camera.name: seen.images[i] for i, camera in enumerate(cameras)},
        "road_map": seen.road_map[..., None],
        "route_map": seen.route_map[..., None],
        "speed": np.array([np.clip(seen.speed, 0.0, 100.0)], dtype=np.float32),
        "gps": fix,
    }


def calibration(camera: Camera) -> dict[str, Array]:
    """Return a camera's matrix and its pose on the car, see the environment's `info`."""
    return {"intrinsics": camera.intrinsics, "vehicle_from_camera": camera.vehicle_from_camera}


def _reward(step: TimeStep, progress: float) -> float:
    """Return the reward; the environment's docstring defines it."""
    reward = progress - 0.1 * step.progress.offset**2
    if step.outcome is None:
        return reward
    return reward + (10.0 if step.outcome is Outcome.ARRIVED else -10.0)


def action_values(action: Any, shape: tuple[int, ...]) -> Array:
    """Return actions as numbers.

    Raises:
        ActionError: If they are not finite numbers in [-1, 1], of this shape.
    """
    values, what = None, "an action must be one finite number" if shape == (1,) else "actions must be finite numbers"
    with suppress(TypeError, ValueError):
        values = np.asarray(action, dtype=float)
    if values is None or values.shape != shape or not (np.abs(values) <= 1).all():  # NaN is not within it
        given = " ".join(repr(action).split())
        raise ActionError(f"{what} in [-1, 1], of shape {shape}, got {given}")
    return values
