"""Scores by kind of driving: on straight roads, in curves, at junctions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from navsim.evaluation.metrics.drives import Drive, offset_samples
from navsim.evaluation.metrics.infractions import INTERVENTION_OFFSET
from navsim.evaluation.statistics.intervals import Rate
from navsim.geometry import Array
from navsim.simulation.episode import FrameManoeuvre, manoeuvre_of_frames
from navsim.simulation.scenario import Outcome, scenario_route
from navsim.simulation.town import load_town_map


@dataclass(frozen=True)
class ManoeuvreScores:
    """One driver's numbers for one kind of driving."""

    failures: Rate
    """Drives that failed during this kind of driving, over its distance [1/km]."""
    lane_offset_mean: float | None
    """Mean |lane offset| over that distance [m]; None without a distance."""
    beyond_metre: float | None
    """Share of that distance with a |lane offset| above 1 m."""


@dataclass(frozen=True, eq=False)
class LabelledDrive:
    """A drive with the kind of driving of each frame."""

    drive: Drive
    """The drive, which has an episode."""
    frames: Sequence[str]
    """Values of `FrameManoeuvre` (T,)."""


def label_drives(drives: Sequence[Drive]) -> tuple[LabelledDrive, ...]:
    """Label each frame of drives with its kind of driving; drives without an episode are left out.

    Each town is built once.

    Raises:
        TownError: If a town cannot be built.
    """
    labelled = []
    for town in dict.fromkeys(drive.scenario.town for drive in drives):
        network, own = load_town_map(town).network, [drive for drive in drives if drive.scenario.town == town]
        keys = dict.fromkeys((drive.scenario.route, drive.scenario.junctions) for drive in own)
        scenarios = {
            key: next(d.scenario for d in own if (d.scenario.route, d.scenario.junctions) == key) for key in keys
        }
        routes = {key: scenario_route(network, scenario) for key, scenario in scenarios.items()}
        for drive in own:
            if drive.episode is not None:
                route = routes[drive.scenario.route, drive.scenario.junctions]
                labelled.append(LabelledDrive(drive, manoeuvre_of_frames(drive.episode, network, route).tolist()))
    return tuple(labelled)


def manoeuvre_scores(drives: Sequence[LabelledDrive]) -> Mapping[FrameManoeuvre, ManoeuvreScores]:
    """Score drives for each kind of driving.

    Each control step counts for the kind of its frame, and a failure for that of the last frame.
    """
    episodes = [item.drive.episode for item in drives if item.drive.episode is not None]
    offsets, distances = offset_samples(episodes)
    frames = np.array([frame for item in drives for frame in item.frames])
    ends = [item.frames[-1] for item in drives if item.drive.outcome is not Outcome.ARRIVED]
    scores = {}
    for kind in FrameManoeuvre:
        inside = frames == kind.value
        scores[kind] = _scores(offsets[inside], distances[inside], ends.count(kind.value))
    return scores


def _scores(offsets: Array, distances: Array, failures: int) -> ManoeuvreScores:
    """Return the scores over samples (N,) of one kind."""
    total = float(distances.sum())
    driven = total > 0
    return ManoeuvreScores(
        failures=Rate(failures, total / 1000),
        lane_offset_mean=float((offsets * distances).sum() / total) if driven else None,
        beyond_metre=float(distances[offsets > INTERVENTION_OFFSET].sum() / total) if driven else None,
    )
