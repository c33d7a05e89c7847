"""PyBullet client: the only module that imports PyBullet; every call passes the id of its physics client.

World frame: x east, y north, z up [m]. Quaternions are (x, y, z, w). Meshes go to PyBullet as Wavefront OBJ files, not
as Python lists, because it never frees list arguments (3.2.7 leaks two references to every row of each call).
"""

import math
import os
import socket
import struct
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from navsim.errors import DisplayError
from navsim.geometry import Array


def require_display(advice: str = "") -> None:
    """Check that an X display answers, because PyBullet ends the whole process without one.

    macOS and Windows have no X display, and are not checked.

    Args:
        advice: What helps without a display, for the error.

    Raises:
        DisplayError: If DISPLAY is not set or no server listens there.
    """
    if sys.platform in ("darwin", "win32"):
        return
    advice = f"; {advice}" if advice else ""
    display = os.environ.get("DISPLAY", "")
    if not display:
        raise DisplayError(f"a window needs a display, but DISPLAY is not set{advice}")
    host, _, rest = display.rpartition(":")
    number = rest.split(".")[0]
    addresses: list[tuple[socket.AddressFamily, str | tuple[str, int]]]
    if host in ("", "unix"):
        name = f"/tmp/.X11-unix/X{number}"  # noqa: S108 the socket of every X server
        addresses = [(socket.AF_UNIX, "\0" + name), (socket.AF_UNIX, name)]
    else:
        addresses = [(socket.AF_INET, (host, 6000 + int(number)))] if number.isdigit() else []
    if not any(_answers(family, address) for family, address in addresses):
        raise DisplayError(f"a window needs a display, but nothing answers on DISPLAY={display!r}{advice}")


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
    """Pose and velocity of a body's centre of mass, in the world frame."""

    position: Vector
    """Position of the centre of mass [m]."""
    orientation: Quaternion
    """Rotation from the body's to the world's axes."""
    velocity: Vector
    """Velocity of the centre of mass [m/s]."""
    angular_velocity: Vector
    """Angular velocity about the world's axes [rad/s]."""


@dataclass(frozen=True)
class BoxShape:
    """One box of a rigid body, in the body's frame (origin at its centre of mass)."""

    size: Vector
    """Full edge lengths along x, y, z [m]."""
    centre: Vector
    """Centre of the box [m]."""
    colour: tuple[float, float, float] = (0.8, 0.8, 0.8)
    """Red, green, blue in [0, 1], for renderers."""


@dataclass(frozen=True)
class Light:
    """One distant light for `BulletClient.render`; its parts add up to the brightness of a surface."""

    direction: Vector
    """Direction towards the light."""
    ambient: float = 0.6
    """Share of light that reaches every surface."""
    diffuse: float = 0.35
    """Share of light that depends on the angle between surface and light."""
    specular: float = 0.0
    """Share of light that is mirrored."""


@contextmanager
def suppressed_output() -> Iterator[None]:
    """Suppress standard output and standard error inside the block, of compiled code too."""
    sys.stdout.flush()
    sys.stderr.flush()
    copies = [(descriptor, os.dup(descriptor)) for descriptor in (1, 2)]
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        for descriptor, _ in copies:
            os.dup2(null, descriptor)
        yield
    finally:
        for descriptor, copy in copies:
            os.dup2(copy, descriptor)
            os.close(copy)
        os.close(null)


def write_wavefront(
    path: Path,
    vertices: NDArray[np.floating],
    triangles: NDArray[np.integer],
    uv: NDArray[np.floating] | None = None,
) -> None:
    """Write a mesh as a Wavefront OBJ file, with a precision of 0.1 mm.

    Args:
        path: File to write.
        vertices: Vertices (V, 3) [m].
        triangles: Indices into the vertices (F, 3).
        uv: Texture coordinates (V, 2) from the image's left edge and top row, if any.
    """
    text = _rows("v %.4f %.4f %.4f\n", vertices)
    if uv is None:
        text += _rows("f %d %d %d\n", triangles + 1)
    else:
        # The file counts from the bottom row, and TinyRenderer does not repeat textures at negative coordinates.
        top = np.ceil(uv[:, 1].max(initial=1.0))
        text += _rows("vt %.5f %.5f\n", np.stack([uv[:, 0], top - uv[:, 1]], axis=1))
        text += _rows("f %d/%d %d/%d %d/%d\n", np.repeat(triangles + 1, 2, axis=1))
    path.write_text(text, encoding="ascii")


def _rows(row: str, values: NDArray[np.generic]) -> str:
    """Return one line per row of `values`; one format call is three times as fast as one for each row."""
    return (row * len(values)) % tuple(values.ravel().tolist())


def _image_arrays(
    size: tuple[int, int], colour: tuple[int, ...], depth: tuple[float, ...], bodies: tuple[int, ...]
) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.int32]]:
    """Convert the flat tuples of a PyBullet that was built without numpy to the arrays of one built with it.

    For 200x66 pixels, `bytearray` is 4 to 8 times as fast as `np.array` and `np.fromiter`, `bytes` half as fast as
    `bytearray`, and `struct.pack` 3 to 4 times as fast as `np.fromiter` and `array.array`.

    Args:
        size: Height and width of the image [px].
        colour: RGBA of each pixel, row by row.
        depth: Depth of each pixel.
        bodies: Body of each pixel; empty if they are not wanted.
    """
    count = len(depth)
    rgba = np.frombuffer(bytearray(colour), np.uint8)
    depths = np.frombuffer(struct.pack(f"{count}f", *depth), np.float32)
    parts = np.frombuffer(struct.pack(f"{count}i", *bodies), np.int32) if bodies else np.zeros(count, np.int32)
    return rgba.reshape(*size, 4), depths.reshape(size), parts.reshape(size)


with suppressed_output():  # PyBullet prints its build time
    import pybullet
__all__ = ["BodyMotion", "BoxShape", "BulletClient", "BulletError", "Light", "Vector"]
BulletError = pybullet.error
"""Error of a failed PyBullet call, for instance because its window was closed."""
_MAX_PARTS = 127  # PyBullet silently drops further parts


class BulletClient:
    """One physics client, from connection to `close`; a process can have several."""

    def __init__(self, mode: Literal["direct", "gui"] = "direct", options: str = "") -> None:
        """Connect to PyBullet.

        Args:
            mode: "direct" for no window, "gui" for PyBullet's window.
            options: Options of the window, for instance "--width=960 --height=540".

        Raises:
            DisplayError: If a window is requested without a display.
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
        # PyBullet's cache of mesh files belongs to the whole process and never shrinks.
        pybullet.setPhysicsEngineParameter(enableFileCaching=0, physicsClientId=self._id)
        self._files = tempfile.TemporaryDirectory(prefix="navsim-")
        Finalize(self, self._files.cleanup, exitpriority=0)  # workers of multiprocessing do not run `atexit`
        self._written = 0
        self.held_keys: set[int] = set()
        """Codes of the keys that were held at the last call of `pressed_keys`."""
        if mode == "gui":
            self._hide_panels()

    @property
    def is_open(self) -> bool:
        """Whether the client can be used: not after `close`, nor after its window was closed."""
        return self._id >= 0 and bool(pybullet.isConnected(physicsClientId=self._id))

    def close(self) -> None:
        """Disconnect and free everything; further calls do nothing."""
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
        """Add a static collision body of triangles (F, 3) with vertices (V, 3) [m]; return its id."""
        path = self._path("obj")
        write_wavefront(path, vertices, triangles)
        shape = pybullet.createCollisionShape(
            pybullet.GEOM_MESH, fileName=str(path), flags=pybullet.GEOM_FORCE_CONCAVE_TRIMESH, physicsClientId=self._id
        )
        return int(pybullet.createMultiBody(0, shape, physicsClientId=self._id))

    def add_rigid_body(self, boxes: Sequence[BoxShape], mass: float, inertia: Vector) -> int:
        """Add an invisible body of `boxes` with a mass [kg] and principal moments [kg m^2]; return its id.

        It has no damping and no restitution, and is never deactivated.
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
        """Set the mass [kg] and principal moments [kg m^2] of `body`."""
        pybullet.changeDynamics(body, -1, mass=mass, localInertiaDiagonal=inertia, physicsClientId=self._id)

    def motion(self, body: int) -> BodyMotion:
        """Return the pose and velocity of `body`."""
        position, orientation = pybullet.getBasePositionAndOrientation(body, physicsClientId=self._id)
        velocity, angular_velocity = pybullet.getBaseVelocity(body, physicsClientId=self._id)
        return BodyMotion(position, orientation, velocity, angular_velocity)

    def set_motion(self, body: int, motion: BodyMotion) -> None:
        """Set the pose and velocity of `body`."""
        pybullet.resetBasePositionAndOrientation(body, motion.position, motion.orientation, physicsClientId=self._id)
        pybullet.resetBaseVelocity(body, motion.velocity, motion.angular_velocity, physicsClientId=self._id)

    def apply_force(self, body: int, force: Vector, torque: Vector, position: Vector) -> None:
        """Apply a force [N] at `position` and a torque [N m] to `body` during the next step, all in the world frame."""
        pybullet.applyExternalForce(body, -1, force, position, pybullet.WORLD_FRAME, physicsClientId=self._id)
        pybullet.applyExternalTorque(body, -1, torque, pybullet.WORLD_FRAME, physicsClientId=self._id)

    def step(self) -> None:
        """Advance the physics by one time step."""
        pybullet.stepSimulation(physicsClientId=self._id)

    def contact(self, body: int) -> Vector | None:
        """Return the point of deepest contact of `body` with another body [m], or None."""
        points = pybullet.getContactPoints(body, physicsClientId=self._id)
        touching = [(point[8], point[6]) for point in points if point[8] <= 0]  # (distance [m], point)
        return min(touching)[1] if touching else None

    def add_texture(self, image: NDArray[np.uint8]) -> int:
        """Load an RGB image (H, W, 3) and return the texture's id."""
        path = self._path("png")
        cv2.imwrite(str(path), image[..., ::-1])
        return int(pybullet.loadTexture(str(path), physicsClientId=self._id))

    def add_visual_shape(
        self,
        vertices: NDArray[np.floating],
        triangles: NDArray[np.integer],
        uv: NDArray[np.floating],
        colour: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0),
    ) -> int:
        """Add a visual shape and return its id.

        Args:
            vertices: Vertices (V, 3) [m].
            triangles: Indices into the vertices (F, 3).
            uv: Texture coordinates (V, 2); v counts from the image's top row downwards.
            colour: Red, green, blue and opacity in [0, 1].
        """
        path = self._path("obj")
        write_wavefront(path, vertices, triangles, uv)
        return int(
            pybullet.createVisualShape(
                pybullet.GEOM_MESH, fileName=str(path), rgbaColor=colour, physicsClientId=self._id
            )
        )

    def add_visual_body(self, shape: int, texture: int | None = None) -> int:
        """Add a visible body without collisions at the origin; return its id."""
        body = int(pybullet.createMultiBody(0, -1, shape, physicsClientId=self._id))
        if texture is not None:
            pybullet.changeVisualShape(body, -1, textureUniqueId=texture, physicsClientId=self._id)
        return body

    def add_visual_copies(self, shape: int, positions: Sequence[Vector]) -> tuple[int, ...]:
        """Add a visible body without collisions at each of `positions` [m]; return their ids."""
        return tuple(pybullet.createMultiBody(0, -1, shape, batchPositions=positions, physicsClientId=self._id))

    def set_visible(self, body: int, visible: bool) -> None:
        """Show or hide `body`; TinyRenderer spends no time on a fully transparent body."""
        pybullet.changeVisualShape(body, -1, rgbaColor=[1, 1, 1, float(visible)], physicsClientId=self._id)

    def render(
        self, width: int, height: int, view: Array, projection: Array, light: Light, with_bodies: bool = False
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.int32]]:
        """Render `width` by `height` pixels with TinyRenderer, without shadows.

        Args:
            width: Image width [px].
            height: Image height [px].
            view: Eye-from-world matrix (4, 4), as in OpenGL.
            projection: Clip-from-eye matrix (4, 4), as in OpenGL.
            light: Light of the scene.
            with_bodies: Whether to return the body of each pixel.

        Returns:
            RGBA (height, width, 4), depth (height, width) in [0, 1] with 1 for the background, and the body of each
            pixel (height, width), negative for none. They are PyBullet's buffers, valid until the next call; the
            bodies are undefined unless they are wanted.
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
            flags=0 if with_bodies else pybullet.ER_NO_SEGMENTATION_MASK,
            physicsClientId=self._id,
        )
        return (
            (colour, depth, bodies)
            if isinstance(colour, np.ndarray)
            else _image_arrays((height, width), colour, depth, bodies if with_bodies else ())
        )

    def add_visual_parts(self, shapes: Sequence[int]) -> int:
        """Add a visible body without collisions, one part for each of at most 127 visual shapes; return its id."""
        count = len(shapes)
        if count > _MAX_PARTS:
            raise ValueError(f"a body can have at most {_MAX_PARTS} parts, got {count}")
        origins, rotations = [[0.0, 0.0, 0.0]] * count, [[0.0, 0.0, 0.0, 1.0]] * count
        return int(
            pybullet.createMultiBody(
                0,
                linkMasses=[0] * count,
                linkCollisionShapeIndices=[-1] * count,
                linkVisualShapeIndices=list(shapes),
                linkPositions=origins,
                linkOrientations=rotations,
                linkInertialFramePositions=origins,
                linkInertialFrameOrientations=rotations,
                linkParentIndices=[0] * count,
                linkJointTypes=[pybullet.JOINT_FIXED] * count,
                linkJointAxis=[[0, 0, 1]] * count,
                physicsClientId=self._id,
            )
        )

    def set_pose(self, body: int, position: Vector, heading: float, pitch: float = 0.0) -> None:
        """Move `body` to `position` [m] with a `heading`, its front lowered by `pitch` [rad]."""
        a, b, c, d = math.cos(heading / 2), math.sin(heading / 2), math.cos(pitch / 2), math.sin(pitch / 2)
        orientation = (-b * d, a * d, b * c, a * c)
        pybullet.resetBasePositionAndOrientation(body, position, orientation, physicsClientId=self._id)

    def set_colour(self, body: int, part: int, colour: tuple[float, float, float, float]) -> None:
        """Set the red, green, blue and opacity in [0, 1] of one part of `body` (-1 for the body itself)."""
        pybullet.changeVisualShape(body, part, rgbaColor=colour, physicsClientId=self._id)

    def update_texture(self, texture: int, image: NDArray[np.uint8]) -> None:
        """Replace the image of `texture` by one of the same size (H, W, 3)."""
        height, width, _ = image.shape
        pybullet.changeTexture(texture, image.tobytes(), width, height, physicsClientId=self._id)

    def clear(self) -> None:
        """Remove all bodies and visual shapes; textures stay."""
        pybullet.resetSimulation(physicsClientId=self._id)

    def set_background(self, sky: tuple[int, int, int], sun_direction: Vector) -> None:
        """Set the window's background (RGB, 0 to 255) and the direction towards its light."""
        pybullet.configureDebugVisualizer(
            rgbBackground=[part / 255 for part in sky],
            lightPosition=[1000 * part for part in sun_direction],
            physicsClientId=self._id,
        )

    def set_camera(self, eye: Vector, target: Vector) -> None:
        """Move the window's camera to `eye`, directed at `target` [m], z upwards."""
        dx, dy, dz = (b - a for a, b in zip(eye, target, strict=True))
        distance = math.sqrt(dx * dx + dy * dy + dz * dz)
        yaw_deg, pitch_deg = math.degrees(math.atan2(dy, dx)) - 90, math.degrees(math.asin(dz / distance))
        pybullet.resetDebugVisualizerCamera(distance, yaw_deg, pitch_deg, target, physicsClientId=self._id)

    def draw(self) -> None:
        """Draw the window and handle its events; after the first call the window is drawn only by this function."""
        pybullet.configureDebugVisualizer(pybullet.COV_ENABLE_SINGLE_STEP_RENDERING, 1, physicsClientId=self._id)

    def window_size(self) -> tuple[int, int]:
        """Return the width and height of the window [px]."""
        width, height, *_ = pybullet.getDebugVisualizerCamera(physicsClientId=self._id)
        return int(width), int(height)

    def pressed_keys(self) -> tuple[int, ...]:
        """Return the keys pressed in the window since the last call: lower-case ASCII, or PyBullet's B3G codes."""
        events = pybullet.getKeyboardEvents(physicsClientId=self._id)
        triggered, released = pybullet.KEY_WAS_TRIGGERED, pybullet.KEY_WAS_RELEASED
        # For a key pressed and released between two calls, only the release is reported.
        pressed = tuple(
            k for k, state in events.items() if state & triggered or (state & released and k not in self.held_keys)
        )
        self.held_keys = {code for code, state in events.items() if not state & released}
        return pressed

    def _hide_panels(self) -> None:
        """Turn off the window's side panels, key bindings, picking and shadows (3x slower)."""
        for flag in (
            pybullet.COV_ENABLE_GUI,
            pybullet.COV_ENABLE_KEYBOARD_SHORTCUTS,
            pybullet.COV_ENABLE_MOUSE_PICKING,
            pybullet.COV_ENABLE_SHADOWS,
        ):
            pybullet.configureDebugVisualizer(flag, 0, physicsClientId=self._id)

    def _path(self, suffix: str) -> Path:
        """Return an unused file name, because PyBullet may have cached the content of an old one."""
        self._written += 1
        return Path(self._files.name) / f"{self._written}.{suffix}"
