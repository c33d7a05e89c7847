"""Parts of the panel: where things stand, what has happened, and the keys.

The picture that a person watches: cameras with the fan, both maps, the distribution, and where things stand.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil

import numpy as np

from navsim.drivers.protocol import Salience
from navsim.geometry import Array
from navsim.roads.routing import JunctionPassage
from navsim.sensing.camera import Camera
from navsim.sensing.observation import Image, Observation
from navsim.sensing.roadmap import MapSpec
from navsim.simulation.rollout import RolloutStep
from navsim.simulation.scenario import Outcome
from navsim.simulation.simulation import Simulation
from navsim.visualization.canvas import (
    ACCENT,
    BRIGHT,
    CAR,
    DIM,
    LINE,
    ROUTE,
    SURFACE,
    TRAIL,
    Colour,
    Rectangle,
    Text,
    blank,
    downsized,
    enlarged,
    fill,
    outcome_colour,
    overlay_saliency,
    paste,
    polygon,
    polyline,
    written,
)
from navsim.visualization.drive_events import DriveLog
from navsim.visualization.steering_plots import draw_curve, draw_fan


def draw_status(
    canvas: Image,
    box: Rectangle,
    moment: RolloutStep,
    passages: Sequence[JunctionPassage],
    route_length: float,
    outcome: Outcome | None,
    story: DriveLog,
) -> list[Text]:
    """Draw speed, offset, what comes next, what has happened and how far the drive has come.

    Returns:
        The texts that belong to it.
    """
    fill(canvas, box, SURFACE)
    x, y, right = box.x + 14, box.y + 10, box.x + box.width - 14
    middle = box.x + box.width // 2 + 16
    state, progress = moment.step.state, moment.step.progress
    side = "left" if progress.offset > 0 else "right"
    cells = (
        (x, 0, "speed", f"{state.speed:.1f} m/s"),
        (middle, 0, "time", f"{state.time:.1f} s"),
        (x, 44, "offset from the lane's centre", f"{abs(progress.offset):.2f} m {side}"),
        (x, 88, "next", next_manoeuvre(passages, progress.station)),
    )
    texts = []
    for left, top, name, value in cells:
        texts += [Text(name, left, y + top, 11, DIM), Text(value, left, y + top + 14, 18, BRIGHT)]
    texts.append(Text("events", x, y + 134, 11, DIM))
    for i, event in enumerate(reversed(story.events)):
        colour = BRIGHT if i == 0 else DIM
        texts += [
            Text(f"{event.time:.1f} s", x, y + 150 + 18 * i, 13, DIM),
            Text(event.words, x + 52, y + 150 + 18 * i, 13, colour),
        ]
    bar = Rectangle(x, box.y + box.height - 16, right - x, 6)
    fill(canvas, bar, LINE)
    colour = ACCENT if outcome is None else outcome_colour(outcome)
    fill(canvas, replace(bar, width=round(bar.width * progress.fraction)), colour)
    return [*texts, Text(f"{progress.station:.0f} of {route_length:.0f} m", x, bar.y - 19, 12, DIM)]


def next_manoeuvre(passages: Sequence[JunctionPassage], station: float) -> str:
    """What the route does at the junction being driven or coming next, in a few words."""
    ahead = next((passage for passage in passages if passage.end > station), None)
    if ahead is None:
        return "to the end"
    if ahead.start <= station:
        return f"{ahead.manoeuvre} now"
    return f"{ahead.manoeuvre} in {ahead.start - station:.0f} m"


WIDTH, HEIGHT = 960, 540
"""Size of a panel [px]."""
_CAMERAS = Rectangle(16, 52, 700, 262)
_STATUS = Rectangle(728, 52, 216, 262)
_ROAD_MAP = Rectangle(16, 326, 198, 198)
_ROUTE_MAP = Rectangle(226, 326, 198, 198)
_CURVE = Rectangle(436, 326, 508, 198)


@dataclass(frozen=True)
class PanelContext:
    """What stays the same during a drive."""

    driver: str
    """Name of the driver."""
    scenario: str
    """Name of the scenario."""
    cameras: tuple[Camera, ...]
    """The car's cameras, in the order of the observation's images."""
    map: MapSpec
    """The map patches."""
    route_length: float
    """Length of the route [m]."""
    passages: tuple[JunctionPassage, ...] = ()
    """Junctions on the route."""
    max_curvature: float = 0.2
    """End of the curve's axis on either side [1/m]."""
    driver_colour: Colour = BRIGHT
    """Colour of the driver's name."""

    @classmethod
    def of(cls, simulation: Simulation, driver: str, driver_colour: Colour = BRIGHT) -> "PanelContext":
        """That of the drive that a simulation is in."""
        config, route = simulation.config, simulation.route
        return cls(
            driver=driver,
            scenario=simulation.scenario.name,
            cameras=config.cameras,
            map=config.map,
            route_length=route.length,
            passages=route.passages,
            max_curvature=config.vehicle.max_curvature,
            driver_colour=driver_colour,
        )


def compose_panel(
    moment: RolloutStep,
    context: PanelContext,
    outcome: Outcome | None = None,
    story: DriveLog | None = None,
    salience: Salience | None = None,
    remark: str = "",
) -> Image:
    """Draw one moment of a drive.

    Args:
        moment: The control step: what was sensed, decided and, by the expert, advised.
        context: What stays the same during the drive.
        outcome: How the drive ended, for the last picture.
        story: The drive so far; None tells none.
        salience: What the driver looks at, to be laid over cameras and maps; None lays nothing over them.
        remark: A line for the lower edge of the cameras' pictures.

    Returns:
        The panel (540, 960, 3) uint8 RGB.
    """
    canvas, story = blank(WIDTH, HEIGHT), story or DriveLog()
    texts = _header(context, outcome, story)
    observation = moment.step.observation
    if observation is None:
        texts += _unseen(canvas)
    else:
        texts += _draw_cameras(canvas, observation, moment, context, salience)
        texts += _draw_maps(canvas, observation, context.map, _past(moment, story), salience)
    if remark:
        x, y = _CAMERAS.x + _CAMERAS.width / 2, _CAMERAS.y + _CAMERAS.height - 6
        texts.append(Text(remark, x, y, 14, BRIGHT, "ms", outlined=True))
    texts += draw_curve(canvas, _CURVE, moment.decision, moment.label, context.max_curvature)
    texts += draw_status(canvas, _STATUS, moment, context.passages, context.route_length, outcome, story)
    return written(canvas, texts)


def excerpt(panel: Image) -> Image:
    """What a panel shows of seeing and deciding, for small pictures: the cameras, under them the maps and the curve.

    Args:
        panel: From `compose_panel` (540, 960, 3).

    Returns:
        A picture (421, 700, 3).
    """
    width = _CAMERAS.width
    lower = Rectangle(_ROAD_MAP.x, _ROAD_MAP.y, _CURVE.x + _CURVE.width - _ROAD_MAP.x, _ROAD_MAP.height)
    canvas = blank(width, _CAMERAS.height + 10 + round(lower.height * width / lower.width))
    canvas[: _CAMERAS.height] = panel[_CAMERAS.slices]
    canvas[_CAMERAS.height + 10 :] = downsized(panel[lower.slices], width)
    return canvas


def tiles(box: Rectangle, count: int, width: int, height: int, gap: int = 6) -> tuple[Rectangle, ...]:
    """Places for `count` pictures of one shape, as large as fit into `box`; an odd one out comes first, alone.

    Args:
        box: Where to put them.
        count: How many, at least 1.
        width: Width of a picture, in any unit.
        height: Its height in the same unit.
        gap: Space between pictures [px].
    """

    def tile_at(columns: int) -> Rectangle:
        rows = ceil(count / columns)
        room = Rectangle(0, 0, (box.width - gap * (columns - 1)) // columns, (box.height - gap * (rows - 1)) // rows)
        return room.fitted(width, height)

    columns = max(range(1, count + 1), key=lambda n: tile_at(n).width)
    tile, rows = tile_at(columns), ceil(count / columns)
    first_row = count - columns * (rows - 1)
    sizes = [first_row] + [columns] * (rows - 1)
    top = box.y + (box.height - rows * tile.height - gap * (rows - 1)) // 2
    places = []
    for row, size in enumerate(sizes):
        left = box.x + (box.width - size * tile.width - gap * (size - 1)) // 2
        y = top + row * (tile.height + gap)
        places += [Rectangle(left + i * (tile.width + gap), y, tile.width, tile.height) for i in range(size)]
    return tuple(places)


def _header(context: PanelContext, outcome: Outcome | None, story: DriveLog) -> list[Text]:
    """Who drives what, and how it ended."""
    words = ("by hand" if story.by_hand else "driving") if outcome is None else outcome.replace("_", " ")
    colour = (ACCENT if story.by_hand else DIM) if outcome is None else outcome_colour(outcome)
    return [
        Text(context.driver, 18, 26, 22, context.driver_colour, "lm"),
        Text(context.scenario, WIDTH / 2, 27, 15, DIM, "mm"),
        Text(words.upper(), WIDTH - 18, 26, 20, colour, "rm"),
    ]


def _unseen(canvas: Image) -> list[Text]:
    """Empty places for what a driver that does not look never sensed."""
    texts = []
    unseen = "no camera: this driver does not look"
    for box, words in ((_CAMERAS, unseen), (_ROAD_MAP, "no map"), (_ROUTE_MAP, "no map")):
        fill(canvas, box, SURFACE)
        texts.append(Text(words, box.x + box.width / 2, box.y + box.height / 2, 14, DIM, "mm"))
    return texts


def _draw_cameras(
    canvas: Image, observation: Observation, moment: RolloutStep, context: PanelContext, salience: Salience | None
) -> list[Text]:
    """Draw every camera's image, enlarged, with the fan; the foremost comes first, then from left to right."""
    order = sorted(range(len(context.cameras)), key=lambda i: -context.cameras[i].yaw_deg)
    if len(order) % 2:
        foremost = min(order, key=lambda i: abs(context.cameras[i].yaw_deg))
        order = [foremost, *(i for i in order if i != foremost)]
    size = context.cameras[0]
    texts = []
    for box, i in zip(tiles(_CAMERAS, len(order), size.width, size.height), order, strict=True):
        camera = replace(context.cameras[i], width=box.width, height=box.height)
        seen = observation.images[i]
        if salience is not None and salience.images is not None:
            seen = overlay_saliency(seen, salience.images[i])
        image = enlarged(seen, box.width, box.height, smooth=True)
        canvas[box.slices] = draw_fan(image, camera, moment.decision, moment.label)
        texts.append(Text(camera.name, box.x + 8, box.y + 6, 13, BRIGHT, outlined=True))
    return texts


def _past(moment: RolloutStep, story: DriveLog) -> Array:
    """The past path in the vehicle frame (N, 2) [m], up to the car."""
    pose = moment.step.state.pose
    return pose.to_vehicle([*((mark.x, mark.y) for mark in story.trail), (pose.x, pose.y)])


def _draw_maps(
    canvas: Image, observation: Observation, spec: MapSpec, past: Array, salience: Salience | None
) -> list[Text]:
    """Draw the unrouted map and the routed one, the route in red, the car where the position fix believes it.

    The past path (N, 2) [m], in the vehicle frame, leads to the car.
    """
    roads = np.repeat(observation.road_map[..., None] // 2, 3, axis=2) + np.array([24, 28, 36], np.uint8)
    share = observation.route_map[..., None] / 255.0
    routed = (roads * (1 - share) + np.array(ROUTE) * share).astype(np.uint8)
    texts = []
    for box, image, words in ((_ROAD_MAP, roads, "roads"), (_ROUTE_MAP, routed, "route")):
        shown = image if salience is None or salience.maps is None else overlay_saliency(image, salience.maps)
        paste(canvas, box, shown, smooth=True)
        scale = box.width / spec.size_px
        x, y = box.x + box.width / 2, box.y + (spec.ego_row + 0.5) * scale
        line = np.array([x, y]) - past[:, ::-1] * scale / spec.metres_per_pixel
        part = canvas[box.slices]
        polyline(part, line - [box.x, box.y], TRAIL, 2)
        polygon(canvas, [(x, y - 8), (x + 6, y + 7), (x, y + 4), (x - 6, y + 7)], CAR)
        texts.append(Text(words, box.x + 8, box.y + 6, 13, BRIGHT, outlined=True))
    return texts
