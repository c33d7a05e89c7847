"""The detector's targets, its detections and the convolutions that compute its features.

B: pictures of a batch, G: largest number of objects in one of them, H and W: height and width of the pictures [px],
multiples of 16.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

IGNORED = -1
"""Class of an object that is neither learned nor counted: too small, or hardly visible."""
ABSENT = -2
"""Class of a row without an object."""


@dataclass(frozen=True, eq=False)
class Targets:
    """Objects in B pictures, in tables of one length."""

    boxes: Tensor
    """Boxes (B, G, 4) float [px], as in `proposals`; absent rows hold any box with an area."""
    classes: Tensor
    """Numbers of the classes (B, G) int64, IGNORED or ABSENT."""

    def __getitem__(self, pictures: Tensor) -> "Targets":
        """Return the objects of some pictures, by the pictures' numbers."""
        return Targets(self.boxes[pictures], self.classes[pictures])

    def to(self, device: torch.device) -> "Targets":
        """Copy to `device`."""
        return Targets(self.boxes.to(device), self.classes.to(device))

    @staticmethod
    def of(boxes: Sequence[Tensor], classes: Sequence[Tensor]) -> "Targets":
        """Build tables from the boxes (G_i, 4) and classes (G_i,) of each picture."""
        longest = max(1, *map(len, classes)) if classes else 1
        nothing = torch.tensor([0.0, 0.0, 1.0, 1.0])
        table = nothing.repeat(len(boxes), longest, 1)
        kinds = torch.full((len(classes), longest), ABSENT)
        for row, (some, names) in enumerate(zip(boxes, classes, strict=True)):
            table[row, : len(some)] = some
            kinds[row, : len(names)] = names
        return Targets(table, kinds)


@dataclass(frozen=True, eq=False)
class Detections:
    """Detected objects in one picture, the highest score first."""

    boxes: Tensor
    """Boxes (N, 4) float [px]."""
    scores: Tensor
    """Scores (N,) in [0, 1]."""
    classes: Tensor
    """Numbers of the classes (N,) int64."""


STRIDE, FINE_STRIDE = 4, 2
"""Pixels per feature and per fine feature."""
_WIDTHS = (32, 64, 96)


def _convolution(channels: int, width: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Build a convolution with batch normalisation, without which a detector hardly learns from scratch."""
    convolution = nn.Conv2d(channels, width, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(width))


class _Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut (He et al. 2016, arXiv 1512.03385)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.main = nn.Sequential(_convolution(width, width), nn.ReLU(inplace=True), _convolution(width, width))

    def forward(self, pictures: Tensor) -> Tensor:
        """Return features of the same shape (B, width, H, W)."""
        return functional.relu(pictures + self.main(pictures))


class Backbone(nn.Module):
    """A feature pyramid at a quarter of the resolution (Lin et al. 2017, arXiv 1612.03144)."""

    out_channels = 64
    """Channels of the coarse features."""
    fine_channels = 16
    """Channels of the fine features."""

    def __init__(self) -> None:
        """Draw the initial weights."""
        super().__init__()
        self.stem = nn.Sequential(_convolution(3, self.fine_channels, 5, 2), nn.ReLU(inplace=True))
        widths = (self.fine_channels, *_WIDTHS)
        self.stages = nn.ModuleList(
            nn.Sequential(_convolution(before, width, 3, 2), nn.ReLU(inplace=True), _Block(width))
            for before, width in zip(widths, _WIDTHS, strict=False)
        )
        self.sides = nn.ModuleList(nn.Conv2d(width, self.out_channels, 1) for width in _WIDTHS)
        self.smooth = nn.Sequential(_convolution(self.out_channels, self.out_channels), nn.ReLU(inplace=True))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return fine and coarse features of pictures (B, 3, H, W).

        Returns:
            (B, fine_channels, H / FINE_STRIDE, W / FINE_STRIDE), which show edges and the like, and
            (B, out_channels, H / STRIDE, W / STRIDE).
        """
        fine = self.stem(images)
        found, levels = fine, []
        for stage in self.stages:
            found = stage(found)
            levels.append(found)
        result: Tensor = self.sides[-1](levels[-1])
        for side, level in zip(list(self.sides)[-2::-1], levels[-2::-1], strict=True):
            result = functional.interpolate(result, scale_factor=2.0, mode="nearest") + side(level)
        return fine, self.smooth(result)
