"""A segmentation decoder on a policy's camera trunk, which helps the trunk to learn; it is not used for driving.

B: batch, C: cameras, F: channels of the trunk's last picture, h and w: its size [px], K: classes.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.policies.networks.network import SharedTrunks
from agents.policies.policy import Policy
from navsim.errors import ConfigError
from navsim.world.scenery.meshes import CLASS_NAMES

LABEL_STEP = 2
"""Step between the pixels, in both directions, whose classes are predicted [px]; it saves three quarters of the time,
and most of a thin line stays."""
_WIDTHS = (32, 24)


class SegmentationDecoder(nn.Module):
    """Transposed convolutions over the last picture of a camera trunk, up to the classes of the camera's pixels.

    It sees nothing else: all information must be in that picture, the trunk's coarsest.
    """

    def __init__(self, channels: int, classes: int) -> None:
        """Draw the initial weights from torch's global generator, for `channels` channels and `classes` classes."""
        super().__init__()
        layers: list[nn.Module] = []
        for a, b in pairwise((channels, *_WIDTHS, classes)):
            layers += [nn.ConvTranspose2d(a, b, 4, 2, padding=1), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, pictures: Tensor, size: tuple[int, int]) -> Tensor:
        """Return scores (B, K, *size) of every class, for a trunk's pictures (B, F, h, w)."""
        scores: Tensor = self.layers(pictures)
        if scores.shape[-2:] == size:
            return scores
        return functional.interpolate(scores, size, mode="bilinear", align_corners=False)

    def loss(self, pictures: Tensor, classes: Tensor) -> Tensor:
        """Return the cross entropy [nats], averaged over pixels.

        Args:
            pictures: The trunk's pictures of B * C images (B * C, F, h, w).
            classes: Classes of the images' pixels (B, C, H, W) uint8.
        """
        wanted = classes.flatten(0, 1)[:, ::LABEL_STEP, ::LABEL_STEP].long()
        scores = self(pictures, (wanted.shape[1], wanted.shape[2]))
        return functional.cross_entropy(scores.float(), wanted)


def build_decoder(policy: Policy, seed: int) -> SegmentationDecoder:
    """Build a decoder for a policy's camera trunk, with initial weights that depend on `seed` alone.

    Raises:
        ConfigError: If the policy's network has no camera trunk.
    """
    last = picture_layer(policy)
    convolutions = [module for module in _trunk(policy).modules() if isinstance(module, nn.Conv2d)]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        decoder = SegmentationDecoder(convolutions[-1].out_channels, len(CLASS_NAMES))
    return decoder.to(next(last.parameters(), convolutions[-1].weight).device)


def picture_layer(policy: Policy) -> nn.Module:
    """Return the layer of a policy's camera trunk that outputs its last picture, before averaging and flattening.

    Raises:
        ConfigError: If the policy's network has no camera trunk.
    """
    layers = [layer for layer in _trunk(policy) if not isinstance(layer, nn.AvgPool2d | nn.Flatten)]
    return layers[-1]


def _trunk(policy: Policy) -> nn.Sequential:
    """Return the camera trunk."""
    network = policy.network
    if not isinstance(network, SharedTrunks) or "camera" not in policy.config.inputs:
        raise ConfigError(f"loss.segmentation needs a camera trunk; {policy.config.network} has none")
    return network.camera_trunk
