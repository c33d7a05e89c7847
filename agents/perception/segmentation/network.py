"""A fully convolutional network from pictures to scores of every class for every pixel.

B: batch, H and W: height and width [px], K: classes.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.policies.networks.encoders import ConvLayer, convolution
from navsim.errors import ConfigError

_KERNEL = 4  # of transposed convolutions [px]: a multiple of their stride, so that all pixels get equal shares


@dataclass(frozen=True)
class SegmentationNetworkConfig:
    """Size of the network."""

    widths: tuple[int, ...] = (16, 32, 64, 96)
    """Channels after each halving of the picture."""
    detail: int = 12
    """Channels of the last stage, at the picture's own size."""

    def __post_init__(self) -> None:
        if not 1 <= len(self.widths) <= 6 or not all(1 <= width <= 1024 for width in (*self.widths, self.detail)):
            raise ConfigError(
                "network.widths must be one to six numbers, and they and network.detail 1 to 1024, "
                f"got {list(self.widths)} and {self.detail}"
            )


class Down(nn.Sequential):
    """Halves a picture: a convolution of stride 2, then one of stride 1."""

    def __init__(self, channels: int, width: int) -> None:
        """From `channels` channels to `width`."""
        super().__init__(
            convolution(channels, ConvLayer(width, 3, 2)),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            convolution(width, ConvLayer(width, 3, 1)),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        )


class Up(nn.Module):
    """Doubles a picture by a transposed convolution and joins it with the features of that size on the way down."""

    def __init__(self, channels: int, skipped: int, width: int) -> None:
        """From `channels` channels, joined with `skipped`, to `width`."""
        super().__init__()
        self.rise = nn.ConvTranspose2d(channels, width, _KERNEL, 2, padding=1)
        self.join = nn.Sequential(
            convolution(width + skipped, ConvLayer(width, 3, 1)), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
        )

    def forward(self, pictures: Tensor, skipped: Tensor) -> Tensor:
        """Pictures (B, channels, h, w) and those on the way down (B, skipped, H, W), H either 2 h or 2 h - 1."""
        doubled = self.rise(pictures)[..., : skipped.shape[-2], : skipped.shape[-1]]
        joined: Tensor = self.join(torch.cat([functional.relu(doubled), skipped], dim=1))
        return joined


class SegmentationNetwork(nn.Module):
    """Down-sampling and up-sampling convolutions, as in the lecture (MIT 6.S191, after Long et al., CVPR 2015).

    Features of each size on the way down are joined on the way up (Ronneberger et al., MICCAI 2015), so that thin
    objects such as lane lines keep their place. Pictures may have any size. Training has no batches of one picture, so
    batch normalisation, which speeds up learning here, does no harm.
    """

    def __init__(self, config: SegmentationNetworkConfig, classes: int) -> None:
        """Draw the initial weights from torch's global generator.

        Args:
            config: Size of the network.
            classes: Number of classes, K.
        """
        super().__init__()
        self.config = config
        widths = config.widths
        self.down = nn.ModuleList(Down(a, b) for a, b in pairwise((3, *widths)))
        skipped = (3, *widths[:-1])
        rising = (config.detail, *widths[:-1])
        self.up = nn.ModuleList(
            Up(widths[stage], skipped[stage], rising[stage]) for stage in reversed(range(len(widths)))
        )
        self.scores = nn.Conv2d(config.detail, classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Return scores (B, K, H, W) of every class, for images (B, 3, H, W) in about [-1, 1]."""
        skipped = []
        for down in self.down:
            skipped.append(images)
            images = down(images)
        for up in self.up:
            images = up(images, skipped.pop())
        scores: Tensor = self.scores(images)
        return scores


def build_segmentation_network(config: SegmentationNetworkConfig, classes: int, seed: int) -> SegmentationNetwork:
    """Build a network whose initial weights depend on `seed` alone; torch's global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = SegmentationNetwork(config, classes)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stubs
    return network
