"""Settings of a simulation and of the environment, and the renderer and the sensors that are made from them."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import numpy as np
from annotated_types import Ge, Gt

from navsim.config import Constrained, from_mapping
from navsim.errors import ConfigError, EpisodeError
from navsim.geometry import Array, Pose
from navsim.rendering.interface import Renderer
from navsim.rendering.opengl.renderer import OpenGLRenderer
from navsim.rendering.tiny import TinyRenderer
from navsim.roads.generators.towns import DEFAULT_GENERATORS, Generator, Split, check_generators
from navsim.roads.routing import Route
from navsim.seeding import generator
from navsim.sensing.camera import RIGS, Camera, CameraNoise, MountError, Rig, with_mount_error
from navsim.sensing.observation import (
    CarSensors,
    DeploymentFaults,
    FaultySensors,
    GpsSensor,
    GpsSpec,
    Odometer,
    OdometrySpec,
)
from navsim.sensing.roadmap import CarriedMap, DriveMap, MapFault, MapSpec, drive_map, rasterise_route
from navsim.simulation.expert import ExpertConfig
from navsim.simulation.scenario import Scenario
from navsim.simulation.termination import Rules
from navsim.simulation.town import Town
from navsim.world.scenery.appearance import parse_spec
from navsim.world.vehicle import VehicleSpec, VehicleSpread

RendererName = Literal["auto", "opengl", "tiny"]
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SimulationConfig(Constrained):
    """The car, its sensors and the rules of a drive."""

    rig: Rig = Rig.OWN
    """Named set of cameras, stored as `cameras`; reads "own" after construction."""
    cameras: tuple[Camera, ...] = (Camera(),)
    """Cameras on the car, all of one size."""
    map: MapSpec = field(default_factory=MapSpec)
    """Size and scale of map patches."""
    map_fault: MapFault = field(default_factory=MapFault)
    """Errors of the map that the car carries."""
    camera_noise: CameraNoise = field(default_factory=CameraNoise)
    """Noise on the images that drivers see; never recorded."""
    mount_error: MountError = field(default_factory=MountError)
    """Errors of the cameras' places on the car."""
    gps: GpsSpec = field(default_factory=GpsSpec)
    """Errors of the position fix."""
    odometry: OdometrySpec = field(default_factory=OdometrySpec)
    """Errors of wheel encoders and gyroscope."""
    faults: DeploymentFaults = field(default_factory=DeploymentFaults)
    """Late commands, and images and speeds that drivers do not see as they are; never recorded."""
    vehicle: VehicleSpec = field(default_factory=VehicleSpec)
    """Dimensions, masses and tyres of the car."""
    vehicle_spread: VehicleSpread = field(default_factory=VehicleSpread)
    """Differences between the cars of different drives."""
    expert: ExpertConfig = field(default_factory=ExpertConfig)
    """Expert whose commands are the labels."""
    rules: Rules = field(default_factory=Rules)
    """Rules that end a drive."""
    renderer: RendererName = "auto"
    """Renderer of the camera images."""
    control_step: Annotated[float, Gt(0)] = 0.1
    """Time between two commands [s]."""
    cruise_speed: Annotated[float, Gt(0)] = 8.0
    """Speed on straights [m/s]."""
    lateral_acceleration: Annotated[float, Gt(0)] = 2.0
    """Bound in the route's curves, which limits the speed there [m/s^2]."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rig is not Rig.OWN:
            object.__setattr__(self, "cameras", RIGS[self.rig])
            object.__setattr__(self, "rig", Rig.OWN)
        sizes = {(camera.width, camera.height) for camera in self.cameras}
        if len(sizes) != 1:
            raise ConfigError(f"simulation.cameras must be one or more cameras of one size, got {sorted(sizes)}")
        self.faults.check_cameras(self.cameras)


@dataclass(frozen=True)
class EnvironmentConfig(Constrained):
    """Arguments of the Gymnasium environment that are plain values."""

    split: Split = Split.TRAIN
    """Split of the towns."""
    towns: Annotated[int, Ge(1)] = 32
    """Number of towns of the split."""
    render_mode: Literal["rgb_array", "human"] | None = None
    """View that `render` shows."""
    generators: tuple[Generator, ...] = DEFAULT_GENERATORS
    """Generators of the towns, in turn."""
    appearance: str = ""
    """Conditions of all drives, see `navsim.world.scenery.appearance`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_generators(self.generators)
        parse_spec(self.appearance)


@dataclass(frozen=True)
class ResetConfig:
    """Options of the environment's `reset`."""

    scenario: Scenario | None = None
    """Scenario to drive; None draws one by the seed."""


def simulation_config(config: SimulationConfig | Mapping[str, Any] | None) -> SimulationConfig:
    """Return the simulation that an environment's argument `config` means.

    Raises:
        ConfigError: If a mapping has an unknown key or a wrong value, or the argument has another type.
    """
    if isinstance(config, Mapping):
        return from_mapping(SimulationConfig, dict(config), "config")
    if not isinstance(config, SimulationConfig | None):
        raise ConfigError(f"config must be a SimulationConfig or a mapping of its settings, got {config!r}")
    return config or SimulationConfig()


def simulation_settings(values: Any, path: Path) -> SimulationConfig:
    """Read the simulation of the drive at `path` from its plain values.

    Raises:
        EpisodeError: If a key is unknown or a value is not valid.
    """
    try:
        return from_mapping(SimulationConfig, values, f"{path}: simulation")
    except ConfigError as error:
        raise EpisodeError(str(error)) from None


def scenario_option(options: Mapping[str, Any] | None) -> Scenario | None:
    """Return the scenario in the options of an environment's `reset`.

    Raises:
        ConfigError: If an option is unknown or has another type.
    """
    if not isinstance(options, Mapping | None):
        raise ConfigError(f'options must be a mapping such as {{"scenario": Scenario(...)}}, got {options!r}')
    others = dict(options or {})
    scenario = others.pop("scenario", None)
    from_mapping(ResetConfig, others, "options")  # refuses unknown keys
    if not isinstance(scenario, Scenario | None):
        raise ConfigError(f'options["scenario"] must be a Scenario, got {scenario!r}')
    return scenario


def make_renderer(name: str = "auto") -> Renderer:
    """Start a renderer and log which one and why.

    Args:
        name: "opengl" for ModernGL, "tiny" for PyBullet's CPU renderer; "auto" for OpenGL where it works, else tiny.

    Raises:
        ConfigError: If the name is unknown, or OpenGL is asked for and does not work here.
    """
    if name not in get_args(RendererName):
        raise ConfigError(f"unknown renderer {name!r}: use 'auto', 'opengl' or 'tiny'")
    reason = "asked for"
    if name != "tiny":
        try:
            renderer = OpenGLRenderer()
        except ConfigError as error:
            if name == "opengl":
                raise
            reason = f"auto: {error}"
        else:
            _log.info(
                "renderer: opengl on %s; %s", renderer.device_name, "auto: it works" if name == "auto" else reason
            )
            return renderer
    _log.info("renderer: tiny (PyBullet on the CPU); %s", reason)
    return TinyRenderer()


def mounted_cameras(config: SimulationConfig, scenario: Scenario) -> tuple[Camera, ...]:
    """Cameras of a drive, with the errors of their mounting."""
    rng = generator(scenario.seed, scenario.name, "mounts")
    return tuple(with_mount_error(camera, config.mount_error, rng) for camera in config.cameras)


def noisy_map(config: SimulationConfig, scenario: Scenario, town: Town, route: Route) -> CarriedMap:
    """Map that the car carries on a drive, with its errors."""
    route_raster = rasterise_route(route.path, config.map)
    true = DriveMap(town.raster, route_raster, town.network.driven_paths, route.path.pose(0.0))
    rng = generator(scenario.seed, scenario.name, "map fault")
    return CarriedMap(drive_map(true, town.network, route, config.map, config.map_fault, rng), config.map)


def gps_sensor(config: SimulationConfig, scenario: Scenario) -> GpsSensor:
    """Position sensor at the start of a drive."""
    return GpsSensor(config.gps, generator(scenario.seed, scenario.name, "gps"))


def car_sensors(config: SimulationConfig, scenario: Scenario, town: Town, route: Route) -> CarSensors:
    """All sensors at the start of a drive, each with a random generator of its own."""

    def draws(sensor: str) -> np.random.Generator:
        return generator(scenario.seed, scenario.name, sensor)

    return CarSensors(
        config.cameras,
        config.camera_noise,
        draws("camera noise"),
        gps_sensor(config, scenario),
        Odometer(config.odometry, draws("odometry")),
        noisy_map(config, scenario, town, route),
        FaultySensors(config.faults, config.cameras, draws("faults")),
        town.network.side,
    )


def position_fixes(config: SimulationConfig, scenario: Scenario, poses: Array) -> Array:
    """Return the position fixes of a drive that was driven without sensing.

    Args:
        config: Settings of the drive's simulation.
        scenario: Scenario of the drive.
        poses: True poses (T, 3) from the start on, one for each control step: x, y [m], heading [rad].

    Returns:
        Noisy poses (T, 3), equal to those that a drive with sensing records.
    """
    sensor = gps_sensor(config, scenario)
    elapsed = [0.0] + [config.control_step] * (len(poses) - 1)
    fixes = [sensor.measure(Pose(*pose), time) for pose, time in zip(poses.tolist(), elapsed, strict=True)]
    return np.array([(fix.x, fix.y, fix.heading) for fix in fixes])
