"""What a car senses with on one drive: its cameras as they were mounted, its map, the errors of its position fix."""

import numpy as np

from navsim.geometry import Array, Pose
from navsim.roads.routing import Route
from navsim.seeding import generator
from navsim.sensing.camera import Camera
from navsim.sensing.faults import DriveMap, drive_map, with_mount_error
from navsim.sensing.gps import GpsSensor
from navsim.sensing.roadmap import rasterise_route
from navsim.simulation.config import SimulationConfig
from navsim.simulation.scenario import Scenario
from navsim.simulation.town import Town


def mounted_cameras(config: SimulationConfig, scenario: Scenario) -> tuple[Camera, ...]:
    """The cameras where they really sit on this drive."""
    rng = generator(scenario.seed, scenario.name, "mounts")
    return tuple(with_mount_error(camera, config.mount_error, rng) for camera in config.cameras)


def noisy_map(config: SimulationConfig, scenario: Scenario, town: Town, route: Route) -> DriveMap:
    """The map that the car carries on this drive, with its faults."""
    true = DriveMap(town.raster, rasterise_route(route.path, config.map))
    rng = generator(scenario.seed, scenario.name, "map fault")
    return drive_map(true, town.network, route, config.map, config.map_fault, rng)


def gps_sensor(config: SimulationConfig, scenario: Scenario) -> GpsSensor:
    """The sensor of this drive at its start."""
    return GpsSensor(config.gps, generator(scenario.seed, scenario.name, "gps"))


def position_fixes(config: SimulationConfig, scenario: Scenario, poses: Array) -> Array:
    """The fixes of a drive, worked out afterwards.

    Args:
        config: The car.
        scenario: What was driven.
        poses: True poses (T, 3) from the start on, one for each control step: x, y [m], heading [rad].

    Returns:
        Noisy poses (T, 3), those that were sensed or would have been.
    """
    sensor = gps_sensor(config, scenario)
    elapsed = [0.0] + [config.control_step] * (len(poses) - 1)
    fixes = [sensor.measure(Pose(*pose), time) for pose, time in zip(poses.tolist(), elapsed, strict=True)]
    return np.array([(fix.x, fix.y, fix.heading) for fix in fixes])
