"""PyBullet's window on a drive, in its own process: the town, the route, the car and the driver's fan.

The window has its own process because PyBullet allows one window for each process, and because the window manager's
close button ends an X program at once. `Window` starts the process, which runs `main`, and sends it messages.
"""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryFile

from navsim.errors import DisplayError
from navsim.geometry import Polyline, Pose
from navsim.rendering.road_fan import Fan
from navsim.rendering.window.viewpoints import Viewpoint
from navsim.rendering.window.window_scene import WindowFrame, WindowScene
from navsim.world.bullet import BulletClient, BulletError, require_display
from navsim.world.scenery.scene import Scene
from navsim.world.vehicle import VehicleSpec

WIDTH, HEIGHT = 960, 540
"""Default width and height of the window [px]."""

_KEY_NAMES = {
    27: "escape",
    32: "space",
    65309: "enter",
    10: "enter",
    13: "enter",
    65306: "shift",
    65295: "left",
    65296: "right",
    65297: "up",
    65298: "down",
}
# An X server without clients, such as that of xvfb-run, restarts when its last client leaves [s].
_RETRIES = (0.0, 0.5, 2.0)
_TIMEOUT = 60.0  # a busy machine may take long to open a window or to load a town [s]


@dataclass(frozen=True)
class OpenMessage:
    """First message to the window's process."""

    width: int
    """Width of the window [px]."""
    height: int
    """Height of the window [px]."""
    vehicle: VehicleSpec
    """Car to show in the window."""


@dataclass(frozen=True, eq=False)
class LoadMessage:
    """Message with another town."""

    scene: Scene
    """Scene of the town."""
    route: Polyline | None
    """Path of the route in the town."""


Message = OpenMessage | LoadMessage | WindowFrame
Reply = tuple[tuple[int, ...], tuple[int, ...]]
"""Codes of the keys pressed in the window since the last reply, and of the keys held down."""


class Window:
    """One window in its own process, to be closed at the end; any number can be open.

    After the user closes it, `is_open` is false and all methods do nothing.
    """

    def __init__(self, vehicle: VehicleSpec | None = None, width: int = WIDTH, height: int = HEIGHT) -> None:
        """Open the window.

        Args:
            vehicle: Car to show; None for the default.
            width: Width of the window [px].
            height: Height of the window [px].

        Raises:
            DisplayError: If a display is missing.
        """
        self.view = Viewpoint.CHASE
        """Viewpoint of the next frame."""
        self.held: frozenset[str] = frozenset()
        """Names of the keys held down."""
        self._keys: list[str] = []
        require_display()
        self._error_file = TemporaryFile("w+")  # noqa: SIM115 kept until `close`
        message = OpenMessage(width, height, vehicle or VehicleSpec())
        if not any(self._open(message, pause) for pause in _RETRIES):
            reason = self._error_text() or "it closed at once"
            self.close()
            raise DisplayError(f"no window on display {os.environ['DISPLAY']!r}: {reason}")

    @property
    def is_open(self) -> bool:
        """Whether the window is open."""
        return not self._connection.closed

    def load(self, scene: Scene, route_path: Polyline | None = None) -> None:
        """Replace the town, with the path of a route on its roads.

        Raises:
            RuntimeError: If the window's process has failed.
        """
        self._receive(0)
        self._send(LoadMessage(scene, route_path))

    def show(
        self, pose: Pose, fan: Fan | None = None, lines: tuple[str, ...] = (), trail: tuple[Pose, ...] = ()
    ) -> None:
        """Draw a frame with the car at `pose`; wait only for the last frame, not for this one.

        Args:
            pose: Pose of the car.
            fan: Command and distribution of the driver, drawn on the road ahead.
            lines: Up to four lines of text for the caption.
            trail: At most `TRAIL_MARKS` past poses of the car, the latest last.

        Raises:
            RuntimeError: If the window's process has failed.
        """
        self._receive(0)
        self._send(WindowFrame(pose, self.view, fan, lines, trail))

    def keys(self) -> tuple[str, ...]:
        """Return the keys pressed since the last call: characters, "space", "enter", "escape", "left", "right"."""
        pressed, self._keys = tuple(self._keys), []
        return pressed

    def wait_until_drawn(self) -> None:
        """Wait until all frames are on the screen."""
        self._receive(0)

    def close(self) -> None:
        """Close the window; further calls do nothing."""
        if self.is_open:
            self._connection.close()
        self._end_process()
        self._error_file.close()

    def _open(self, message: OpenMessage, pause: float) -> bool:
        """Start the process after a pause [s] and wait for its first reply; return whether the window is open."""
        time.sleep(pause)
        self._connection, remote = Pipe()
        self._num_pending = 0
        self._process = _start(remote, self._error_file.fileno())
        remote.close()
        self._send(message)
        self._receive(0)
        return self.is_open

    def _send(self, message: Message) -> None:
        if not self.is_open:
            return
        try:
            self._connection.send(message)
            self._num_pending += 1
        except (BrokenPipeError, ConnectionResetError):
            self._on_lost()

    def _receive(self, max_pending: int) -> None:
        """Receive replies until at most `max_pending` are missing."""
        while self.is_open and self._num_pending > max_pending:
            try:
                if not self._connection.poll(_TIMEOUT):
                    raise RuntimeError(f"the window has not answered for {_TIMEOUT:.0f} s")
                reply: Reply = self._connection.recv()
            except (EOFError, ConnectionResetError):
                self._on_lost()
                return
            self._num_pending -= 1
            pressed, held = reply
            self._keys += map(_name, pressed)
            self.held = frozenset(map(_name, held))

    def _on_lost(self) -> None:
        """Handle the end of the process: the user may close the window, but a failure raises RuntimeError."""
        self._connection.close()
        self._end_process()
        text = self._error_text()
        if "Traceback" in text:
            raise RuntimeError(f"the window's process failed: {text}")

    def _end_process(self) -> None:
        try:
            self._process.wait(timeout=5.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _error_text(self) -> str:
        """Return the error output of the process."""
        self._error_file.seek(0)
        lines = (line for line in self._error_file.read().splitlines() if not line.startswith("pybullet build time"))
        return " ".join(" ".join(lines).split())


def _name(code: int) -> str:
    return _KEY_NAMES.get(code, chr(code))


def _start(connection: Connection, errors: int) -> subprocess.Popen[bytes]:
    """Start the window's process on its end of a pipe, with this package on its search path."""
    descriptor = connection.fileno()
    root = str(Path(__file__).parents[3])
    search_path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    return subprocess.Popen(
        [sys.executable, "-c", "from navsim.rendering.window.window import main; main()", str(descriptor)],
        pass_fds=(descriptor,),
        env={**os.environ, "PYTHONPATH": search_path},
        stdin=subprocess.DEVNULL,
        stderr=errors,
    )


def serve(connection: Connection) -> None:
    """Open the window and reply to messages until the connection or the window is closed."""
    client: BulletClient | None = None
    try:
        message: OpenMessage = connection.recv()
        client = BulletClient("gui", f"--width={message.width} --height={message.height}")
        scene = WindowScene(client, message.vehicle)
        connection.send(((), ()))
        while True:
            _handle(connection.recv(), scene)
            connection.send((client.pressed_keys(), tuple(client.held_keys)))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass
    except DisplayError as error:
        sys.exit(str(error))
    except BulletError:
        if client is None or client.is_open:
            raise
    finally:
        if client is not None:
            client.close()


def _handle(message: Message, scene: WindowScene) -> None:
    if isinstance(message, LoadMessage):
        scene.load(message.scene, message.route)
    elif isinstance(message, WindowFrame):
        scene.show(message)


def main() -> None:
    """Serve the connection whose file descriptor is the program's argument."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # on Ctrl-C the main program closes the window
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())  # PyBullet prints details of the graphics driver
    with Connection(int(sys.argv[1])) as connection:
        serve(connection)
