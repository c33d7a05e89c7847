"""An X server without a screen: starting it, looking at it, and pressing keys in its windows."""

import ctypes
import ctypes.util
import os
import shutil
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

WIDTH, HEIGHT = 1920, 640
KEY_PRESS, KEY_RELEASE = 2, 3
_SHIFTED = {"plus": 1}


class _KeyEvent(ctypes.Structure):
    """XKeyEvent of Xlib.h."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("serial", ctypes.c_ulong),
        ("send_event", ctypes.c_int),
        ("display", ctypes.c_void_p),
        ("window", ctypes.c_ulong),
        ("root", ctypes.c_ulong),
        ("subwindow", ctypes.c_ulong),
        ("time", ctypes.c_ulong),
        ("x", ctypes.c_int),
        ("y", ctypes.c_int),
        ("x_root", ctypes.c_int),
        ("y_root", ctypes.c_int),
        ("state", ctypes.c_uint),
        ("keycode", ctypes.c_uint),
        ("same_screen", ctypes.c_int),
        ("padding", ctypes.c_long * 24),
    )


class VirtualDisplay:
    """A running X server."""

    def __init__(self, name: str, framebuffer: Path) -> None:
        self.name = name
        self._framebuffer = framebuffer

    def picture(self) -> NDArray[np.uint8]:
        """What is on the screen: (HEIGHT, WIDTH, 3) RGB, from the server's memory in XWD format."""
        data = self._framebuffer.read_bytes()
        header = struct.unpack(">25I", data[:100])
        start, width, height, line, colours = header[0], header[4], header[5], header[12], header[19]
        start += 12 * colours
        rows = np.frombuffer(data, np.uint8, line * height, start).reshape(height, line)
        return rows[:, : 4 * width].reshape(height, width, 4)[..., 2::-1].copy()

    def press(self, key: str, title: str) -> None:
        """Press and release a key, by its X name, in the window whose title contains `title`."""
        with self._connection() as (x11, display):
            window = self._window(x11, display, title)
            code = x11.XKeysymToKeycode(display, ctypes.c_ulong(x11.XStringToKeysym(key.encode())))
            for kind in (KEY_PRESS, KEY_RELEASE):
                event = _KeyEvent(
                    type=kind, display=display, window=window, root=x11.XDefaultRootWindow(display),
                    state=_SHIFTED.get(key, 0), keycode=code, same_screen=1,
                )  # fmt: skip
                x11.XSendEvent(display, ctypes.c_ulong(window), 1, ctypes.c_long(kind - 1), ctypes.byref(event))

    def kill(self, title: str) -> None:
        """Do what a window manager's close button does to a program that does not take part in closing."""
        with self._connection() as (x11, display):
            x11.XKillClient(display, ctypes.c_ulong(self._window(x11, display, title)))

    def has(self, title: str) -> bool:
        """Whether there is a window whose title contains `title`."""
        with self._connection() as (x11, display):
            return any(title in name for name, _ in self._windows(x11, display))

    @contextmanager
    def _connection(self) -> Iterator[tuple[ctypes.CDLL, ctypes.c_void_p]]:
        x11 = ctypes.CDLL(ctypes.util.find_library("X11") or "libX11.so.6")
        x11.XOpenDisplay.restype = ctypes.c_void_p
        x11.XStringToKeysym.restype = ctypes.c_ulong
        x11.XDefaultRootWindow.restype = ctypes.c_ulong
        display = ctypes.c_void_p(x11.XOpenDisplay(self.name.encode()))
        assert display
        yield x11, display
        x11.XSync(display, 0)
        x11.XCloseDisplay(display)

    def _window(self, x11: ctypes.CDLL, display: ctypes.c_void_p, title: str) -> int:
        windows = dict(self._windows(x11, display))
        return next(window for name, window in windows.items() if title in name)

    def _windows(self, x11: ctypes.CDLL, display: ctypes.c_void_p) -> list[tuple[str, int]]:
        root, parent, count = ctypes.c_ulong(), ctypes.c_ulong(), ctypes.c_uint()
        children = ctypes.POINTER(ctypes.c_ulong)()
        top = ctypes.c_ulong(x11.XDefaultRootWindow(display))
        x11.XQueryTree(
            display, top, ctypes.byref(root), ctypes.byref(parent), ctypes.byref(children), ctypes.byref(count)
        )
        found = []
        for i in range(count.value):
            name = ctypes.c_char_p()
            x11.XFetchName(display, ctypes.c_ulong(children[i]), ctypes.byref(name))
            found.append(((name.value or b"").decode(), int(children[i])))
        return found


@contextmanager
def virtual_display() -> Iterator[VirtualDisplay]:
    """Run Xvfb on a free display number and make it the one that this process and its children use."""
    program = shutil.which("Xvfb")
    if program is None:
        pytest.skip("no Xvfb: install the Debian package xvfb")
    reading, writing = os.pipe()
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        server = subprocess.Popen(
            [program, "-displayfd", str(writing), "-fbdir", folder, "-screen", "0", f"{WIDTH}x{HEIGHT}x24", "-noreset"],
            pass_fds=(writing,),
            stderr=subprocess.DEVNULL,
        )
        os.close(writing)
        with os.fdopen(reading) as lines:
            name = ":" + lines.readline().strip()
        patch.setenv("DISPLAY", name)
        try:
            yield VirtualDisplay(name, Path(folder) / "Xvfb_screen0")
        finally:
            server.terminate()
            server.wait(10)


@contextmanager
def painted_program(
    display: VirtualDisplay,
    command: Sequence[str],
    title: str,
    painted: Callable[[], bool],
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[str]]:
    """Run a program until its window is painted, and end it with the block; its output is piped.

    On a busy machine Qt, inside OpenCV, may miss that its window has appeared and then paints nothing at all. Such a
    program is started again.

    Args:
        display: Display of the window.
        command: Program and its arguments.
        title: Part of the window's title.
        painted: Whether the window on the screen is complete.
        cwd: Folder in which the program runs; None for the current one.
        env: Environment of the program; None for the current one.
    """
    for _ in range(6):
        with subprocess.Popen(
            command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=cwd, env=env
        ) as program:
            try:
                until = time.monotonic() + 240
                while program.poll() is None and not display.has(title) and time.monotonic() < until:
                    time.sleep(0.05)
                until = time.monotonic() + 60
                while program.poll() is None and not painted() and time.monotonic() < until:
                    time.sleep(0.05)
                if program.poll() is not None or painted():
                    yield program
                    return
            finally:
                program.kill()
    raise AssertionError(f"the window {title} was never painted")


def wait_until(condition: Callable[[], bool], seconds: float = 90.0) -> None:
    """Wait until something holds; fail if it does not in time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
