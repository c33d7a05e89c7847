"""The settings of an evaluation in which learned drivers take part. No torch."""

from dataclasses import dataclass, field

from navsim.drivers.acting import ActingConfig
from navsim.evaluation.config import EvaluateConfig


@dataclass(frozen=True)
class EvaluationSettings(EvaluateConfig):
    """What to evaluate, and how; learned drivers too."""

    acting: ActingConfig = field(default_factory=ActingConfig)
    """How learned drivers take commands from their distributions."""
