"""A few lines of text as a small picture, for the corner of the window.

What PyBullet's window shows: the town, the route, the car, the fan and some words.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image as Picture
from PIL import ImageDraw, ImageFont

from navsim.geometry import Array, Polyline, Pose
from navsim.rendering.car_model import Paint, car_parts
from navsim.rendering.road_fan import (
    CELL_EDGES,
    COMMANDS,
    Fan,
    cell_colours,
    cell_outline,
    command_index,
    command_outline,
)
from navsim.rendering.window.viewpoints import SLOPE, Viewpoint, facing, viewpoint
from navsim.sensing.observation import Image
from navsim.world.bullet import BulletClient, Vector
from navsim.world.scenery.meshes import Mesh
from navsim.world.scenery.scene import Scene
from navsim.world.vehicle import VehicleSpec

CAPTION_WIDTH, CAPTION_HEIGHT = 320, 100
"""Size of the picture [px]; room for four lines."""
_BACKGROUND = (16, 19, 25)
_INK = ((255, 255, 255), (176, 188, 206), (255, 196, 84), (150, 160, 178))
_SIZES = (20, 14, 16, 11)
_TOPS = (8, 36, 57, 81)
_LEFT = 12
_LEAST_SIZE = 10


def draw_caption(lines: Sequence[str]) -> Image:
    """Write up to four lines, the third in colour, the fourth small: (CAPTION_HEIGHT, CAPTION_WIDTH, 3).

    Lines are fitted into its width.
    """
    picture = Picture.new("RGB", (CAPTION_WIDTH, CAPTION_HEIGHT), _BACKGROUND)
    pen = ImageDraw.Draw(picture)
    for words, ink, size, top in zip(lines, _INK, _SIZES, _TOPS, strict=False):
        shown, fitting = fitted(words, size, CAPTION_WIDTH - 2 * _LEFT)
        pen.text((_LEFT, top), shown, fill=ink, font=ImageFont.load_default(fitting))
    return np.array(picture, np.uint8)


def fitted(words: str, size: int, room: float) -> tuple[str, int]:
    """Return a line that fits into `room` [px] and its size: written smaller, or, too small to read, ending in dots."""
    for smaller in range(size, _LEAST_SIZE - 1, -1):
        if ImageFont.load_default(smaller).getlength(words) <= room:
            return words, smaller
    font = ImageFont.load_default(_LEAST_SIZE)
    kept = next(n for n in range(len(words), -1, -1) if font.getlength(words[:n] + "...") <= room)
    return words[:kept] + "...", _LEAST_SIZE


ROUTE_PAINT = (0.25, 0.55, 1.0, 0.45)
COMMAND_PAINT = (1.0, 1.0, 1.0, 1.0)
MODE_PAINT = (1.0, 0.45, 0.05, 1.0)
TRAIL_PAINT = (0.62, 0.36, 0.95, 0.85)
TRAIL_MARKS = 16
"""How many places of the past path are shown."""
TRAIL_SPACING = 2.5
"""Between two of them [m]."""
_UNSEEN = (0.0, 0.0, 0.0, 0.0)
_CELLS = len(CELL_EDGES) - 1
_ROUTE_WIDTH = 0.5
# The fan lies above the kerbs' 0.12 m, so that the verge does not hide where it leads.
_ROUTE_HEIGHT, _TRAIL_HEIGHT, _FAN_HEIGHT, _COMMAND_HEIGHT = 0.05, 0.07, 0.15, 0.17
_TRAIL_WIDTH, _TRAIL_LENGTH = 0.22, 1.2
_UNDERGROUND: Vector = (0.0, 0.0, -50.0)
_CAPTION_DISTANCE = 0.5
_CAPTION_MARGIN = 12
_CAPTION_PAINT = (1.7, 1.7, 1.7, 0.85)  # brighter than its texture: it often stands in its own shade


@dataclass(frozen=True, eq=False)
class WindowFrame:
    """One picture of the drive."""

    pose: Pose
    """Of the car."""
    view: Viewpoint
    """Which camera."""
    fan: Fan | None = None
    """What the driver wants, drawn on the road."""
    lines: tuple[str, ...] = ()
    """Up to four lines of text for the picture's corner."""
    trail: tuple[Pose, ...] = ()
    """Where the car has been, the latest last."""


class WindowScene:
    """Fills a window's client; the client stays its owner's to close."""

    def __init__(self, client: BulletClient, vehicle: VehicleSpec) -> None:
        """Show nothing yet; `vehicle` gives the car's measures."""
        self._client = client
        client.draw()  # from now on the window is drawn on demand, which makes all that follows ten times as fast
        self._vehicle = vehicle
        self._textures: dict[tuple[int, ...], list[int]] = {}
        self._caption_texture = client.add_texture(draw_caption(()))
        self._lines: tuple[str, ...] = ()

    def load(self, scene: Scene, route: Polyline | None) -> None:
        """Show another town in place of the one before, the route as a band on its road."""
        self._client.clear()
        self._client.set_backdrop(scene.atmosphere.horizon, scene.atmosphere.sun_direction)
        meshes = [*scene.meshes, *(group.baked() for group in scene.instances)]
        textures = self._load_textures([mesh.texture for mesh in meshes])
        for mesh, texture in zip(meshes, textures, strict=True):
            self._add_mesh(mesh, texture)
        if route is not None:
            self._add_route(route)
        self._add_trail()
        self._add_car()
        self._add_caption()
        self._client.draw()  # a new background shows from the second picture on

    def show(self, frame: WindowFrame) -> None:
        """Draw one picture."""
        pose = frame.pose
        for body in (self._car, self._commands):
            self._client.place(body, (pose.x, pose.y, 0.0), pose.heading)
        self._paint_fan(frame.fan)
        self._lay_trail(frame.trail)
        eye, target = viewpoint(frame.view, pose)
        self._client.look(eye, target)
        self._show_caption(frame.lines, eye, target)
        self._client.draw()

    def _load_textures(self, images: list[Image]) -> list[int]:
        """Return texture ids of images; PyBullet never frees a texture, so those of former towns are painted over."""
        free = {size: list(ids) for size, ids in self._textures.items()}
        loaded: dict[int, int] = {}
        for image in images:
            if id(image) in loaded:
                continue
            if free.get(image.shape):
                loaded[id(image)] = free[image.shape].pop()
                self._client.repaint_texture(loaded[id(image)], image)
            else:
                loaded[id(image)] = self._client.add_texture(image)
                self._textures.setdefault(image.shape, []).append(loaded[id(image)])
        return [loaded[id(image)] for image in images]

    def _add_mesh(self, mesh: Mesh, texture: int) -> None:
        if len(mesh.triangles):
            self._client.add_ghost(self._client.add_mesh_look(mesh.vertices, mesh.triangles, mesh.uv), texture)

    def _add_route(self, route: Polyline) -> None:
        left, right = route.shifted(_ROUTE_WIDTH / 2).points, route.shifted(-_ROUTE_WIDTH / 2).points
        body = self._client.add_ghost(self._add_band(left, right, _ROUTE_HEIGHT))
        self._client.paint(body, -1, ROUTE_PAINT)

    def _add_car(self) -> None:
        """Add the car with the fan's cells, and the commands: the fewer the bodies, the smoother the picture."""
        parts = car_parts(self._vehicle)
        looks = [self._client.add_mesh_look(p.vertices, p.triangles, np.zeros((len(p.vertices), 2))) for p in parts]
        cells = [self._add_band(*cell_outline(cell), _FAN_HEIGHT) for cell in range(_CELLS)]
        commands = [self._add_band(*command_outline(index), _COMMAND_HEIGHT) for index in range(len(COMMANDS))]
        self._car = self._client.add_ghost_parts([*cells, *looks])
        self._commands = self._client.add_ghost_parts(commands)
        for index, part in enumerate(parts, start=_CELLS):
            self._client.paint(self._car, index, part.paint)
        for index in range(len(commands)):
            self._client.paint(self._commands, index, _UNSEEN)
        self._colours = np.full((_CELLS, 4), -1.0)
        self._commands_shown: dict[int, Paint] = {}

    def _add_trail(self) -> None:
        """Add the marks of the past path, under the ground until they are needed."""
        length, width = _TRAIL_LENGTH / 2, _TRAIL_WIDTH / 2
        left, right = (np.array([(-length, side), (length, side)]) for side in (width, -width))
        look = self._add_band(left, right, _TRAIL_HEIGHT)
        self._marks = [self._client.add_ghost(look) for _ in range(TRAIL_MARKS)]
        self._trail: dict[int, Pose] = {}
        for mark in self._marks:
            self._client.paint(mark, -1, TRAIL_PAINT)
            self._client.place(mark, _UNDERGROUND, 0.0)

    def _lay_trail(self, trail: tuple[Pose, ...]) -> None:
        """Move those marks that are not where they should be: a mark stays at its place until it is needed anew."""
        wanted = trail[-len(self._marks) :]
        kept = {mark: pose for mark, pose in self._trail.items() if pose in wanted}
        free = [mark for mark in self._marks if mark not in kept]
        there = set(kept.values())
        for pose in wanted:
            if pose not in there:
                kept[free[-1]] = pose
                self._client.place(free.pop(), (pose.x, pose.y, 0.0), pose.heading)
        for mark in free:
            if mark in self._trail:
                self._client.place(mark, _UNDERGROUND, 0.0)
        self._trail = kept

    def _add_caption(self) -> None:
        """Add the plate, in the camera's frame: x towards what it looks at, y left, z up."""
        width, height = self._client.window_size()
        pixel = 2 * SLOPE * _CAPTION_DISTANCE / height  # as large in the window as in its texture
        left, top = pixel * (width / 2 - _CAPTION_MARGIN), pixel * (height / 2 - _CAPTION_MARGIN)
        right, bottom = left - pixel * CAPTION_WIDTH, top - pixel * CAPTION_HEIGHT
        corners = [(left, bottom), (right, bottom), (right, top), (left, top)]
        vertices = np.array([(_CAPTION_DISTANCE, y, z) for y, z in corners])
        uv = np.array([(0.0, 1.0), (1.0, 1.0), (1.0, 0.0), (0.0, 0.0)])
        look = self._client.add_mesh_look(vertices, np.array([[0, 1, 2], [0, 2, 3]]), uv)
        self._caption = self._client.add_ghost(look, self._caption_texture)
        self._client.paint(self._caption, -1, _CAPTION_PAINT)

    def _add_band(self, left: Array, right: Array, height: float) -> int:
        """Return the look of a flat band between two lines (N, 2) [m]."""
        count = len(left)
        flat = np.concatenate([right, left])
        vertices = np.concatenate([flat, np.full((2 * count, 1), height)], axis=1)
        i = np.arange(count - 1)
        triangles = np.concatenate(
            [np.stack([i, i + 1, i + count], axis=1), np.stack([i + 1, i + 1 + count, i + count], axis=1)]
        )
        return self._client.add_mesh_look(vertices, triangles, np.zeros((2 * count, 2)))

    def _paint_fan(self, fan: Fan | None) -> None:
        """Paint those parts of the fan that have to look different."""
        wanted = np.zeros_like(self._colours) if fan is None else cell_colours(fan)
        for part in np.flatnonzero((wanted != self._colours).any(axis=1)).tolist():
            red, green, blue, opacity = wanted[part].tolist()
            self._client.paint(self._car, part, (red, green, blue, opacity))
        self._colours = wanted
        self._paint_commands({} if fan is None else _command_paints(fan))

    def _paint_commands(self, wanted: dict[int, Paint]) -> None:
        """Paint those bands that have to look different."""
        for index in self._commands_shown.keys() | wanted.keys():
            if self._commands_shown.get(index) != wanted.get(index):
                self._client.paint(self._commands, index, wanted.get(index, _UNSEEN))
        self._commands_shown = wanted

    def _show_caption(self, lines: tuple[str, ...], eye: Vector, target: Vector) -> None:
        """Hold the plate with the lines before the camera."""
        if lines and lines != self._lines:
            self._client.repaint_texture(self._caption_texture, draw_caption(lines))
            self._lines = lines
        heading, pitch = facing(eye, target)
        self._client.place(self._caption, eye if lines else _UNDERGROUND, heading, pitch)


def _command_paints(fan: Fan) -> dict[int, Paint]:
    """Return the bands to be seen, with their colours: the modes, and over them the command."""
    return dict.fromkeys(map(command_index, fan.modes), MODE_PAINT) | {command_index(fan.curvature): COMMAND_PAINT}
