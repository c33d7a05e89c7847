"""What a generator draws: places and roads, before junctions, lanes and pavement are made of them."""

from dataclasses import dataclass

import numpy as np

from navsim.geometry import Array, Polyline
from navsim.roads.elements import Road


@dataclass(frozen=True, eq=False)
class Draft:
    """Places and the roads between them."""

    nodes: Array
    """Where roads begin and end (N, 2) [m]."""
    roads: list[Road]
    """The roads."""
    kerb_radius: float
    """Radius of the kerb corners [m]."""


@dataclass(frozen=True)
class Profile:
    """A road's cross section."""

    lanes: int = 1
    """Lanes in each direction; of a one-way road, in its direction."""
    lane_width: float = 3.3
    """Width of each lane [m]."""
    margin: float = 1.0
    """Paved strip between the edge line and the kerb, on each side [m]."""
    speed_limit: float = 8.0
    """Speed limit [m/s]."""
    ring: bool = False
    """Whether the road is the one-way ring of a roundabout, or a part of it."""

    @property
    def half_width(self) -> float:
        """Distance from the centre line to either kerb [m]."""
        return self.lanes * self.lane_width * (0.5 if self.ring else 1.0) + self.margin

    def road(self, start: int, end: int, centre: Polyline) -> Road:
        """A road of this cross section along `centre`, from node `start` to node `end`."""
        return Road(
            start,
            end,
            centre,
            lanes_forward=self.lanes,
            lanes_backward=0 if self.ring else self.lanes,
            lane_width=self.lane_width,
            margin=self.margin,
            speed_limit=self.speed_limit,
            ring=self.ring,
        )


def direction(heading: float) -> Array:
    """The unit vector (2,) along a heading [rad]."""
    return np.array([np.cos(heading), np.sin(heading)])
