"""Whether there is a display to open a window on.

Plain values that the physics client takes and gives: motions, boxes, light.

World frame: x east, y north, z up [m]. Quaternions are (x, y, z, w).

Keeping compiled libraries quiet.

Wavefront OBJ files: the form in which PyBullet takes meshes without losing memory.

PyBullet behind one class: the only file that imports it; every call names its physics client.

World frame: x east, y north, z up [m]. Quaternions are (x, y, z, w). Meshes go to PyBullet as files, not as
Python lists: its list arguments are never freed (3.2.7 leaks two references to every row of each call).
"""

import math
import os
import socket
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from navsim.errors import DisplayError
from navsim.geometry import Array


def require_display(otherwise: str = "run without --gui or under xvfb-run") -> None:
    """Check that an X display answers: PyBullet ends the whole process where none does.

    Args:
        otherwise: What can be done without one, for the error.

    Raises:
        DisplayError: If DISPLAY is not set or nobody listens there.
    """
    display = os.environ.get("DISPLAY", "")
    if not display:
        raise DisplayError(f"a window needs a display, but DISPLAY is not set; {otherwise}")
    host, _, rest = display.rpartition(":")
    number = rest.split(".")[0]
    addresses: list[tuple[socket.AddressFamily, str | tuple[str, int]]]
    if host in ("", "unix"):
        name = f"/tmp/.X11-unix/X{number}"  # noqa: S108 where every X server listens
        addresses = [(socket.AF_UNIX, "\0" + name), (socket.AF_UNIX, name)]
    else:
        addresses = [(socket.AF_INET, (host, 6000 + int(number)))] if number.isdigit() else []
    if not any(_answers(family, address) for family, address in addresses):
        raise DisplayError(f"a window needs a display, but nothing answers on DISPLAY={display!r}; {otherwise}")


def _answers(family: socket.AddressFamily, address: str | tuple[str, int]) -> bool:
    """Return whether a server accepts a connection at `address` within a second."""
    with socket.socket(family, socket.SOCK_STREAM) as connection:
        connection.settimeout(1.0)
        try:
            connection.connect(address)
        except OSError:
            return False
    return True


Vector = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]


class BodyMotion(NamedTuple):
    """Where a body's centre of mass is and how it moves, in the world frame."""

    position: Vector
    """Centre of mass [m]."""
    orientation: Quaternion
    """Rotation from the body's to the world's axes."""
    velocity: Vector
    """Of the centre of mass [m/s]."""
    angular_velocity: Vector
    """About the world's axes [rad/s]."""


@dataclass(frozen=True)
class BoxShape:
    """One box of a rigid body, given in the body's frame (origin at its centre of mass)."""

    size: Vector
    """Full edge lengths along x, y, z [m]."""
    centre: Vector
    """Centre [m]."""
    colour: tuple[float, float, float] = (0.8, 0.8, 0.8)
    """Red, green, blue in [0, 1], for what draws it."""


@dataclass(frozen=True)
class Light:
    """One distant light for `BulletClient.picture`; the parts add up to the brightness of a surface."""

    direction: Vector
    """Towards the light."""
    ambient: float = 0.6
    """Share of light that reaches every surface."""
    diffuse: float = 0.35
    """Share that depends on the surface's slope to the light."""
    specular: float = 0.0
    """Share that mirrors the light."""


@contextmanager
def quiet() -> Iterator[None]:
    """Drop what is written to standard output and error inside the block, by compiled code too."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [(descriptor, os.dup(descriptor)) for descriptor in (1, 2)]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for descriptor, _ in kept:
            os.dup2(nowhere, descriptor)
        yield
    finally:
        for descriptor, copy in kept:
            os.dup2(copy, descriptor)
            os.close(copy)
        os.close(nowhere)


def write_wavefront(
    path: Path,
    vertices: NDArray[np.floating],
    triangles: NDArray[np.integer],
    uv: NDArray[np.floating] | None = None,
) -> None:
    """Write a mesh, to 0.1 mm.

    Args:
        path: File to write.
        vertices: (V, 3) [m].
        triangles: (F, 3) indices into the vertices.
        uv: Texture coordinates (V, 2) from the image's left edge and top row, if any.
    """
    text = _rows("v %.4f %.4f %.4f\n", vertices)
    if uv is None:
        text += _rows("f %d %d %d\n", triangles + 1)
    else:
        # The file counts from the bottom row, and a negative coordinate would not repeat in TinyRenderer.
        top = np.ceil(uv[:, 1].max(initial=1.0))
        text += _rows("vt %.5f %.5f\n", np.stack([uv[:, 0], top - uv[:, 1]], axis=1))
        text += _rows("f %d/%d %d/%d %d/%d\n", np.repeat(triangles + 1, 2, axis=1))
    path.write_text(text, encoding="ascii")


def _rows(row: str, values: NDArray[np.generic]) -> str:
    """Return one line per row of `values`; a single formatting is three times as fast as one for each."""
    return (row * len(values)) % tuple(values.ravel().tolist())


with quiet():  # it announces its build time
    import pybullet
__all__ = ["BodyMotion", "BoxShape", "BulletClient", "BulletError", "Light", "Vector"]
BulletError = pybullet.error
"""What a call raises that PyBullet refuses, for instance because its window was closed."""
_MOST_PARTS = 127  # PyBullet drops further ones without a word


class BulletClient:
    """One physics client, from connection to `close`; several may live in one process."""

    def __init__(self, mode: Literal["direct", "gui"] = "direct", options: str = "") -> None:
        """Connect.

        Args:
            mode: "direct" for no window, "gui" for PyBullet's window.
            options: Passed to that window, for instance "--width=960 --height=540".

        Raises:
            DisplayError: If a window is asked for and there is no display to open it on.
        """
        if mode == "gui":
            require_display()
        self._id: int = (
            pybullet.connect(pybullet.GUI_MAIN_THREAD, options=options)
            if mode == "gui"
            else pybullet.connect(pybullet.DIRECT)
        )
        if self._id < 0:
            raise DisplayError(f"PyBullet could not open a window on display {os.environ.get('DISPLAY', '')!r}")
        # Its cache of mesh files belongs to the whole process and never shrinks.
        pybullet.setPhysicsEngineParameter(enableFileCaching=0, physicsClientId=self._id)
        self._files = tempfile.TemporaryDirectory(prefix="navsim-")
        self._written = 0
        self.held_keys: set[int] = set()
        """Codes of the keys that were down at the last call of `new_keys`."""
        if mode == "gui":
            self._hide_panels()

    @property
    def is_open(self) -> bool:
        """Whether the client can still be used; false after `close` or when its window was closed."""
        return self._id >= 0 and bool(pybullet.isConnected(physicsClientId=self._id))

    def close(self) -> None:
        """Disconnect and free everything; may be called again."""
        if self._id >= 0:
            if self.is_open:
                pybullet.disconnect(physicsClientId=self._id)
            self._id = -1
            self._files.cleanup()

    def set_physics(self, time_step: float, gravity: float = 9.81) -> None:
        """Set the length of a `step` [s] and the downward gravity [m/s^2]."""
        pybullet.setGravity(0, 0, -gravity, physicsClientId=self._id)
        pybullet.setPhysicsEngineParameter(
            fixedTimeStep=time_step, numSubSteps=0, deterministicOverlappingPairs=1, physicsClientId=self._id
        )

    def add_static_mesh(self, vertices: NDArray[np.floating], triangles: NDArray[np.integer]) -> int:
        """Add an immovable body that collides with triangles (F, 3) over vertices (V, 3) [m]; return its id."""
        path = self._path("obj")
        write_wavefront(path, vertices, triangles)
        shape = pybullet.createCollisionShape(
            pybullet.GEOM_MESH, fileName=str(path), flags=pybullet.GEOM_FORCE_CONCAVE_TRIMESH, physicsClientId=self._id
        )
        return int(pybullet.createMultiBody(0, shape, physicsClientId=self._id))

    def add_rigid_body(self, boxes: Sequence[BoxShape], mass: float, inertia: Vector) -> int:
        """Add an unseen body of `boxes` with a mass [kg] and principal moments [kg m^2]; return its id.

        It has no damping and no bounce, and never falls asleep.
        """
        shape = pybullet.createCollisionShapeArray(
            [pybullet.GEOM_BOX] * len(boxes),
            halfExtents=[[edge / 2 for edge in box.size] for box in boxes],
            collisionFramePositions=[box.centre for box in boxes],
            physicsClientId=self._id,
        )
        body = int(pybullet.createMultiBody(mass, shape, physicsClientId=self._id))
        pybullet.changeDynamics(
            body,
            -1,
            localInertiaDiagonal=inertia,
            linearDamping=0,
            angularDamping=0,
            restitution=0,
            activationState=pybullet.ACTIVATION_STATE_DISABLE_SLEEPING,
            physicsClientId=self._id,
        )
        return body

    def set_mass(self, body: int, mass: float, inertia: Vector) -> None:
        """Give `body` another mass [kg] and principal moments [kg m^2]."""
        pybullet.changeDynamics(body, -1, mass=mass, localInertiaDiagonal=inertia, physicsClientId=self._id)

    def motion(self, body: int) -> BodyMotion:
        """Return how `body` lies and moves."""
        position, orientation = pybullet.getBasePositionAndOrientation(body, physicsClientId=self._id)
        velocity, angular_velocity = pybullet.getBaseVelocity(body, physicsClientId=self._id)
        return BodyMotion(position, orientation, velocity, angular_velocity)

    def move(self, body: int, motion: BodyMotion) -> None:
        """Put `body` where `motion` says, moving as it says."""
        pybullet.resetBasePositionAndOrientation(body, motion.position, motion.orientation, physicsClientId=self._id)
        pybullet.resetBaseVelocity(body, motion.velocity, motion.angular_velocity, physicsClientId=self._id)

    def push(self, body: int, force: Vector, torque: Vector, position: Vector) -> None:
        """Apply a force [N] at `position` and a torque [N m] to `body` during the next step, all in the world frame."""
        pybullet.applyExternalForce(body, -1, force, position, pybullet.WORLD_FRAME, physicsClientId=self._id)
        pybullet.applyExternalTorque(body, -1, torque, pybullet.WORLD_FRAME, physicsClientId=self._id)

    def step(self) -> None:
        """Advance the physics by one time step."""
        pybullet.stepSimulation(physicsClientId=self._id)

    def contact(self, body: int) -> Vector | None:
        """Return the deepest point [m] where `body` touches something, or None."""
        points = pybullet.getContactPoints(body, physicsClientId=self._id)
        touching = [(point[8], point[6]) for point in points if point[8] <= 0]  # (distance [m], point on other)
        return min(touching)[1] if touching else None

    def add_texture(self, image: NDArray[np.uint8]) -> int:
        """Load an RGB image (H, W, 3) and return the texture's id."""
        path = self._path("png")
        cv2.imwrite(str(path), image[..., ::-1])
        return int(pybullet.loadTexture(str(path), physicsClientId=self._id))

    def add_mesh_look(
        self, vertices: NDArray[np.floating], triangles: NDArray[np.integer], uv: NDArray[np.floating]
    ) -> int:
        """Register triangles (F, 3) over vertices (V, 3) [m] with texture coordinates (V, 2); return the look's id.

        The v coordinate counts from the image's top row downwards.
        """
        path = self._path("obj")
        write_wavefront(path, vertices, triangles, uv)
        return int(
            pybullet.createVisualShape(
                pybullet.GEOM_MESH, fileName=str(path), rgbaColor=[1, 1, 1, 1], physicsClientId=self._id
            )
        )

    def add_ghost(self, look: int, texture: int | None = None) -> int:
        """Add a body at the origin that can be seen but not touched; return its id."""
        body = int(pybullet.createMultiBody(0, -1, look, physicsClientId=self._id))
        if texture is not None:
            pybullet.changeVisualShape(body, -1, textureUniqueId=texture, physicsClientId=self._id)
        return body

    def show(self, body: int, visible: bool) -> None:
        """Draw `body` or leave it out: what is fully transparent costs TinyRenderer nothing."""
        pybullet.changeVisualShape(body, -1, rgbaColor=[1, 1, 1, float(visible)], physicsClientId=self._id)

    def picture(
        self, width: int, height: int, view: Array, projection: Array, light: Light, tell_bodies: bool = False
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.int32]]:
        """Draw `width` by `height` pixels with TinyRenderer, without shadows.

        `view` (4, 4) leads from the world to the eye, `projection` (4, 4) on to clip space, as in OpenGL.

        Returns:
            RGBA (height, width, 4), depth (height, width) in [0, 1], where nothing was drawn 1 to single
            precision, and if `tell_bodies` the body that each pixel shows (height, width), negative for none;
            PyBullet's own buffers, to be copied before the next call.
        """
        _, _, colour, depth, bodies = pybullet.getCameraImage(
            width,
            height,
            view.T.ravel().tolist(),
            projection.T.ravel().tolist(),
            lightDirection=light.direction,
            lightAmbientCoeff=light.ambient,
            lightDiffuseCoeff=light.diffuse,
            lightSpecularCoeff=light.specular,
            shadow=0,
            renderer=pybullet.ER_TINY_RENDERER,
            flags=0 if tell_bodies else pybullet.ER_NO_SEGMENTATION_MASK,
            physicsClientId=self._id,
        )
        return colour, depth, bodies

    def add_ghost_parts(self, looks: Sequence[int]) -> int:
        """Add a body that can be seen but not touched, of one part for each of at most 127 looks; return its id."""
        count = len(looks)
        if count > _MOST_PARTS:
            raise ValueError(f"a body can have at most {_MOST_PARTS} parts, got {count}")
        here, upright = [[0.0, 0.0, 0.0]] * count, [[0.0, 0.0, 0.0, 1.0]] * count
        return int(
            pybullet.createMultiBody(
                0,
                linkMasses=[0] * count,
                linkCollisionShapeIndices=[-1] * count,
                linkVisualShapeIndices=list(looks),
                linkPositions=here,
                linkOrientations=upright,
                linkInertialFramePositions=here,
                linkInertialFrameOrientations=upright,
                linkParentIndices=[0] * count,
                linkJointTypes=[pybullet.JOINT_FIXED] * count,
                linkJointAxis=[[0, 0, 1]] * count,
                physicsClientId=self._id,
            )
        )

    def place(self, body: int, position: Vector, heading: float, pitch: float = 0.0) -> None:
        """Put `body` at `position`, turned to `heading`, its front then lowered by `pitch` [rad]."""
        a, b, c, d = math.cos(heading / 2), math.sin(heading / 2), math.cos(pitch / 2), math.sin(pitch / 2)
        orientation = (-b * d, a * d, b * c, a * c)
        pybullet.resetBasePositionAndOrientation(body, position, orientation, physicsClientId=self._id)

    def paint(self, body: int, part: int, colour: tuple[float, float, float, float]) -> None:
        """Colour one part of `body` (-1 for the body itself): red, green, blue and opacity in [0, 1]."""
        pybullet.changeVisualShape(body, part, rgbaColor=colour, physicsClientId=self._id)

    def repaint_texture(self, texture: int, image: NDArray[np.uint8]) -> None:
        """Give `texture` another image of the size (H, W, 3) that it was loaded with."""
        height, width, _ = image.shape
        pybullet.changeTexture(texture, image.tobytes(), width, height, physicsClientId=self._id)

    def clear(self) -> None:
        """Remove all bodies and their looks; textures stay."""
        pybullet.resetSimulation(physicsClientId=self._id)

    def set_backdrop(self, sky: tuple[int, int, int], sun_direction: Vector) -> None:
        """Set the window's background (RGB, 0 to 255) and the direction towards its light."""
        pybullet.configureDebugVisualizer(
            rgbBackground=[part / 255 for part in sky],
            lightPosition=[1000 * part for part in sun_direction],
            physicsClientId=self._id,
        )

    def look(self, eye: Vector, target: Vector) -> None:
        """Move the window's camera to `eye`, looking at `target` [m], z upwards."""
        dx, dy, dz = (b - a for a, b in zip(eye, target, strict=True))
        distance = math.sqrt(dx * dx + dy * dy + dz * dz)
        yaw_deg, pitch_deg = math.degrees(math.atan2(dy, dx)) - 90, math.degrees(math.asin(dz / distance))
        pybullet.resetDebugVisualizerCamera(distance, yaw_deg, pitch_deg, target, physicsClientId=self._id)

    def draw(self) -> None:
        """Draw the window now and handle what its user did; once called, it is drawn at no other time."""
        pybullet.configureDebugVisualizer(pybullet.COV_ENABLE_SINGLE_STEP_RENDERING, 1, physicsClientId=self._id)

    def window_size(self) -> tuple[int, int]:
        """Return width and height of the window [px]."""
        width, height, *_ = pybullet.getDebugVisualizerCamera(physicsClientId=self._id)
        return int(width), int(height)

    def new_keys(self) -> tuple[int, ...]:
        """Return the keys pressed in the window since the last call: lower-case ASCII, or PyBullet's B3G codes."""
        events = pybullet.getKeyboardEvents(physicsClientId=self._id)
        new, gone = pybullet.KEY_WAS_TRIGGERED, pybullet.KEY_WAS_RELEASED
        # Of a key pressed and let go between two calls only the release is reported.
        pressed = tuple(k for k, state in events.items() if state & new or (state & gone and k not in self.held_keys))
        self.held_keys = {code for code, state in events.items() if not state & gone}
        return pressed

    def _hide_panels(self) -> None:
        """Leave the picture alone in the window: no side panels, key bindings, picking or shadows (3x slower)."""
        for flag in (
            pybullet.COV_ENABLE_GUI,
            pybullet.COV_ENABLE_KEYBOARD_SHORTCUTS,
            pybullet.COV_ENABLE_MOUSE_PICKING,
            pybullet.COV_ENABLE_SHADOWS,
        ):
            pybullet.configureDebugVisualizer(flag, 0, physicsClientId=self._id)

    def _path(self, ending: str) -> Path:
        """Return a file name not used before: PyBullet may keep what it read under an old one."""
        self._written += 1
        return Path(self._files.name) / f"{self._written}.{ending}"
