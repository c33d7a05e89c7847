"""Building blocks of the networks: images to vectors, vectors to vectors. H and W: height and width [px]."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from torch import nn

from navsim.errors import ConfigError


class ConvLayer(NamedTuple):
    """One convolution, followed by a rectifier."""

    channels: int
    """Output channels; multiples of 8 suit AMX and tensor cores."""
    kernel: int
    """Side of the square kernel [px], odd."""
    stride: int
    """Step between neighbouring windows [px]."""
    padded: bool = True
    """Whether zeros border the image, so that the kernel is centred on each of its pixels ("same" padding)."""


class Trunk(nn.Sequential):
    """Layers over images of one size that end in a vector."""

    def __init__(self, *modules: nn.Module, features: int = 0) -> None:
        """Chain `modules`, the last of which returns vectors of length `features`; 0 for a part cut out of a trunk."""
        super().__init__(*modules)
        self.features = features
        """Length of the vectors."""


def convolutions(
    channels: int, layers: Sequence[ConvLayer], size: tuple[int, int], max_size: tuple[int, int] | None = None
) -> Trunk:
    """Chain convolutions over images and flatten the last output.

    Weights are drawn after He et al. (2015), so that no normalisation is needed between the layers: batch normalisation
    halved the training rate on a CPU, one layer norm over the fused features did nearly as well.

    Args:
        channels: Channels of the images.
        layers: The convolutions.
        size: Size of the images (H, W) [px].
        max_size: Largest (H, W) of the last output; a larger one is averaged over blocks. None: no pooling.

    Raises:
        ConfigError: If the images are too small for the layers.
    """
    modules: list[nn.Module] = []
    for layer in layers:
        modules += [convolution(channels, layer), nn.ReLU(inplace=True)]
        channels = layer.channels
    pools, grid = pooling(output_size(layers, size), max_size)
    return Trunk(*modules, *pools, nn.Flatten(), features=channels * grid[0] * grid[1])


def convolution(channels: int, layer: ConvLayer) -> nn.Conv2d:
    """Build one convolution over `channels` channels, its weights drawn for a rectifier after it."""
    padding = layer.kernel // 2 if layer.padded else 0
    module = nn.Conv2d(channels, layer.channels, layer.kernel, layer.stride, padding)
    nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    return module


def pooling(size: tuple[int, int], max_size: tuple[int, int] | None) -> tuple[list[nn.Module], tuple[int, int]]:
    """Average over equal blocks, so that a grid of `size` (H, W) becomes one of at most `max_size`.

    Returns:
        The pooling layer, or no layer where the grid is small enough; and the grid's new (H, W).
    """
    blocks = (1, 1) if max_size is None else (-(-size[0] // max_size[0]), -(-size[1] // max_size[1]))
    if blocks == (1, 1):
        return [], size
    return [nn.AvgPool2d(blocks, ceil_mode=True)], (-(-size[0] // blocks[0]), -(-size[1] // blocks[1]))


def output_size(layers: Sequence[ConvLayer], size: tuple[int, int]) -> tuple[int, int]:
    """Return the height and width of the last output of `layers` for images of `size` (H, W) [px].

    Raises:
        ConfigError: If the images are too small for the layers.
    """
    minimum = min_side(layers)
    if min(size) < minimum:
        raise ConfigError(
            f"images of {size[1]}x{size[0]} px are too small for {len(layers)} convolutions; "
            f"the minimum is {minimum}x{minimum} px"
        )
    height, width = size
    for layer in layers:
        lost = 0 if layer.padded else layer.kernel - 1
        height, width = (-(-(side - lost) // layer.stride) for side in (height, width))
    return height, width


def min_side(layers: Sequence[ConvLayer]) -> int:
    """Return the smallest height and width of images [px] for `layers`.

    The last output must have at least 2x2 pixels if it is padded, since its kernels would see mostly border otherwise,
    and at least one pixel if not.
    """
    side = 2 if layers[-1].padded else 1
    for layer in reversed(layers):
        side = (side - 1) * layer.stride + (1 if layer.padded else layer.kernel)
    return side


def rectified(*widths: int) -> nn.Sequential:
    """Chain fully connected layers with rectifiers, from `widths[0]` inputs to `widths[-1]` outputs.

    Weights are drawn after He et al. (2015): the published networks are deep and without normalisation.
    """
    modules: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layer = nn.Linear(inputs, outputs)
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        nn.init.zeros_(layer.bias)
        modules += [layer, nn.ReLU()]
    return nn.Sequential(*modules)
