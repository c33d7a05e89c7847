"""The town from behind the car, with route, past path, fan and car, as PyBullet's window shows it.

For films and for machines without a display. The renderer of the car's cameras draws the town. Marks on the road are
painted over its picture wherever the depth shows that the road is visible.
"""

import math
from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from navsim.geometry import Array, Polyline, Pose
from navsim.rendering.car_model import Rgba, car_parts
from navsim.rendering.road_fan import Fan, cell_colours, cell_outline, command_index, command_outline
from navsim.rendering.window.viewpoints import MOUNTS, SLOPE, Viewpoint, heading_and_pitch
from navsim.rendering.window.window_scene import COMMAND_COLOUR, MODE_COLOUR, ROUTE_COLOUR, TRAIL_COLOUR
from navsim.sensing.camera import Camera
from navsim.sensing.observation import Image
from navsim.simulation.rollout import RolloutStep
from navsim.simulation.simulation import Simulation
from navsim.visualization.drive_events import decision_modes
from navsim.world.vehicle import VehicleSpec

_ROUTE_WIDTH, _ROUTE_AHEAD, _ROUTE_BEHIND = 0.5, 90.0, 20.0
_MARK = np.array([(-0.6, 0.11), (0.6, 0.11), (0.6, -0.11), (-0.6, -0.11)])  # of the past path [m]
_MIN_DEPTH = 0.4  # points closer to the camera are not painted [m]
_SUN = np.array([0.35, 0.45, 0.82])  # direction of the light on the car, in its own frame
_MIN_PITCH = -80.0  # of a camera [deg]
_TOLERANCE = 1.06  # largest ratio of the road's distance to the measured depth at which the road counts as visible
_FARTHEST = 1e4  # depth of the plane beyond which nothing is painted [m]
_SHIFT = 4  # cv2 draws with sub-pixel coordinates in units of 2^-4 px

Box = tuple[slice, slice]
"""Rows and columns of a rectangle in a picture."""
Polygons = Sequence[Array] | Array
"""Corners of polygons; an array (P, N, D) if all have N."""


def scene_camera(view: Viewpoint, width: int, height: int) -> Camera:
    """Return a camera with the window's perspective at `view`, for pictures of `width` by `height` [px]."""
    eye, target = MOUNTS[view]
    _, down = heading_and_pitch(eye, target)
    fov = 2 * math.degrees(math.atan(SLOPE * width / height))
    pitch = max(-math.degrees(down), _MIN_PITCH)
    if pitch == _MIN_PITCH and eye[2] > 0:  # moved back, since it cannot look straight down
        eye = (target[0] - eye[2] / math.tan(math.radians(-_MIN_PITCH)), eye[1], eye[2])
    return Camera(str(view), width, height, fov, eye, pitch_deg=pitch)


def step_fan(step: RolloutStep) -> Fan:
    """Return a step's decision as a fan on the road, with its modes if there are several."""
    decision, modes = step.decision, decision_modes(step.decision)
    others = tuple(mode.curvature for mode in modes) if len(modes) > 1 else ()
    return Fan(decision.curvature, decision.grid, decision.density, others)


def draw_scene(
    simulation: Simulation, step: RolloutStep, view: Viewpoint, trail: tuple[Pose, ...], width: int, height: int
) -> Image:
    """Draw a control step as a picture (height, width, 3).

    Args:
        simulation: Simulation that the car drives in.
        step: Control step to show.
        view: Viewpoint of the camera.
        trail: Past poses of the car.
        width: Width of the picture [px].
        height: Height of the picture [px].
    """
    camera, pose = scene_camera(view, width, height), step.time_step.state.pose
    seen = simulation.measure(camera, pose)
    painter = RoadPainter(camera, np.array(seen.colour[0]), seen.depth[0])
    painter.route(simulation.route.path, pose, step.time_step.progress.station)
    painter.trail(trail, pose)
    painter.fan(step_fan(step))
    if view is not Viewpoint.HOOD:
        painter.car(simulation.config.vehicle)
    return painter.picture


class RoadPainter:
    """Paints marks on the road in a picture of the town; vehicle frame: x forward, y left [m]."""

    def __init__(self, camera: Camera, picture: Image, depth: NDArray[np.float32]) -> None:
        """Paint into `picture` (H, W, 3), whose pixels are `depth` (H, W) [m] away along the camera's axis."""
        self.picture = picture
        """Picture with everything painted so far (H, W, 3)."""
        self._camera = camera
        self._road = visible_ground(camera, depth)

    def route(self, path: Polyline, pose: Pose, station: float) -> None:
        """Paint a band along the route near a station [m]."""
        near = (path.stations > station - _ROUTE_BEHIND) & (path.stations < station + _ROUTE_AHEAD)
        left, right = (pose.to_vehicle(path.shifted(side * _ROUTE_WIDTH / 2).points[near]) for side in (1, -1))
        self._paint_road(np.stack([left[:-1], left[1:], right[1:], right[:-1]], axis=1), ROUTE_COLOUR)

    def trail(self, trail: tuple[Pose, ...], pose: Pose) -> None:
        """Paint a mark at each past pose of the car."""
        self._paint_road([pose.to_vehicle(mark.to_world(_MARK)) for mark in trail], TRAIL_COLOUR)

    def fan(self, fan: Fan) -> None:
        """Paint the cells of the steering distribution, its modes and the command."""
        for cell, (red, green, blue, opacity) in enumerate(cell_colours(fan).tolist()):
            if opacity:
                left, right = cell_outline(cell)
                self._paint_road([np.concatenate([left, right[::-1]])], (red, green, blue, opacity))
        bands = dict.fromkeys(map(command_index, fan.modes), MODE_COLOUR)
        for index, colour in (bands | {command_index(fan.curvature): COMMAND_COLOUR}).items():
            left, right = command_outline(index)
            self._paint_road([np.concatenate([left, right[::-1]])], colour)

    def car(self, spec: VehicleSpec) -> None:
        """Paint the car."""
        box, kept, colour = car_picture(self._camera, spec)
        part = self.picture[box]
        part[:] = np.round(part * kept + colour).astype(np.uint8)

    def _paint_road(self, outlines: Polygons, colour: Rgba) -> None:
        """Paint polygons (N, 2) [m] where the road is visible, all at once, so that overlaps are not darker."""
        covered = _cover(self._camera, outlines)
        if covered is None:
            return
        box, cover = covered
        part, weight = self.picture[box], cover * self._road[box] * np.float32(colour[3])
        part[:] = np.round(part + weight[..., None] * (_rgb(colour) - part)).astype(np.uint8)


@lru_cache(maxsize=8)
def car_picture(camera: Camera, spec: VehicleSpec) -> tuple[Box, NDArray[np.float32], NDArray[np.float32]]:
    """Draw the car, which looks the same in all pictures of one camera.

    Args:
        camera: Camera fixed to the car.
        spec: Dimensions of the car.

    Returns:
        Rectangle of the picture that holds the car, the share of the background that stays visible there (H, W, 1), and
        the light that the car adds (H, W, 3), 0 to 255.
    """
    faces, eye = [], np.array(camera.position)
    for part in car_parts(spec):
        corners = part.vertices[part.triangles]  # (F, 3, 3)
        normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
        towards = ((eye - corners[:, 0]) * normals).sum(axis=1) > 0
        for face, normal in zip(corners[towards], normals[towards], strict=True):
            faces.append((face, 0.62 + 0.45 * max(float(normal @ _SUN), 0.0), part.colour))
    kept = np.ones((camera.height, camera.width, 1), np.float32)
    light = np.zeros((camera.height, camera.width, 3), np.float32)
    for face, shade, (red, green, blue, opacity) in sorted(  # the shadow first, then the farthest face
        faces, key=lambda f: (f[2][3] == 1.0, -float(np.linalg.norm(f[0].mean(axis=0) - eye)))
    ):
        covered = _cover(camera, [face])
        if covered is None:
            continue
        box, cover = covered
        weight = (cover * np.float32(opacity))[..., None]
        lit = _rgb((min(red * shade, 1.0), min(green * shade, 1.0), min(blue * shade, 1.0), opacity))
        kept[box] *= 1 - weight
        light[box] += weight * (lit - light[box])
    box = _bounds(np.argwhere(kept[..., 0].T < 1), camera.width, camera.height)
    return box, kept[box], light[box]


def _cover(camera: Camera, polygons: Polygons) -> tuple[Box, NDArray[np.float32]] | None:
    """Draw the union of polygons (N, 3) [m] of the vehicle frame, or (N, 2) on the ground.

    Returns:
        Rectangle of the picture that holds them and the share of each pixel there that they cover (H, W), 0 to 1; None
        if they are not in the picture.
    """
    if not len(polygons):
        return None
    corners = np.concatenate(polygons)
    pixels, depth = camera.project(np.pad(corners, ((0, 0), (0, 3 - corners.shape[1]))))
    fixed = np.round(np.clip((pixels - 0.5) * 2**_SHIFT, -(2**18), 2**18)).astype(np.int32)
    ends = np.cumsum([len(polygon) for polygon in polygons])[:-1]
    shown = [
        points[near]
        for points, near in zip(np.split(fixed, ends), np.split(depth > _MIN_DEPTH, ends), strict=True)
        if near.sum() >= 3
    ]
    if not shown:
        return None
    rows, columns = box = _bounds(np.concatenate(shown) / 2**_SHIFT, camera.width, camera.height)
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return None
    cover = np.zeros((rows.stop - rows.start, columns.stop - columns.start), np.uint8)
    corner = np.array([columns.start, rows.start], np.int32) * 2**_SHIFT
    for points in shown:
        cv2.fillPoly(cover, [points - corner], 255, cv2.LINE_AA, _SHIFT)
    return box, cover.astype(np.float32) / np.float32(255)


def _bounds(pixels: NDArray[np.number], width: int, height: int) -> Box:
    """Return the rows and columns of a picture of `width` by `height` that hold points (N, 2) as (x, y) [px]."""
    left, top = np.clip(np.floor(pixels.min(axis=0)).astype(int) - 1, 0, (width, height)).tolist()
    right, bottom = np.clip(np.ceil(pixels.max(axis=0)).astype(int) + 2, 0, (width, height)).tolist()
    return slice(top, bottom), slice(left, right)


def _rgb(colour: Rgba) -> NDArray[np.float32]:
    """Return red, green and blue (3,), 0 to 255."""
    return np.array(colour[:3], np.float32) * 255


def visible_ground(camera: Camera, depth: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return where the ground is visible (H, W): 1 where the depth is at least that of the plane z = 0, else 0."""
    return (depth >= _ground_depth(camera)).astype(np.float32)


@lru_cache(maxsize=8)
def _ground_depth(camera: Camera) -> NDArray[np.float32]:
    """Return the smallest depth (H, W) [m] at which a pixel shows the ground; NaN from the horizon upwards."""
    rows = (np.arange(camera.height) + 0.5 - camera.height / 2) / camera.focal_px
    columns = (np.arange(camera.width) + 0.5 - camera.width / 2) / camera.focal_px
    right, up, backward = camera.axes
    falls = columns[None, :] * right[2] - rows[:, None] * up[2] - backward[2]  # per metre of depth
    ground = np.where(falls < -1e-6, camera.position[2] / np.maximum(-falls, 1e-6), np.inf)
    return np.where(ground < _FARTHEST, (ground - 0.3) / _TOLERANCE, np.nan).astype(np.float32)
