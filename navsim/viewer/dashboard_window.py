"""The dashboard's window: what is drawn in it, how often, and the keys under it."""

import os
from dataclasses import dataclass, replace
from typing import Protocol

import cv2
import numpy as np

from navsim.drivers.protocol import Explain, Salience
from navsim.sensing.observation import Image
from navsim.simulation.rollout import RolloutStep
from navsim.simulation.scenario import Outcome
from navsim.simulation.simulation import Simulation
from navsim.viewer.controls import Capabilities, key_help
from navsim.visualization.canvas import (
    BRIGHT,
    DIM,
    Text,
    blank,
    text_width,
    written,
)
from navsim.visualization.dashboard import PanelContext, compose_panel
from navsim.visualization.drive_events import DriveLog
from navsim.world.bullet import require_display

WANTED = 20.0
"""Pictures of the window per second that are held, if need be at the panel's cost."""
MOST_SKIPPED = 8
"""The panel is drawn at least at every so many-th control step."""
_WINDOW = 2.0  # over which pictures are counted, and between two changes [s]
_AMPLE = 1.4  # so many times the wanted rate allows for more panels again


@dataclass(frozen=True)
class FrameRate:
    """The times of the last pictures, and how often the panel is drawn."""

    times: tuple[float, ...] = ()
    """When pictures were drawn within the last two seconds [s]."""
    panel_every: int = 1
    """At how many control steps one panel is drawn."""
    changed: float = float("-inf")
    """When that was changed last [s]."""

    def after(self, now: float) -> "FrameRate":
        """The rate after another picture."""
        times = (*(time for time in self.times if now - time < _WINDOW), now)
        drawn = replace(self, times=times, changed=now if not self.times else self.changed)
        if now - drawn.changed < _WINDOW:
            return drawn
        every = self.panel_every
        if drawn.rate < WANTED:
            every = min(2 * every, MOST_SKIPPED)
        elif drawn.rate > _AMPLE * WANTED:
            every = max(every // 2, 1)
        return replace(drawn, panel_every=every, changed=now)

    @property
    def rate(self) -> float:
        """Pictures per second; 0 before there are two."""
        if len(self.times) < 2:
            return 0.0
        return (len(self.times) - 1) / max(self.times[-1] - self.times[0], 1e-9)

    @property
    def words(self) -> str:
        """The rate, and what is dropped, for the screen; empty before it is known."""
        if len(self.times) < 2 or self.changed == float("-inf"):
            return ""
        dropped = f", panel 1 of {self.panel_every}" if self.panel_every > 1 else ""
        return f"{self.rate:.0f} frames/s{dropped}"


NO_SALIENCY = "no saliency: this driver does not tell what it looks at"


class Painter(Protocol):
    """Draws the panel of one drive after the other."""

    salient: bool
    """Whether it can show what the driver looks at."""

    def begin(self, simulation: Simulation, driver: str, explain: Explain | None) -> None:
        """A drive begins.

        Args:
            simulation: Is in it.
            driver: Name of who drives.
            explain: Tells what the driver looks at; None if it cannot.
        """

    def note(self, moment: RolloutStep) -> None:
        """Take note of a moment, whether it is drawn or not."""

    def draw(self, moment: RolloutStep, outcome: Outcome | None, story: DriveLog, salient: bool) -> Image:
        """Draw the moment that was noted last.

        Args:
            moment: That moment.
            outcome: How the drive ended, if it has.
            story: The drive so far.
            salient: Whether to show what the driver looks at.

        Returns:
            The panel (540, 960, 3) uint8 RGB.
        """


class DrivePainter:
    """Draws what the car senses and what its driver decides, if wanted with what the driver looks at."""

    salient = True

    def __init__(self) -> None:
        """Know of no drive yet."""
        self._context: PanelContext | None = None
        self._explain: Explain | None = None

    def begin(self, simulation: Simulation, driver: str, explain: Explain | None) -> None:
        """A drive begins."""
        self._context, self._explain = PanelContext.of(simulation, driver), explain

    def note(self, moment: RolloutStep) -> None:
        """Nothing: each picture stands for itself."""

    def draw(self, moment: RolloutStep, outcome: Outcome | None, story: DriveLog, salient: bool) -> Image:
        """Draw a moment."""
        if self._context is None:
            raise RuntimeError("begin must be called before draw")
        observation, salience, remark = moment.step.observation, None, ""
        if salient and self._explain is None:
            remark = NO_SALIENCY
        elif salient and self._explain is not None and observation is not None:
            salience = self._explain(observation)
            remark = _unseen(salience)
        return compose_panel(moment, self._context, outcome, story, salience, remark)


def _unseen(salience: Salience) -> str:
    """What a driver does not look at at all, in words; empty if it looks at everything."""
    missing = [name for name, part in (("cameras", salience.images), ("maps", salience.maps)) if part is None]
    return f"this driver looks at no {' and no '.join(missing)}" if missing else ""


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


def with_keys(panel: Image, abilities: Capabilities) -> Image:
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
