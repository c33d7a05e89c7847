"""Asking a network about many pictures. N: pictures, B: pictures of a batch, H and W: height and width [px]."""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

from agents.policies.networks.observation_batch import scale_images
from navsim.sensing.observation import Image

A = TypeVar("A")


def network_inputs(pictures: Tensor, dtype: torch.dtype) -> Tensor:
    """Pictures (B, H, W, 3) uint8 as images (B, 3, H, W) in [-1, 1] of type `dtype`, channels-last without a copy."""
    return scale_images(pictures, dtype).permute(0, 3, 1, 2)


def answers(
    network: nn.Module,
    images: Image,
    answer: Callable[[Tensor], A],
    dtype: torch.dtype,
    picture_dtype: torch.dtype,
    batch: int,
) -> list[A]:
    """What a network answers to each batch of pictures.

    Args:
        network: In evaluation mode, on any device.
        images: Pictures (N, H, W, 3) uint8.
        answer: Asks the network about images (B, 3, H, W) in [-1, 1].
        dtype: Type of the layers' arithmetic.
        picture_dtype: Type of the images that the network is given.
        batch: How many pictures are looked at at once, at most.
    """
    device = next(network.parameters()).device
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=dtype is torch.bfloat16):
        parts = (torch.tensor(images[start : start + batch], device=device) for start in range(0, len(images), batch))
        return [answer(network_inputs(part, picture_dtype)) for part in parts]
