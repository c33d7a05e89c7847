"""The choice of who draws the pictures.

Settings of a simulation: the car, its senses and the rules; the scenario says where it drives.
"""

import logging
from dataclasses import dataclass, field
from typing import Literal, get_args

from navsim.errors import ConfigError
from navsim.rendering.interface import Renderer
from navsim.rendering.opengl.renderer import OpenGLRenderer
from navsim.rendering.tiny import TinyRenderer
from navsim.sensing.camera import RIGS, Camera, Rig
from navsim.sensing.faults import CameraNoise, MapFault, MountError
from navsim.sensing.gps import GpsSpec
from navsim.sensing.roadmap import MapSpec
from navsim.simulation.expert import ExpertConfig
from navsim.simulation.termination import Rules
from navsim.world.vehicle import VehicleSpec, VehicleSpread

RendererName = Literal["auto", "opengl", "tiny"]
_log = logging.getLogger(__name__)


def make_renderer(name: str = "auto") -> Renderer:
    """Start a renderer and log which one and why.

    Args:
        name: "opengl" for ModernGL, "tiny" for PyBullet's CPU renderer; "auto" for OpenGL where it works, else tiny.

    Raises:
        ConfigError: If there is no renderer of that name, or OpenGL is asked for and does not work here.
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


@dataclass(frozen=True)
class SimulationConfig:
    """The car, its senses and the rules; the scenario says where it drives."""

    rig: Rig = Rig.OWN
    """A named set of cameras in place of `cameras`, which then holds it; reads "own" ever after."""
    cameras: tuple[Camera, ...] = (Camera(),)
    """Cameras on the car, all of one size."""
    map: MapSpec = field(default_factory=MapSpec)
    """Map patches."""
    map_fault: MapFault = field(default_factory=MapFault)
    """What is wrong with the map that the car carries."""
    camera_noise: CameraNoise = field(default_factory=CameraNoise)
    """What the cameras add to the pictures that drivers see; never recorded."""
    mount_error: MountError = field(default_factory=MountError)
    """How far the cameras sit from where they should."""
    gps: GpsSpec = field(default_factory=GpsSpec)
    """Errors of the position fix."""
    vehicle: VehicleSpec = field(default_factory=VehicleSpec)
    """The car."""
    vehicle_spread: VehicleSpread = field(default_factory=VehicleSpread)
    """How far cars differ from drive to drive."""
    expert: ExpertConfig = field(default_factory=ExpertConfig)
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
        if self.rig is not Rig.OWN:
            object.__setattr__(self, "cameras", RIGS[self.rig])
            object.__setattr__(self, "rig", Rig.OWN)
        sizes = {(camera.width, camera.height) for camera in self.cameras}
        if len(sizes) != 1:
            raise ConfigError(f"simulation.cameras must be one or more cameras of one size, got {sorted(sizes)}")
        for name in ("control_step", "cruise_speed", "lateral_acceleration"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"simulation.{name} must be above 0, got {getattr(self, name)}")
