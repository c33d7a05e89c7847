"""The framebuffer that pictures are drawn into, one below the other."""

import moderngl
import numpy as np
from numpy.typing import NDArray


class Canvas:
    """Colour and depth of a column of pictures."""

    def __init__(self, context: moderngl.Context, width: int, height: int) -> None:
        self._size = (width, height)
        self._colour = context.renderbuffer(self._size, 4)
        self._depth = context.depth_renderbuffer(self._size)
        self._frame = context.framebuffer([self._colour], self._depth)
        self._pixels = np.empty((height, width, 4), np.uint8)

    def begin(self) -> None:
        """Draw here from now on, onto nothing."""
        self._frame.use()
        self._frame.clear()

    def keep_classes(self, kept: bool) -> None:
        """Whether what is drawn next leaves the classes as they are."""
        self._frame.color_mask = (True, True, True, not kept)

    def colours(self) -> NDArray[np.uint8]:
        """What was drawn (height, width, 4); overwritten by the next call."""
        self._frame.read_into(self._pixels, components=4)
        return self._pixels

    def depths(self) -> NDArray[np.float32]:
        """Depth buffer (height, width)."""
        values = np.empty(self._size[::-1], np.float32)
        self._frame.read_into(values, components=1, attachment=-1, dtype="f4")
        return values

    def release(self) -> None:
        """Free it."""
        for part in (self._frame, self._colour, self._depth):
            part.release()
