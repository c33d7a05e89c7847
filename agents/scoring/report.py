"""Scores of a policy's predictions as a table, as JSON and as a figure. N: situations."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.box import SIMPLE
from rich.table import Table

from agents.scoring.calibration import SampleScores, Scores, score, score_groups
from agents.scoring.plots import plot_calibration
from navsim.config import to_mapping
from navsim.evaluation.metrics.calibration import COVERAGE_Z, NOMINAL_COVERAGE
from navsim.simulation.manoeuvres import FrameManoeuvre

_ALL = "all"


@dataclass(frozen=True, eq=False)
class Report:
    """Scores of one checkpoint on one split, under several calibrations."""

    checkpoint: str
    """The policy's file."""
    data: str
    """The data folder."""
    split: str
    """Which of its drives."""
    head: str
    """The policy's head."""
    stored_temperature: float
    """The checkpoint's own temperature."""
    fitted_temperature: float
    """The temperature that fits the validation drives best ..."""
    objective: str
    """... by this measure."""
    samples: Mapping[str, SampleScores]
    """Scores of all N situations by the name of the calibration."""
    manoeuvres: NDArray[np.str_]
    """What the car was doing in each situation (N,), values of `FrameManoeuvre`."""

    @property
    def title(self) -> str:
        """What was scored, in a line."""
        return f"{self.checkpoint} ({self.head}) on {self.split} of {self.data}: {len(self.manoeuvres)} frames"

    @cached_property
    def scores(self) -> dict[str, dict[str, Scores]]:
        """Scores by calibration and manoeuvre; `all` comes first."""
        return {
            name: {_ALL: score(samples)} | score_groups(samples, self.manoeuvres, FrameManoeuvre)
            for name, samples in self.samples.items()
        }

    def mapping(self) -> dict[str, Any]:
        """All of it as plain values."""
        names = ("checkpoint", "data", "split", "head", "stored_temperature", "fitted_temperature", "objective")
        return {name: getattr(self, name) for name in names} | {
            "frames": len(self.manoeuvres),
            "nominal_coverage": dict(zip(map(str, COVERAGE_Z), NOMINAL_COVERAGE, strict=True)),
            "scores": {
                name: {group: to_mapping(scores) for group, scores in by_group.items()}
                for name, by_group in self.scores.items()
            },
        }

    def table(self) -> Table:
        """One row for each calibration and manoeuvre; lengths in 1/km, shares in %."""
        table = Table(title=self.title, box=SIMPLE, padding=0, pad_edge=False, show_edge=False)
        table.add_column("", no_wrap=True)
        covered = (f"z {z:g}\n{100 * share:.1f}" for z, share in zip(COVERAGE_Z, NOMINAL_COVERAGE, strict=True))
        for head in ("frames", "nll", "crps", "mode\nerror", *covered, "width\n50%", "width\n90%", "PIT\ndist."):
            table.add_column(head, justify="right", no_wrap=True)
        for name, by_group in self.scores.items():
            for group, scores in by_group.items():
                table.add_row(name if group == _ALL else f"  {group.replace('_', ' ')}", *_cells(scores))
            table.add_section()
        return table

    def figure(self) -> Figure:
        """Coverage curve and PIT histogram under each calibration."""
        return plot_calibration(self.samples, self.title)


def _cells(scores: Scores) -> list[str]:
    """One row's numbers."""
    crps, error = (f"{1000 * length:.2f}" for length in (scores.crps, scores.curvature_error))
    narrow, wide = (f"{1000 * length:.1f}" for length in (scores.width_50, scores.width_90))
    covered = [f"{100 * share:.1f}" for share in scores.coverage]
    return [str(scores.count), f"{scores.nll:.3f}", crps, error, *covered, narrow, wide, f"{scores.pit_distance:.3f}"]
