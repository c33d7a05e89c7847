"""The physical world: one car among fixed obstacles on flat ground, driven by curvature and target speed."""

import math
from dataclasses import dataclass

from navsim.errors import ActionError, ConfigError
from navsim.geometry import Pose
from navsim.world.bullet import BodyMotion, BulletClient, Vector
from navsim.world.obstacles import ObstacleKind, Obstacles
from navsim.world.vehicle import GRAVITY, VehicleSpec, VehicleState, chassis_forces, vehicle_state

FAR_AWAY = (1e5, 1e5, 1e3)
"""Where nothing stands [m]."""


@dataclass(frozen=True)
class Contact:
    """The first thing the car touched."""

    kind: ObstacleKind
    """What it was."""
    point: Vector
    """Where, in the world frame [m]."""


class World:
    """One physics client with the car and the town's obstacles as one fixed body; use `close` when done.

    The same calls after `place` give bit-identical states, whatever was driven before.
    """

    def __init__(self, vehicle: VehicleSpec | None = None, control_step: float = 0.1, substeps: int = 10) -> None:
        """Create an empty world with the car at the origin.

        Args:
            vehicle: The car; the default one if None.
            control_step: Time that `step` advances [s].
            substeps: Physics steps in it; the tyres need steps of at most 10 ms.

        Raises:
            ConfigError: If the physics step would be longer than that.
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
        """Replace the obstacles by those of another town and put the car at the origin."""
        self._obstacles = obstacles
        self._client.close()  # a cleared client keeps the memory of its meshes, a closed one frees it
        self._client = BulletClient()
        self._client.set_physics(self.control_step / self._substeps, GRAVITY)
        if len(obstacles.triangles):
            self._client.add_static_mesh(obstacles.vertices, obstacles.triangles)
        self._car = self._client.add_rigid_body(self.vehicle.boxes, self.vehicle.mass, self.vehicle.inertia)
        self._touched = False
        self.place(Pose(0.0, 0.0, 0.0), 0.0)

    def place(self, pose: Pose, speed: float = 0.0, vehicle: VehicleSpec | None = None) -> VehicleState:
        """Put the car at `pose` rolling straight ahead at `speed` [m/s], time zero, nothing touched; return its state.

        Args:
            pose: Where to put it.
            speed: Forward [m/s].
            vehicle: The car of the coming drive, of the same boxes as the one before; None keeps that.

        Raises:
            ActionError: If the speed is not finite.
            ValueError: If the car has other measures than the one that stands in the world.
        """
        if vehicle is not None and vehicle != self.vehicle:
            self._exchange(vehicle)
        if not math.isfinite(speed):
            raise ActionError(f"the car's speed must be finite, got {speed}")
        if self._touched:
            self._forget_contact()
        c, s = math.cos(pose.heading), math.sin(pose.heading)
        orientation = (0.0, 0.0, math.sin(pose.heading / 2), math.cos(pose.heading / 2))
        position = (pose.x, pose.y, self.vehicle.centre_height)
        self._client.move(self._car, BodyMotion(position, orientation, (c * speed, s * speed, 0.0), (0.0, 0.0, 0.0)))
        self._wheel_angle = 0.0
        self._steps = 0
        self._contact: Contact | None = None
        return self.state

    def _exchange(self, vehicle: VehicleSpec) -> None:
        """Give the car another mass and other tyres."""
        if vehicle.boxes != self.vehicle.boxes:
            raise ValueError("a drive may change the car's mass and tyres, not its measures")
        self._client.set_mass(self._car, vehicle.mass, vehicle.inertia)
        self.vehicle = vehicle

    def step(self, curvature: float, target_speed: float) -> VehicleState:
        """Drive for one control step.

        Args:
            curvature: Path curvature asked of the steering [1/m], positive to the left; the wheels turn towards it
                at their own rate and no further than they can.
            target_speed: What the speed controller holds [m/s].

        Raises:
            ActionError: If either is not finite.
        """
        if not (math.isfinite(curvature) and math.isfinite(target_speed)):
            raise ActionError(f"curvature and target speed must be finite, got {curvature} and {target_speed}")
        goal = self.vehicle.wheel_angle(curvature)
        for _ in range(self._substeps):
            self._substep(goal, target_speed)
        self._steps += 1
        return self.state

    @property
    def state(self) -> VehicleState:
        """The car's state now."""
        motion = self._client.motion(self._car)
        return vehicle_state(self.vehicle, motion, self._wheel_angle, self._steps * self.control_step)

    @property
    def contact(self) -> Contact | None:
        """The first contact since the car was placed, or None."""
        return self._contact

    def close(self) -> None:
        """Free the physics client; may be called again."""
        self._client.close()

    def _substep(self, goal: float, target_speed: float) -> None:
        """Turn the wheels towards `goal` [rad], let the forces act for one physics step, and look for contact."""
        time_step = self.control_step / self._substeps
        self._wheel_angle = self.vehicle.turned_wheels(self._wheel_angle, goal, time_step)
        motion = self._client.motion(self._car)
        (_, _, _), (qx, qy, qz, qw), (vx, vy, _), _ = motion
        speed = (1 - 2 * (qy * qy + qz * qz)) * vx + 2 * (qx * qy + qw * qz) * vy
        wanted = self.vehicle.acceleration(speed, target_speed)
        force, torque = chassis_forces(self.vehicle, motion, self._wheel_angle, wanted)
        self._client.push(self._car, force, torque, motion.position)
        self._client.step()
        if self._contact is None:
            self._contact = self._find_contact()

    def _find_contact(self) -> Contact | None:
        point = self._client.contact(self._car)
        if point is None:
            return None
        self._touched = True
        return Contact(self._obstacles.nearest(point), point)

    def _forget_contact(self) -> None:
        """Step once far from everything: the solver remembers contacts, and the next drive must not feel them."""
        self._client.move(self._car, BodyMotion(FAR_AWAY, (0.0, 0.0, 0.0, 1.0), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)))
        self._client.step()
        self._touched = False
