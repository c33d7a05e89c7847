"""Saliency that is cheap enough to drive by, and the pictures that it is about. H and W: height and width [px]."""

import numpy as np
import torch

from agents.interpretability.saliency import Saliency, integrated_gradients, visual_backprop
from agents.interpretability.streams import sees, streams_of
from agents.policies.networks.observation_batch import Inputs
from agents.policies.policy import Policy
from navsim.errors import ConfigError
from navsim.sensing.observation import Image
from navsim.visualization.saliency_overlay import laid_over

_QUICK_STEPS = 4
_ROUTE = (232, 72, 72)


def saliency_overlay(policy: Policy, inputs: Inputs, camera: int = 0) -> Image:
    """What excites the network in a camera's image, for use while driving: VisualBackProp in one further pass.

    A network without convolutions has nothing to follow; of it coarse integrated gradients are shown.

    Args:
        policy: In evaluation mode.
        inputs: One situation.
        camera: Number of the camera.

    Returns:
        The image with the saliency over it (H, W, 3) uint8 RGB; of a policy that sees no camera, the image alone.

    Raises:
        ConfigError: If there is not one situation, or no such camera.
    """
    if len(inputs.images) != 1 or not 0 <= camera < inputs.images.shape[1]:
        raise ConfigError(
            f"an overlay is for one situation and a camera below {inputs.images.shape[1]}, "
            f"got {len(inputs.images)} situations and camera {camera}"
        )
    picture = image_of(inputs)[0, camera]
    found = quick_saliency(policy, inputs).images
    return picture if found is None else laid_over(picture, found[0, camera].cpu().numpy())


def quick_saliency(policy: Policy, inputs: Inputs) -> Saliency:
    """VisualBackProp, or of a network without convolutions integrated gradients of few steps."""
    if streams_of(policy) or not (sees(policy, "camera") or sees(policy, "map")):
        return visual_backprop(policy, inputs)
    with torch.inference_mode(mode=False):
        return integrated_gradients(policy, Inputs(*(part.clone() for part in _parts(inputs))), _QUICK_STEPS).saliency


def image_of(inputs: Inputs) -> Image:
    """The cameras' images (B, C, H, W, 3) uint8 that scaled inputs were."""
    values = inputs.images.float().add(1).mul(127.5).round().clamp(0, 255)
    return np.asarray(values.byte().cpu().numpy(), np.uint8)


def map_of(inputs: Inputs) -> Image:
    """Both maps as pictures (B, S, S, 3) uint8, the route in red, as in the source's figure."""
    maps = inputs.maps.float().cpu().numpy()
    roads, route = 255 * maps[:, 0, ..., None], maps[:, 1, ..., None]
    return np.asarray(np.round(roads + route * (np.array(_ROUTE) - roads)), np.uint8)


def _parts(inputs: Inputs) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return inputs.images, inputs.maps, inputs.speed
