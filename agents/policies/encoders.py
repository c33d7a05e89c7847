"""Convolutional encoders: pictures to vectors. B: batch, C: channels, H and W: height and width [px]."""

from collections.abc import Sequence
from typing import NamedTuple

from torch import nn

from navsim.errors import ConfigError


class ConvLayer(NamedTuple):
    """One convolution with "same" padding, followed by a rectifier."""

    channels: int
    """Output channels; multiples of 8 suit AMX and tensor cores."""
    kernel: int
    """Side of the square kernel [px], odd."""
    stride: int
    """Step of the kernel [px]."""


def convolutions(channels: int, layers: Sequence[ConvLayer]) -> nn.Sequential:
    """Chain `layers` over pictures of `channels` channels and flatten the last one's output.

    Weights are drawn after He et al. (2015), so that no normalisation is needed between the layers: batch
    normalisation halved the training rate on a CPU, one layer norm over the fused features did nearly as well.
    """
    modules: list[nn.Module] = []
    for layer in layers:
        convolution = nn.Conv2d(channels, layer.channels, layer.kernel, layer.stride, layer.kernel // 2)
        nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
        modules += [convolution, nn.ReLU(inplace=True)]
        channels = layer.channels
    return nn.Sequential(*modules, nn.Flatten())


def feature_count(layers: Sequence[ConvLayer], size: tuple[int, int]) -> int:
    """Length of the flattened output of `convolutions` for pictures of `size` (H, W) [px].

    Raises:
        ConfigError: If the pictures are too small for the layers.
    """
    height, width = size
    for layer in layers:
        height, width = (-(-side // layer.stride) for side in (height, width))
    if min(height, width) < 2:
        raise ConfigError(f"pictures of {size[1]}x{size[0]} px are too small for {len(layers)} convolutions")
    return height * width * layers[-1].channels
