"""One drive as arrays: what was sensed, commanded and labelled, the true states, and the manoeuvre of each frame."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from navsim.geometry import Array, Pose
from navsim.roads.elements import DrivingSide, JunctionKind, Manoeuvre
from navsim.roads.network import RoadNetwork
from navsim.roads.routing import JunctionPassage, Route
from navsim.sensing.camera import Camera, mirrored_images
from navsim.sensing.observation import Image
from navsim.simulation.scenario import Outcome, Scenario
from navsim.world.obstacles import ObstacleKind

OBJECT_COLUMNS = ("frame", "camera", "class", "x0", "y0", "x1", "y1", "visible")
"""Columns of the table of objects in an episode's images, see `navsim.rendering.object_boxes`."""
CURVE = 0.01
"""Smallest curvature of the route's lane that counts as a curve [1/m]: a radius of 100 m."""


@dataclass(frozen=True, eq=False)
class Episode:
    """T commands and T + 1 states: command i is given in state i, and the last state is the end.

    A drive recorded without images has zero-length `images`, `road_maps` and `route_maps`.
    """

    scenario: Scenario
    """Scenario that was driven."""
    driver: str
    """Name of the driver."""
    outcome: Outcome
    """How the drive ended."""
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
    """Curvature commanded (T,) [1/m], steering noise included."""
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
    """Offset from the centre of the nearest lane of the route (T + 1,) [m], positive to the left."""
    heading_errors: Array
    """Heading relative to the route (T + 1,) [rad]."""
    struck: ObstacleKind | None = None
    """Obstacle that the car touched; None if nothing, or in files from before this was recorded."""
    grid: Array = field(default_factory=lambda: np.zeros(0))
    """Curvatures (B,) [1/m], increasing, of the columns of `densities`; (0,) without them."""
    densities: NDArray[np.floating] = field(default_factory=lambda: np.zeros((0, 0), np.float16))
    """Driver's probability density at each command (T, B) float16 [m] over `grid`; (0, 0) if none was recorded."""
    classes: Image = field(default_factory=lambda: np.zeros((0, 0, 0, 0), np.uint8))
    """`SemanticClass` of each pixel of `images` (T, C, H, W) uint8; (0, ...) if not recorded."""
    objects: Array | None = None
    """Objects in the images (N, OBJECT_COLUMNS), in the order of their frames; None if not recorded."""
    route_offsets: Array = field(default_factory=lambda: np.zeros(0))
    """Offset from the centre of the route's own lane (T + 1,) [m], positive to the left; the same as `offsets` in files
    from before it was recorded."""
    side: DrivingSide = DrivingSide.RIGHT
    """Side of the road on which traffic drives."""

    def __post_init__(self) -> None:
        steps = len(self.commands)
        if steps < 1:
            raise ValueError("an episode needs at least one command")
        if not len(self.route_offsets):
            object.__setattr__(self, "route_offsets", self.offsets)
        for name in ("times", "poses", "speeds", "stations", "offsets", "route_offsets", "heading_errors"):
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
        """Share of the route that was driven, in [0, 1]; 1 if the car arrived and only then."""
        if self.outcome is Outcome.ARRIVED:
            return 1.0
        return float(np.clip(self.stations.max() / self.route_length, 0.0, 1.0))

    @property
    def in_junction(self) -> NDArray[np.bool_]:
        """Whether each state (T + 1,) lies within a junction."""
        inside = [(self.stations >= p.start) & (self.stations <= p.end) for p in self.passages]
        return np.asarray(np.any([np.zeros(len(self.stations), bool), *inside], axis=0))

    def pose(self, index: int) -> Pose:
        """Return the true pose of state `index`."""
        x, y, heading = self.poses[index]
        return Pose(float(x), float(y), float(heading))


class FrameManoeuvre(StrEnum):
    """What the car does in a frame; each frame has exactly one."""

    STRAIGHT = "straight"
    """On a road that leads straight ahead."""
    CURVE = "curve"
    """On a road that curves."""
    LEFT = "left"
    """Turning left at a junction."""
    RIGHT = "right"
    """Turning right at a junction."""
    STRAIGHT_ON = "straight_on"
    """Going straight on at a junction."""
    ROUNDABOUT = "roundabout"
    """On a roundabout's ring, or entering or leaving it."""


_AT_JUNCTIONS = {
    Manoeuvre.LEFT: FrameManoeuvre.LEFT,
    Manoeuvre.STRAIGHT: FrameManoeuvre.STRAIGHT_ON,
    Manoeuvre.RIGHT: FrameManoeuvre.RIGHT,
    Manoeuvre.ROUNDABOUT: FrameManoeuvre.ROUNDABOUT,
}


def right_hand_view(episode: Episode, cameras: Sequence[Camera]) -> Episode:
    """Return what networks learn from a drive: where traffic keeps left, the mirror image of the frames.

    Images, maps, classes, commands and labels are mirrored; poses, offsets and objects stay as they are.

    Raises:
        ConfigError: If the cameras are not placed symmetrically.
    """
    if episode.side is DrivingSide.RIGHT:
        return episode
    classes = episode.classes[..., None]
    return replace(
        episode,
        images=mirrored_images(episode.images, cameras),
        road_maps=np.ascontiguousarray(episode.road_maps[..., ::-1]),
        route_maps=np.ascontiguousarray(episode.route_maps[..., ::-1]),
        commands=-episode.commands,
        labels=-episode.labels,
        classes=mirrored_images(classes, cameras)[..., 0] if len(classes) else episode.classes,
        side=DrivingSide.RIGHT,
    )


def manoeuvre_of_frames(episode: Episode, network: RoadNetwork, route: Route) -> NDArray[np.str_]:
    """Return what the car does in each of an episode's T frames.

    The car's place along its route decides, never its label: groups chosen by label would favour drivers that predict
    the label's own group. A junction of only two roads leaves no choice, so such a bend counts as road.

    Args:
        episode: The drive; its images are not used.
        network: Roads of the scenario's town.
        route: Route of the scenario, see `navsim.simulation.scenario.scenario_route`.

    Returns:
        Values of `FrameManoeuvre` (T,).
    """
    stations = episode.stations[:-1]
    curved = np.abs(route.path.curvature(stations)) >= CURVE
    found = np.where(curved, FrameManoeuvre.CURVE, FrameManoeuvre.STRAIGHT).astype("U11")
    ends = [0.0, *(passage.end for passage in route.passages)]
    starts = [*(passage.start for passage in route.passages), np.inf]
    for lane, first, last in zip(route.lanes, ends, starts, strict=True):
        if network.roads[network.lanes[lane].road].ring:
            found[(stations >= first) & (stations <= last)] = FrameManoeuvre.ROUNDABOUT
    for passage in route.passages:
        if network.junctions[passage.junction].kind is not JunctionKind.BEND:
            inside = (stations >= passage.start) & (stations <= passage.end)
            found[inside] = _AT_JUNCTIONS[passage.manoeuvre]
    return found
