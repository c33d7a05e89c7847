"""The town from behind the car, with route, past path, fan and car painted in, as PyBullet's window shows it.

For films and for machines without a display: the renderer that draws the cameras' pictures draws the town, and what
lies on the road is painted over it wherever the depth says that the road can be seen there.
"""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from navsim.geometry import Array, Polyline, Pose
from navsim.rendering.car_model import car_parts
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
_NEAREST = 0.4  # least depth of what is painted [m]
_SUN = np.array([0.35, 0.45, 0.82])  # direction of the light on the car, in its own frame
_STEEPEST = -80.0  # of a camera [deg]
_TOLERANCE = 1.06  # how much farther than seen the road may be to count as seen
_SHIFT = 4  # cv2 draws with sub-pixel coordinates in units of 2^-4 px
Paint = tuple[float, float, float, float]


def scene_camera(view: Viewpoint, width: int, height: int) -> Camera:
    """The camera that sees what the window shows from `view`, for pictures of that size [px]."""
    eye, target = MOUNTS[view]
    _, down = heading_and_pitch(eye, target)
    fov = 2 * math.degrees(math.atan(SLOPE * width / height))
    pitch = max(-math.degrees(down), _STEEPEST)
    if pitch == _STEEPEST and eye[2] > 0:  # stands back as far as it cannot look straight down
        eye = (target[0] - eye[2] / math.tan(math.radians(-_STEEPEST)), eye[1], eye[2])
    return Camera(str(view), width, height, fov, eye, pitch_deg=pitch)


def moment_fan(moment: RolloutStep) -> Fan:
    """What a driver wants at a moment, for the road: with the lesser modes only where there are several."""
    decision, modes = moment.decision, decision_modes(moment.decision)
    others = tuple(mode.curvature for mode in modes) if len(modes) > 1 else ()
    return Fan(decision.curvature, decision.grid, decision.density, others)


def draw_scene(
    simulation: Simulation, moment: RolloutStep, view: Viewpoint, trail: tuple[Pose, ...], width: int, height: int
) -> Image:
    """Draw a moment (height, width, 3).

    Args:
        simulation: In whose town the car drives.
        moment: What is shown.
        view: Where the camera stands.
        trail: Where the car has been.
        width: Of the picture [px].
        height: [px].
    """
    camera, pose = scene_camera(view, width, height), moment.step.state.pose
    seen = simulation.measure(camera, pose)
    painter = RoadPainter(camera, np.array(seen.colour[0]), seen.depth[0])
    painter.route(simulation.route.path, pose, moment.step.progress.station)
    painter.trail(trail, pose)
    painter.fan(moment_fan(moment))
    if view is not Viewpoint.HOOD:
        painter.car(simulation.config.vehicle)
    return painter.picture


class RoadPainter:
    """Paints what lies on the road into a picture of the town; vehicle frame: x forward, y left [m]."""

    def __init__(self, camera: Camera, picture: Image, depth: NDArray[np.float32]) -> None:
        """Paint into `picture` (H, W, 3), whose pixels are `depth` (H, W) [m] away along the camera's axis."""
        self.picture = picture
        """What is painted into."""
        self._camera = camera
        self._road = ground_seen(camera, depth)

    def route(self, path: Polyline, pose: Pose, station: float) -> None:
        """Paint a band along the route around a station [m]."""
        near = (path.stations > station - _ROUTE_BEHIND) & (path.stations < station + _ROUTE_AHEAD)
        left, right = (pose.to_vehicle(path.shifted(side * _ROUTE_WIDTH / 2).points[near]) for side in (1, -1))
        self._lay(
            [np.stack([left[i], left[i + 1], right[i + 1], right[i]]) for i in range(len(left) - 1)], ROUTE_COLOUR
        )

    def trail(self, trail: tuple[Pose, ...], pose: Pose) -> None:
        """Paint marks where the car has been."""
        self._lay([pose.to_vehicle(mark.to_world(_MARK)) for mark in trail], TRAIL_COLOUR)

    def fan(self, fan: Fan) -> None:
        """Paint the cells of the distribution, its modes and the command."""
        for cell, (red, green, blue, opacity) in enumerate(cell_colours(fan).tolist()):
            if opacity:
                left, right = cell_outline(cell)
                self._lay([np.concatenate([left, right[::-1]])], (red, green, blue, opacity))
        bands = dict.fromkeys(map(command_index, fan.modes), MODE_COLOUR)
        for index, paint in (bands | {command_index(fan.curvature): COMMAND_COLOUR}).items():
            left, right = command_outline(index)
            self._lay([np.concatenate([left, right[::-1]])], paint)

    def car(self, spec: VehicleSpec) -> None:
        """Paint the car, face by face, the farthest first."""
        faces = []
        for part in car_parts(spec):
            corners = part.vertices[part.triangles]  # (F, 3, 3)
            normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
            normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
            towards = ((np.array(self._camera.position) - corners[:, 0]) * normals).sum(axis=1) > 0
            for face, normal in zip(corners[towards], normals[towards], strict=True):
                faces.append((face, 0.62 + 0.45 * max(float(normal @ _SUN), 0.0), part.colour))
        eye = np.array(self._camera.position)
        for face, shade, (red, green, blue, opacity) in sorted(
            faces, key=lambda f: (f[2][3] == 1.0, -float(np.linalg.norm(f[0].mean(axis=0) - eye)))
        ):
            lit = (min(red * shade, 1.0), min(green * shade, 1.0), min(blue * shade, 1.0), opacity)
            self._blend([face], lit, everywhere=True)

    def _lay(self, outlines: list[Array], paint: Paint) -> None:
        """Paint polygons (N, 2) [m] on the road, all in one go, so that none shines through another."""
        self._blend([np.column_stack([outline, np.zeros(len(outline))]) for outline in outlines], paint)

    def _blend(self, polygons: list[Array], paint: Paint, everywhere: bool = False) -> None:
        """Paint polygons (N, 3) [m] in one colour, where the road is seen or everywhere."""
        drawn = (self._pixels(polygon) for polygon in polygons)
        pixels = [points for points in drawn if points is not None]
        if not pixels:
            return
        height, width = self.picture.shape[:2]
        everything = np.concatenate(pixels) / 2**_SHIFT
        left, top = np.clip(np.floor(everything.min(axis=0)).astype(int) - 1, 0, (width, height))
        right, bottom = np.clip(np.ceil(everything.max(axis=0)).astype(int) + 2, 0, (width, height))
        if right <= left or bottom <= top:
            return
        cover = np.zeros((bottom - top, right - left), np.uint8)
        for points in pixels:
            shifted = points - np.array([left, top], np.int32) * 2**_SHIFT
            cv2.fillPoly(cover, [shifted], 255, cv2.LINE_AA, _SHIFT)
        part = self.picture[top:bottom, left:right]
        veil = cover.astype(np.float32) * np.float32(paint[3] / 255)
        if not everywhere:
            veil *= self._road[top:bottom, left:right]
        colour = np.array(paint[:3], np.float32) * 255
        part[:] = np.round(part + veil[..., None] * (colour - part)).astype(np.uint8)

    def _pixels(self, polygon: Array) -> NDArray[np.int32] | None:
        """A polygon's corners (N, 2) in cv2's sub-pixel units; None where too few lie before the camera."""
        pixels, depth = self._camera.project(polygon)
        kept = pixels[depth > _NEAREST]
        if len(kept) < 3:
            return None
        return np.asarray(np.round(np.clip((kept - 0.5) * 2**_SHIFT, -(2**18), 2**18)), np.int32)


def ground_seen(camera: Camera, depth: NDArray[np.float32]) -> NDArray[np.float32]:
    """Where the ground can be seen (H, W): 1 where what is there is as far as the plane z = 0, or farther, else 0."""
    rows = (np.arange(camera.height) + 0.5 - camera.height / 2) / camera.focal_px
    columns = (np.arange(camera.width) + 0.5 - camera.width / 2) / camera.focal_px
    right, up, backward = camera.axes
    falls = columns[None, :] * right[2] - rows[:, None] * up[2] - backward[2]  # per metre of depth
    ground = np.where(falls < -1e-6, camera.position[2] / np.maximum(-falls, 1e-6), np.inf)
    return (ground <= depth * _TOLERANCE + 0.3).astype(np.float32) * (ground < 1e4)
