"""Recorded drives seen anew: other cameras, another renderer or other conditions, along the very same way."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from navsim.geometry import Array, Pose
from navsim.rendering.interface import RenderBuffers, Renderer, RenderRequest
from navsim.rendering.object_boxes import object_boxes
from navsim.sensing.camera import Camera
from navsim.sensing.observation import Image
from navsim.simulation.config import SimulationConfig, make_renderer, mounted_cameras, noisy_map
from navsim.simulation.episode import OBJECT_COLUMNS, Episode
from navsim.simulation.scenario import Scenario, scenario_route
from navsim.simulation.town import Town, TownCache
from navsim.world.scenery.scene import Scene

_PICTURES = 64
"""How many pictures are asked of the renderer in one go."""


@dataclass(frozen=True, eq=False)
class SeenPlaces:
    """What every pixel of N recorded situations shows, and where that is."""

    images: Image
    """The pictures drawn anew (N, C, H, W, 3) uint8."""
    semantic: NDArray[np.uint8]
    """Class (N, C, H, W), see `navsim.world.scenery.meshes.SemanticClass`."""
    places: Array
    """East and north (N, C, H, W, 2) [m]; NaN in the sky."""


class EpisodeRerenderer:
    """Draws what the car of a recorded drive senses; holds a renderer, so close it."""

    def __init__(
        self, config: SimulationConfig, renderer: Renderer | None = None, shelf: TownCache | None = None
    ) -> None:
        """Start the renderer.

        Args:
            config: Cameras, map patches and renderer; the rest is as it was when the drives were recorded.
            renderer: Someone else's to draw with, who closes it; None starts one.
            shelf: Someone else's towns; None builds them.

        Raises:
            ConfigError: If the renderer cannot be had.
        """
        self._config = config
        self._renderer = renderer or make_renderer(config.renderer)
        self._owns_renderer = renderer is None
        self._shelf = shelf or TownCache(config.map)
        self._shown: Scene | None = None

    @property
    def renderer_name(self) -> str:
        """The renderer in use."""
        return self._renderer.name

    def redraw(self, episode: Episode, appearance: str | None = None) -> Episode:
        """Draw images and maps of a drive at its recorded poses and position fixes.

        Args:
            episode: The drive; images and maps in it are not looked at.
            appearance: Conditions, see `navsim.world.scenery.appearance`; None leaves those of the drive. They change
                how the town looks and how much stands in it, not how the car drove.

        Raises:
            TownError: If the town cannot be built.
            ConfigError: If the conditions are unknown.
        """
        scenario = under(episode.scenario, appearance)
        town = self._shelf.town(scenario.town, scenario.appearance)
        self._show(town.scene)
        carried = noisy_map(self._config, episode.scenario, town, scenario_route(town.network, scenario))
        patches = [carried.patches(self._config.map, Pose(*fix)) for fix in episode.gps.tolist()]
        return replace(
            episode,
            scenario=scenario,
            images=np.concatenate([*self._images(town, scenario, episode.poses[:-1])]),
            road_maps=np.stack([roads for roads, _ in patches]),
            route_maps=np.stack([route for _, route in patches]),
            objects=None,
        )

    def measure(self, episode: Episode, frames: Sequence[int]) -> SeenPlaces:
        """Tell class and place of every pixel in some frames of a drive.

        Args:
            episode: The drive; images and maps in it are not looked at.
            frames: Numbers of the frames, at least one.

        Raises:
            TownError: If the town cannot be built.
            ConfigError: If the conditions are unknown.
        """
        town = self._shelf.town(episode.scenario.town, episode.scenario.appearance)
        self._show(town.scene)
        cameras = mounted_cameras(self._config, episode.scenario)
        stretch = max(_PICTURES // len(cameras), 1)
        poses = [episode.pose(frame) for frame in frames]
        parts = [
            self._measured(town.scene, cameras, poses[start : start + stretch])
            for start in range(0, len(poses), stretch)
        ]
        return SeenPlaces(
            np.concatenate([part.images for part in parts]),
            np.concatenate([part.semantic for part in parts]),
            np.concatenate([part.places for part in parts]),
        )

    def classes(self, episode: Episode) -> Image:
        """Tell what every pixel of a drive's images shows.

        Args:
            episode: The drive; images and maps in it are not looked at.

        Returns:
            Classes (T, C, H, W) uint8, see `navsim.world.scenery.meshes.SemanticClass`.

        Raises:
            TownError: If the town cannot be built.
            ConfigError: If the conditions are unknown.
        """
        parts = [found.semantic for _, found in self._measurements(episode)]
        pictures = np.concatenate(parts)
        return pictures.reshape(len(episode), -1, *pictures.shape[1:])

    def objects(self, episode: Episode, frames: Sequence[int] | None = None) -> Array:
        """Tell which cars, people and signs a drive's images show.

        Args:
            episode: The drive; images and maps in it are not looked at.
            frames: Numbers of the frames that are looked at; None means all.

        Returns:
            Things (N, OBJECT_COLUMNS), see `navsim.simulation.episode`; their frames count the ones that are looked at.

        Raises:
            TownError: If the town cannot be built.
            ConfigError: If the conditions are unknown.
        """
        cameras, number = len(self._config.cameras), 0
        rows = [np.empty((0, len(OBJECT_COLUMNS)))]
        for shots, found in self._measurements(episode, frames):
            for index, shot in enumerate(shots):
                seen = object_boxes(shot, found, index)
                rows.append(np.column_stack([np.tile(divmod(number, cameras), (len(seen), 1)), seen]))
                number += 1
        return np.concatenate(rows)

    def close(self) -> None:
        """Free the renderer if it is its own; may be called again."""
        if self._owns_renderer:
            self._renderer.close()
        elif self._shown is not None:
            self._renderer.remove(self._shown)
        self._shown = None

    def _show(self, scene: Scene) -> None:
        """Hand a scene to the renderer in place of the last one."""
        if self._shown is scene:
            return
        if self._shown is not None:
            self._renderer.remove(self._shown)
        self._renderer.add(scene)
        self._shown = scene

    def _measured(self, scene: Scene, cameras: Sequence[Camera], poses: Sequence[Pose]) -> SeenPlaces:
        """What is seen from a few poses, in one go."""
        found = self._renderer.render_buffers(
            [RenderRequest(scene, camera, pose) for pose in poses for camera in cameras]
        )
        shape = (len(poses), len(cameras), *found.depth.shape[1:])
        depth = found.depth.reshape(shape)
        points = np.stack([camera.unproject(depth[:, i]) for i, camera in enumerate(cameras)], axis=1)[..., :2]
        places = [
            pose.to_world(seen.reshape(-1, 2)).reshape(seen.shape) for pose, seen in zip(poses, points, strict=True)
        ]
        return SeenPlaces(found.colour.reshape(*shape, 3), found.semantic.reshape(shape), np.stack(places))

    def _measurements(
        self, episode: Episode, frames: Sequence[int] | None = None
    ) -> Iterator[tuple[list[RenderRequest], RenderBuffers]]:
        """Shots of a drive, frame by frame and within it camera by camera, with what the renderer knows of them."""
        town = self._shelf.town(episode.scenario.town, episode.scenario.appearance)
        self._show(town.scene)
        cameras = mounted_cameras(self._config, episode.scenario)
        stretch = max(_PICTURES // len(cameras), 1)
        places = [episode.pose(frame) for frame in (range(len(episode)) if frames is None else frames)]
        for start in range(0, len(places), stretch):
            poses = places[start : start + stretch]
            shots = [RenderRequest(town.scene, camera, pose) for pose in poses for camera in cameras]
            yield shots, self._renderer.render_buffers(shots)

    def _images(self, town: Town, scenario: Scenario, poses: Array) -> Iterator[Image]:
        """Images of stretches of the drive (t, C, H, W, 3) at poses (T, 3)."""
        cameras = mounted_cameras(self._config, scenario)
        stretch = max(_PICTURES // len(cameras), 1)
        for start in range(0, len(poses), stretch):
            some = [Pose(*pose) for pose in poses[start : start + stretch].tolist()]
            pictures = self._renderer.render(
                [RenderRequest(town.scene, camera, pose) for pose in some for camera in cameras]
            )
            yield pictures.reshape(len(some), len(cameras), *pictures.shape[1:])


def under(scenario: Scenario, appearance: str | None) -> Scenario:
    """The scenario under other conditions; None leaves its own."""
    return scenario if appearance is None else replace(scenario, appearance=appearance)
