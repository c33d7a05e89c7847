"""Saliency laid over what it is about: a heat picture on a frame or a map. H and W: height and width [px]."""

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from agents.inspection.saliency import Saliency, integrated_gradients, visual_backprop
from agents.inspection.streams import sees, streams_of
from agents.policies.policy import Policy
from agents.policies.senses import Inputs
from navsim.errors import ConfigError
from navsim.geometry import Array
from navsim.sensing.observation import Image

_BRIGHTEST = 99.5  # percentile of the saliency that is drawn as the hottest; single pixels would darken the rest
_GREY = 0.75  # how much of a picture's colour is taken from it, so that the heat is not taken for a part of it
_DIMMED = 0.7
_OPACITY = 0.9
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


def laid_over(picture: Image, saliency: NDArray[np.floating]) -> Image:
    """Lay saliency (H, W) over a picture (H, W, 3) uint8 RGB, which is shown nearly grey and a little darker.

    The hottest colour stands for the picture's own largest values; where nothing is salient, nothing is laid over it.
    """
    heat = relative(saliency)[..., None]
    colours = cv2.applyColorMap(np.round(255 * heat).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    plain = picture.astype(float)
    dull = _DIMMED * (plain + _GREY * (plain.mean(axis=-1, keepdims=True) - plain))
    opacity = _OPACITY * np.sqrt(heat)
    return np.asarray(np.round(dull + opacity * (colours - dull)), np.uint8)


def relative(saliency: NDArray[np.floating]) -> Array:
    """Saliency (...) from 0 to 1, cut off at its brightest."""
    top = float(np.percentile(saliency, _BRIGHTEST)) or float(saliency.max())
    return np.clip(saliency / top, 0.0, 1.0) if top > 0 else np.zeros(saliency.shape)


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
