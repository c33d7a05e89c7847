"""Content of PyBullet's window: the town, the route, the car, the fan, the past path and a caption."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image as Picture
from PIL import ImageDraw, ImageFont

from navsim.geometry import Array, Polyline, Pose
from navsim.rendering.car_model import Rgba, car_parts
from navsim.rendering.road_fan import (
    CELL_EDGES,
    Fan,
    cell_colours,
    cell_outline,
    command_index,
    command_outline,
)
from navsim.rendering.window.viewpoints import SLOPE, Viewpoint, eye_and_target, heading_and_pitch
from navsim.sensing.observation import Image
from navsim.world.bullet import BulletClient, Vector
from navsim.world.scenery.meshes import Mesh
from navsim.world.scenery.scene import Scene
from navsim.world.vehicle import VehicleSpec

CAPTION_WIDTH, CAPTION_HEIGHT = 320, 100
"""Size of the caption [px], enough for four lines."""
_BACKGROUND = (16, 19, 25)
_TEXT_COLOURS = ((255, 255, 255), (176, 188, 206), (255, 196, 84), (150, 160, 178))
_SIZES = (20, 14, 16, 11)
_TOPS = (8, 36, 57, 81)
_LEFT = 12
_MIN_SIZE = 10


def draw_caption(lines: Sequence[str]) -> Image:
    """Draw up to four lines (CAPTION_HEIGHT, CAPTION_WIDTH, 3): the third coloured, the fourth small, all fitted."""
    image = Picture.new("RGB", (CAPTION_WIDTH, CAPTION_HEIGHT), _BACKGROUND)
    draw = ImageDraw.Draw(image)
    for text, colour, size, top in zip(lines, _TEXT_COLOURS, _SIZES, _TOPS, strict=False):
        shown, text_size = fit_text(text, size, CAPTION_WIDTH - 2 * _LEFT)
        draw.text((_LEFT, top), shown, fill=colour, font=ImageFont.load_default(text_size))
    return np.array(image, np.uint8)


def fit_text(text: str, size: int, width: float) -> tuple[str, int]:
    """Return a line that fits into `width` [px] and its font size: smaller, or with dots at the end."""
    for smaller in range(size, _MIN_SIZE - 1, -1):
        if ImageFont.load_default(smaller).getlength(text) <= width:
            return text, smaller
    font = ImageFont.load_default(_MIN_SIZE)
    kept = next(n for n in range(len(text), -1, -1) if font.getlength(text[:n] + "...") <= width)
    return text[:kept] + "...", _MIN_SIZE


ROUTE_COLOUR = (0.25, 0.55, 1.0, 0.45)
COMMAND_COLOUR = (1.0, 1.0, 1.0, 1.0)
MODE_COLOUR = (1.0, 0.45, 0.05, 1.0)
TRAIL_COLOUR = (0.62, 0.36, 0.95, 0.85)
TRAIL_MARKS = 16
"""Number of marks on the past path."""
TRAIL_SPACING = 2.5
"""Distance between two marks [m]."""
_INVISIBLE = (0.0, 0.0, 0.0, 1e-6)  # PyBullet adds a shape of opacity 0 as an opaque one
_CELLS = len(CELL_EDGES) - 1
_ROUTE_WIDTH = 0.5
# The fan lies above the kerbs' 0.12 m, so that they do not hide it.
_ROUTE_HEIGHT, _TRAIL_HEIGHT, _FAN_HEIGHT, _COMMAND_HEIGHT = 0.05, 0.07, 0.15, 0.17
_TRAIL_WIDTH, _TRAIL_LENGTH = 0.22, 1.2
_UNDERGROUND: Vector = (0.0, 0.0, -50.0)
_CAPTION_DISTANCE = 0.5
_CAPTION_MARGIN = 12
_CAPTION_COLOUR = (1.7, 1.7, 1.7, 0.85)  # brighter than its texture, because it is often in its own shadow


@dataclass(frozen=True, eq=False)
class WindowFrame:
    """One frame of the drive."""

    pose: Pose
    """Pose of the car."""
    view: Viewpoint
    """Viewpoint of the camera."""
    fan: Fan | None = None
    """Command and distribution of the driver, drawn on the road."""
    lines: tuple[str, ...] = ()
    """Up to four lines of text for the caption."""
    trail: tuple[Pose, ...] = ()
    """Past poses of the car, the latest last."""


class WindowScene:
    """Content of a window's client, which the owner closes."""

    def __init__(self, client: BulletClient, vehicle: VehicleSpec) -> None:
        """Prepare an empty window; `vehicle` gives the car's dimensions."""
        self._client = client
        client.draw()  # from now on the window is drawn on demand, which makes all later calls ten times as fast
        self._vehicle = vehicle
        self._textures: dict[tuple[int, ...], list[int]] = {}
        self._caption_texture = client.add_texture(draw_caption(()))
        self._lines: tuple[str, ...] = ()

    def load(self, scene: Scene, route: Polyline | None) -> None:
        """Replace the town, with the route as a band on its road."""
        self._client.clear()
        self._client.set_background(scene.atmosphere.horizon, scene.atmosphere.sun_direction)
        meshes = [*scene.meshes, *(group.baked() for group in scene.instances)]
        textures = self._load_textures([mesh.texture for mesh in meshes])
        for mesh, texture in zip(meshes, textures, strict=True):
            self._add_mesh(mesh, texture)
        if route is not None:
            self._add_route(route)
        self._add_trail()
        self._add_car()
        self._add_caption()
        self._client.draw()  # a new background is visible from the second frame on

    def show(self, frame: WindowFrame) -> None:
        """Draw one frame."""
        pose = frame.pose
        self._client.set_pose(self._car, (pose.x, pose.y, 0.0), pose.heading)
        self._update_fan(frame.fan)
        self._update_commands(pose, {} if frame.fan is None else _command_colours(frame.fan))
        self._update_trail(frame.trail)
        eye, target = eye_and_target(frame.view, pose)
        self._client.set_camera(eye, target)
        self._update_caption(frame.lines, eye, target)
        self._client.draw()

    def _load_textures(self, images: list[Image]) -> list[int]:
        """Return the texture ids of images; PyBullet never frees textures, so those of earlier towns are reused."""
        free = {size: list(ids) for size, ids in self._textures.items()}
        loaded: dict[int, int] = {}
        for image in images:
            if id(image) in loaded:
                continue
            if free.get(image.shape):
                loaded[id(image)] = free[image.shape].pop()
                self._client.update_texture(loaded[id(image)], image)
            else:
                loaded[id(image)] = self._client.add_texture(image)
                self._textures.setdefault(image.shape, []).append(loaded[id(image)])
        return [loaded[id(image)] for image in images]

    def _add_mesh(self, mesh: Mesh, texture: int) -> None:
        if len(mesh.triangles):
            self._client.add_visual_body(self._client.add_visual_shape(mesh.vertices, mesh.triangles, mesh.uv), texture)

    def _add_route(self, route: Polyline) -> None:
        left, right = route.shifted(_ROUTE_WIDTH / 2).points, route.shifted(-_ROUTE_WIDTH / 2).points
        self._client.add_visual_body(self._add_band(left, right, _ROUTE_HEIGHT, ROUTE_COLOUR))

    def _add_car(self) -> None:
        """Add one body for car and fan cells, because many bodies slow the window down; commands come when shown."""
        parts = car_parts(self._vehicle)  # coloured as they are added, because each later change of a colour takes long
        shapes = [
            self._client.add_visual_shape(part.vertices, part.triangles, np.zeros((len(part.vertices), 2)), part.colour)
            for part in parts
        ]
        cells = [self._add_band(*cell_outline(cell), _FAN_HEIGHT) for cell in range(_CELLS)]
        self._car = self._client.add_visual_parts([*cells, *shapes])
        self._colours = np.zeros((_CELLS, 4))
        self._commands: dict[int, tuple[int, Rgba]] = {}
        self._commands_shown: set[int] = set()

    def _add_trail(self) -> None:
        """Add the marks of the past path, under the ground until they are used."""
        length, width = _TRAIL_LENGTH / 2, _TRAIL_WIDTH / 2
        left, right = (np.array([(-length, side), (length, side)]) for side in (width, -width))
        shape = self._add_band(left, right, _TRAIL_HEIGHT, TRAIL_COLOUR)
        self._marks = self._client.add_visual_copies(shape, [_UNDERGROUND] * TRAIL_MARKS)
        self._trail: dict[int, Pose] = {}

    def _update_trail(self, trail: tuple[Pose, ...]) -> None:
        """Update the marks; a mark keeps its position as long as its pose is in the trail."""
        visible = trail[-len(self._marks) :]
        kept = {mark: pose for mark, pose in self._trail.items() if pose in visible}
        free = [mark for mark in self._marks if mark not in kept]
        marked = set(kept.values())
        for pose in visible:
            if pose not in marked:
                kept[free[-1]] = pose
                self._client.set_pose(free.pop(), (pose.x, pose.y, 0.0), pose.heading)
        for mark in free:
            if mark in self._trail:
                self._client.set_pose(mark, _UNDERGROUND, 0.0)
        self._trail = kept

    def _add_caption(self) -> None:
        """Add the caption in the camera's frame: x forward, y left, z up."""
        width, height = self._client.window_size()
        pixel = 2 * SLOPE * _CAPTION_DISTANCE / height  # as large in the window as in its texture
        left, top = pixel * (width / 2 - _CAPTION_MARGIN), pixel * (height / 2 - _CAPTION_MARGIN)
        right, bottom = left - pixel * CAPTION_WIDTH, top - pixel * CAPTION_HEIGHT
        corners = [(left, bottom), (right, bottom), (right, top), (left, top)]
        vertices = np.array([(_CAPTION_DISTANCE, y, z) for y, z in corners])
        uv = np.array([(0.0, 1.0), (1.0, 1.0), (1.0, 0.0), (0.0, 0.0)])
        shape = self._client.add_visual_shape(vertices, np.array([[0, 1, 2], [0, 2, 3]]), uv, _CAPTION_COLOUR)
        self._caption = self._client.add_visual_body(shape, self._caption_texture)

    def _add_band(self, left: Array, right: Array, height: float, colour: Rgba = _INVISIBLE) -> int:
        """Add the visual shape of a flat band between two lines (N, 2) [m]; return its id."""
        count = len(left)
        flat = np.concatenate([right, left])
        vertices = np.concatenate([flat, np.full((2 * count, 1), height)], axis=1)
        i = np.arange(count - 1)
        triangles = np.concatenate(
            [np.stack([i, i + 1, i + count], axis=1), np.stack([i + 1, i + 1 + count, i + count], axis=1)]
        )
        return self._client.add_visual_shape(vertices, triangles, np.zeros((2 * count, 2)), colour)

    def _update_fan(self, fan: Fan | None) -> None:
        """Update the colours of the fan's cells."""
        colours = np.zeros_like(self._colours) if fan is None else cell_colours(fan)
        for part in np.flatnonzero((colours != self._colours).any(axis=1)).tolist():
            red, green, blue, opacity = colours[part].tolist()
            self._client.set_colour(self._car, part, (red, green, blue, opacity))
        self._colours = colours

    def _update_commands(self, pose: Pose, colours: dict[int, Rgba]) -> None:
        """Move the bands of the visible commands to the car, and the others under the ground."""
        for index in self._commands_shown - colours.keys():
            self._client.set_pose(self._commands[index][0], _UNDERGROUND, 0.0)
        for index, colour in colours.items():
            if index not in self._commands:
                shape = self._add_band(*command_outline(index), _COMMAND_HEIGHT, colour)
                self._commands[index] = self._client.add_visual_body(shape), colour
            body, last = self._commands[index]
            if colour != last:
                self._client.set_colour(body, -1, colour)
                self._commands[index] = body, colour
            self._client.set_pose(body, (pose.x, pose.y, 0.0), pose.heading)
        self._commands_shown = set(colours)

    def _update_caption(self, lines: tuple[str, ...], eye: Vector, target: Vector) -> None:
        """Move the caption with the lines in front of the camera."""
        if lines and lines != self._lines:
            self._client.update_texture(self._caption_texture, draw_caption(lines))
            self._lines = lines
        heading, pitch = heading_and_pitch(eye, target)
        self._client.set_pose(self._caption, eye if lines else _UNDERGROUND, heading, pitch)


def _command_colours(fan: Fan) -> dict[int, Rgba]:
    """Return the visible bands with their colours: the modes, and the command over them."""
    return dict.fromkeys(map(command_index, fan.modes), MODE_COLOUR) | {command_index(fan.curvature): COMMAND_COLOUR}
