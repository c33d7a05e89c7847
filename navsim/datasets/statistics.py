"""Statistics of recorded drives: amount, outcomes, and distribution of the steering."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from navsim.number_formats import km, metres, percent
from navsim.roads.elements import Manoeuvre
from navsim.simulation.episode import Episode
from navsim.simulation.scenario import Outcome
from navsim.simulation.town import town_group
from navsim.tables import Table, TableSection

_EDGES = (-0.2, -0.15, -0.1, -0.05, -0.02, -0.005, 0.005, 0.02, 0.05, 0.1, 0.15, 0.2)
_RECOVERY_OFFSET = 0.3
_BAR_WIDTH = 40


@dataclass(frozen=True)
class Statistics:
    """Counts and sums over episodes."""

    episodes: dict[str, int]
    """Number of episodes by split, with one more group for real towns."""
    frames: dict[str, int]
    """Number of frames by split."""
    kilometres: float
    """Distance driven [km]."""
    hours: float
    """Time driven [h]."""
    junctions: dict[str, int]
    """Number of junctions driven through to their end, by manoeuvre."""
    outcomes: dict[str, int]
    """Number of episodes by outcome."""
    offset_mean: float
    """Mean distance from the middle of the lane [m]."""
    recovering: float
    """Share of frames more than 0.3 m from the middle of the lane."""
    steering_edges: tuple[float, ...]
    """Edges (B + 1,) of the steering histogram [1/m]; the outer bins include all values beyond."""
    steering_counts: tuple[int, ...]
    """Number of labels in each bin (B,)."""


def episode_statistics(episodes: Iterable[Episode]) -> Statistics:
    """Count and sum over episodes; images are not used."""
    drives, frames, junctions, outcomes = (Counter[str]() for _ in range(4))
    distance, duration, offsets, recovering = 0.0, 0.0, 0.0, 0
    steering = np.zeros(len(_EDGES) - 1, int)
    for episode in episodes:
        split = town_group(episode.scenario.town)
        drives[split] += 1
        frames[split] += len(episode)
        outcomes[str(episode.outcome)] += 1
        junctions.update(str(p.manoeuvre) for p in episode.passages if p.end <= episode.stations.max())
        distance += episode.distance
        duration += float(episode.times[-1] - episode.times[0])
        offsets += float(np.abs(episode.offsets[:-1]).sum())
        recovering += int((np.abs(episode.offsets[:-1]) > _RECOVERY_OFFSET).sum())
        steering += np.histogram(np.clip(episode.labels, _EDGES[0], _EDGES[-1]), _EDGES)[0]
    count = max(frames.total(), 1)
    return Statistics(
        episodes=dict(drives),
        frames=dict(frames),
        kilometres=distance / 1000,
        hours=duration / 3600,
        junctions={str(manoeuvre): junctions[manoeuvre] for manoeuvre in Manoeuvre},
        outcomes={str(outcome): outcomes[outcome] for outcome in Outcome if outcomes[outcome]},
        offset_mean=offsets / count,
        recovering=recovering / count,
        steering_edges=_EDGES,
        steering_counts=tuple(int(n) for n in steering),
    )


def statistics_table(statistics: Statistics) -> Table:
    """Return a table with a histogram of the steering."""
    total = max(sum(statistics.steering_counts), 1)
    rows = [
        ("episodes", _with_sum(statistics.episodes)),
        ("frames", _with_sum(statistics.frames)),
        ("driven", f"{km(statistics.kilometres)} in {statistics.hours:.2f} h"),
        ("junctions", _counts(statistics.junctions)),
        ("outcomes", _counts(statistics.outcomes)),
        ("lane offset", f"{metres(statistics.offset_mean)} in the mean"),
        ("recovering", f"{percent(statistics.recovering)} of frames beyond {_RECOVERY_OFFSET} m"),
    ]
    largest = max(*statistics.steering_counts, 1)
    bins = zip(pairwise(statistics.steering_edges), statistics.steering_counts, strict=True)
    bars = [
        (f"{low:+.3f} to {high:+.3f}", f"{percent(count / total, 1):>6} {'█' * round(_BAR_WIDTH * count / largest)}")
        for (low, high), count in bins
    ]
    steering = TableSection(bars[::-1], title="steering 1/m")  # left, the positive side, at the top
    return Table(("", ""), rows, [steering], title="recorded drives", text_columns=2)


def _with_sum(counts: dict[str, int]) -> str:
    """Counts with their sum, such as `7 (4 train, 3 test)`."""
    return f"{sum(counts.values())} ({_counts(counts)})"


def _counts(counts: dict[str, int]) -> str:
    """Counts as words, such as `3 left, 4 right`."""
    return ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items()) or "none"
