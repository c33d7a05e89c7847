"""What became of one drive that was localised. U: updates."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from agents.localization.likelihoods import Fix
from agents.localization.posterior import PosePosterior
from navsim.geometry import Array, Pose, wrap_angle

NEAR = 10.0
"""Within this of the truth a car counts as localised [m]."""


@dataclass(frozen=True, eq=False)
class TrackPoint:
    """One update of the belief about a drive."""

    index: int
    """Which control step of the drive."""
    time: float
    """Since the start [s]."""
    distance: float
    """Driven, truly [m]."""
    junctions: int
    """Passed, truly."""
    truth: Pose
    """The true pose."""
    fix: Fix | None
    """The fix, if there is one."""
    posterior: PosePosterior
    """The belief."""
    seconds: float
    """Taken by the update [s]."""


@dataclass(frozen=True, eq=False)
class Track:
    """What became of one drive; arrays (U,) with a value for each update, the first before anything was seen."""

    times: Array
    """Since the start [s]."""
    distances: Array
    """Driven, truly [m]."""
    junctions: Array
    """Passed, truly."""
    errors: Array
    """Distance of the estimate from the truth [m]."""
    heading_errors: Array
    """Of the estimate, at least 0 [rad]."""
    fix_errors: Array
    """Distance of the fix from the truth [m]; NaN without a fix."""
    fix_heading_errors: Array
    """Of the fix, at least 0 [rad]; NaN without a fix."""
    entropies: Array
    """Of the position [nats], see `PosePosterior.entropy`."""
    levels: Array
    """Credible level at which the true position lies, in [0, 1]."""
    near: Array
    """Probability of being within `NEAR` of the estimate."""
    candidates: Array
    """Number of candidates."""
    seconds: Array
    """Taken by the update [s]."""
    ignored_fixes: int = 0
    """Fixes that lay off the map."""

    def plain(self) -> dict[str, Any]:
        """Plain values, NaN as None."""
        values: dict[str, Any] = {"ignored_fixes": self.ignored_fixes}
        for name in _arrays():
            values[name] = [None if np.isnan(value) else round(value, 5) for value in getattr(self, name).tolist()]
        return values

    @staticmethod
    def of(values: dict[str, Any]) -> "Track":
        """The inverse of `plain`."""
        arrays = {name: np.array([np.nan if v is None else v for v in values[name]], float) for name in _arrays()}
        return Track(**arrays, ignored_fixes=values["ignored_fixes"])

    @property
    def error(self) -> float:
        """Median over the later half of `errors` [m]: the first half shows how it begins, not how well it ends up."""
        return float(np.median(_later_half(self.errors)))

    @property
    def heading_error(self) -> float:
        """Median over the later half of `heading_errors` [rad]."""
        return float(np.median(_later_half(self.heading_errors)))

    @property
    def fix_error(self) -> float:
        """Median of `fix_errors` [m] where there were fixes; NaN if there were none."""
        return float(np.nanmedian(self.fix_errors))

    @property
    def fix_heading_error(self) -> float:
        """Median of `fix_heading_errors` [rad] where there were fixes; NaN if there were none."""
        return float(np.nanmedian(self.fix_heading_errors))

    @property
    def share_near(self) -> float:
        """Share of the updates with the estimate within `NEAR` of the truth."""
        return float(np.mean(self.errors <= NEAR))

    @property
    def found_at(self) -> int | None:
        """The update from which on the estimate stays within `NEAR` of the truth; None if it ends elsewhere."""
        wrong = np.flatnonzero(self.errors > NEAR)
        first = int(wrong[-1]) + 1 if len(wrong) else 0
        return first if first < len(self.errors) else None


def _later_half(values: Array) -> Array:
    return values[len(values) // 2 :]


def _arrays() -> list[str]:
    return [entry.name for entry in fields(Track) if entry.name != "ignored_fixes"]


class TrackLog:
    """Gathers a track, update by update."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._rows: list[tuple[float, ...]] = []

    def add(self, moment: TrackPoint) -> None:
        """Note one update."""
        truth, belief = moment.truth, moment.posterior
        best = belief.estimate
        seen = None if moment.fix is None else Pose(*moment.fix.pose.tolist())
        self._rows.append(
            (
                moment.time,
                moment.distance,
                float(moment.junctions),
                *_apart(best, truth),
                *((np.nan, np.nan) if seen is None else _apart(seen, truth)),
                belief.entropy,
                belief.credible_level(truth.position),
                belief.mass_within(best.position, NEAR),
                float(len(belief.weights)),
                moment.seconds,
            )
        )

    def track(self, ignored: int) -> Track:
        """What was gathered; `ignored` fixes lay off the map."""
        columns = dict(zip(_arrays(), np.array(self._rows).T, strict=True))
        return Track(**columns, ignored_fixes=ignored)


def _apart(pose: Pose, truth: Pose) -> tuple[float, float]:
    """Distance [m] and difference of headings [rad], both at least 0."""
    turn = abs(float(wrap_angle(pose.heading - truth.heading)))
    return float(np.hypot(pose.x - truth.x, pose.y - truth.y)), turn
