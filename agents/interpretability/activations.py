"""What the convolutions answer to a few fixed frames, for TensorBoard. B: frames, C: channels, H and W: size [px]."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.policies.networks.observation_batch import Senses
from agents.policies.policy import Policy
from navsim.sensing.observation import Image

_TILE = 64  # longer side of a channel's picture [px]
_GAP = 2  # between pictures [px]


def convolution_outputs(policy: Policy, senses: Senses) -> dict[str, Tensor]:
    """What each convolution gives out for B situations, by its name: (B or B * cameras, C, H, W) float32.

    Call it with the policy in evaluation mode and without gradients.
    """
    outputs: dict[str, Tensor] = {}
    with _listening(policy, outputs):
        policy.steer(senses)
    return outputs


def channel_picture(output: Tensor) -> Image:
    """Draw the channels (C, H, W) of one picture as tiles of a picture (height, width, 3) uint8.

    Each channel is drawn from its own least value (black) to its greatest (white): of a channel that says the same
    everywhere only grey remains.
    """
    channels, height, width = output.shape
    low, high = output.amin(dim=(1, 2), keepdim=True), output.amax(dim=(1, 2), keepdim=True)
    flat = high - low <= 1e-12
    shown = torch.where(flat, 0.5, (output - low) / torch.where(flat, 1.0, high - low))
    scale = max(_TILE // max(height, width), 1)
    tiles = functional.pad(functional.interpolate(shown[None], scale_factor=float(scale))[0], (0, _GAP, 0, _GAP))
    columns = math.ceil(math.sqrt(channels))
    tiles = functional.pad(tiles, (0, 0, 0, 0, 0, -channels % columns))
    _, tall, wide = tiles.shape
    grid = tiles.reshape(-1, columns, tall, wide).transpose(1, 2).reshape(-1, columns * wide)
    grey = (255 * grid).round().byte().cpu().numpy()
    return np.repeat(grey[..., None], 3, axis=2)


@contextmanager
def _listening(policy: Policy, outputs: dict[str, Tensor]) -> Iterator[None]:
    """Put what the convolutions give out inside the block into `outputs`."""

    def listener(name: str) -> nn.Module:
        def note(_module: nn.Module, _given: tuple[Tensor, ...], output: Tensor) -> None:
            outputs[name] = output.detach().float().clone()  # what follows may work in place

        return note  # type: ignore[return-value]

    layers = {name: module for name, module in policy.named_modules() if isinstance(module, nn.Conv2d)}
    handles = [module.register_forward_hook(listener(name)) for name, module in layers.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
