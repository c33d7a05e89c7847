"""OpenCV's window for the panel."""

import os

import cv2
import numpy as np

from navsim.sensing.observation import Image
from navsim.viewer.viewer_keys import Abilities, key_help
from navsim.visualization.canvas import (
    BRIGHT,
    DIM,
    Text,
    blank,
    text_width,
    written,
)
from navsim.world.display import require_display

KEYS_HEIGHT = 34
"""Of the strip under the panel [px]."""
_KEYS_SIZE = 13
_KEYS_GAP, _KEYS_EDGE = 14, 8  # between two keys, less where there are many; and least beside them [px]
_KEY_NAMES = {
    10: "enter",
    13: "enter",
    27: "escape",
    32: "space",
    65361: "left",
    65362: "up",
    65363: "right",
    65364: "down",
}


class PanelWindow:
    """One window that shows pictures; use `close` when done. When its user closes it, pictures go nowhere."""

    def __init__(self, title: str, corner: tuple[int, int] = (0, 0)) -> None:
        """Open an empty window.

        Args:
            title: Must differ from those of other windows.
            corner: Where its upper left corner should be on the screen [px].

        Raises:
            DisplayError: If there is no display to open it on.
        """
        require_display()
        # Qt, inside OpenCV, complains of fonts that are never used.
        os.environ.setdefault("QT_LOGGING_RULES", "*.warning=false")
        self._title, self._corner = title, corner
        self._shown = self._seen = False
        cv2.namedWindow(title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
        self.is_open = True
        """Whether it can be seen."""

    def show(self, picture: Image) -> None:
        """Show a picture (H, W, 3) RGB."""
        if not self.is_open:
            return
        if not self._shown:
            cv2.resizeWindow(self._title, picture.shape[1], picture.shape[0])
            cv2.moveWindow(self._title, *self._corner)
            self._shown = True
        cv2.imshow(self._title, picture[..., ::-1])

    def keys(self) -> tuple[str, ...]:
        """Let the window draw itself; names of the keys pressed in it since the last call, as `Window.keys`."""
        if not self.is_open:
            return ()
        pressed = []
        while (code := cv2.waitKeyEx(1)) >= 0:
            pressed.append(_KEY_NAMES.get(code & 0xFFFF, chr(code & 0xFF)))
        visible = cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) >= 1
        self.is_open = visible or not self._seen  # it takes a while to come up
        self._seen = self._seen or visible
        return tuple(pressed)

    def close(self) -> None:
        """Close the window; may be called again."""
        if self.is_open:
            self.is_open = False
            cv2.destroyWindow(self._title)
            cv2.waitKey(1)


def with_keys(panel: Image, abilities: Abilities) -> Image:
    """The panel (H, W, 3) with a strip under it that names the keys."""
    width = panel.shape[1]
    pairs = key_help(abilities)
    parts = [(words, colour) for key, word in pairs for words, colour in ((key, BRIGHT), (word, DIM))]
    sizes, inner = [text_width(words, _KEYS_SIZE) for words, _ in parts], 5
    least = sum(sizes) + inner * len(pairs)
    outer = min(_KEYS_GAP, (width - 2 * _KEYS_EDGE - least) / (len(pairs) - 1))
    x = (width - least - outer * (len(pairs) - 1)) / 2
    texts = []
    for i, ((words, colour), size) in enumerate(zip(parts, sizes, strict=True)):
        texts.append(Text(words, x, KEYS_HEIGHT / 2 - 3, _KEYS_SIZE, colour, "lm"))
        x += size + (inner if i % 2 == 0 else outer)
    return np.concatenate([panel, written(blank(width, KEYS_HEIGHT), texts)])
