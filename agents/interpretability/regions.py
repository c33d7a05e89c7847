"""Saliency by region: parts of the camera's view by class and place, parts of the map. N: frames, C: cameras."""

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
from navsim.simulation.episode_rerenderer import PixelGroundTruth
from navsim.world.scenery.meshes import SemanticClass

Masks = dict[str, NDArray[np.bool_]]
"""Pixels of each region, by name."""

JUNCTION = "junctions, their mouths included"
"""Region on the ground in a junction, or within `JUNCTION_MARGIN` of it; it overlaps other regions."""
LANE_EDGES = "lane edges and lines"
"""Region of the lines on the road, the kerbs, and one pixel on both sides of the road's border."""
JUNCTION_EDGES = "lane edges at junctions"
"""Region of lane edges at junctions: the corners where roads meet."""
JUNCTION_MARGIN = 3.0
"""Distance around a junction that belongs to its region [m]."""
_MIN_PIXELS = 20  # smallest size of a region in a frame that counts
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
    """Saliency of one region by one method."""

    region: str
    """Name of the region."""
    method: str
    """Name of the saliency method."""
    frames: int
    """Number of frames that show the region."""
    pixels: float
    """Share of the region in the pixels of those frames."""
    saliency: float
    """Share of the region in the saliency of those frames."""
    density: Estimate
    """Share of the saliency divided by share of the pixels: 1 for average saliency."""
    untrained: Estimate
    """Density for networks with random weights, on average."""
    gain: Estimate
    """Density minus the untrained density."""


def camera_regions(places: PixelGroundTruth, network: RoadNetwork) -> Masks:
    """Divide views into regions, each pixel in one; junctions overlap them.

    Args:
        places: Classes and places of the pixels of N frames.
        network: Roads of their town.

    Returns:
        Masks (N, C, H, W).
    """
    semantic = places.semantic
    driven = np.isin(semantic, _DRIVEN)
    edges = np.isin(semantic, (SemanticClass.MARKING, SemanticClass.KERB)) | mask_borders(driven)
    masks: Masks = {LANE_EDGES: edges, "road surface": (semantic == SemanticClass.ROAD) & ~edges}
    for name, classes in _CLASSES.items():
        masks[name] = np.isin(semantic, classes) & ~edges
    junctions = [junction.area for junction in network.junctions if junction.kind is not JunctionKind.BEND]
    area = shapely.union_all(junctions).buffer(JUNCTION_MARGIN)
    shapely.prepare(area)
    ground = np.isin(semantic, _GROUND) & np.isfinite(places.positions[..., 0])
    inside = np.zeros(semantic.shape, bool)
    inside[ground] = shapely.contains_xy(area, *places.positions[ground].T)
    return masks | {JUNCTION: inside, JUNCTION_EDGES: inside & edges}


def map_regions(road_maps: Image, route_maps: Image) -> Masks:
    """Divide maps (N, S, S) uint8 into regions, each pixel in one."""
    road, route = road_maps > 127, route_maps > 127
    edges = mask_borders(road)
    return {
        "edges of roads": edges,
        "the route": route & ~edges,
        "other roads": road & ~route & ~edges,
        "off the roads": ~road & ~route & ~edges,
    }


def mask_borders(masks: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pixels on either side of the borders of masks (..., H, W)."""
    kernel = np.ones((3, 3), np.uint8)
    flat = masks.reshape(-1, *masks.shape[-2:]).astype(np.uint8)
    borders = [cv2.morphologyEx(mask, cv2.MORPH_GRADIENT, kernel) > 0 for mask in flat]
    return np.array(borders, bool).reshape(masks.shape)


def region_rows(
    method: str,
    trained: NDArray[np.floating],
    untrained: Sequence[NDArray[np.floating]],
    masks: Masks,
    rng: np.random.Generator,
) -> list[RegionRow]:
    """Summarise the saliency of N frames (N, ...) by region; regions that no frame shows are left out.

    Args:
        method: Name of the saliency method.
        trained: Saliency of the trained network (N, ...).
        untrained: Saliency of networks with random weights, each (N, ...); their mean counts.
        masks: Masks of the regions, each (N, ...).
        rng: Generator for the intervals.
    """
    rows = []
    for name, mask in masks.items():
        flat = mask.reshape(len(mask), -1)
        visible = flat.sum(axis=1) >= _MIN_PIXELS
        if not visible.any():
            continue
        pixels = flat[visible].mean(axis=1)
        shares = _shares(trained[visible], mask[visible])
        others = np.mean([_shares(values[visible], mask[visible]) for values in untrained], axis=0)
        rows.append(
            RegionRow(
                name,
                method,
                int(visible.sum()),
                float(pixels.mean()),
                float(shares.mean()),
                ratio_estimate(shares, pixels, rng),
                ratio_estimate(others, pixels, rng),
                ratio_estimate(shares - others, pixels, rng),
            )
        )
    return rows


def concatenate_masks(parts: list[Masks]) -> Masks:
    """Concatenate masks over frames."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _shares(saliency: NDArray[np.floating], mask: NDArray[np.bool_]) -> Array:
    """Return the share of each frame's saliency (N, ...) in its mask (N, ...); the share of pixels without saliency."""
    values, inside = saliency.reshape(len(saliency), -1).astype(float), mask.reshape(len(mask), -1)
    total = values.sum(axis=1)
    within = (values * inside).sum(axis=1)
    return np.asarray(np.where(total > 0, within / np.where(total > 0, total, 1.0), inside.mean(axis=1)))
