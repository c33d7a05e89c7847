"""The cameras' own noise, exposure and blur on whole batches, as the simulator adds them when a policy drives.

Recorded pictures are clean; a policy that will look through noisy cameras must learn, and be validated, through such.
B: batch, C: cameras, H and W: height and width [px].
"""

import math
from dataclasses import replace

import cv2
import numpy as np
import torch
from torch import Tensor

from agents.policies.networks.observation_batch import Senses
from navsim.sensing.camera_noise import CameraNoise


class NoisyCameras:
    """Spoils pictures as `navsim.sensing.camera_noise.with_noise` does; owns a random generator."""

    def __init__(self, noise: CameraNoise, device: torch.device) -> None:
        """Take up the noise.

        Args:
            noise: What the cameras add.
            device: Where the batches live.
        """
        self._noise = noise
        self._generator = torch.Generator(device)
        self._first, self._of = 0, 0

    def restart(self, seed: int, first: int = 0, of: int = 0) -> None:
        """Let `seed` decide all that follows.

        Args:
            seed: Decides all draws.
            first: Place of a part's first situation in the whole batch, so that parts are spoiled as the whole would.
            of: Situations in the whole batch; 0 if the part is the whole.
        """
        self._generator.manual_seed(seed)
        self._first, self._of = first, of

    def __call__(self, senses: Senses) -> Senses:
        """Return senses with spoiled images (B, C, H, W, 3) uint8; the given ones if the cameras are clean."""
        noise = self._noise
        if noise.is_clean:
            return senses
        values = senses.images.float()
        if noise.blur_px:
            values = blurred(values, noise.blur_px).round_()
        values.mul_(torch.exp(noise.exposure * self._normal(len(senses), 1, 1, 1, 1)))
        if noise.variance:
            values.add_(self._normal(*values.shape), alpha=255 * math.sqrt(noise.variance))
        return replace(senses, images=values.round_().clamp_(0, 255).to(torch.uint8))

    def _normal(self, batch: int, *shape: int) -> Tensor:
        """Standard normal numbers (batch, *shape): a part's share of those for the whole batch."""
        size = (self._of or batch, *shape)
        return torch.randn(size, generator=self._generator, device=self._generator.device)[self._first :][:batch]


def blurred(images: Tensor, sigma: float) -> Tensor:
    """Blur images (B, C, H, W, 3) in floating point by a Gaussian of `sigma` [px], edges mirrored as OpenCV does."""
    height, width = (_blur_matrix(images.shape[dim], sigma).to(images) for dim in (2, 3))
    rows = torch.matmul(height, images.flatten(3)).view(images.shape)
    return torch.matmul(width, rows)


def _blur_matrix(size: int, sigma: float) -> Tensor:
    """The blur of a line of `size` pixels as a matrix (size, size), of OpenCV's own making."""
    side = round(sigma * 6 + 1) | 1  # OpenCV's kernel for 8-bit pictures
    kernel = cv2.getGaussianKernel(side, sigma)
    matrix = cv2.sepFilter2D(np.eye(size), -1, np.ones(1), kernel, borderType=cv2.BORDER_REFLECT_101)
    return torch.from_numpy(matrix)
