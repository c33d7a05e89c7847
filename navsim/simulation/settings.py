"""Settings of a simulation: the car, its senses and the rules; the scenario says where it drives."""

from dataclasses import dataclass, field

from navsim.errors import ConfigError
from navsim.sensing.camera import Camera
from navsim.sensing.camera_noise import CameraNoise, MountError
from navsim.sensing.gps import GpsSpec
from navsim.sensing.map_faults import MapFault
from navsim.sensing.rigs import RIGS, Rig
from navsim.sensing.roadmap import MapSpec
from navsim.simulation.expert import ExpertSpec
from navsim.simulation.renderer import RendererName
from navsim.simulation.termination import Rules
from navsim.world.vehicle import VehicleSpec, VehicleSpread


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
        if self.rig is not Rig.OWN:
            object.__setattr__(self, "cameras", RIGS[self.rig])
            object.__setattr__(self, "rig", Rig.OWN)
        sizes = {(camera.width, camera.height) for camera in self.cameras}
        if len(sizes) != 1:
            raise ConfigError(f"simulation.cameras must be one or more cameras of one size, got {sorted(sizes)}")
        for name in ("control_step", "cruise_speed", "lateral_acceleration"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"simulation.{name} must be above 0, got {getattr(self, name)}")
