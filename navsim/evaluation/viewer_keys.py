"""What the keys do while a drive is watched, as a pure function from one state of the playback to the next."""

from dataclasses import dataclass, replace

from navsim.rendering.viewpoints import View

HELP = "space pause   s step   c camera   r next route   + faster   - slower   q quit"
"""One line that names the keys."""

SPEEDS = (0.0625, 0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 0.0)
"""Real-time factors in the order of + and -; the last one, 0, is as fast as the machine can."""


@dataclass(frozen=True)
class Playback:
    """How the drive is shown, and what its watcher wants next."""

    speed: float = 1.0
    """Simulated over real time; 0 for as fast as possible."""
    view: View = View.CHASE
    """The window's camera."""
    paused: bool = False
    """Whether the drive stands still."""
    stepping: bool = False
    """Whether a paused drive may go on for one control step."""
    skipping: bool = False
    """Whether the next route is wanted."""
    ended: bool = False
    """Whether the watcher has had enough."""

    def after(self, key: str) -> "Playback":
        """The playback after a key named as by `Window.keys`; keys without a meaning change nothing."""
        if key == "space":
            return replace(self, paused=not self.paused, stepping=False)
        if key in ("s", "n"):
            return replace(self, paused=True, stepping=True)
        if key == "c":
            return replace(self, view=self.view.following)
        if key in ("r", "enter"):
            return replace(self, skipping=True)
        if key in ("q", "escape"):
            return replace(self, ended=True)
        if key in ("+", "="):
            return replace(self, speed=_next_speed(self.speed, 1))
        if key in ("-", "_"):
            return replace(self, speed=_next_speed(self.speed, -1))
        return self

    @property
    def words(self) -> str:
        """How fast it goes, for the screen."""
        pace = "as fast as possible" if self.speed == 0 else f"{self.speed:g}x"
        return f"paused ({pace})" if self.paused else pace


def _next_speed(speed: float, direction: int) -> float:
    """The next of SPEEDS in that direction, also from a factor between them."""
    rank = [float("inf") if known == 0 else known for known in SPEEDS]
    now = float("inf") if speed == 0 else speed
    ahead = [i for i, known in enumerate(rank) if (known - now if now != known else 0.0) * direction > 0]
    if not ahead:
        return speed
    return SPEEDS[min(ahead) if direction > 0 else max(ahead)]
