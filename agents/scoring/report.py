"""Scores of a policy's predictions as a table, as JSON and as a figure of its calibration. N: frames."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from agents.scoring.calibration import (
    SampleScores,
    Scores,
    coverage,
    nominal_coverage,
    pit_distance,
    pit_histogram,
    score,
    score_groups,
)
from navsim.config import to_mapping
from navsim.evaluation.metrics.calibration import COVERAGE_Z, NOMINAL_COVERAGE
from navsim.number_formats import number
from navsim.sensing.observation import Image
from navsim.simulation.episode import FrameManoeuvre
from navsim.tables import Table, TableSection
from navsim.visualization.palette import DIM, DRIVERS, INK, LINE

_FARTHEST_Z = 3.0
_TOLERANCE = 0.03
_BINS = 20


def plot_calibration(samples: Mapping[str, SampleScores], title: str) -> Figure:
    """Plot coverage over z (the source's measure) and the PIT histogram, for each set of predictions.

    Args:
        samples: Scores of the predictions by name.
        title: Title of the figure.
    """
    figure = Figure(figsize=(11, 4.9), dpi=100, layout="constrained")
    figure.suptitle(title, fontsize=13, color=INK.light, x=0.01, ha="left")
    curve, histogram = figure.subplots(1, 2)
    _coverage(curve, samples)
    _histogram(histogram, samples)
    for axes in (curve, histogram):
        axes.grid(color=LINE.light, zorder=0)
        axes.tick_params(length=0, colors=DIM.light)
        place = "upper left" if axes is curve else "upper center"
        axes.legend(frameon=False, labelcolor=INK.light, fontsize=10, loc=place)
        for spine in axes.spines.values():
            spine.set_visible(False)
    return figure


def figure_pixels(figure: Figure) -> Image:
    """Return a figure as an image (H, W, 3) uint8 RGB."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    return np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3])  # type: ignore[no-untyped-call]


def _coverage(axes: Axes, samples: Mapping[str, SampleScores]) -> None:
    """Plot shares of labels inside the central intervals of z, and those of a Gaussian."""
    z = torch.linspace(0.0, _FARTHEST_Z, 121, dtype=torch.float64)
    nominal = nominal_coverage(z).numpy()
    axes.fill_between(
        z, nominal - _TOLERANCE, nominal + _TOLERANCE, color=DIM.light, alpha=0.18, linewidth=0, label="within 3 points"
    )
    axes.plot(z, nominal, color=DIM.light, linestyle="--", linewidth=1.4, label="nominal")
    marks = torch.tensor(COVERAGE_Z, dtype=torch.float64)
    for (name, scores), tone in zip(samples.items(), DRIVERS, strict=False):
        axes.plot(z, coverage(scores.pit, z), color=tone.light, linewidth=2.0, label=name, zorder=3)
        axes.plot(marks, coverage(scores.pit, marks), "o", color=tone.light, markersize=5.5, zorder=4)
    axes.set(xlim=(0, _FARTHEST_Z), ylim=(0, 1.02))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_xlabel("z", color=INK.light)
    axes.set_title("share of labels in the central interval of z sigma", fontsize=11, color=INK.light, loc="left")


def _histogram(axes: Axes, samples: Mapping[str, SampleScores]) -> None:
    """Plot densities of the probability integral transforms."""
    edges = np.linspace(0.0, 1.0, _BINS + 1)
    axes.axhline(1.0, color=DIM.light, linestyle="--", linewidth=1.4, label="calibrated: uniform")
    highest = 2.0
    for (name, scores), tone in zip(samples.items(), DRIVERS, strict=False):
        density = pit_histogram(scores.pit, _BINS).numpy()
        highest = max(highest, float(density.max()))
        label = f"{name}, distance {pit_distance(scores.pit):.3f}"
        axes.stairs(density, edges, color=tone.light, linewidth=2.0, fill=False, label=label, zorder=3)
        axes.stairs(density, edges, color=tone.light, fill=True, alpha=0.15, zorder=2)
    axes.set(xlim=(0, 1), ylim=(0, 1.3 * highest))
    axes.set_xlabel("cdf at the label", color=INK.light)
    axes.set_title("histogram of the cdf at the label (PIT)", fontsize=11, color=INK.light, loc="left")


_ALL = "all"


@dataclass(frozen=True, eq=False)
class Report:
    """Scores of one checkpoint on one split, under several calibrations."""

    checkpoint: str
    """File of the policy."""
    data: str
    """Folder of the data."""
    split: str
    """Split of the drives."""
    head: str
    """Head of the policy."""
    stored_temperature: float
    """Temperature stored in the checkpoint."""
    fitted_temperature: float
    """Temperature that fits the validation drives best, by `objective`."""
    objective: str
    """Measure by which the temperature was fitted."""
    samples: Mapping[str, SampleScores]
    """Scores of all N frames by the name of the calibration."""
    manoeuvres: NDArray[np.str_]
    """Manoeuvre in each frame (N,), values of `FrameManoeuvre`."""

    @property
    def title(self) -> str:
        """Checkpoint, data and number of frames in a line."""
        return f"{self.checkpoint} ({self.head}) on {self.split} of {self.data}: {len(self.manoeuvres)} frames"

    @cached_property
    def scores(self) -> dict[str, dict[str, Scores]]:
        """Scores by calibration and manoeuvre; `all` comes first."""
        return {
            name: {_ALL: score(samples)} | score_groups(samples, self.manoeuvres, FrameManoeuvre)
            for name, samples in self.samples.items()
        }

    def mapping(self) -> dict[str, Any]:
        """Return the report as plain values."""
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
        """Return one row for each calibration and manoeuvre; lengths in 1/km, shares in %."""
        covered = (f"z {z:g}\n{100 * share:.1f}" for z, share in zip(COVERAGE_Z, NOMINAL_COVERAGE, strict=True))
        headers = ("", "frames", "nll", "crps", "mode\nerror", *covered, "width\n50%", "width\n90%", "PIT\ndist.")
        sections = [
            TableSection(
                [
                    (name if group == _ALL else f"  {group.replace('_', ' ')}", *_cells(scores))
                    for group, scores in by_group.items()
                ]
            )
            for name, by_group in self.scores.items()
        ]
        return Table(headers, sections=sections, title=self.title)

    def figure(self) -> Figure:
        """Return coverage curve and PIT histogram under each calibration."""
        return plot_calibration(self.samples, self.title)


def _cells(scores: Scores) -> list[str]:
    """Return the numbers of one row."""
    return [
        str(scores.count),
        number(scores.nll, 3),
        number(1000 * scores.crps),
        number(1000 * scores.curvature_error),
        *(number(100 * share, 1) for share in scores.coverage),
        number(1000 * scores.width_50, 1),
        number(1000 * scores.width_90, 1),
        number(scores.pit_distance, 3),
    ]
