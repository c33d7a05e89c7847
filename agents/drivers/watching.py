"""The settings of the window when learned drivers are watched. No torch."""

from dataclasses import dataclass, field

from navsim.drivers.acting import ActingConfig
from navsim.viewer.config import WatchConfig


@dataclass(frozen=True)
class WatchSettings(WatchConfig):
    """What to watch, and how; learned drivers too."""

    acting: ActingConfig = field(default_factory=ActingConfig)
    """How learned drivers take commands from their distributions."""
