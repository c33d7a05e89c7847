"""The window of the dashboard: its painter, its rate, and the keys under it."""

import os
from dataclasses import dataclass, replace
from typing import Protocol

import cv2
import numpy as np

from navsim.drivers.protocol import Explain, Salience
from navsim.errors import DisplayError
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
from navsim.visualization.dashboard import DashboardContext, compose_dashboard
from navsim.visualization.drive_events import DriveLog
from navsim.world.bullet import require_display

TARGET_RATE = 20.0
"""Rate of the window's pictures below which the dashboard is drawn less often [1/s]."""
MAX_SKIPPED = 8
"""Largest number of control steps for each drawn dashboard."""
_WINDOW = 2.0  # time over which the rate is measured, and between two changes [s]
_RECOVERY = 1.4  # ratio to the target rate above which the dashboard is drawn more often again
NO_SALIENCY = "no saliency: this driver does not provide it"
KEYS_HEIGHT = 34
"""Height of the strip under the dashboard [px]."""
_KEYS_SIZE = 13
_KEYS_GAP, _KEYS_EDGE = 14, 8  # largest space between two keys, smallest space beside them [px]
_KEY_NAMES = {
    10: "enter",
    13: "enter",
    27: "escape",
    32: "space",
} | {
    code: name
    for codes in (
        range(0xFF51, 0xFF55),  # X11
        (0xF702, 0xF700, 0xF703, 0xF701),  # macOS
        range(0x250000, 0x290000, 0x10000),  # Windows
    )
    for code, name in zip(codes, ("left", "up", "right", "down"), strict=True)
}


@dataclass(frozen=True)
class FrameRate:
    """Rate of the window's pictures, and how often the dashboard is drawn."""

    times: tuple[float, ...] = ()
    """Times of the pictures within the last two seconds [s]."""
    dashboard_every: int = 1
    """Number of control steps for each drawn dashboard."""
    changed: float = float("-inf")
    """Time of the last change of `dashboard_every` [s]."""

    def after(self, now: float) -> "FrameRate":
        """Return the rate after another picture."""
        times = (*(time for time in self.times if now - time < _WINDOW), now)
        drawn = replace(self, times=times, changed=now if not self.times else self.changed)
        if now - drawn.changed < _WINDOW:
            return drawn
        every = self.dashboard_every
        if drawn.rate < TARGET_RATE:
            every = min(2 * every, MAX_SKIPPED)
        elif drawn.rate > _RECOVERY * TARGET_RATE:
            every = max(every // 2, 1)
        return replace(drawn, dashboard_every=every, changed=now)

    @property
    def rate(self) -> float:
        """Pictures per second [1/s]; 0 before the second picture."""
        if len(self.times) < 2:
            return 0.0
        return (len(self.times) - 1) / max(self.times[-1] - self.times[0], 1e-9)

    @property
    def text(self) -> str:
        """Rate, and share of the dashboards that are drawn, for the screen; empty before the second picture."""
        if len(self.times) < 2 or self.changed == float("-inf"):
            return ""
        dropped = f", dashboard 1 of {self.dashboard_every}" if self.dashboard_every > 1 else ""
        return f"{self.rate:.0f} frames/s{dropped}"


class Painter(Protocol):
    """Draws the dashboards of drives, one drive after the other."""

    supports_saliency: bool
    """Whether the painter can show saliency."""

    def begin(self, simulation: Simulation, driver: str, explain: Explain | None) -> None:
        """Begin a drive.

        Args:
            simulation: Simulation in which the drive has begun.
            driver: Name of the driver.
            explain: Function that returns the driver's saliency; None if it has none.
        """

    def observe(self, step: RolloutStep) -> None:
        """Process a control step, whether it is drawn or not."""

    def draw(self, step: RolloutStep, outcome: Outcome | None, log: DriveLog, show_saliency: bool) -> Image:
        """Draw the last observed step.

        Args:
            step: Last observed step.
            outcome: Outcome of the drive, if it has ended.
            log: Events and past path so far.
            show_saliency: Whether to show saliency.

        Returns:
            Dashboard (540, 960, 3) uint8 RGB.
        """


class DashboardPainter:
    """Draws observation, decision and status of each step, with the driver's saliency if wanted."""

    supports_saliency = True

    def __init__(self) -> None:
        """Begin without a drive."""
        self._context: DashboardContext | None = None
        self._explain: Explain | None = None

    def begin(self, simulation: Simulation, driver: str, explain: Explain | None) -> None:
        """Begin a drive."""
        self._context, self._explain = DashboardContext.of(simulation, driver), explain

    def observe(self, step: RolloutStep) -> None:
        """Do nothing, since a dashboard depends on its own step only."""

    def draw(self, step: RolloutStep, outcome: Outcome | None, log: DriveLog, show_saliency: bool) -> Image:
        """Draw a step."""
        if self._context is None:
            raise RuntimeError("begin must be called before draw")
        observation, salience, remark = step.time_step.observation, None, ""
        if show_saliency and self._explain is None:
            remark = NO_SALIENCY
        elif show_saliency and self._explain is not None and observation is not None:
            salience = self._explain(observation)
            remark = _missing_saliency(salience)
        return compose_dashboard(step, self._context, outcome, log, salience, remark)


def _missing_saliency(salience: Salience) -> str:
    """Return a line that names the inputs without saliency; empty if there are none."""
    missing = [name for name, part in (("cameras", salience.images), ("maps", salience.maps)) if part is None]
    return f"this driver does not use {' or '.join(missing)}" if missing else ""


class DashboardWindow:
    """A window that shows pictures; use `close` when done. After its user has closed it, pictures are ignored."""

    def __init__(self, title: str, corner: tuple[int, int] = (0, 0)) -> None:
        """Open an empty window.

        Args:
            title: Title, different from those of other windows.
            corner: Position of the upper left corner on the screen [px].

        Raises:
            DisplayError: If no display is available.
        """
        require_display()
        # Qt, inside OpenCV, warns of missing fonts that are never used.
        os.environ.setdefault("QT_LOGGING_RULES", "*.warning=false")
        self._title, self._corner = title, corner
        self._shown = self._seen = False
        try:
            cv2.namedWindow(title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
        except cv2.error as error:
            raise DisplayError(f"this build of OpenCV opens no windows: {' '.join(str(error).split())}") from None
        self.is_open = True
        """Whether the window is open."""

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
        """Process the window's events; return the names of keys pressed since the last call, as `Window.keys`."""
        if not self.is_open:
            return ()
        pressed = []
        while (code := cv2.waitKeyEx(1)) >= 0:
            pressed.append(key_name(code))
        visible = cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) >= 1
        self.is_open = visible or not self._seen  # it takes a while to appear
        self._seen = self._seen or visible
        return tuple(pressed)

    def close(self) -> None:
        """Close the window; may be called again."""
        if self.is_open:
            self.is_open = False
            cv2.destroyWindow(self._title)
            cv2.waitKey(1)


def key_name(code: int) -> str:
    """Return the name of a key by OpenCV's code, which on X11 has the modifiers in its upper half."""
    return _KEY_NAMES.get(code) or _KEY_NAMES.get(code & 0xFFFF) or chr(code & 0xFF)


def with_keys(dashboard: Image, capabilities: Capabilities) -> Image:
    """Return the dashboard (H, W, 3) with a strip under it that names the keys."""
    width = dashboard.shape[1]
    pairs = key_help(capabilities)
    parts = [(text, colour) for key, effect in pairs for text, colour in ((key, BRIGHT), (effect, DIM))]
    sizes, inner = [text_width(text, _KEYS_SIZE) for text, _ in parts], 5
    min_width = sum(sizes) + inner * len(pairs)
    outer = min(_KEYS_GAP, (width - 2 * _KEYS_EDGE - min_width) / (len(pairs) - 1))
    x = (width - min_width - outer * (len(pairs) - 1)) / 2
    texts = []
    for i, ((text, colour), size) in enumerate(zip(parts, sizes, strict=True)):
        texts.append(Text(text, x, KEYS_HEIGHT / 2 - 3, _KEYS_SIZE, colour, "lm"))
        x += size + (inner if i % 2 == 0 else outer)
    return np.concatenate([dashboard, written(blank(width, KEYS_HEIGHT), texts)])
