"""The process that holds PyBullet's window, started by `navsim.rendering.window.window.Window`.

It is one of its own because PyBullet allows one window for each process, and because an X program is ended outright
when its window is closed by the window manager's button.
"""

import os
import signal
import sys
from dataclasses import dataclass
from multiprocessing.connection import Connection

from navsim.errors import DisplayError
from navsim.geometry import Polyline
from navsim.rendering.window.window_scene import WindowFrame, WindowScene
from navsim.world.bullet import BulletClient, BulletError
from navsim.world.scenery.scene import Scene
from navsim.world.vehicle import VehicleSpec


@dataclass(frozen=True)
class Opening:
    """The first message to the process."""

    width: int
    """Of the window [px]."""
    height: int
    """[px]."""
    vehicle: VehicleSpec
    """The car to be shown."""


@dataclass(frozen=True, eq=False)
class Loading:
    """Show another town."""

    scene: Scene
    """The town."""
    route: Polyline | None
    """The path of the route in it."""


Message = Opening | Loading | WindowFrame
Answer = tuple[tuple[int, ...], tuple[int, ...]]
"""Codes of the keys that were pressed in the window since the last answer, and of those held down."""


def serve(connection: Connection) -> None:
    """Open the window and answer messages until the other side or the window is closed."""
    client: BulletClient | None = None
    try:
        opening: Opening = connection.recv()
        client = BulletClient("gui", f"--width={opening.width} --height={opening.height}")
        stage = WindowScene(client, opening.vehicle)
        connection.send(((), ()))
        while True:
            _handle(connection.recv(), stage)
            connection.send((client.new_keys(), tuple(client.held_keys)))
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


def _handle(message: Message, stage: WindowScene) -> None:
    if isinstance(message, Loading):
        stage.load(message.scene, message.route)
    elif isinstance(message, WindowFrame):
        stage.show(message)


def main() -> None:
    """Serve the connection whose file descriptor is the program's one argument."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the program that watches; it closes the window
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, sys.stdout.fileno())  # PyBullet prints what it found out about the graphics driver
    with Connection(int(sys.argv[1])) as connection:
        serve(connection)
