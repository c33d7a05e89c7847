"""What is in recorded drives: how much was driven, how it ended, and how the steering is distributed."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table

from navsim.roads.elements import Manoeuvre
from navsim.simulation.episode import Episode
from navsim.simulation.scenario import Outcome
from navsim.simulation.town_map import town_group

_EDGES = (-0.2, -0.15, -0.1, -0.05, -0.02, -0.005, 0.005, 0.02, 0.05, 0.1, 0.15, 0.2)
_RECOVERY_OFFSET = 0.3
_BAR_WIDTH = 40


@dataclass(frozen=True)
class Statistics:
    """Counts and sums over episodes."""

    episodes: dict[str, int]
    """Number of episodes by split; real towns are a group of their own."""
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
    """Edges (B + 1,) of the steering histogram [1/m]; the outer bins also hold what lies beyond."""
    steering_counts: tuple[int, ...]
    """Number of labels in each bin (B,)."""


def episode_statistics(episodes: Iterable[Episode]) -> Statistics:
    """Count and sum over episodes; images are not looked at."""
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


def statistics_table(statistics: Statistics) -> RenderableType:
    """A table and a histogram to print."""
    table = Table("", *statistics.frames, "all", title="recorded drives")
    for name in ("episodes", "frames"):
        counts: dict[str, int] = getattr(statistics, name)
        table.add_row(name, *map(str, counts.values()), str(sum(counts.values())))
    blank = [""] * len(statistics.frames)
    table.add_row("driven", *blank, f"{statistics.kilometres:.2f} km in {statistics.hours:.2f} h")
    table.add_row("junctions", *blank, _counts(statistics.junctions))
    table.add_row("outcomes", *blank, _counts(statistics.outcomes))
    table.add_row("lane offset", *blank, f"{statistics.offset_mean:.2f} m in the mean")
    table.add_row("recovering", *blank, f"{statistics.recovering:.0%} of frames beyond {_RECOVERY_OFFSET} m")
    return Group(table, _histogram(statistics))


def _counts(counts: dict[str, int]) -> str:
    """Counts as words, such as `3 left, 4 right`."""
    return ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items()) or "none"


def _histogram(statistics: Statistics) -> Table:
    """The labels' distribution as bars of text, left at the top."""
    table = Table("label [1/m], left +", "share", "", title="steering")
    total, largest = max(sum(statistics.steering_counts), 1), max(*statistics.steering_counts, 1)
    bins = list(zip(pairwise(statistics.steering_edges), statistics.steering_counts, strict=True))
    for (low, high), count in reversed(bins):
        bar = "█" * round(_BAR_WIDTH * count / largest)
        table.add_row(f"{low:+.3f} to {high:+.3f}", f"{count / total:.1%}", bar)
    return table
