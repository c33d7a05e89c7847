"""Tuning on validation towns: powers of the likelihoods, and sizes of credible regions; timing of updates.

A Bayes filter assumes that all likelihoods are independent. Those of a network are not: its errors persist for some
metres, and maps of neighbouring candidates look alike. A power below 1 corrects for that. It is about the share of
updates that are independent, and is found by trying.

A belief's own 50% region holds the true position in 50% of the cases only if all assumptions of the filter hold. Drives
through validation towns show which level holds it in 50%: split conformal prediction (Vovk, Gammerman, Shafer,
"Algorithmic Learning in a Random World", 2005). All drives have equal weight, since the errors within a drive are
correlated.
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
from agents.localization.run import LocalizationContext, Tracks, make_context, open_policy, run_drives, with_exponent
from agents.localization.steering import LatticeConfig
from agents.localization.tracking import NEAR
from navsim.errors import ConfigError
from navsim.geometry import Array
from navsim.localization.likelihoods import ObservedFrame, PoweredLikelihood
from navsim.localization.particles import ParticleFilter
from navsim.parallel import available_cores
from navsim.seeding import generator
from navsim.sensing.observation import OdometryStep
from navsim.simulation.scenario import Scenario
from navsim.storage import write_json


@dataclass(frozen=True)
class Trial:
    """Result of one exponent for one method, over all drives and cases."""

    method: str
    """Name of the method."""
    exponent: float
    """Value of the tuned exponent."""
    miscalibration: float
    """Mean distance of the shares in the 50% and 90% credible regions from 50% and 90%, over cases."""
    error: float
    """Median position error [m]."""
    near: float
    """Share of updates within `tracking.NEAR` of the truth."""
    log_score: float
    """Mean log probability [nats], of a position within `tracking.NEAR` of the estimate where the truth is there, else
    of a position elsewhere; higher is better."""


def try_exponents(config: LocalizeConfig) -> list[Trial]:
    """Localise the same drives with each exponent of `config.tried`, each in a folder of its own.

    Raises:
        CheckpointError: If the checkpoint is unusable or does not see the unrouted map.
    """
    trials: list[Trial] = []
    for value in config.tried:
        tracks = run_drives(with_exponent(config, value))
        filters = [method for method in config.methods if method not in ("gps", "uniform")]
        trials += [summarise_trial(method, value, tracks) for method in filters]
    return trials


def summarise_trial(method: str, exponent: float, tracks: Mapping[Scenario, Tracks]) -> Trial:
    """Summarise the tracks of one method with one exponent."""
    cases = list(next(iter(tracks.values())))
    by_case = [[methods[case][method] for methods in tracks.values()] for case in cases]
    gaps = [
        abs(float(np.mean(np.concatenate([track.levels for track in track_list]) <= level)) - level)
        for track_list in by_case
        for level in (0.5, 0.9)
    ]
    all_tracks = [track for track_list in by_case for track in track_list]
    errors = np.concatenate([track.errors for track in all_tracks])
    near = np.clip(np.concatenate([track.near for track in all_tracks]), 1e-4, 1 - 1e-4)
    is_near = errors <= NEAR
    logs = np.where(is_near, np.log(near), np.log(1 - near))
    return Trial(
        method, exponent, float(np.mean(gaps)), float(np.median(errors)), float(is_near.mean()), float(logs.mean())
    )


SHARES = np.linspace(0.05, 0.95, 19)
"""Shares of the true positions whose levels are stored."""


@dataclass(frozen=True, eq=False)
class Regions:
    """Calibrated levels of credible regions, for each case and method."""

    levels: Mapping[tuple[str, str], Array]
    """Level of the region that held each of `SHARES` of the true positions (19,), by case and method."""

    def calibrated(self, case: str, method: str, levels: Array) -> Array:
        """Convert levels (U,) of beliefs to the shares of true positions that regions of these levels held.

        Raises:
            ConfigError: If the case and method were not calibrated.
        """
        known = self.levels.get((case, method))
        if known is None:
            raise ConfigError(f"the levels hold no case {case}, method {method}: calibrate with both")
        return np.asarray(np.interp(levels, [0.0, *known, 1.0], [0.0, *SHARES, 1.0]))


def fit_regions(tracks: Mapping[Scenario, Tracks]) -> Regions:
    """Fit the levels to drives that are not scored, with equal weight for all drives."""
    first = next(iter(tracks.values()))
    pairs = [(case, method) for case, methods in first.items() for method in methods]
    fitted: dict[tuple[str, str], Array] = {}
    for case, method in pairs:
        drives = [each[case][method].levels for each in tracks.values()]
        # The same number of values from each drive, so that long ones do not count more.
        values = np.concatenate([np.quantile(levels, np.linspace(0, 1, 101)) for levels in drives])
        fitted[case, method] = np.quantile(values, SHARES)
    return Regions(fitted)


def write_regions(path: Path, regions: Regions, about: Mapping[str, Any]) -> None:
    """Write regions as JSON, with plain values that describe their origin.

    Raises:
        StorageError: If that fails.
    """
    rows = [{"case": case, "method": name, "levels": row.tolist()} for (case, name), row in regions.levels.items()]
    write_json(path, {"shares": SHARES.tolist(), "regions": rows, **about})


def read_regions(path: Path) -> Regions:
    """Read the file that `write_regions` wrote.

    Raises:
        ConfigError: If the file is missing, or has other content.
    """
    try:
        values = json.loads(path.read_bytes())
        levels = {(row["case"], row["method"]): np.array(row["levels"], float) for row in values["regions"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"levels {path}: cannot be read ({error}); make it with --action calibrate") from None
    if not all(len(row) == len(SHARES) and (np.diff([0.0, *row, 1.0]) >= 0).all() for row in levels.values()):
        raise ConfigError(f"levels {path}: each row must hold {len(SHARES)} levels from 0 to 1, increasing")
    return Regions(levels)


NUM_PARTICLES = 2000
"""Number of particles in a timed update."""
_NUM_UPDATES = 12
_FINE_LATTICE = LatticeConfig(metres=0.01, turn_deg=0.5)  # each particle has its own map
_LATTICES: Mapping[Literal["new", "remembered"], LatticeConfig | None] = {"new": _FINE_LATTICE, "remembered": None}
_MOTION = OdometryStep(2.5, 0.0, 0.01)


@dataclass(frozen=True)
class UpdateTimes:
    """Rates of one kind of updates."""

    candidates: int
    """Number of particles."""
    threads: int
    """Number of torch's threads."""
    maps: Literal["new", "remembered"]
    """Whether maps are cached. `new`: each map is drawn and encoded. `remembered`: all are cached, as in a town driven
    before."""
    updates_per_second: float
    """Median rate by wall-clock time, which depends on other load of the machine."""
    updates_per_cpu_second: float
    """Median rate by the processor time of all threads together."""


def time_updates(config: LocalizeConfig) -> list[UpdateTimes]:
    """Time updates over a whole town, with new and with cached maps, on one thread and on all.

    Raises:
        CheckpointError: If the checkpoint is unusable or does not see the unrouted map.
    """
    policy = open_policy(config.checkpoint)
    town = config.town_names[0]
    rows: list[UpdateTimes] = []
    for threads in dict.fromkeys((1, available_cores())):
        torch.set_num_threads(threads)
        for maps, lattice in _LATTICES.items():
            context = make_context(replace(config, lattice=lattice or config.lattice), policy, town)
            seconds = np.array([_time_update(config, context, maps, index) for index in range(_NUM_UPDATES)])
            rows.append(UpdateTimes(NUM_PARTICLES, threads, maps, *(1 / np.median(seconds[1:], axis=0)).tolist()))
    return rows


def _time_update(config: LocalizeConfig, context: LocalizationContext, maps: str, index: int) -> tuple[float, float]:
    """Return wall-clock and processor seconds of one update of a belief over the whole town."""
    simulation, lanes = context.simulation, context.evidence.lanes
    camera = simulation.cameras[0]
    images = np.zeros((len(simulation.cameras), camera.height, camera.width, 3), np.uint8)
    filter_config = replace(
        config.filter,
        min_particles=NUM_PARTICLES,
        max_particles=NUM_PARTICLES,
        particles_per_metre=1e-9 + NUM_PARTICLES / lanes.length,
        kidnap_probability=0,
    )
    source = PoweredLikelihood(context.evidence.steering, config.exponents.steering)
    particle_filter = ParticleFilter(filter_config, lanes, (source,), generator(config.seed, "time", str(index)))
    particle_filter.reset(None)
    frame = ObservedFrame(images, 8.0, 0.0)
    if maps == "remembered":
        particle_filter.update(frame, None)
    started, used = time.perf_counter(), time.process_time()
    if maps == "new":
        particle_filter.predict(_MOTION)
    particle_filter.update(frame, None)
    return time.perf_counter() - started, time.process_time() - used
