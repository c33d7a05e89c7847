"""How smoothly the window moves, and what gives way when a machine is too slow."""

from dataclasses import dataclass, replace

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
