"""What each kind of evidence adds: methods set against what they build on, drive by drive. D: drives."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from agents.localization.cases import Method
from agents.localization.config import LocalizeConfig
from agents.localization.running import Tracks
from agents.localization.track import Track
from navsim.evaluation.statistics.intervals import Estimate, bootstrap_estimate
from navsim.seeding import generator
from navsim.simulation.scenario import Scenario

BASELINES: Mapping[Method, Method] = {
    "odometry": "gps",
    "roads": "odometry",
    "network": "odometry",
    "soft": "odometry",
    "network_roads": "roads",
    "soft_roads": "roads",
}
"""What each method builds on: it is told the same and one thing more."""


@dataclass(frozen=True)
class PairedScore:
    """A method less its baseline in one case, over the same drives; intervals of 95% by bootstrap over drives."""

    case: str
    """Name of the case."""
    method: str
    """The method ..."""
    baseline: str
    """... and what it builds on."""
    drives: int
    """Number of drives, D."""
    error: Estimate
    """Median over drives of the difference of position errors, each a median over the drive's second half [m]."""
    near: Estimate
    """Mean over drives of the difference of the shares of updates that have the estimate within `track.NEAR`."""
    entropy: Estimate
    """Mean over drives of the difference of the mean entropies [nats]."""


def paired_scores(config: LocalizeConfig, tracks: Mapping[Scenario, Tracks]) -> list[PairedScore]:
    """Set every method against its baseline, where both were run."""
    pairs = [
        (case, method, BASELINES[method])
        for case in config.cases
        for method in config.methods
        if method in BASELINES and BASELINES[method] in config.methods and config.applies(case, BASELINES[method])
    ]
    return [
        paired_score(case.name, method, baseline, [found[case.name] for found in tracks.values()])
        for case, method, baseline in pairs
    ]


def paired_score(case: str, method: str, baseline: str, tracks: Sequence[Mapping[str, Track]]) -> PairedScore:
    """Sum up tracks, of each drive those of a method and of its baseline, by name."""
    rng = generator(0, "localisation pairs", case, method)

    def difference(value: Callable[[Track], float], statistic: Callable[..., Any]) -> Estimate:
        gaps = [value(drive[method]) - value(drive[baseline]) for drive in tracks]
        return bootstrap_estimate(np.array(gaps), statistic, rng)

    return PairedScore(
        case=case,
        method=method,
        baseline=baseline,
        drives=len(tracks),
        error=difference(lambda track: track.error, np.median),
        near=difference(lambda track: track.share_near, np.mean),
        entropy=difference(lambda track: float(track.entropies.mean()), np.mean),
    )
