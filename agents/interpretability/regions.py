"""On what saliency lies: parts of the camera's view by class and place, parts of the map. N: frames, C: cameras."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import shapely
from numpy.typing import NDArray

from navsim.evaluation.statistics.intervals import Estimate, ratio_estimate
from navsim.geometry import Array
from navsim.roads.elements import JunctionKind
from navsim.roads.network import RoadNetwork
from navsim.sensing.observation import Image
from navsim.simulation.episode_rerenderer import SeenPlaces
from navsim.world.scenery.meshes import SemanticClass

Masks = dict[str, NDArray[np.bool_]]
"""Which pixels belong to a part, by its name."""

JUNCTION = "junctions, their mouths included"
"""The part that lies over others: what is on the ground in a junction, or within `MOUTH` of it."""
LANE_EDGES = "lane edges and lines"
"""The part with the lines on the road, the kerbs, and a pixel on both sides of where the road ends."""
JUNCTION_EDGES = "lane edges at junctions"
"""The part of those that lies at junctions: the corners around which roads leave."""
MOUTH = 3.0
"""How far around a junction its mouths are taken to reach [m]."""
_LEAST_PIXELS = 20  # of a part, in a frame that is to say something about it
_DRIVEN = (SemanticClass.ROAD, SemanticClass.MARKING)
_GROUND = (*_DRIVEN, SemanticClass.KERB, SemanticClass.GROUND)
_CLASSES = {
    "verge and pavement": (SemanticClass.GROUND,),
    "buildings": (SemanticClass.BUILDING,),
    "plants": (SemanticClass.VEGETATION,),
    "cars, people, signs": (SemanticClass.VEHICLE, SemanticClass.PEDESTRIAN, SemanticClass.SIGN),
    "sky": (SemanticClass.SKY,),
}


@dataclass(frozen=True)
class RegionRow:
    """How much of the saliency lies on a part of the pictures."""

    region: str
    """The part."""
    method: str
    """The way the saliency was found."""
    frames: int
    """Frames that show the part."""
    pixels: float
    """The part's share of the pixels in those frames."""
    saliency: float
    """Its share of the saliency."""
    density: Estimate
    """The latter divided by the former: 1 if the part is as salient as the rest."""
    untrained: Estimate
    """The same of networks with random weights, on average."""
    gain: Estimate
    """How much more it is after training."""


def camera_regions(seen: SeenPlaces, network: RoadNetwork) -> Masks:
    """Cut views into parts, each pixel in one; and where the junctions are.

    Args:
        seen: N frames.
        network: Roads of their town.

    Returns:
        Masks (N, C, H, W).
    """
    semantic = seen.semantic
    driven = np.isin(semantic, _DRIVEN)
    edges = np.isin(semantic, (SemanticClass.MARKING, SemanticClass.KERB)) | borders(driven)
    masks: Masks = {LANE_EDGES: edges, "road surface": (semantic == SemanticClass.ROAD) & ~edges}
    for name, classes in _CLASSES.items():
        masks[name] = np.isin(semantic, classes) & ~edges
    junctions = [junction.area for junction in network.junctions if junction.kind is not JunctionKind.BEND]
    area = shapely.union_all(junctions).buffer(MOUTH)
    shapely.prepare(area)
    ground = np.isin(semantic, _GROUND) & np.isfinite(seen.places[..., 0])
    inside = np.zeros(semantic.shape, bool)
    inside[ground] = shapely.contains_xy(area, *seen.places[ground].T)
    return masks | {JUNCTION: inside, JUNCTION_EDGES: inside & edges}


def map_regions(road_maps: Image, route_maps: Image) -> Masks:
    """Cut maps (N, S, S) uint8 into parts, each pixel in one."""
    road, route = road_maps > 127, route_maps > 127
    edges = borders(road)
    return {
        "edges of roads": edges,
        "the route": route & ~edges,
        "other roads": road & ~route & ~edges,
        "off the roads": ~road & ~route & ~edges,
    }


def borders(masks: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels on either side of where masks (..., H, W) end."""
    kernel = np.ones((3, 3), np.uint8)
    flat = masks.reshape(-1, *masks.shape[-2:]).astype(np.uint8)
    found = [cv2.morphologyEx(mask, cv2.MORPH_GRADIENT, kernel) > 0 for mask in flat]
    return np.array(found, bool).reshape(masks.shape)


def region_rows(
    method: str,
    trained: NDArray[np.floating],
    untrained: Sequence[NDArray[np.floating]],
    masks: Masks,
    rng: np.random.Generator,
) -> list[RegionRow]:
    """How the saliency of N frames (N, ...) is spread over the parts; parts that no frame shows are left out.

    Args:
        method: How it was found.
        trained: Saliency of the trained network (N, ...).
        untrained: The same of some with random weights; their mean is taken.
        masks: The parts, each (N, ...).
        rng: Draws for the intervals.
    """
    rows = []
    for name, mask in masks.items():
        flat = mask.reshape(len(mask), -1)
        shown = flat.sum(axis=1) >= _LEAST_PIXELS
        if not shown.any():
            continue
        pixels = flat[shown].mean(axis=1)
        shares = _shares(trained[shown], mask[shown])
        others = np.mean([_shares(values[shown], mask[shown]) for values in untrained], axis=0)
        rows.append(
            RegionRow(
                name,
                method,
                int(shown.sum()),
                float(pixels.mean()),
                float(shares.mean()),
                ratio_estimate(shares, pixels, rng),
                ratio_estimate(others, pixels, rng),
                ratio_estimate(shares - others, pixels, rng),
            )
        )
    return rows


def joined_masks(parts: list[Masks]) -> Masks:
    """Masks of several stretches of frames as those of all of them."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _shares(saliency: NDArray[np.floating], mask: NDArray[np.bool_]) -> Array:
    """Share of each frame's saliency (N, ...) that lies in its mask (N, ...); that of the pixels if there is none."""
    values, inside = saliency.reshape(len(saliency), -1).astype(float), mask.reshape(len(mask), -1)
    total = values.sum(axis=1)
    within = (values * inside).sum(axis=1)
    return np.asarray(np.where(total > 0, within / np.where(total > 0, total, 1.0), inside.mean(axis=1)))
