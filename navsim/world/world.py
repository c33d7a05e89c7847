"""Physical world: one car among static obstacles on flat ground, driven by curvature and target speed."""

import math
from dataclasses import dataclass

from navsim.errors import ActionError, ConfigError
from navsim.geometry import Pose
from navsim.world.bullet import BodyMotion, BulletClient, Vector
from navsim.world.obstacles import ObstacleKind, Obstacles
from navsim.world.vehicle import GRAVITY, VehicleSpec, VehicleState, chassis_forces, vehicle_state

FAR_AWAY = (1e5, 1e5, 1e3)
"""Position without any obstacle nearby [m]."""


@dataclass(frozen=True)
class Contact:
    """First contact of the car with an obstacle."""

    kind: ObstacleKind
    """Kind of the obstacle."""
    point: Vector
    """Point of contact in the world frame [m]."""


class World:
    """One physics client with the car and the town's obstacles as one static body; to be closed at the end.

    The same calls after `place` give bit-identical states, independent of earlier drives.
    """

    def __init__(self, vehicle: VehicleSpec | None = None, control_step: float = 0.1, substeps: int = 10) -> None:
        """Create an empty world with the car at the origin.

        Args:
            vehicle: Specification of the car; None for the default.
            control_step: Duration of one `step` [s].
            substeps: Number of physics steps in a control step; the tyres need steps of at most 10 ms.

        Raises:
            ConfigError: If a physics step is longer than 10 ms.
        """
        if substeps < 1 or not 0 < control_step / substeps <= 0.01:
            raise ConfigError(
                f"control_step {control_step} s in {substeps} substeps: a substep must last above 0 and at most 0.01 s"
            )
        self.vehicle = vehicle or VehicleSpec()
        self.control_step = control_step
        self._substeps = substeps
        self._client = BulletClient()
        self.load(Obstacles.merged([]))

    def load(self, obstacles: Obstacles) -> None:
        """Replace the obstacles by those of another town and place the car at the origin."""
        self._obstacles = obstacles
        self._client.close()  # only closing a client frees the memory of its meshes
        self._client = BulletClient()
        self._client.set_physics(self.control_step / self._substeps, GRAVITY)
        if len(obstacles.triangles):
            self._client.add_static_mesh(obstacles.vertices, obstacles.triangles)
        self._car = self._client.add_rigid_body(self.vehicle.boxes, self.vehicle.mass, self.vehicle.inertia)
        self._touched = False
        self.place(Pose(0.0, 0.0, 0.0), 0.0)

    def place(self, pose: Pose, speed: float = 0.0, vehicle: VehicleSpec | None = None) -> VehicleState:
        """Reset the car to `pose`, rolling straight ahead, with time zero and without a contact; return its state.

        Args:
            pose: Pose of the car.
            speed: Forward speed [m/s].
            vehicle: Specification of the car for the next drive, with the same boxes; None keeps the current one.

        Raises:
            ActionError: If the speed is not finite.
            ValueError: If the boxes of the car differ.
        """
        if vehicle is not None and vehicle != self.vehicle:
            self._set_vehicle(vehicle)
        if not math.isfinite(speed):
            raise ActionError(f"the car's speed must be finite, got {speed}")
        if self._touched:
            self._clear_contacts()
        c, s = math.cos(pose.heading), math.sin(pose.heading)
        orientation = (0.0, 0.0, math.sin(pose.heading / 2), math.cos(pose.heading / 2))
        position = (pose.x, pose.y, self.vehicle.centre_height)
        self._client.set_motion(
            self._car, BodyMotion(position, orientation, (c * speed, s * speed, 0.0), (0.0, 0.0, 0.0))
        )
        self._wheel_angle = 0.0
        self._steps = 0
        self._contact: Contact | None = None
        return self.state

    def _set_vehicle(self, vehicle: VehicleSpec) -> None:
        """Change the car's mass and tyres."""
        if vehicle.boxes != self.vehicle.boxes:
            raise ValueError("a drive can change the car's mass and tyres, but not its dimensions")
        self._client.set_mass(self._car, vehicle.mass, vehicle.inertia)
        self.vehicle = vehicle

    def step(self, curvature: float, target_speed: float) -> VehicleState:
        """Drive for one control step.

        Args:
            curvature: Commanded path curvature [1/m], positive to the left. The wheels turn towards it within the
                limits of their angle and rate.
            target_speed: Target of the speed controller [m/s].

        Raises:
            ActionError: If a value is not finite.
        """
        if not (math.isfinite(curvature) and math.isfinite(target_speed)):
            raise ActionError(f"curvature and target speed must be finite, got {curvature} and {target_speed}")
        target_angle = self.vehicle.wheel_angle(curvature)
        for _ in range(self._substeps):
            self._substep(target_angle, target_speed)
        self._steps += 1
        return self.state

    @property
    def state(self) -> VehicleState:
        """The current state of the car."""
        motion = self._client.motion(self._car)
        return vehicle_state(self.vehicle, motion, self._wheel_angle, self._steps * self.control_step)

    @property
    def contact(self) -> Contact | None:
        """The first contact since the car was placed, or None."""
        return self._contact

    def close(self) -> None:
        """Free the physics client; further calls do nothing."""
        self._client.close()

    def _substep(self, target_angle: float, target_speed: float) -> None:
        """Turn the wheels towards `target_angle` [rad], advance the physics by one step, and check for contact."""
        time_step = self.control_step / self._substeps
        self._wheel_angle = self.vehicle.next_wheel_angle(self._wheel_angle, target_angle, time_step)
        motion = self._client.motion(self._car)
        (_, _, _), (qx, qy, qz, qw), (vx, vy, _), _ = motion
        speed = (1 - 2 * (qy * qy + qz * qz)) * vx + 2 * (qx * qy + qw * qz) * vy
        acceleration = self.vehicle.acceleration(speed, target_speed)
        force, torque = chassis_forces(self.vehicle, motion, self._wheel_angle, acceleration)
        self._client.apply_force(self._car, force, torque, motion.position)
        self._client.step()
        if self._contact is None:
            self._contact = self._find_contact()

    def _find_contact(self) -> Contact | None:
        point = self._client.contact(self._car)
        if point is None:
            return None
        self._touched = True
        return Contact(self._obstacles.nearest(point), point)

    def _clear_contacts(self) -> None:
        """Step once far from all obstacles, to clear the solver's cached contacts before the next drive."""
        self._client.set_motion(self._car, BodyMotion(FAR_AWAY, (0.0, 0.0, 0.0, 1.0), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)))
        self._client.step()
        self._touched = False
