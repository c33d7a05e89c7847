"""One drive as arrays: what was sensed, commanded and labelled, and the truth beside it."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from navsim.geometry import Array, Pose
from navsim.roads.routing import JunctionPassage
from navsim.sensing.observation import Image
from navsim.simulation.scenario import Outcome, Scenario
from navsim.world.obstacles import ObstacleKind

OBJECT_COLUMNS = ("frame", "camera", "class", "x0", "y0", "x1", "y1", "visible")
"""What is told of each thing in an episode's images, see `navsim.rendering.object_boxes`."""


@dataclass(frozen=True, eq=False)
class Episode:
    """T commands and T + 1 states: state i is where command i was given, the last one is the end.

    A drive recorded without images has zero-length `images`, `road_maps` and `route_maps`.
    """

    scenario: Scenario
    """What was driven."""
    driver: str
    """Name of the driver."""
    outcome: Outcome
    """How it ended."""
    route_length: float
    """Length of the route [m]."""
    passages: tuple[JunctionPassage, ...]
    """Junctions on the route, in order."""
    images: Image
    """Camera images (T, C, H, W, 3) uint8, or (0, C, H, W, 3)."""
    road_maps: Image
    """Unrouted map patches (T, S, S) uint8, or (0, S, S)."""
    route_maps: Image
    """Routed map patches (T, S, S) uint8, or (0, S, S)."""
    gps: Array
    """Noisy poses (T, 3): x, y [m], heading [rad]."""
    commands: Array
    """Curvature driven (T,) [1/m], perturbation included."""
    labels: Array
    """The expert's command at the true pose (T,) [1/m]."""
    times: Array
    """Time (T + 1,) [s] since the start."""
    poses: Array
    """True poses (T + 1, 3): x, y [m], heading [rad]."""
    speeds: Array
    """True speeds (T + 1,) [m/s]."""
    stations: Array
    """Station on the route (T + 1,) [m]."""
    offsets: Array
    """Offset from the route's lane centre (T + 1,) [m], positive to the left."""
    heading_errors: Array
    """Heading relative to the route (T + 1,) [rad]."""
    struck: ObstacleKind | None = None
    """What the car touched; None if nothing, or if the drive was recorded before this was kept."""
    grid: Array = field(default_factory=lambda: np.zeros(0))
    """Curvatures (B,) [1/m], increasing, at which `densities` are given; (0,) where there are none."""
    densities: NDArray[np.floating] = field(default_factory=lambda: np.zeros((0, 0), np.float16))
    """The driver's distribution at each command (T, B) float16 [m] over `grid`; (0, 0) where none was kept."""
    classes: Image = field(default_factory=lambda: np.zeros((0, 0, 0, 0), np.uint8))
    """What each pixel of `images` shows (T, C, H, W) uint8, a `SemanticClass`; (0, ...) where that was not recorded."""
    objects: Array | None = None
    """Things in the images (N, OBJECT_COLUMNS), in the order of their frames; None where they were not recorded."""

    def __post_init__(self) -> None:
        steps = len(self.commands)
        if steps < 1:
            raise ValueError("an episode needs at least one command")
        for name in ("times", "poses", "speeds", "stations", "offsets", "heading_errors"):
            if len(getattr(self, name)) != steps + 1:
                raise ValueError(f"{steps} commands need {steps + 1} {name}, got {len(getattr(self, name))}")
        for name in ("labels", "gps"):
            if len(getattr(self, name)) != steps:
                raise ValueError(f"{steps} commands need as many {name}, got {len(getattr(self, name))}")
        for name in ("images", "road_maps", "route_maps", "densities", "classes"):
            if len(getattr(self, name)) not in (0, steps):
                raise ValueError(f"{steps} commands need as many {name} or none, got {len(getattr(self, name))}")
        if self.objects is not None and self.objects.shape[1:] != (len(OBJECT_COLUMNS),):
            raise ValueError(f"objects need {len(OBJECT_COLUMNS)} numbers each, got {self.objects.shape[1:]}")

    def __len__(self) -> int:
        """Number of commands, T."""
        return len(self.commands)

    @property
    def distance(self) -> float:
        """Distance driven [m], along the true positions."""
        return float(np.hypot(*np.diff(self.poses[:, :2], axis=0).T).sum())

    @property
    def completion(self) -> float:
        """Share of the route that was driven, in [0, 1]; 1 exactly when it arrived."""
        if self.outcome is Outcome.ARRIVED:
            return 1.0
        return float(np.clip(self.stations.max() / self.route_length, 0.0, 1.0))

    @property
    def in_junction(self) -> NDArray[np.bool_]:
        """For each state (T + 1,) whether its station lies within a junction."""
        inside = [(self.stations >= p.start) & (self.stations <= p.end) for p in self.passages]
        return np.asarray(np.any([np.zeros(len(self.stations), bool), *inside], axis=0))

    def pose(self, index: int) -> Pose:
        """The true pose of state `index`."""
        x, y, heading = self.poses[index]
        return Pose(float(x), float(y), float(heading))
