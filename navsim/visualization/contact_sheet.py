"""Contact sheets: views from the car in many towns and conditions, in one picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import cv2
import numpy as np
from annotated_types import Ge, Le

from navsim.config import Constrained
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
"""Space between pictures [px]."""
MAX_DEPTH = 80.0
"""Depth from which on pixels are black [m]."""
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
"""Colour of each class: that of Cityscapes (Cordts et al., CVPR 2016), where it has the class."""


class Channel(StrEnum):
    """Channel of the render buffers that is shown."""

    COLOUR = "colour"
    """RGB image of the camera."""
    DEPTH = "depth"
    """Distance from the camera, near is bright."""
    CLASSES = "classes"
    """One colour for each semantic class."""


@dataclass(frozen=True)
class SheetView(Constrained):
    """A place in a town, and its conditions."""

    town: str = "test-0"
    """Name of the town."""
    appearance: str = ""
    """Conditions, see `navsim.world.scenery.appearance`; empty for those of the town."""
    route: int = 0
    """Number of a route in the town."""
    fraction: Annotated[float, Ge(0), Le(1)] = 0.4
    """Fraction of the route that is behind the car."""

    @property
    def label(self) -> str:
        """Town and conditions, as a caption."""
        return f"{self.town.rpartition('/')[2]}  {self.appearance}".strip()


def contact_sheet(
    views: Sequence[SheetView], camera: Camera, renderer: Renderer, columns: int, channel: Channel = Channel.COLOUR
) -> Image:
    """Draw all views, row by row.

    Args:
        views: Places to show, at least one.
        camera: Camera of all pictures.
        renderer: Renderer of all pictures.
        columns: Number of pictures in a row.
        channel: Channel that is shown.

    Raises:
        ConfigError: If no view is given, or an appearance is unknown.
        TownError: If a town or route does not exist.
    """
    if not views or columns < 1:
        raise ConfigError(f"a contact sheet needs at least one view and one column, got {len(views)} and {columns}")
    rows = -(-len(views) // columns)
    wide, high = camera.width + GAP, camera.height + GAP
    sheet = blank(columns * wide - GAP, rows * high - GAP)
    texts = []
    for i, view in enumerate(views):
        x, y = (i % columns) * wide, (i // columns) * high
        sheet[y : y + camera.height, x : x + camera.width] = _channel_image(
            _render_view(view, camera, renderer), channel
        )
        texts.append(Text(view.label, x + 8, y + 6, size=15, outlined=True))
    return written(sheet, texts)


def _render_view(view: SheetView, camera: Camera, renderer: Renderer) -> RenderBuffers:
    """Render one view."""
    town = build_town_for_driving(view.town, MapSpec(), view.appearance)
    path = scenario_route(town.network, Scenario(view.town, view.route)).path
    renderer.add(town.scene)
    try:
        return renderer.render_buffers([RenderRequest(town.scene, camera, path.pose(view.fraction * path.length))])
    finally:
        renderer.remove(town.scene)


def _channel_image(buffers: RenderBuffers, channel: Channel) -> Image:
    """Return one channel of a picture as colours (H, W, 3)."""
    if channel is Channel.CLASSES:
        palette = np.array([CLASS_COLOURS[member] for member in SemanticClass], np.uint8)
        return np.asarray(palette[buffers.semantic[0]])
    if channel is Channel.DEPTH:
        nearness = 1 - np.sqrt(np.clip(buffers.depth[0] / MAX_DEPTH, 0.0, 1.0))
        shades = cv2.applyColorMap(np.round(255 * nearness).astype(np.uint8), cv2.COLORMAP_INFERNO)
        return np.asarray(shades[..., ::-1], np.uint8)
    image: Image = buffers.colour[0]
    return image
