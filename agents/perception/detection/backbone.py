"""The convolutions that both detectors share: residual blocks downwards, and back up to a fine picture of features.

B: batch, H and W: height and width of the pictures [px], multiples of 16.
"""

from torch import Tensor, nn
from torch.nn import functional

STRIDE, FINE_STRIDE = 4, 2
"""Pixels per feature, and per fine one."""
_WIDTHS = (32, 64, 96)


def _convolution(channels: int, width: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """A convolution with batch normalisation: from scratch a detector hardly learns without."""
    convolution = nn.Conv2d(channels, width, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(width))


class _Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut (He et al. 2016, arXiv 1512.03385)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.main = nn.Sequential(_convolution(width, width), nn.ReLU(inplace=True), _convolution(width, width))

    def forward(self, pictures: Tensor) -> Tensor:
        """Keep the shape (B, width, H, W)."""
        return functional.relu(pictures + self.main(pictures))


class Backbone(nn.Module):
    """Features of a quarter of the resolution that know what is around them (Lin et al. 2017, arXiv 1612.03144)."""

    out_channels = 64
    """Channels of what `forward` returns; the name is torchvision's."""
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

    def forward(self, images: Tensor) -> Tensor:
        """Pictures (B, 3, H, W) to features (B, out_channels, H / STRIDE, W / STRIDE)."""
        return self.levels(images)[1]

    def levels(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The same after fine features (B, fine_channels, H / FINE_STRIDE, W / FINE_STRIDE), edges and the like."""
        fine = self.stem(images)
        found, levels = fine, []
        for stage in self.stages:
            found = stage(found)
            levels.append(found)
        result: Tensor = self.sides[-1](levels[-1])
        for side, level in zip(list(self.sides)[-2::-1], levels[-2::-1], strict=True):
            result = functional.interpolate(result, scale_factor=2.0, mode="nearest") + side(level)
        return fine, self.smooth(result)
