"""What detectors are asked and what they answer, whoever built them. B: pictures, G: most objects in one of them."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

IGNORED = -1
"""Class of an object that shall neither be learned nor counted: too small, or too little of it to be seen."""
ABSENT = -2
"""Class of a row that holds no object."""


@dataclass(frozen=True, eq=False)
class Targets:
    """The objects in B pictures, in tables of one length."""

    boxes: Tensor
    """(B, G, 4) float [px], see `agents.perception.detection.boxes`; any box with an area where there is none."""
    classes: Tensor
    """(B, G) int64: number of the class, IGNORED or ABSENT."""

    def __getitem__(self, pictures: Tensor) -> "Targets":
        """Those of some pictures, by their numbers."""
        return Targets(self.boxes[pictures], self.classes[pictures])

    def to(self, device: torch.device) -> "Targets":
        """Copy to `device`."""
        return Targets(self.boxes.to(device), self.classes.to(device))

    @staticmethod
    def of(boxes: Sequence[Tensor], classes: Sequence[Tensor]) -> "Targets":
        """Put the boxes (G_i, 4) and classes (G_i,) of each picture into tables."""
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
    """What was found in one picture, the surest first."""

    boxes: Tensor
    """(N, 4) float [px]."""
    scores: Tensor
    """(N,) in [0, 1]."""
    classes: Tensor
    """(N,) int64."""


class Detector(nn.Module, ABC):
    """A network that finds objects in pictures (B, 3, H, W) in [-1, 1]."""

    @abstractmethod
    def losses(self, images: Tensor, targets: Targets) -> dict[str, Tensor]:
        """The terms of the loss, by name; draws samples from torch's own generator."""

    @abstractmethod
    def detect(self, images: Tensor) -> list[Detections]:
        """Find objects in each picture; in evaluation mode."""
