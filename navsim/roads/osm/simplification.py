"""Drivable network from the streets of a map: simplified step by step, with a record of what became of each segment.

World frame: x east, y north [m].
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
import shapely

from navsim.geometry import Array, Polyline
from navsim.roads.network import RoadNetwork
from navsim.roads.osm.crossings import TownCrossings, find_crossings
from navsim.roads.osm.graph import (
    DroppedSegments,
    Edge,
    cleaned,
    split_at,
    unused_node,
    without_lanes,
)
from navsim.roads.osm.network import StreetNetwork, build_street_network
from navsim.roads.osm.restrictions import ForbiddenTurns
from navsim.roads.osm.spacing import lane_overlaps, without_overlaps
from navsim.roads.osm.street_lines import resampled, sharp_bends, smoothed
from navsim.roads.osm.tags import StreetKind

MIN_RADIUS = 9.5
"""Smallest radius of the bends of a lane's middle [m]."""
MAX_PASSES = 20
"""Largest number of simplification passes for a town."""
MAX_SPACINGS = 8
"""Largest number of passes that make room between streets."""
MAX_SHIFT = 3.0
"""Largest distance between a street's centre line and the map's that does not count as a change [m]."""
MAX_DETOUR = 15.0
"""Largest distance between a street's centre line and the map's where the street counts as a part of the town [m]."""


class Fate(StrEnum):
    """What became of a street of the map."""

    KEPT = "kept"
    """A road with the map's lanes at the map's place."""
    SIMPLIFIED = "simplified"
    """A road with other lanes or at another place, or a part of a junction."""
    DROPPED = "dropped"
    """Not a part of the town."""


@dataclass(frozen=True, eq=False)
class MapCoverage:
    """What became of the streets of a map."""

    lines: Array
    """Both ends of each straight segment of the streets (S, 2, 2) [m]; two-way streets occur once."""
    fates: tuple[Fate, ...]
    """Fate of each segment (S,)."""
    reasons: tuple[str, ...]
    """Change of each segment or reason why it was dropped (S,); empty for kept ones."""

    @property
    def lengths(self) -> Array:
        """Length of each segment (S,) [m]."""
        return np.asarray(np.hypot(*(self.lines[:, 1] - self.lines[:, 0]).T))

    def km(self, fate: Fate) -> float:
        """Return the length of the streets with a fate [km]."""
        return float(self.lengths[[each is fate for each in self.fates]].sum()) / 1e3

    def km_by_reason(self, fate: Fate) -> dict[str, float]:
        """Return the length of the streets with a fate by reason [km], the longest first."""
        found: dict[str, float] = {}
        for length, each, reason in zip(self.lengths.tolist(), self.fates, self.reasons, strict=True):
            if each is fate:
                found[reason] = found.get(reason, 0.0) + length / 1e3
        return dict(sorted(found.items(), key=lambda item: -item[1]))

    @property
    def summary(self) -> str:
        """Kilometres by fate and reason in one line."""
        parts = []
        for fate in Fate:
            reasons = ", ".join(
                f"{km:.2f} {reason}" for reason, km in self.km_by_reason(fate).items() if reason and km >= 0.005
            )
            parts.append(f"{self.km(fate):.2f} km {fate}{f' ({reasons})' if reasons else ''}")
        return "; ".join(parts)


@dataclass(frozen=True, eq=False)
class DrivableStreets:
    """A network that can be driven, with what became of the map."""

    network: RoadNetwork
    """Roads, junctions and connectors."""
    coverage: MapCoverage
    """What became of each street of the map."""
    counts: dict[str, int]
    """Number of turns and restrictions that were left out or ignored, by reason."""


def drivable_streets(
    edges: Sequence[Edge],
    rules_of: Callable[[list[Edge]], ForbiddenTurns],
    trim_dead_ends: bool = False,
) -> DrivableStreets | None:
    """Simplify the streets until all remaining ones can be driven; return None if none remain.

    Args:
        edges: Segments that meet at their ends only.
        rules_of: Function that returns the turns that restrictions forbid between streets.
        trim_dead_ends: Whether to remove all dead ends.
    """
    return _Simplifier(edges, rules_of, trim_dead_ends).run()


class _Simplifier:
    """Simplifies streets until all remaining ones can be driven."""

    def __init__(
        self,
        edges: Sequence[Edge],
        rules_of: Callable[[list[Edge]], ForbiddenTurns],
        trim_dead_ends: bool,
    ) -> None:
        self.drawn, self.rules_of, self.trim_dead_ends = edges, rules_of, trim_dead_ends
        self.dropped = DroppedSegments()
        self.edges = cleaned(edges, self.dropped, trim_dead_ends)
        self.bends = set[int]()
        self.remove_corners, self.spacings = True, 0

    def run(self) -> DrivableStreets | None:
        """Return the network, or None if no streets are left."""
        for _ in range(MAX_PASSES):
            if not self.edges:
                return None
            found = self._pass()
            if found is not None:
                return found
        return None

    def _pass(self) -> DrivableStreets | None:
        """Simplify the streets once; return the network if nothing more is to do."""
        smooth, bends = _smooth(self.edges, self.remove_corners)
        self.edges = list(self.dropped.compare(self.edges, smooth, "too sharply bent"))
        self.remove_corners = False
        if bends:
            self.bends |= bends
            return None
        if self._make_room(None):
            return None
        centres = [Polyline(edge.points) for edge in self.edges]
        crossings = find_crossings(self.edges, centres)
        if crossings.dropped:
            self._clean([edge for i, edge in enumerate(self.edges) if i not in crossings.dropped], "no room")
            return None
        if self._make_room(crossings.spans(centres)):
            return None
        rules = self.rules_of(self.edges)
        built = build_street_network(self.edges, centres, crossings, rules)
        if built.dead_end_lanes:
            self._clean(without_lanes(self.edges, built.dead_end_lanes), "dead-end directions")
            return None
        return DrivableStreets(built.network, self._coverage(centres, crossings), _counts(built, crossings, rules))

    def _make_room(self, spans: dict[int, tuple[float, float]] | None) -> bool:
        """Move streets apart whose lanes overlap; return whether there were any."""
        overlaps = lane_overlaps(self.edges, spans)
        if not overlaps.gaps or self.spacings >= MAX_SPACINGS:
            return False
        self.spacings += 1
        self._clean(without_overlaps(self.edges, overlaps.spans, overlaps.gaps), "no room")
        return True

    def _clean(self, rest: Sequence[Edge], reason: str) -> None:
        """Continue with the streets that are left."""
        self.edges = cleaned(
            self.dropped.compare(self.edges, rest, reason), self.dropped, self.trim_dead_ends, self.bends
        )

    def _coverage(self, centres: Sequence[Polyline], crossings: TownCrossings) -> MapCoverage:
        """Return what became of each segment of the map."""
        streets_of: dict[int, list[int]] = {}
        for i, edge in enumerate(self.edges):
            for segment in edge.segments:
                streets_of.setdefault(segment, []).append(i)
        strings = [shapely.LineString(centre.points) for centre in centres]
        lines = np.array([edge.points for edge in self.drawn])
        middles = shapely.points(lines.mean(axis=1))
        fates, reasons = [], []
        for number, edge in enumerate(self.drawn):
            streets = streets_of.get(number, [])
            found = [(float(shapely.distance(middles[number], strings[i])), i) for i in streets]
            distance, street = min(found, default=(np.inf, -1))
            if distance > MAX_DETOUR:
                fate, reason = Fate.DROPPED, "cut short" if found else self.dropped.reasons[number]
            elif street in crossings.inner:
                fate, reason = Fate.SIMPLIFIED, "inside junctions"
            elif distance > MAX_SHIFT:
                fate, reason = Fate.SIMPLIFIED, "moved"
            else:
                reason = _change_of_lanes(edge.kind, self.edges[street].kind)
                fate = Fate.SIMPLIFIED if reason else Fate.KEPT
            fates.append(fate)
            reasons.append(reason)
        return MapCoverage(lines, tuple(fates), tuple(reasons))


def _change_of_lanes(before: StreetKind, after: StreetKind) -> str:
    """Return what has changed of a street's lanes; empty if nothing has."""
    lanes = [sorted((kind.lanes_forward, kind.lanes_backward)) for kind in (before, after)]
    if lanes[0][0] > 0 and lanes[1][0] == 0:
        return "one direction left"
    if lanes[0] != lanes[1]:
        return "other number of lanes"
    return "narrower lanes" if after.lane_width < before.lane_width - 0.05 else ""


def _counts(built: StreetNetwork, crossings: TownCrossings, rules: ForbiddenTurns) -> dict[str, int]:
    """Return the number of turns and restrictions that were left out or ignored, by reason."""
    return {
        "joined into crossings": len(crossings.inner),
        "turns left out by restrictions and between levels": built.num_forbidden,
        "road ends where restrictions left no way on and are ignored": built.num_lifted,
        "turn restrictions ignored of streets that are left out": rules.num_missing,
        "turn restrictions ignored that span several crossings": built.num_spanning,
    }


def _smooth(edges: Sequence[Edge], remove_corners: bool) -> tuple[list[Edge], set[int]]:
    """Return the streets with drivable centre lines, and the nodes where streets were split.

    A street that bends too sharply is split at its sharpest bends. Parts of small rings and very short streets become
    straight: without them, others would lose a direction.
    """
    limits = [_max_curvature(edge.kind) for edge in edges]
    lines = smoothed([edge.points for edge in edges], limits, remove_corners)
    smooth, bends, new_node = list[Edge](), set[int](), unused_node(edges)
    for edge, line, limit in zip(edges, lines, limits, strict=True):
        if line is not None:
            smooth.append(replace(edge, points=line))
            continue
        points, vertices = sharp_bends(edge.points, limit)
        if vertices and not edge.kind.ring:
            smooth += split_at(replace(edge, points=points), vertices, new_node)
            bends.update(range(new_node, new_node + len(vertices)))
            new_node += len(vertices)
        elif edge.start != edge.end:
            smooth.append(replace(edge, points=resampled(edge.points[[0, -1]])))
    return smooth, bends


def _max_curvature(kind: StreetKind) -> float:
    """Return the largest curvature of a centre line whose lanes and inner kerb can still be drawn [1/m]."""
    outermost = (kind.lanes_forward + kind.lanes_backward - 1) / 2 * kind.lane_width
    return 1 / max(MIN_RADIUS + outermost, kind.half_width + 2.0)
