"""Video files: MP4 (H.264) and GIF, both encoded by the ffmpeg of imageio-ffmpeg. Frames are RGB uint8."""

import functools
import logging
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import imageio_ffmpeg

from navsim.errors import StorageError
from navsim.sensing.observation import Image
from navsim.storage import atomic_file
from navsim.visualization.canvas import downsized

GIF_WIDTH = 640
"""Width of a GIF [px]."""
GIF_BYTES = 6_000_000
"""Largest size of a GIF [bytes]; a larger one is encoded again with fewer frames."""
HOLD_FRAMES = 15
"""Number of frames for which a video shows its last picture."""
_MAX_FRAMES = 300  # of a GIF in memory, about 200 MB
_MIN_RATE = 10.0  # of a GIF [frames/s]: a long drive is played faster than it was driven, not in jerks
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Format:
    """A format of video files, in ffmpeg's terms."""

    codec: str
    """Name of the encoder."""
    pixels: str
    """Name of the pixel format."""
    block: int
    """Number that width and height are multiples of [px]."""
    options: tuple[str, ...]
    """Further options of the command line."""


_MP4 = _Format("libx264", "yuv420p", 2, ("-preset", "veryfast", "-crf", "20", "-movflags", "+faststart", "-f", "mp4"))
# One palette for all frames, and no dithering: flat colours compress well and do not flicker.
_PALETTE = "split[a][b];[a]palettegen=max_colors=128[palette];[b][palette]paletteuse=dither=none"
_GIF = _Format("gif", "pal8", 1, ("-filter_complex", _PALETTE, "-loop", "0", "-f", "gif"))


class Mp4Writer:
    """Encodes frames of one size to an MP4 as they are added; the file appears, complete, when the block ends."""

    def __init__(self, path: Path, frames_per_second: float) -> None:
        """Prepare to write `path`; a block without frames writes nothing."""
        self._path = path
        self._rate = frames_per_second
        self._stack = ExitStack()
        self._add: Callable[[Image], None] | None = None
        self.available = not encoder_problem()
        """Whether this machine can encode; where it cannot, a warning says so and nothing is written."""
        if not self.available:
            _log.warning("%s is not written: %s", path, encoder_problem())

    def __enter__(self) -> "Mp4Writer":
        return self

    def add(self, frame: Image) -> None:
        """Add a frame (H, W, 3).

        Raises:
            StorageError: If the file cannot be written.
        """
        if not self.available:
            return
        if self._add is None:
            partial = Path(self._stack.enter_context(atomic_file(self._path)).name)
            self._add = self._stack.enter_context(_encoder(self._path, partial, frame, self._rate, _MP4))
        self._add(frame)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)


class GifWriter:
    """Gathers frames, small and few enough to stay in memory, for a GIF that is written when the block ends."""

    def __init__(self, path: Path, frames_per_second: float, every: int = 2, limit: int = GIF_BYTES) -> None:
        """Prepare to write every n-th frame to `path`.

        Args:
            path: File to write.
            frames_per_second: Rate at which frames are added.
            every: Keep one of this many frames.
            limit: Largest size of the file [bytes].
        """
        self._path = path
        self._rate = frames_per_second
        self._every = every
        self._limit = limit
        self._count = 0
        self._frames: list[Image] = []

    def __enter__(self) -> "GifWriter":
        return self

    def add(self, frame: Image) -> None:
        """Add a frame (H, W, 3)."""
        self._count += 1
        if (self._count - 1) % self._every:
            return
        if len(self._frames) == _MAX_FRAMES:
            self._frames = self._frames[::2]
            self._every *= 2
        self._frames.append(downsized(frame, GIF_WIDTH))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and self._frames:
            self.save()

    def save(self) -> None:
        """Write the GIF, leaving out frames until the file is small enough; where no encoder runs, only warn.

        Raises:
            StorageError: If the file cannot be written.
            ValueError: If no frame was added.
        """
        if not self._frames:
            raise ValueError("a GIF needs at least one frame")
        if encoder_problem():
            _log.warning("%s is not written: %s", self._path, encoder_problem())
            return
        with atomic_file(self._path) as file:
            partial, step = Path(file.name), 1
            while (size := self._encode(partial, step)) > self._limit and step < len(self._frames):
                step = max(step + 1, int(step * size / self._limit))

    def _encode(self, partial: Path, step: int) -> int:
        """Encode every `step`-th frame that was kept; return the size of the file [bytes]."""
        frames = self._frames[::step]
        rate = max(self._rate / (self._every * step), _MIN_RATE)
        with _encoder(self._path, partial, frames[0], rate, _GIF) as add:
            for frame in frames:
                add(frame)
        return partial.stat().st_size


@functools.cache
def encoder_problem() -> str:
    """Return why ffmpeg does not run on this machine, in one line; empty if it does."""
    try:
        imageio_ffmpeg.get_ffmpeg_version()
    except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
        return f"the ffmpeg of imageio-ffmpeg does not run here: {' '.join(str(error).split())}"
    return ""


@contextmanager
def _encoder(path: Path, partial: Path, first: Image, rate: float, kind: _Format) -> Iterator[Callable[[Image], None]]:
    """Run ffmpeg on frames.

    Args:
        path: Final name of the file, for messages.
        partial: File that ffmpeg writes.
        first: Frame with the size of all frames.
        rate: Frames per second.
        kind: Format of the file.

    Yields:
        Function that adds a frame.

    Raises:
        StorageError: If ffmpeg has stopped early, or the file does not hold all frames.
    """
    height, width = first.shape[:2]
    frames = imageio_ffmpeg.write_frames(
        partial,
        (width, height),
        pix_fmt_out=kind.pixels,
        fps=rate,
        codec=kind.codec,
        quality=None,
        macro_block_size=kind.block,
        ffmpeg_log_level="quiet",
        output_params=list(kind.options),
    )
    count = 0

    def add(frame: Image) -> None:
        nonlocal count
        try:
            frames.send(frame.tobytes())
        except OSError:
            raise _incomplete(path) from None
        count += 1

    frames.send(None)
    try:
        yield add
    finally:
        frames.close()
    # imageio-ffmpeg does not report a failure of ffmpeg, such as a full disk.
    try:
        complete = imageio_ffmpeg.count_frames_and_secs(partial)[0] == count
    except RuntimeError:
        complete = False
    if not complete:
        raise _incomplete(path)


def _incomplete(path: Path) -> StorageError:
    return StorageError(f"{path}: cannot be written: ffmpeg has stopped early (is the disk full?)")
