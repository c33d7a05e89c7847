"""Screenshot of the viewer for the docs, on a virtual display: `python -m tests.watch_picture --help`."""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from navsim.visualization.canvas import BACKGROUND
from tests.virtual_display import VirtualDisplay, virtual_display, wait_until

SCREEN_WIDTH, SCREEN_HEIGHT = 1920, 574
"""Part of the screen with the window and the dashboard [px]."""


def dashboard_is_drawn(display: VirtualDisplay) -> bool:
    """Return whether the dashboard shows more than its background."""
    return len(np.unique(display.picture()[:540, 960:].reshape(-1, 3)[::7], axis=0)) > 100


def resting(display: VirtualDisplay) -> NDArray[np.uint8]:
    """Return the screen once it has not changed for five seconds."""
    before, since = display.picture(), time.monotonic()
    while time.monotonic() - since < 5:
        time.sleep(0.5)
        now = display.picture()
        if (now[:540] != before[:540]).any():
            before, since = now, time.monotonic()
    return before


def main() -> None:
    """Run scripts/watch.py on a virtual display, and save the screen once the drive is paused."""
    parser = argparse.ArgumentParser(description="Save what scripts/watch.py shows; other options go to it.")
    parser.add_argument("out", type=Path, help="the picture (.png)")
    parser.add_argument("--at", type=float, default=20.0, help="time of the drive that is shown [s]")
    parser.add_argument("--width", type=int, default=1280, help="of the picture [px]")
    known, rest = parser.parse_known_args()
    with virtual_display() as display:
        command = [sys.executable, "scripts/watch.py", "--viewer.pause-at", str(known.at), *rest]
        watching = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(Path.cwd())})
        try:
            wait_until(lambda: watching.poll() is not None or dashboard_is_drawn(display), 180)
            screen = resting(display)[:SCREEN_HEIGHT, :SCREEN_WIDTH]
            screen[540:, :960] = BACKGROUND  # the dashboard is higher than the window by its keys
            display.press("q", "navsim dashboard")
            watching.wait(60)
        finally:
            watching.kill()
    height = round(known.width * SCREEN_HEIGHT / SCREEN_WIDTH)
    picture = Image.fromarray(np.ascontiguousarray(screen)).resize((known.width, height), Image.Resampling.LANCZOS)
    picture.save(known.out, optimize=True)


if __name__ == "__main__":
    main()
