"""How fast updates are: `python scripts/localize.py --action benchmark`."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch

from agents.localization.config import LocalizeConfig
from agents.localization.likelihoods import Frame, Tempered
from agents.localization.motion import Motion
from agents.localization.particles import ParticleFilter
from agents.localization.running import Bench, make_bench, open_policy
from agents.localization.steering import LatticeSpec
from navsim.parallel import available_cores
from navsim.seeding import generator

CANDIDATES = 2000
"""Candidates of a timed update."""
_UPDATES = 12
_FINE = LatticeSpec(metres=0.01, turn_deg=0.5)  # every candidate has a map of its own
_KINDS: Mapping[Literal["new", "remembered"], LatticeSpec | None] = {"new": _FINE, "remembered": None}
_WAY = Motion(2.5, 0.0, 0.01)


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


def _timed(config: LocalizeConfig, bench: Bench, maps: str, number: int) -> tuple[float, float]:
    """Seconds, and seconds of processor time, of update `number` from a belief of `CANDIDATES` all over the town."""
    simulation, lanes = bench.simulation, bench.evidence.lanes
    camera = simulation.cameras[0]
    images = np.zeros((len(simulation.cameras), camera.height, camera.width, 3), np.uint8)
    spec = replace(config.filter, least=CANDIDATES, most=CANDIDATES, per_metre=1e-9 + CANDIDATES / lanes.length, jump=0)
    source = Tempered(bench.evidence.steering, config.exponents.steering)
    running = ParticleFilter(spec, lanes, (source,), generator(config.seed, "time", str(number)))
    running.begin(None)
    frame = Frame(images, 8.0, 0.0)
    if maps == "remembered":
        running.observe(frame, None)
    started, used = time.perf_counter(), time.process_time()
    if maps == "new":
        running.move(_WAY)
    running.observe(frame, None)
    return time.perf_counter() - started, time.process_time() - used
