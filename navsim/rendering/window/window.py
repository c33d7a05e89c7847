"""PyBullet's window on a drive, in its own process: the town, the route, the car and the driver's fan.

The window has its own process because PyBullet allows one window for each process, because the window manager's close
button ends an X program at once, and because macOS opens windows in a main thread only. `Window` starts the process,
which runs `main`, and sends it messages through a local socket.
"""

import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

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
_GRACE = 2.0  # time for the window's process to end after its last message [s]
_HOST, _KEY_BYTES = "127.0.0.1", 32  # of the local socket, and length of the key that protects it
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
        self._connection: Connection | None = None
        require_display()
        self._error_file = TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 kept until `close`
        message = OpenMessage(width, height, vehicle or VehicleSpec())
        if not any(self._open(message, pause) for pause in _RETRIES):
            reason = self._error_text() or "it closed at once"
            self.close()
            display = f" on display {os.environ['DISPLAY']!r}" if "DISPLAY" in os.environ else ""
            raise DisplayError(f"no window{display}: {reason}")

    @property
    def is_open(self) -> bool:
        """Whether the window is open."""
        return self._connection is not None

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
        self._end_process()
        self._error_file.close()

    def _open(self, message: OpenMessage, pause: float) -> bool:
        """Start the process after a pause [s] and wait for its first reply; return whether the window is open."""
        time.sleep(pause)
        self._num_pending = 0
        self._error_file.truncate(0)
        self._process = _start(self._error_file.fileno())
        self._connection = _connect(self._process)
        if self._connection is None:
            self._on_lost()
        self._send(message)
        self._receive(0)
        return self.is_open

    def _send(self, message: Message) -> None:
        if self._connection is None:
            return
        try:
            self._connection.send(message)
            self._num_pending += 1
        except ConnectionError:
            self._on_lost()

    def _receive(self, max_pending: int) -> None:
        """Receive replies until at most `max_pending` are missing."""
        while self._connection is not None and self._num_pending > max_pending:
            try:
                if not self._connection.poll(_TIMEOUT):
                    raise RuntimeError(f"the window has not answered for {_TIMEOUT:.0f} s")
                reply: Reply = self._connection.recv()
            except (EOFError, ConnectionError):
                self._on_lost()
                return
            self._num_pending -= 1
            pressed, held = reply
            self._keys += map(_name, pressed)
            self.held = frozenset(map(_name, held))

    def _on_lost(self) -> None:
        """Handle the end of the process: the user may close the window, but a failure raises RuntimeError."""
        self._end_process()
        text = self._error_text()
        if "Traceback" in text:
            raise RuntimeError(f"the window's process failed: {text}")

    def _end_process(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._process.stdin is not None:
            self._process.stdin.close()
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


def _start(errors: int) -> subprocess.Popen[bytes]:
    """Start the window's process with this package on its search path; its errors go to a file descriptor."""
    root = str(Path(__file__).parents[3])
    search_path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    return subprocess.Popen(
        [sys.executable, "-c", "from navsim.rendering.window.window import main; main()"],
        env={**os.environ, "PYTHONPATH": search_path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
    )


def _connect(process: subprocess.Popen[bytes]) -> Any:  # on Windows typeshed has a type of its own for pipes
    """Return the `Connection` to the window's process, or None if the process has ended."""
    if process.stdin is None or process.stdout is None:
        raise ValueError("the process needs pipes for its input and output")
    key = secrets.token_bytes(_KEY_BYTES)
    try:
        process.stdin.write(key)
        process.stdin.flush()
        with process.stdout as lines:
            port = lines.readline()
        return Client((_HOST, int(port)), authkey=key) if port else None
    except (EOFError, OSError):
        return None


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
    except (EOFError, ConnectionError):
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
    """Serve the program that has started this one, which sends a key, is told a port and connects to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # on Ctrl-C the main program closes the window
    key = sys.stdin.buffer.read(_KEY_BYTES)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with Listener((_HOST, 0), authkey=key) as listener:
        print(listener.address[1], flush=True)
        connection: Any = listener.accept()
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())  # PyBullet prints details of the graphics driver
    with connection:
        serve(connection)


def _end_with_parent() -> None:
    """Wait until the program that has started this one closes this one's input or ends, and give it time to end."""
    os.read(sys.stdin.fileno(), 1)
    time.sleep(_GRACE)
    os._exit(1)
