"""Choosing the powers of the likelihoods on drives through validation towns, by how well beliefs are calibrated.

A Bayes filter takes each likelihood for independent evidence. That of a network is not: what it gets wrong it gets
wrong for some metres, and maps of neighbouring candidates are read alike. So it counts by a power, about the share of
updates that are independent, which is found by trying.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from agents.localization.config import LocalizeConfig
from agents.localization.running import Tracks, run_drives, with_exponent
from agents.localization.track import NEAR
from navsim.simulation.scenario import Scenario


@dataclass(frozen=True)
class Trial:
    """One exponent for one method, over all drives and cases."""

    method: str
    """Name of the method."""
    exponent: float
    """Power of the likelihood that is tuned."""
    miscalibration: float
    """Mean distance of the shares in the 50 and 90% credible regions from 50 and 90%, over cases."""
    error: float
    """Median position error [m]."""
    near: float
    """Share of updates within `track.NEAR` of the truth."""
    log_score: float
    """Mean logarithm of the probability that the belief gives to within `track.NEAR` of its estimate, or to
    elsewhere where the truth is there [nats]; the larger, the better."""


def try_exponents(config: LocalizeConfig) -> list[Trial]:
    """Localise the same drives with each exponent of `config.tried`; each has its own folder of results.

    Raises:
        CheckpointError: If the checkpoint is unusable or sees no unrouted map.
    """
    trials: list[Trial] = []
    for value in config.tried:
        tracks = run_drives(with_exponent(config, value))
        trials += [trial(method, value, tracks) for method in config.methods if method not in ("gps", "uniform")]
    return trials


def trial(method: str, exponent: float, tracks: Mapping[Scenario, Tracks]) -> Trial:
    """Sum up what one method did with one exponent."""
    cases = list(next(iter(tracks.values())))
    by_case = [[found[case][method] for found in tracks.values()] for case in cases]
    gaps = [
        abs(float(np.mean(np.concatenate([track.levels for track in chosen]) <= level)) - level)
        for chosen in by_case
        for level in (0.5, 0.9)
    ]
    every = [track for chosen in by_case for track in chosen]
    errors = np.concatenate([track.errors for track in every])
    near = np.clip(np.concatenate([track.near for track in every]), 1e-4, 1 - 1e-4)
    right = errors <= NEAR
    logs = np.where(right, np.log(near), np.log(1 - near))
    return Trial(
        method, exponent, float(np.mean(gaps)), float(np.median(errors)), float(right.mean()), float(logs.mean())
    )
