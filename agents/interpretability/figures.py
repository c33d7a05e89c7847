"""Filters, frames and plots of an inspection as images. N: frames, C: cameras, H and W: height and width [px]."""

import math
from collections.abc import Mapping, Sequence
from io import BytesIO
from types import MappingProxyType

import cv2
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from agents.interpretability.checks import SHARES, ablated_inputs, removed_baseline
from agents.interpretability.layers import Sense
from agents.interpretability.measurements import RANDOM, RemovalCurves
from agents.interpretability.regions import RegionRow
from agents.policies.networks.observation_batch import Inputs
from agents.policies.policy import Policy
from navsim.sensing.camera import Camera
from navsim.sensing.observation import Image
from navsim.visualization.canvas import overlay_saliency

_MIN_SIDE = 30  # smallest side of a filter's tile [px]
_TILE_GAP = 3  # gap between tiles [px]
HAND_MADE: Mapping[str, tuple[tuple[int, ...], ...]] = MappingProxyType(
    {
        "sharpen": ((0, -1, 0), (-1, 5, -1), (0, -1, 0)),
        "edge detect": ((0, 1, 0), (1, -4, 1), (0, 1, 0)),
        "strong edge detect": ((-1, -1, -1), (-1, 8, -1), (-1, -1, -1)),
    }
)
"""Hand-designed 3x3 kernels by name, from MIT 6.S191's lecture on computer vision."""


def apply_filter(image: Image, kernel: tuple[tuple[int, ...], ...]) -> Image:
    """Convolve an image (H, W, 3) uint8 with a kernel, colour by colour; the border is replicated.

    Returns:
        The weighted sums, clipped to 0 and 255 (H, W, 3) uint8.
    """
    weights = np.array(kernel, np.float32)
    return np.asarray(cv2.filter2D(image, -1, weights, borderType=cv2.BORDER_REPLICATE), np.uint8)


def filter_picture(weights: Tensor, columns: int | None = None) -> Image:
    """Draw filters as tiles of an image (height, width, 3) uint8; a weight of 0 is grey.

    Args:
        weights: N filters (N, D, K, K). With D = 3 a tile shows them as colours; otherwise each filter has D grey
            tiles, one below the other.
        columns: Tiles per row; None gives an image about as high as wide.
    """
    values = weights.detach().float().cpu().numpy()
    reach = np.abs(values).max(axis=(1, 2, 3), keepdims=True)
    shades = np.round(127.5 + 127.5 * values / np.maximum(reach, 1e-12))
    shown = np.clip(shades, 0, 255).astype(np.uint8).transpose(0, 2, 3, 1)  # (N, K, K, D)
    if shown.shape[3] != 3:
        shown = np.repeat(np.concatenate(np.split(shown, shown.shape[3], axis=3), axis=1), 3, axis=3)
    scale = max(_MIN_SIDE // shown.shape[2], 1)
    return arrange_in_rows(shown.repeat(scale, axis=1).repeat(scale, axis=2), columns)


def arrange_in_rows(pictures: NDArray[np.uint8], columns: int | None = None) -> Image:
    """Arrange N images (N, H, W, 3) in rows on white; None as `columns` gives about as many rows as columns."""
    count, height, width, _ = pictures.shape
    columns = min(columns or math.ceil(math.sqrt(count * height / width)), count)
    rows = math.ceil(count / columns)
    sheet = np.full(
        (rows * (height + _TILE_GAP) - _TILE_GAP, columns * (width + _TILE_GAP) - _TILE_GAP, 3), 255, np.uint8
    )
    for i, picture in enumerate(pictures):
        y, x = (i // columns) * (height + _TILE_GAP), (i % columns) * (width + _TILE_GAP)
        sheet[y : y + height, x : x + width] = picture
    return sheet


_INK, _DIM, _FAINT = "#1d232c", "#5d6778", "#e3e7ed"
_COLOURS = ("#c8452f", "#2f6fde", "#2f9463", "#8a5bc4", "#c2922a", "#4aa3b8", "#6b7585", "#a04878")
_GAP = 6  # gap between cameras [px]
_WIDE = 512  # approximate width of a camera's image [px]
_MAP = 250  # side of a map's image [px]
SENSE_LABELS: Mapping[Sense, str] = {"camera": "camera images", "map": "maps"}
"""Names of the kinds of input on the page."""


def enlarge(picture: Image, width: int = _WIDE, smooth: bool = True) -> Image:
    """Enlarge an image (H, W, 3) to about `width` [px], by a whole factor."""
    factor = max(round(width / picture.shape[1]), 1)
    flag = cv2.INTER_CUBIC if smooth else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(picture, None, fx=factor, fy=factor, interpolation=flag), np.uint8)


def cameras_picture(images: Image, cameras: Sequence[Camera], saliency: NDArray[np.floating] | None = None) -> Image:
    """Draw one frame's cameras (C, H, W, 3) from left to right, with their saliency (C, H, W) if given.

    All cameras of the frame share one colour scale.
    """
    order = left_to_right(cameras)
    images, saliency = images[order], None if saliency is None else saliency[order]
    strip = cv2.hconcat([*images])
    if saliency is not None:
        strip = overlay_saliency(np.asarray(strip, np.uint8), np.concatenate([*saliency], axis=1))
    width = images.shape[2]
    parts = [strip[:, i * width : (i + 1) * width] for i in range(len(images))]
    wide = [enlarge(np.asarray(part, np.uint8), _WIDE if len(images) == 1 else _WIDE // 2) for part in parts]
    framed = [cv2.copyMakeBorder(w, 0, 0, 0, _GAP, cv2.BORDER_CONSTANT, value=(255, 255, 255)) for w in wide[:-1]]
    return np.asarray(cv2.hconcat([*framed, wide[-1]]), np.uint8)


def left_to_right(cameras: Sequence[Camera]) -> list[int]:
    """Return the indices of the cameras from the leftmost view to the rightmost."""
    return sorted(range(len(cameras)), key=lambda i: -cameras[i].yaw_deg)


def map_picture(picture: Image, saliency: NDArray[np.floating] | None = None) -> Image:
    """Enlarge a map (S, S, 3), with its saliency (S, S) if given."""
    return enlarge(picture if saliency is None else overlay_saliency(picture, saliency), _MAP, smooth=False)


def removal_figure(removal: RemovalCurves, sense: Sense, inserted: bool) -> Figure:
    """Plot deletion or insertion curves of the methods and of random orders."""
    figure = Figure(figsize=(4.6, 3.1), dpi=110, layout="constrained")
    ax = figure.subplots()
    for (name, curves), colour in zip(removal.curves.items(), _COLOURS, strict=False):
        style = ("--", _DIM, 1.6) if name == RANDOM else ("-", colour, 2.0)
        shares, heights = 100 * np.array(SHARES), curves[int(inserted)]
        ax.plot(shares, heights, style[0], color=style[1], linewidth=style[2], label=name)
    _set_style(ax, "insertion: lower is better" if inserted else "deletion: higher is better")
    ax.set_xlabel(f"{SENSE_LABELS[sense]}: share {'put back' if inserted else 'removed'} [%]", color=_DIM, fontsize=9)
    ax.set_ylabel("distance of the distributions", color=_DIM, fontsize=9)
    ax.set_ylim(bottom=0)
    ax.legend(frameon=False, fontsize=8.5, labelcolor=_INK)
    return figure


def regions_figure(rows: Sequence[RegionRow]) -> Figure:
    """Plot the density of the saliency by region and method, beside that of an untrained network."""
    regions, methods = list(dict.fromkeys(r.region for r in rows)), list(dict.fromkeys(r.method for r in rows))
    row_of = {(row.region, row.method): row for row in rows}
    figure = Figure(figsize=(5.0, 1.2 + 0.46 * len(regions)), dpi=110, layout="constrained")
    ax = figure.subplots()
    for index, (method, colour) in enumerate(zip(methods, _COLOURS, strict=False)):
        for row, region in enumerate(regions):
            y, estimate = row + 0.22 * (index - (len(methods) - 1) / 2), row_of[region, method]
            ax.plot(
                [estimate.density.low, estimate.density.high],
                [y, y],
                color=colour,
                linewidth=2.2,
                solid_capstyle="butt",
            )
            ax.plot(estimate.density.value, y, "o", color=colour, markersize=5.5, label=method if row == 0 else None)
            ax.plot(estimate.untrained.value, y, "o", color=colour, markersize=5, fillstyle="none")
    ax.axvline(1.0, color=_DIM, linewidth=1.0, zorder=0)
    ax.set_yticks(range(len(regions)), regions, fontsize=9.5, color=_INK)
    ax.invert_yaxis()
    _set_style(ax, "")
    figure.suptitle("saliency per pixel, 1 is the mean; hollow: untrained", fontsize=10, color=_INK, x=0.01, ha="left")
    figure.legend(frameon=False, fontsize=8, labelcolor=_INK, loc="outside lower center", ncols=len(methods))
    ax.set_xlim(left=0)
    return figure


@torch.no_grad()
def dependence_figure(policy: Policy, frame: Inputs, label: float, cameras: Sequence[str], title: str) -> Figure:
    """Plot the distribution over steering in one frame, with all inputs and without each input."""
    limit = policy.config.max_curvature
    grid = torch.linspace(-limit, limit, 401)
    figure = Figure(figsize=(4.6, 2.9), dpi=110, layout="constrained")
    ax = figure.subplots()
    reference = policy.distribution(frame).density(grid)[0].numpy()
    ax.fill_between(grid, reference, color="#cfd5de", label="everything")
    for (name, remaining), colour in zip(
        ablated_inputs(policy, frame, removed_baseline(frame), cameras).items(), _COLOURS, strict=False
    ):
        density = policy.distribution(remaining).density(grid)[0].numpy()
        ax.plot(grid, density, color=colour, linewidth=1.6, label=f"without {name}")
    ax.axvline(label, color=_INK, linewidth=1.0, linestyle=":", label="expert")
    _set_style(ax, title)
    ax.invert_xaxis()
    ax.set_xlabel("curvature [1/m]; left turns on the left", color=_DIM, fontsize=9)
    ax.set_yticks([])
    ax.set_ylim(0, 1.6 * max(float(reference.max()), 1e-6))  # a sharp peak without an input would flatten the rest
    ax.legend(frameon=False, fontsize=8, labelcolor=_INK, loc="upper left")
    return figure


def png_of(figure: Figure) -> bytes:
    """Encode a figure as PNG."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _set_style(ax: Axes, title: str) -> None:
    """Remove most lines, and set small labels."""
    ax.set_title(title, fontsize=10, color=_INK, loc="left")
    ax.tick_params(length=0, labelsize=8.5, labelcolor=_DIM)
    ax.grid(axis="x", color=_FAINT, zorder=0)
    for spine in ax.spines.values():
        spine.set_visible(False)
