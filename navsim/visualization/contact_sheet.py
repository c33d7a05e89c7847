"""Contact sheets: views from the car in many towns under many skies, as one picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import cv2
import numpy as np

from navsim.errors import ConfigError
from navsim.rendering.interface import RenderBuffers, Renderer, RenderRequest
from navsim.sensing.camera import Camera
from navsim.sensing.observation import Image
from navsim.sensing.roadmap import MapSpec
from navsim.simulation.scenario import Scenario, scenario_route
from navsim.simulation.town import build_town_for_driving
from navsim.visualization.canvas import Text, blank, written
from navsim.world.scenery.meshes import SemanticClass

GAP = 6
"""Between pictures [px]."""
FARTHEST = 80.0
"""Depth that is shown black [m]."""
CLASS_COLOURS: dict[SemanticClass, tuple[int, int, int]] = {
    SemanticClass.ROAD: (128, 64, 128),
    SemanticClass.MARKING: (236, 236, 236),
    SemanticClass.KERB: (196, 196, 196),
    SemanticClass.GROUND: (152, 220, 152),
    SemanticClass.BUILDING: (110, 110, 110),
    SemanticClass.VEGETATION: (107, 142, 35),
    SemanticClass.VEHICLE: (0, 0, 142),
    SemanticClass.PEDESTRIAN: (220, 20, 60),
    SemanticClass.SIGN: (220, 220, 0),
    SemanticClass.SKY: (70, 130, 180),
}
"""Colours of the classes; those of Cityscapes (Cordts et al., CVPR 2016) where it has the class."""


class Channel(StrEnum):
    """What of a measurement is shown."""

    COLOUR = "colour"
    """The picture itself."""
    DEPTH = "depth"
    """Distance: near is bright."""
    CLASSES = "classes"
    """One colour for each semantic class."""


@dataclass(frozen=True)
class SheetView:
    """A place to look from."""

    town: str = "test-0"
    """Name of the town."""
    appearance: str = ""
    """How it looks, see `navsim.world.scenery.appearance`; empty for its own look."""
    route: int = 0
    """Number of a route there."""
    fraction: float = 0.4
    """Part of the route that lies behind."""

    def __post_init__(self) -> None:
        if not 0 <= self.fraction <= 1:
            raise ConfigError(f"a view's fraction must be 0 to 1, got {self.fraction}")

    @property
    def words(self) -> str:
        """What it is, in a few words."""
        return f"{self.town.rpartition('/')[2]}  {self.appearance}".strip()


def contact_sheet(
    views: Sequence[SheetView], camera: Camera, renderer: Renderer, columns: int, channel: Channel = Channel.COLOUR
) -> Image:
    """Draw all views, row by row.

    Args:
        views: Where to look from, at least one.
        camera: What looks.
        renderer: What draws.
        columns: Pictures beside each other.
        channel: What is shown.

    Raises:
        ConfigError: If there is no view, or an appearance is unknown.
        TownError: If there is no such town or route.
    """
    if not views or columns < 1:
        raise ConfigError(f"a contact sheet needs at least one view and one column, got {len(views)} and {columns}")
    rows = -(-len(views) // columns)
    wide, high = camera.width + GAP, camera.height + GAP
    sheet = blank(columns * wide - GAP, rows * high - GAP)
    texts = []
    for i, view in enumerate(views):
        x, y = (i % columns) * wide, (i // columns) * high
        sheet[y : y + camera.height, x : x + camera.width] = _shown(_taken(view, camera, renderer), channel)
        texts.append(Text(view.words, x + 8, y + 6, size=15, outlined=True))
    return written(sheet, texts)


def _taken(view: SheetView, camera: Camera, renderer: Renderer) -> RenderBuffers:
    """Measure one view."""
    town = build_town_for_driving(view.town, MapSpec(), view.appearance)
    path = scenario_route(town.network, Scenario(view.town, view.route)).path
    renderer.add(town.scene)
    try:
        return renderer.render_buffers([RenderRequest(town.scene, camera, path.pose(view.fraction * path.length))])
    finally:
        renderer.remove(town.scene)


def _shown(measurement: RenderBuffers, channel: Channel) -> Image:
    """One channel of one picture as colours (H, W, 3)."""
    if channel is Channel.CLASSES:
        palette = np.array([CLASS_COLOURS[member] for member in SemanticClass], np.uint8)
        return np.asarray(palette[measurement.semantic[0]])
    if channel is Channel.DEPTH:
        nearness = 1 - np.sqrt(np.clip(measurement.depth[0] / FARTHEST, 0.0, 1.0))
        shades = cv2.applyColorMap(np.round(255 * nearness).astype(np.uint8), cv2.COLORMAP_INFERNO)
        return np.asarray(shades[..., ::-1], np.uint8)
    image: Image = measurement.colour[0]
    return image
