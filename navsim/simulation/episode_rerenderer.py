"""Rerendering of recorded drives: the same poses with other cameras, another renderer or other conditions."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from navsim.geometry import Array, Pose
from navsim.rendering.interface import RenderBuffers, Renderer, RenderRequest
from navsim.rendering.object_boxes import object_boxes
from navsim.sensing.observation import Image
from navsim.simulation.config import SimulationConfig, make_renderer, mounted_cameras, noisy_map
from navsim.simulation.episode import OBJECT_COLUMNS, Episode
from navsim.simulation.scenario import Scenario, scenario_route
from navsim.simulation.town import TownCache
from navsim.world.scenery.scene import Scene

_BATCH = 64
"""Number of images that are rendered in one pass."""


@dataclass(frozen=True, eq=False)
class PixelGroundTruth:
    """Class and position of each pixel in N frames of a drive."""

    images: Image
    """Rerendered images (N, C, H, W, 3) uint8."""
    semantic: NDArray[np.uint8]
    """Class (N, C, H, W), see `navsim.world.scenery.meshes.SemanticClass`."""
    positions: Array
    """East and north (N, C, H, W, 2) [m]; NaN in the sky."""


class EpisodeRerenderer:
    """Renders what the car of a recorded drive senses; holds a renderer, so close it.

    Images and maps in the given episodes are not used.
    """

    def __init__(
        self, config: SimulationConfig, renderer: Renderer | None = None, towns: TownCache | None = None
    ) -> None:
        """Start the renderer.

        Args:
            config: Cameras, map patches and renderer; all other settings are those of the recorded drives.
            renderer: Shared renderer, which its owner closes; None starts one.
            towns: Shared cache of towns; None makes one.

        Raises:
            ConfigError: If the renderer is not available.
        """
        self._config = config
        self._renderer = renderer or make_renderer(config.renderer)
        self._owns_renderer = renderer is None
        self._towns = towns or TownCache(config.map)
        self._loaded: Scene | None = None

    @property
    def renderer_name(self) -> str:
        """Name of the renderer in use."""
        return self._renderer.name

    def rerender(self, episode: Episode, appearance: str | None = None) -> Episode:
        """Render images and maps of a drive at its recorded poses and position fixes.

        Args:
            episode: The drive.
            appearance: Conditions, see `navsim.world.scenery.appearance`; None keeps those of the drive. They change
                the looks of the town and the number of things in it, not the poses of the car.

        Raises:
            TownError: If the town cannot be built.
            ConfigError: If the conditions are unknown.
        """
        scenario = with_appearance(episode.scenario, appearance)
        town = self._towns.town(scenario.town, scenario.appearance)
        carried_map = noisy_map(self._config, episode.scenario, town, scenario_route(town.network, scenario))
        patches = [carried_map.patches(Pose(*fix)) for fix in episode.gps.tolist()]
        parts = [self._renderer.render(requests) for requests in self._requests(scenario, _poses(episode))]
        images = np.concatenate(parts)
        return replace(
            episode,
            scenario=scenario,
            images=images.reshape(len(episode), -1, *images.shape[1:]),
            road_maps=np.stack([roads for roads, _ in patches]),
            route_maps=np.stack([route for _, route in patches]),
            objects=None,
        )

    def measure(self, episode: Episode, frames: Sequence[int]) -> PixelGroundTruth:
        """Return class and position of each pixel in some frames of a drive.

        Args:
            episode: The drive.
            frames: Numbers of the frames, at least one.

        Raises:
            TownError: If the town cannot be built.
            ConfigError: If the conditions are unknown.
        """
        num_cameras = len(self._config.cameras)
        buffers, positions = [], []
        for requests, measured in self._measurements(episode, frames):
            buffers.append(measured)
            points = [request.camera.unproject(d)[..., :2] for request, d in zip(requests, measured.depth, strict=True)]
            for first in range(0, len(requests), num_cameras):
                ground = np.stack(points[first : first + num_cameras])  # (C, H, W, 2)
                positions.append(requests[first].pose.to_world(ground.reshape(-1, 2)).reshape(ground.shape))
        shape = (len(frames), *positions[0].shape[:-1])
        return PixelGroundTruth(
            np.concatenate([part.colour for part in buffers]).reshape(*shape, 3),
            np.concatenate([part.semantic for part in buffers]).reshape(shape),
            np.stack(positions),
        )

    def classes(self, episode: Episode) -> Image:
        """Return the class of each pixel of a drive's images.

        Args:
            episode: The drive.

        Returns:
            Classes (T, C, H, W) uint8, see `navsim.world.scenery.meshes.SemanticClass`.

        Raises:
            TownError: If the town cannot be built.
            ConfigError: If the conditions are unknown.
        """
        classes = np.concatenate([measured.semantic for _, measured in self._measurements(episode)])
        return classes.reshape(len(episode), -1, *classes.shape[1:])

    def objects(self, episode: Episode, frames: Sequence[int] | None = None) -> Array:
        """Return the cars, people and signs in a drive's images.

        Args:
            episode: The drive.
            frames: Numbers of the frames; None takes all.

        Returns:
            Objects (N, OBJECT_COLUMNS), see `navsim.simulation.episode`; their frame is an index into `frames`.

        Raises:
            TownError: If the town cannot be built.
            ConfigError: If the conditions are unknown.
        """
        num_cameras, number = len(self._config.cameras), 0
        rows = [np.empty((0, len(OBJECT_COLUMNS)))]
        for requests, measured in self._measurements(episode, frames):
            for index, request in enumerate(requests):
                boxes = object_boxes(request, measured, index)
                rows.append(np.column_stack([np.tile(divmod(number, num_cameras), (len(boxes), 1)), boxes]))
                number += 1
        return np.concatenate(rows)

    def close(self) -> None:
        """Free the renderer if it is not shared; may be called again."""
        if self._owns_renderer:
            self._renderer.close()
        elif self._loaded is not None:
            self._renderer.remove(self._loaded)
        self._loaded = None

    def _load(self, scene: Scene) -> None:
        """Load a scene into the renderer in place of the last one."""
        if self._loaded is scene:
            return
        if self._loaded is not None:
            self._renderer.remove(self._loaded)
        self._renderer.add(scene)
        self._loaded = scene

    def _requests(self, scenario: Scenario, poses: Sequence[Pose]) -> Iterator[list[RenderRequest]]:
        """Requests for the cameras at poses of a drive, pose by pose, in batches; the scene is loaded."""
        scene = self._towns.town(scenario.town, scenario.appearance).scene
        self._load(scene)
        cameras = mounted_cameras(self._config, scenario)
        size = max(_BATCH // len(cameras), 1)
        for start in range(0, len(poses), size):
            yield [RenderRequest(scene, camera, pose) for pose in poses[start : start + size] for camera in cameras]

    def _measurements(
        self, episode: Episode, frames: Sequence[int] | None = None
    ) -> Iterator[tuple[list[RenderRequest], RenderBuffers]]:
        """Requests for frames of a drive, in batches, with colour, depth and class of their pixels."""
        poses = _poses(episode) if frames is None else [episode.pose(frame) for frame in frames]
        for requests in self._requests(episode.scenario, poses):
            yield requests, self._renderer.render_buffers(requests)


def _poses(episode: Episode) -> list[Pose]:
    """The true poses of an episode's T frames."""
    return [episode.pose(frame) for frame in range(len(episode))]


def with_appearance(scenario: Scenario, appearance: str | None) -> Scenario:
    """Return the scenario under other conditions; None keeps its own."""
    return scenario if appearance is None else replace(scenario, appearance=appearance)
