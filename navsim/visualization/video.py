"""Films of drives: the watched panel frame by frame, as MP4 and as a GIF small enough for a web page."""

import logging
import tempfile
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from PIL import Image as Picture

from navsim.drivers.protocol import Driver, Expert
from navsim.sensing.observation import Image
from navsim.simulation.rollout import RolloutStep, drive
from navsim.simulation.scenario import Outcome, Scenario
from navsim.simulation.simulation import Simulation
from navsim.storage import write_bytes
from navsim.visualization.dashboard import PanelContext, compose_panel

GIF_WIDTH = 640
"""Width of a GIF [px]."""
GIF_BYTES = 6_000_000
"""A GIF that would be larger loses frames until it is not."""
HOLD_FRAMES = 15
"""How many frames the last picture of a film stays."""
_MOST_FRAMES = 300  # of a GIF in memory, about 200 MB
_PALETTE_FRAMES = 9  # frames from which a GIF's colours are taken
_COLOURS = 128
_LONGEST_PICTURE = 100  # of a GIF [ms]
_log = logging.getLogger(__name__)


def film(
    simulation: Simulation, driver: Driver | Expert, scenario: Scenario, name: str, sink: Callable[[Image], None]
) -> Outcome:
    """Drive a scenario once more, as it was driven before, handing its panels to `sink`, the last with the outcome.

    Args:
        simulation: The world to drive in.
        driver: Who steers.
        scenario: What to drive.
        name: The driver's name on the panels.
        sink: Takes each panel (540, 960, 3) uint8.
    """
    last: list[RolloutStep] = []

    def on_step(moment: RolloutStep) -> None:
        sink(compose_panel(moment, PanelContext.of(simulation, name)))
        last[:] = [moment]

    outcome = drive(simulation, driver, scenario, sense=True, record_images=False, on_step=on_step).outcome
    for _ in range(HOLD_FRAMES):
        sink(compose_panel(last[0], PanelContext.of(simulation, name), outcome))
    return outcome


class Mp4Writer:
    """Writes frames of one size to an MP4 as they come; the file appears whole when the block ends."""

    def __init__(self, path: Path, frames_per_second: float) -> None:
        """Write to `path`."""
        self._path = path
        self._rate = frames_per_second
        self._folder = tempfile.TemporaryDirectory()
        self._partial = Path(self._folder.name) / path.name
        self._writer: cv2.VideoWriter | None = None
        self.available = True
        """Whether this machine's OpenCV can write MP4; known after the first frame."""

    def __enter__(self) -> "Mp4Writer":
        return self

    def add(self, frame: Image) -> None:
        """Add a frame (H, W, 3) RGB."""
        if self._writer is None:
            size = (frame.shape[1], frame.shape[0])
            code = cv2.VideoWriter.fourcc(*"mp4v")
            self._writer = cv2.VideoWriter(str(self._partial), code, self._rate, size)
            self.available = self._writer.isOpened()
            if not self.available:
                _log.warning("no MP4 is written: this OpenCV has no mp4v encoder")
        if self.available:
            self._writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._writer is not None:
            self._writer.release()
        if kind is None and self._writer is not None and self.available:
            write_bytes(self._path, self._partial.read_bytes())
        self._folder.cleanup()


class GifWriter:
    """Gathers frames for a GIF, small and few enough to keep in memory."""

    def __init__(self, path: Path, frames_per_second: float, every: int = 2, limit: int = GIF_BYTES) -> None:
        """Write to `path` every so many-th frame, in at most `limit` bytes."""
        self._path = path
        self._rate = frames_per_second
        self._every = every
        self._limit = limit
        self._count = 0
        self._frames: list[Image] = []

    def add(self, frame: Image) -> None:
        """Add a frame (H, W, 3) RGB."""
        self._count += 1
        if (self._count - 1) % self._every:
            return
        if len(self._frames) == _MOST_FRAMES:
            self._frames = self._frames[::2]
            self._every *= 2
        height = round(frame.shape[0] * GIF_WIDTH / frame.shape[1])
        self._frames.append(np.asarray(cv2.resize(frame, (GIF_WIDTH, height), interpolation=cv2.INTER_AREA), np.uint8))

    def save(self) -> None:
        """Write what was gathered, leaving out frames until the file is small enough.

        A picture stays for 0.1 s at most, so that a long drive is played faster than it was driven, not in jerks.

        Raises:
            StorageError: If it cannot be written.
            ValueError: If there is no frame.
        """
        if not self._frames:
            raise ValueError("a GIF needs at least one frame")
        step, palette = 1, _palette(self._frames)
        frames = [
            Picture.fromarray(frame).quantize(palette=palette, dither=Picture.Dither.NONE) for frame in self._frames
        ]
        data = self._encoded(frames)
        while len(data) > self._limit and step < len(frames):
            step = max(step + 1, int(step * len(data) / self._limit))
            data = self._encoded(frames[::step], step)
        write_bytes(self._path, data)

    def _encoded(self, frames: Sequence[Picture.Image], step: int = 1) -> bytes:
        """The GIF of frames of which each stands for `step`."""
        buffer = BytesIO()
        duration = min(round(1000 * self._every * step / self._rate), _LONGEST_PICTURE)
        frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:], duration=duration, loop=0)
        return buffer.getvalue()


def _palette(frames: Sequence[Image]) -> Picture.Image:
    """Colours that suit all frames: those of a few of them, side by side."""
    chosen = np.linspace(0, len(frames) - 1, min(_PALETTE_FRAMES, len(frames))).round().astype(int)
    return Picture.fromarray(np.concatenate([frames[i] for i in chosen])).quantize(_COLOURS)
