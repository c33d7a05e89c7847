"""Elements of a town: roads, lanes, connectors, junctions and outlines of houses."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
import shapely

from navsim.errors import TownError
from navsim.geometry import Array, Polyline, mirrored_points, wrap_angle


@dataclass(frozen=True, eq=False)
class Footprint:
    """Ground plan and height of one house."""

    outline: Array
    """Corners (N, 2) [m], counter-clockwise, the first not repeated."""
    height: float
    """Height of the walls [m]."""

    @property
    def mirrored(self) -> "Footprint":
        """Mirror image, again counter-clockwise."""
        return replace(self, outline=mirrored_points(self.outline)[::-1])


class DrivingSide(StrEnum):
    """Side of the road on which traffic drives.

    Roads and junctions are built for traffic that keeps right. Where it keeps left, the mirror image of the town is
    built, west and east exchanged, and mirrored as a whole at the end.
    """

    RIGHT = "right"
    LEFT = "left"

    @property
    def other(self) -> "DrivingSide":
        """The other side."""
        return DrivingSide.LEFT if self is DrivingSide.RIGHT else DrivingSide.RIGHT


class Manoeuvre(StrEnum):
    """Manoeuvre at a junction, by the total turn of the path through it or by the kind of junction."""

    LEFT = "left"
    STRAIGHT = "straight"
    RIGHT = "right"
    ROUNDABOUT = "roundabout"
    """Onto a roundabout's ring, along it or off it, with any turn."""

    @property
    def mirrored(self) -> "Manoeuvre":
        """Manoeuvre in the mirror image of the junction."""
        return {Manoeuvre.LEFT: Manoeuvre.RIGHT, Manoeuvre.RIGHT: Manoeuvre.LEFT}.get(self, self)


class JunctionKind(StrEnum):
    """Shape of a junction as a driver sees it."""

    BEND = "bend"
    """Two roads only."""
    TEE = "tee"
    """A side road meets a through road."""
    FORK = "fork"
    """Three roads that do not form a T junction."""
    CROSSING = "crossing"
    """Four roads."""
    FIVE_WAY = "five_way"
    """Five roads or more."""
    ROUNDABOUT = "roundabout"
    """An arm meets the one-way ring of a roundabout."""


TEE_THROUGH = np.deg2rad(160.0)
"""Smallest angle between the two ends of the through road of a T junction [rad]."""
TEE_SIDE = np.deg2rad(65.0)
"""Smallest angle between the side road of a T junction and the others [rad]."""


@dataclass(frozen=True, eq=False)
class Road:
    """A road between two nodes. "Forward" is the direction from `start` to `end`."""

    start: int
    """Index of the node at the centre line's first vertex."""
    end: int
    """Index of the node at the centre line's last vertex."""
    centre: Polyline
    """Centre line between the kerbs, from node to node [m]."""
    lanes_forward: int = 1
    """Number of lanes from `start` to `end`."""
    lanes_backward: int = 1
    """Number of lanes from `end` to `start`; 0 makes the road one-way."""
    lane_width: float = 3.5
    """Width of each lane [m]."""
    margin: float = 1.0
    """Paved strip between the edge line and the kerb, on each side [m]."""
    speed_limit: float = 8.0
    """Speed limit [m/s]."""
    ring: bool = False
    """Whether the road is a part of a roundabout's ring."""
    side: DrivingSide = DrivingSide.RIGHT
    """Side of the road on which its traffic drives."""

    def __post_init__(self) -> None:
        if self.lanes_forward < 0 or self.lanes_backward < 0 or self.lanes == 0:
            raise TownError(
                f"road {self.start} to {self.end}: needs at least one lane and no negative count, "
                f"got {self.lanes_forward} forward and {self.lanes_backward} backward"
            )
        if self.lane_width <= 0 or self.margin < 0 or self.speed_limit <= 0:
            raise TownError(
                f"road {self.start} to {self.end}: needs lane_width > 0, margin >= 0 and speed_limit > 0, "
                f"got {self.lane_width}, {self.margin} and {self.speed_limit}"
            )

    @property
    def mirrored(self) -> "Road":
        """Mirror image, with traffic on the other side."""
        return replace(self, centre=self.centre.mirrored, side=self.side.other)

    @property
    def lanes(self) -> int:
        """Number of lanes, both directions together."""
        return self.lanes_forward + self.lanes_backward

    @property
    def width(self) -> float:
        """Width from kerb to kerb [m]."""
        return self.lanes * self.lane_width + 2 * self.margin

    @property
    def half_width(self) -> float:
        """Distance from the centre line to either kerb [m]."""
        return self.width / 2

    @property
    def sign(self) -> int:
        """Sign of offsets from the divider to the lanes of the backward direction: 1 where traffic keeps right."""
        return 1 if self.side is DrivingSide.RIGHT else -1

    @property
    def divider_offset(self) -> float:
        """Offset of the line between the two directions from the centre line [m], positive to the left of forward."""
        return self.sign * (self.lanes_forward - self.lanes_backward) / 2 * self.lane_width

    def lane_offset(self, forward: bool, index: int) -> float:
        """Return the offset of a lane's middle from the centre line [m], positive to the left of forward.

        Args:
            forward: Whether the lane leads from `start` to `end`.
            index: Number of the lane, counted from 0 at the divider towards the kerb.
        """
        beside = self.sign * (index + 0.5) * self.lane_width
        return self.divider_offset - beside if forward else self.divider_offset + beside


@dataclass(frozen=True, eq=False)
class Lane:
    """One lane of a road, from the mouth of one junction to the mouth of the next."""

    road: int
    """Index of the lane's road."""
    forward: bool
    """Whether the lane leads from the road's start to its end."""
    index: int
    """Number of the lane, counted from 0 at the divider towards the kerb."""
    path: Polyline
    """Middle of the lane in driving direction [m]."""

    @property
    def mirrored(self) -> "Lane":
        """Mirror image."""
        return replace(self, path=self.path.mirrored)


@dataclass(frozen=True, eq=False)
class Connector:
    """Path through a junction from one lane into another."""

    junction: int
    """Index of the junction."""
    from_lane: int
    """Index of the lane that the connector continues."""
    to_lane: int
    """Index of the lane that the connector leads into."""
    path: Polyline
    """Path from the end of one lane to the start of the other, tangent to both [m]."""
    manoeuvre: Manoeuvre
    """Manoeuvre of a driver on the connector."""

    @property
    def mirrored(self) -> "Connector":
        """Mirror image."""
        return replace(self, path=self.path.mirrored, manoeuvre=self.manoeuvre.mirrored)


@dataclass(frozen=True, eq=False)
class Junction:
    """Area where roads meet."""

    node: int
    """Index of the junction's node."""
    roads: tuple[int, ...]
    """Indices of the roads that end here, counter-clockwise by their heading; a loop occurs twice."""
    headings: tuple[float, ...]
    """Headings of those roads at the node, away from it [rad]."""
    area: shapely.Polygon
    """Paved area between the mouths of the roads, kerb corners included."""
    kind: JunctionKind
    """Shape of the junction as a driver sees it."""

    @property
    def mirrored(self) -> "Junction":
        """Mirror image, its roads again counter-clockwise."""
        mirrored = (float(wrap_angle(np.pi - heading)) for heading in self.headings)
        ends = sorted(zip(mirrored, self.roads, strict=True))
        return replace(
            self,
            roads=tuple(road for _, road in ends),
            headings=tuple(heading for heading, _ in ends),
            area=shapely.transform(self.area, mirrored_points),
        )


def junction_kind(headings: Sequence[float], on_ring: bool) -> JunctionKind:
    """Classify a junction by its roads.

    Args:
        headings: Headings of its two or more road ends, counter-clockwise [rad].
        on_ring: Whether one of its roads is a part of a roundabout's ring.
    """
    if on_ring:
        return JunctionKind.ROUNDABOUT
    by_count = {2: JunctionKind.BEND, 4: JunctionKind.CROSSING}
    if len(headings) != 3:
        return by_count.get(len(headings), JunctionKind.FIVE_WAY)
    gaps = np.diff([*headings, headings[0]]) % (2 * np.pi)
    return JunctionKind.TEE if gaps.max() > TEE_THROUGH and gaps.min() >= TEE_SIDE else JunctionKind.FORK
