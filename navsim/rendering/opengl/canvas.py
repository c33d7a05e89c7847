"""The framebuffer that pictures are drawn into, one after the other, and the buffers that collect them.

Every picture is drawn at the same place: where in a large framebuffer it stood would show in the rounding of its
colours. The pictures wait on the device and are read back together.
"""

import moderngl
import numpy as np
from numpy.typing import NDArray

_BYTES = 4
"""Of a pixel, in colour and class or in depth."""


class Canvas:
    """Colour, class and depth of pictures of one size."""

    def __init__(self, context: moderngl.Context, width: int, height: int) -> None:
        self._context = context
        self.width, self.height = width, height
        self._colour = context.renderbuffer((width, height), 4)
        self._depth = context.depth_renderbuffer((width, height))
        self._frame = context.framebuffer([self._colour], self._depth)
        self._bytes = _BYTES * width * height
        self._stores = [context.buffer(reserve=self._bytes) for _ in range(2)]

    def prepare(self, count: int) -> None:
        """Make room for `count` pictures, and draw here from now on."""
        if self._stores[0].size < count * self._bytes:
            for store in self._stores:
                store.release()
            self._stores = [self._context.buffer(reserve=count * self._bytes, dynamic=True) for _ in range(2)]
        self._frame.use()

    def begin(self) -> None:
        """Draw on nothing."""
        self._frame.clear()

    def store(self, index: int, measured: bool) -> None:
        """Put the picture that was drawn in its place among the others, with its depths if `measured`."""
        self._frame.read_into(self._stores[0], components=4, write_offset=index * self._bytes)
        if measured:
            offset = index * self._bytes
            self._frame.read_into(self._stores[1], components=1, attachment=-1, dtype="f4", write_offset=offset)

    def colours(self, count: int) -> NDArray[np.uint8]:
        """Colours and classes of the first pictures (count, height, width, 4)."""
        values = np.empty((count, self.height, self.width, 4), np.uint8)
        self._stores[0].read_into(values, values.nbytes)
        return values

    def depths(self, count: int) -> NDArray[np.float32]:
        """Depth buffers of the first pictures (count, height, width)."""
        values = np.empty((count, self.height, self.width), np.float32)
        self._stores[1].read_into(values, values.nbytes)
        return values

    def release(self) -> None:
        """Free it."""
        self._frame.release()
        self._colour.release()
        self._depth.release()
        for store in self._stores:
            store.release()
