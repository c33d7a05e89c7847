"""Saliency laid over what it is about: a heat picture on a frame or a map. H and W: height and width [px]."""

import cv2
import numpy as np
from numpy.typing import NDArray

from navsim.geometry import Array
from navsim.sensing.observation import Image

_BRIGHTEST = 99.5  # percentile of the saliency that is drawn as the hottest; single pixels would darken the rest
_GREY = 0.75  # how much of a picture's colour is taken from it, so that the heat is not taken for a part of it
_DIMMED = 0.7
_OPACITY = 0.9


def overlay_saliency(picture: Image, saliency: NDArray[np.floating]) -> Image:
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
