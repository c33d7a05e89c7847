"""Choosing the powers of the likelihoods on drives through validation towns, by how well beliefs are calibrated.

A Bayes filter takes each likelihood for independent evidence. That of a network is not: what it gets wrong it gets
wrong for some metres, and maps of neighbouring candidates are read alike. So it counts by a power, about the share of
updates that are independent, which is found by trying.

Credible regions as large as other drives say they must be.

A belief's own 50% region holds the true position in 50% of the cases only if all that the filter assumes is so. Drives
through validation towns say in what share of the cases a region of each level holds it, and so which level to take for
a region that holds it in 50%: split conformal prediction (Vovk, Gammerman, Shafer, "Algorithmic Learning in a Random
World", 2005). All drives count alike, since moments of one err alike.

How fast updates are: `python scripts/localize.py --action benchmark`.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from agents.localization.config import LocalizeConfig
from agents.localization.likelihoods import ObservedFrame, PoweredLikelihood
from agents.localization.motion import OdometryStep
from agents.localization.particles import ParticleFilter
from agents.localization.run import LocalizationContext, Tracks, make_bench, open_policy, run_drives, with_exponent
from agents.localization.steering import LatticeConfig
from agents.localization.track import NEAR
from navsim.errors import ConfigError
from navsim.geometry import Array
from navsim.parallel import available_cores
from navsim.seeding import generator
from navsim.simulation.scenario import Scenario
from navsim.storage import write_json


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


SHARES = np.linspace(0.05, 0.95, 19)
"""Shares of the true positions for which levels are kept."""


@dataclass(frozen=True, eq=False)
class Regions:
    """How large regions must be, for each case and method."""

    levels: Mapping[tuple[str, str], Array]
    """By case and method: the level of the region that held each of `SHARES` of the true positions (19,)."""

    def calibrated(self, case: str, method: str, levels: Array) -> Array:
        """Which regions just hold positions that lie at levels (U,) of their beliefs, in shares of other drives.

        Raises:
            ConfigError: If nothing is known of that case and method.
        """
        known = self.levels.get((case, method))
        if known is None:
            raise ConfigError(f"the levels tell nothing of case {case}, method {method}: calibrate with both")
        return np.asarray(np.interp(levels, [0.0, *known, 1.0], [0.0, *SHARES, 1.0]))


def fit_regions(tracks: Mapping[Scenario, Tracks]) -> Regions:
    """Learn how large regions must be from drives that are not judged, all of them counting alike."""
    first = next(iter(tracks.values()))
    pairs = [(case, method) for case, methods in first.items() for method in methods]
    found: dict[tuple[str, str], Array] = {}
    for case, method in pairs:
        drives = [each[case][method].levels for each in tracks.values()]
        # As many values of each drive, so that long ones do not count more.
        values = np.concatenate([np.quantile(levels, np.linspace(0, 1, 101)) for levels in drives])
        found[case, method] = np.quantile(values, SHARES)
    return Regions(found)


def write_regions(path: Path, regions: Regions, about: Mapping[str, Any]) -> None:
    """Write regions as JSON, with plain values about where they come from.

    Raises:
        StorageError: If that fails.
    """
    rows = [{"case": case, "method": name, "levels": row.tolist()} for (case, name), row in regions.levels.items()]
    write_json(path, {"shares": SHARES.tolist(), "regions": rows, **about})


def read_regions(path: Path) -> Regions:
    """Read what `write_regions` wrote.

    Raises:
        ConfigError: If the file is missing, or holds something else.
    """
    try:
        values = json.loads(path.read_text())
        found = {(row["case"], row["method"]): np.array(row["levels"], float) for row in values["regions"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"levels {path}: cannot be read ({error}); make it with --action calibrate") from None
    if not all(len(row) == len(SHARES) and (np.diff([0.0, *row, 1.0]) >= 0).all() for row in found.values()):
        raise ConfigError(f"levels {path}: each row must hold {len(SHARES)} levels from 0 to 1, increasing")
    return Regions(found)


CANDIDATES = 2000
"""Candidates of a timed update."""
_UPDATES = 12
_FINE = LatticeConfig(metres=0.01, turn_deg=0.5)  # every candidate has a map of its own
_KINDS: Mapping[Literal["new", "remembered"], LatticeConfig | None] = {"new": _FINE, "remembered": None}
_WAY = OdometryStep(2.5, 0.0, 0.01)


@dataclass(frozen=True)
class UpdateTimes:
    """Updates of one kind."""

    candidates: int
    """Number of candidates."""
    threads: int
    """Threads that torch may use."""
    maps: Literal["new", "remembered"]
    """`new`: each map is drawn and read anew. `remembered`: as in a drive through a town that was driven before."""
    updates_per_second: float
    """Median rate, by the clock: what else runs on the machine slows it down."""
    updates_per_cpu_second: float
    """Median rate, by the processor time that all threads together used."""


def time_updates(config: LocalizeConfig) -> list[UpdateTimes]:
    """Time updates all over a town, with maps that are new and with maps seen before, on one thread and on all.

    Raises:
        CheckpointError: If the checkpoint is unusable or sees no unrouted map.
    """
    policy = open_policy(config.checkpoint)
    town = config.town_names[0]
    rows: list[UpdateTimes] = []
    for threads in dict.fromkeys((1, available_cores())):
        torch.set_num_threads(threads)
        for maps, lattice in _KINDS.items():
            bench = make_bench(replace(config, lattice=lattice or config.lattice), policy, town)
            seconds = np.array([_timed(config, bench, maps, number) for number in range(_UPDATES)])
            rows.append(UpdateTimes(CANDIDATES, threads, maps, *(1 / np.median(seconds[1:], axis=0)).tolist()))
    return rows


def _timed(config: LocalizeConfig, bench: LocalizationContext, maps: str, number: int) -> tuple[float, float]:
    """Seconds, and seconds of processor time, of update `number` from a belief of `CANDIDATES` all over the town."""
    simulation, lanes = bench.simulation, bench.evidence.lanes
    camera = simulation.cameras[0]
    images = np.zeros((len(simulation.cameras), camera.height, camera.width, 3), np.uint8)
    spec = replace(
        config.filter,
        min_particles=CANDIDATES,
        max_particles=CANDIDATES,
        particles_per_metre=1e-9 + CANDIDATES / lanes.length,
        kidnap_probability=0,
    )
    source = PoweredLikelihood(bench.evidence.steering, config.exponents.steering)
    running = ParticleFilter(spec, lanes, (source,), generator(config.seed, "time", str(number)))
    running.begin(None)
    frame = ObservedFrame(images, 8.0, 0.0)
    if maps == "remembered":
        running.observe(frame, None)
    started, used = time.perf_counter(), time.process_time()
    if maps == "new":
        running.move(_WAY)
    running.observe(frame, None)
    return time.perf_counter() - started, time.process_time() - used
