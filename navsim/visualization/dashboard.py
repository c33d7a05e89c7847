"""The dashboard of a drive: cameras with the fan, both maps, the steering distribution, status and events."""

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

WIDTH, HEIGHT = 960, 540
"""Size of a dashboard [px]."""
_CAMERAS = Rectangle(16, 52, 700, 262)
_STATUS = Rectangle(728, 52, 216, 262)
_ROAD_MAP = Rectangle(16, 326, 198, 198)
_ROUTE_MAP = Rectangle(226, 326, 198, 198)
_CURVE = Rectangle(436, 326, 508, 198)


@dataclass(frozen=True)
class DashboardContext:
    """Values that stay the same during a drive."""

    driver: str
    """Name of the driver."""
    scenario: str
    """Name of the scenario."""
    cameras: tuple[Camera, ...]
    """Cameras of the car, in the order of the observation's images."""
    map: MapSpec
    """Size and scale of the map patches."""
    route_length: float
    """Length of the route [m]."""
    passages: tuple[JunctionPassage, ...] = ()
    """Junctions on the route."""
    max_curvature: float = 0.2
    """Largest curvature on the plot's axis, to either side [1/m]."""
    driver_colour: Colour = BRIGHT
    """Colour of the driver's name."""

    @classmethod
    def of(cls, simulation: Simulation, driver: str, driver_colour: Colour = BRIGHT) -> "DashboardContext":
        """Return the context of a simulation's current drive."""
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


def compose_dashboard(
    step: RolloutStep,
    context: DashboardContext,
    outcome: Outcome | None = None,
    log: DriveLog | None = None,
    salience: Salience | None = None,
    remark: str = "",
) -> Image:
    """Draw the dashboard of one control step.

    Args:
        step: Control step with observation, decision and the expert's label.
        context: Values that stay the same during the drive.
        outcome: Outcome of the drive, for its last picture.
        log: Events and past path; None shows neither.
        salience: Saliency to overlay on cameras and maps; None overlays nothing.
        remark: Line of text at the lower edge of the cameras' pictures.

    Returns:
        Dashboard (540, 960, 3) uint8 RGB.
    """
    canvas, log = blank(WIDTH, HEIGHT), log or DriveLog()
    texts = _header(context, outcome, log)
    observation = step.time_step.observation
    if observation is None:
        texts += _draw_placeholders(canvas)
    else:
        texts += _draw_cameras(canvas, observation, step, context, salience)
        texts += _draw_maps(canvas, observation, context.map, _past_path(step, log), salience)
    if remark:
        x, y = _CAMERAS.x + _CAMERAS.width / 2, _CAMERAS.y + _CAMERAS.height - 6
        texts.append(Text(remark, x, y, 14, BRIGHT, "ms", outlined=True))
    texts += draw_curve(canvas, _CURVE, step.decision, step.label, context.max_curvature)
    texts += _draw_status(canvas, step, context, outcome, log)
    return written(canvas, texts)


def excerpt(dashboard: Image) -> Image:
    """Return a dashboard without header and status, for small pictures: cameras, and under them maps and curve.

    Args:
        dashboard: Result of `compose_dashboard` (540, 960, 3).

    Returns:
        Picture (421, 700, 3).
    """
    width = _CAMERAS.width
    lower = Rectangle(_ROAD_MAP.x, _ROAD_MAP.y, _CURVE.x + _CURVE.width - _ROAD_MAP.x, _ROAD_MAP.height)
    canvas = blank(width, _CAMERAS.height + 10 + round(lower.height * width / lower.width))
    canvas[: _CAMERAS.height] = dashboard[_CAMERAS.slices]
    canvas[_CAMERAS.height + 10 :] = downsized(dashboard[lower.slices], width)
    return canvas


def tiles(box: Rectangle, count: int, width: int, height: int, gap: int = 6) -> tuple[Rectangle, ...]:
    """Arrange `count` pictures of one shape in `box`, as large as possible; an incomplete row is the first.

    Args:
        box: Rectangle for all pictures.
        count: Number of pictures, at least 1.
        width: Width of a picture, in any unit.
        height: Height of a picture, in the same unit.
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


def next_manoeuvre(passages: Sequence[JunctionPassage], station: float) -> str:
    """Return the manoeuvre at the current or next junction of the route, in a few words."""
    ahead = next((passage for passage in passages if passage.end > station), None)
    if ahead is None:
        return "end of route"
    if ahead.start <= station:
        return f"{ahead.manoeuvre} now"
    return f"{ahead.manoeuvre} in {ahead.start - station:.0f} m"


def _header(context: DashboardContext, outcome: Outcome | None, log: DriveLog) -> list[Text]:
    """Return the texts of the header: driver, scenario, and mode or outcome."""
    mode = ("manual" if log.manual else "driving") if outcome is None else outcome.replace("_", " ")
    colour = (ACCENT if log.manual else DIM) if outcome is None else outcome_colour(outcome)
    return [
        Text(context.driver, 18, 26, 22, context.driver_colour, "lm"),
        Text(context.scenario, WIDTH / 2, 27, 15, DIM, "mm"),
        Text(mode.upper(), WIDTH - 18, 26, 20, colour, "rm"),
    ]


def _draw_placeholders(canvas: Image) -> list[Text]:
    """Draw empty boxes for cameras and maps, where nothing was sensed."""
    texts = []
    no_camera = "no camera images: this driver does not use them"
    for box, text in ((_CAMERAS, no_camera), (_ROAD_MAP, "no map"), (_ROUTE_MAP, "no map")):
        fill(canvas, box, SURFACE)
        texts.append(Text(text, box.x + box.width / 2, box.y + box.height / 2, 14, DIM, "mm"))
    return texts


def _draw_cameras(
    canvas: Image, observation: Observation, step: RolloutStep, context: DashboardContext, salience: Salience | None
) -> list[Text]:
    """Draw every camera's image with the fan, from left to right; of an odd number the front camera comes first."""
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
        canvas[box.slices] = draw_fan(image, camera, step.decision, step.label)
        texts.append(Text(camera.name, box.x + 8, box.y + 6, 13, BRIGHT, outlined=True))
    return texts


def _past_path(step: RolloutStep, log: DriveLog) -> Array:
    """Return the past path in the vehicle frame (N, 2) [m], up to the car."""
    pose = step.time_step.state.pose
    return pose.to_vehicle([*((mark.x, mark.y) for mark in log.trail), (pose.x, pose.y)])


def _draw_maps(
    canvas: Image, observation: Observation, spec: MapSpec, past_path: Array, salience: Salience | None
) -> list[Text]:
    """Draw the unrouted map and the routed one: the route in red, the car at its measured position.

    The past path (N, 2) [m] is in the vehicle frame.
    """
    roads = np.repeat(observation.road_map[..., None] // 2, 3, axis=2) + np.array([24, 28, 36], np.uint8)
    share = observation.route_map[..., None] / 255.0
    routed = (roads * (1 - share) + np.array(ROUTE) * share).astype(np.uint8)
    texts = []
    for box, image, label in ((_ROAD_MAP, roads, "roads"), (_ROUTE_MAP, routed, "route")):
        shown = image if salience is None or salience.maps is None else overlay_saliency(image, salience.maps)
        paste(canvas, box, shown, smooth=True)
        scale = box.width / spec.size_px
        x, y = box.x + box.width / 2, box.y + (spec.ego_row + 0.5) * scale
        line = np.array([x, y]) - past_path[:, ::-1] * scale / spec.metres_per_pixel
        part = canvas[box.slices]
        polyline(part, line - [box.x, box.y], TRAIL, 2)
        polygon(canvas, [(x, y - 8), (x + 6, y + 7), (x, y + 4), (x - 6, y + 7)], CAR)
        texts.append(Text(label, box.x + 8, box.y + 6, 13, BRIGHT, outlined=True))
    return texts


def _draw_status(
    canvas: Image, step: RolloutStep, context: DashboardContext, outcome: Outcome | None, log: DriveLog
) -> list[Text]:
    """Draw speed, time, offset, next manoeuvre, events and progress; return their texts."""
    box = _STATUS
    fill(canvas, box, SURFACE)
    x, y, right = box.x + 14, box.y + 10, box.x + box.width - 14
    middle = box.x + box.width // 2 + 16
    state, progress = step.time_step.state, step.time_step.progress
    side = "left" if progress.offset > 0 else "right"
    cells = (
        (x, 0, "speed", f"{state.speed:.1f} m/s"),
        (middle, 0, "time", f"{state.time:.1f} s"),
        (x, 44, "offset from lane centre", f"{abs(progress.offset):.2f} m {side}"),
        (x, 88, "next", next_manoeuvre(context.passages, progress.station)),
    )
    texts = []
    for left, top, name, value in cells:
        texts += [Text(name, left, y + top, 11, DIM), Text(value, left, y + top + 14, 18, BRIGHT)]
    texts.append(Text("events", x, y + 134, 11, DIM))
    for i, event in enumerate(reversed(log.events)):
        colour = BRIGHT if i == 0 else DIM
        texts += [
            Text(f"{event.time:.1f} s", x, y + 150 + 18 * i, 13, DIM),
            Text(event.text, x + 52, y + 150 + 18 * i, 13, colour),
        ]
    bar = Rectangle(x, box.y + box.height - 16, right - x, 6)
    fill(canvas, bar, LINE)
    colour = ACCENT if outcome is None else outcome_colour(outcome)
    fill(canvas, replace(bar, width=round(bar.width * progress.fraction)), colour)
    return [*texts, Text(f"{progress.station:.0f} of {context.route_length:.0f} m", x, bar.y - 19, 12, DIM)]
