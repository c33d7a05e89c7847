"""PyBullet's window on a drive: the town, the route, the car and the driver's fan, from one of three cameras."""

import os
import subprocess
import sys
import time
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryFile

from navsim.errors import DisplayError
from navsim.geometry import Polyline, Pose
from navsim.rendering.road_fan import Fan
from navsim.rendering.window.process import Answer, Loading, Message, Opening
from navsim.rendering.window.viewpoints import Viewpoint
from navsim.rendering.window.window_scene import WindowFrame
from navsim.world.bullet import require_display
from navsim.world.scenery.scene import Scene
from navsim.world.vehicle import VehicleSpec

WIDTH, HEIGHT = 960, 540
"""Default size [px]."""

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
# An X server without clients, such as that of xvfb-run, restarts when one leaves, and for a moment takes no other [s].
_RETRIES = (0.0, 0.5, 2.0)
_PATIENCE = 60.0  # a busy machine may take long to open a window or to load a town [s]


class Window:
    """One window, in a process of its own; any number may be open. Use `close` when done.

    When its user closes it, `is_open` turns false and everything else does nothing.
    """

    def __init__(self, vehicle: VehicleSpec | None = None, width: int = WIDTH, height: int = HEIGHT) -> None:
        """Open the window.

        Args:
            vehicle: The car to show; the default one if None.
            width: [px].
            height: [px].

        Raises:
            DisplayError: If there is no display to open it on.
        """
        self.view = Viewpoint.CHASE
        """The camera of the next picture."""
        self.held: frozenset[str] = frozenset()
        """Names of the keys that are held down."""
        self._keys: list[str] = []
        require_display()
        self._complaints = TemporaryFile("w+")  # noqa: SIM115 kept until `close`
        opening = Opening(width, height, vehicle or VehicleSpec())
        if not any(self._open(opening, pause) for pause in _RETRIES):
            reason = self._last_words() or "it closed at once"
            self.close()
            raise DisplayError(f"no window on display {os.environ['DISPLAY']!r}: {reason}")

    @property
    def is_open(self) -> bool:
        """Whether there is still something to be seen."""
        return not self._connection.closed

    def load(self, scene: Scene, route_path: Polyline | None = None) -> None:
        """Show another town in place of the one before, and the path of a route on its roads.

        Raises:
            RuntimeError: If the window's process has failed.
        """
        self._receive(0)
        self._send(Loading(scene, route_path))

    def show(
        self, pose: Pose, fan: Fan | None = None, lines: tuple[str, ...] = (), trail: tuple[Pose, ...] = ()
    ) -> None:
        """Draw the car at `pose`; returns while the picture is being drawn, unless the last one still is.

        Args:
            pose: Of the car.
            fan: What its driver wants, drawn on the road ahead.
            lines: Up to four lines of text in the corner.
            trail: Where the car has been, the latest last, at most `TRAIL_MARKS` places.

        Raises:
            RuntimeError: If the window's process has failed.
        """
        self._receive(0)
        self._send(WindowFrame(pose, self.view, fan, lines, trail))

    def keys(self) -> tuple[str, ...]:
        """Return the keys pressed since the last call: characters, "space", "enter", "escape", "left", "right"."""
        pressed, self._keys = tuple(self._keys), []
        return pressed

    def settle(self) -> None:
        """Wait until everything asked for is on the screen."""
        self._receive(0)

    def close(self) -> None:
        """Close the window; may be called again."""
        if self.is_open:
            self._connection.close()
        self._end_process()
        self._complaints.close()

    def _open(self, opening: Opening, pause: float) -> bool:
        """Start the process after a pause [s] and wait for its first answer; whether there is a window now."""
        time.sleep(pause)
        self._connection, theirs = Pipe()
        self._awaited = 0
        self._process = _start(theirs, self._complaints.fileno())
        theirs.close()
        self._send(opening)
        self._receive(0)
        return self.is_open

    def _send(self, message: Message) -> None:
        if not self.is_open:
            return
        try:
            self._connection.send(message)
            self._awaited += 1
        except (BrokenPipeError, ConnectionResetError):
            self._lose()

    def _receive(self, left: int) -> None:
        """Take answers until only `left` are awaited."""
        while self.is_open and self._awaited > left:
            try:
                if not self._connection.poll(_PATIENCE):
                    raise RuntimeError(f"the window has not answered for {_PATIENCE:.0f} s")
                answer: Answer = self._connection.recv()
            except (EOFError, ConnectionResetError):
                self._lose()
                return
            self._awaited -= 1
            pressed, held = answer
            self._keys += map(_name, pressed)
            self.held = frozenset(map(_name, held))

    def _lose(self) -> None:
        """Note that the window is gone; that its user closed it is fine, that its process failed is not."""
        self._connection.close()
        self._end_process()
        words = self._last_words()
        if "Traceback" in words:
            raise RuntimeError(f"the window's process failed: {words}")

    def _end_process(self) -> None:
        try:
            self._process.wait(timeout=5.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _last_words(self) -> str:
        """Return what the process complained about."""
        self._complaints.seek(0)
        lines = (line for line in self._complaints.read().splitlines() if not line.startswith("pybullet build time"))
        return " ".join(" ".join(lines).split())


def _name(code: int) -> str:
    return _KEY_NAMES.get(code, chr(code))


def _start(connection: Connection, errors: int) -> subprocess.Popen[bytes]:
    """Start the window's process on its end of a pipe; this package is found there as it was found here."""
    descriptor = connection.fileno()
    root = str(Path(__file__).parents[3])
    places = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    return subprocess.Popen(
        [sys.executable, "-c", "from navsim.rendering.window.process import main; main()", str(descriptor)],
        pass_fds=(descriptor,),
        env={**os.environ, "PYTHONPATH": places},
        stdin=subprocess.DEVNULL,
        stderr=errors,
    )
