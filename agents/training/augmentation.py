"""Augmentation of whole batches: light and noise on images, further GPS and heading errors on maps, camera noise.

Left and right are not mirrored: networks drive where traffic keeps right, so a mirrored scene would show a car in the
wrong lane, with a wrong label. Recorded pictures are clean; the noise of the car's own cameras is added in training and
validation, as the simulator adds it when a policy drives. B: batch, C: cameras, H and W: height and width [px], S: side
of a map [px].
"""

import math
from dataclasses import dataclass, replace
from typing import Annotated

import cv2
import numpy as np
import torch
from annotated_types import Ge, Le, Lt
from torch import Tensor
from torch.nn import functional

from agents.policies.networks.observation_batch import Inputs, ObservationBatch
from navsim.config import Constrained
from navsim.sensing.camera import CameraNoise
from navsim.sensing.roadmap import MapSpec

_NOISE_BANK = 1 << 22
_NOISE_STEP = 64


@dataclass(frozen=True)
class ImageVariation(Constrained):
    """Strength of the variation of training images, which lie in [-1, 1]; 0 turns a part off."""

    brightness: Annotated[float, Ge(0), Lt(100)] = 0.15
    """Standard deviation of the offset of a whole image."""
    contrast: Annotated[float, Ge(0), Lt(100)] = 0.2
    """Standard deviation of the factor on a whole image, around 1."""
    colour: Annotated[float, Ge(0), Lt(100)] = 0.1
    """Standard deviation of the factor on each colour channel, around 1."""
    noise: Annotated[float, Ge(0), Lt(100)] = 0.08
    """Largest standard deviation of the Gaussian noise of pixels. Each image draws its own: this, times the square of a
    uniform draw, so that half of the images have less than a quarter of it."""
    occlusion: Annotated[float, Ge(0), Le(1)] = 0.0
    """Share of the images with a rectangle of one colour, of up to half the width and height."""
    image_dropout: Annotated[float, Ge(0), Le(1)] = 0.0
    """Share of the images that are black, as those of a camera that has failed; each camera has its own draw."""


@dataclass(frozen=True)
class AugmentationConfig(ImageVariation):
    """Strength of the variation of training images in [-1, 1] and maps in [0, 1]; 0 turns a part off."""

    map_shift: Annotated[float, Ge(0), Lt(100)] = 1.0
    """Standard deviation of the maps' shift, ahead and left, each [m]; it adds to the recorded GPS error."""
    map_turn_deg: Annotated[float, Ge(0), Lt(100)] = 2.0
    """Standard deviation of the maps' turn about the car [deg]."""
    map_dropout: Annotated[float, Ge(0), Le(1)] = 0.0
    """Share of the frames whose maps are blank."""


class ImageAugmenter:
    """Draws and applies changes of images; owns a bank of noise and a random generator.

    B: batch, C: cameras, H and W: height and width [px]. The changes of a batch depend on the seed given to `restart`
    alone, so that training can resume at any step.
    """

    def __init__(self, variation: ImageVariation, seed: int, device: torch.device) -> None:
        """Fill the noise bank.

        Args:
            variation: Strength of the changes.
            seed: Seed of the noise bank.
            device: Where the batches live.
        """
        self._variation = variation
        self._generator = torch.Generator(device).manual_seed(seed)
        self._first, self._batch_size = 0, 0
        # Drawing normal numbers costs more than the rest of a step's augmentation, so images take slices of a bank.
        self._bank = self._normal(_NOISE_BANK if variation.noise else 0).to(torch.bfloat16)

    def restart(self, seed: int, first: int = 0, batch_size: int = 0) -> None:
        """Seed the draws that follow.

        A part of a batch is changed as it would be within the whole batch, so that parts can be computed one after
        another, or by several processes.

        Args:
            seed: Seed of all draws.
            first: Place of the part's first frame in the whole batch.
            batch_size: Frames of the whole batch; 0 if the part is the whole.
        """
        self._generator.manual_seed(seed)
        self._first, self._batch_size = first, batch_size

    def images(self, images: Tensor) -> Tensor:
        """Return changed images (B, C, H, W, 3), within [-1, 1] as those of a camera; the cameras share the light."""
        return self._hidden(self._lit(images).clamp_(-1, 1))

    def _lit(self, images: Tensor) -> Tensor:
        """Change light, contrast and colours of images and add noise."""
        config, batch = self._variation, len(images)
        bright = config.brightness * self._normals(batch, 1, 1, 1, 1)
        gain = 1 + config.contrast * self._normals(batch, 1, 1, 1, 1) + config.colour * self._normals(batch, 1, 1, 1, 3)
        # A gain for each number of a row: three colours at a time take ten times as long.
        gains = gain.clamp(min=0.1).to(images).expand(-1, -1, -1, images.shape[3], -1).flatten(3)
        images = torch.addcmul(bright.to(images).flatten(3), images.flatten(3), gains).view(images.shape)
        if not config.noise:
            return images
        size = images[0].numel()
        bank = self._bank.repeat(-(-size // len(self._bank)) + 1) if size >= len(self._bank) else self._bank
        slices = bank.unfold(0, size, _NOISE_STEP)  # a view (starts, size)
        starts = torch.randint(
            len(slices), (self._batch_size or batch,), generator=self._generator, device=images.device
        )[self._first :][:batch]
        sigma = config.noise * self._uniforms(batch, 1, 1, 1, 1).square()
        noise = torch.index_select(slices, 0, starts).view(images.shape)
        return torch.addcmul(images, noise.to(images.dtype), sigma.to(images))

    def _hidden(self, images: Tensor) -> Tensor:
        """Cover a rectangle of some images with one colour, and make some images black."""
        config, (batch, cameras, height, width, _) = self._variation, images.shape
        if not (config.occlusion or config.image_dropout):
            return images
        hidden, black, top, left, rows, columns = self._uniforms(batch, cameras, 6, 1).unbind(dim=2)  # (B, C, 1)
        black = black < config.image_dropout
        # Of the numbers of a row, as in `_lit`; places and sizes are shares of the side.
        y = torch.arange(height, device=images.device) / height
        x = (torch.arange(width, device=images.device) / width).repeat_interleave(3)
        tall = (hidden < config.occlusion) & (top <= y) & (y < top + rows / 2) | black  # (B, C, H)
        wide = (left <= x) & (x < left + columns / 2) | black  # (B, C, 3 W)
        colours = torch.where(black, -1.0, 2 * self._uniforms(batch, cameras, 3) - 1).to(images).repeat(1, 1, width)
        covered = tall[..., :, None] & wide[..., None, :]
        return torch.where(covered, colours[:, :, None, :], images.flatten(3)).view(images.shape)

    def _normal(self, *shape: int) -> Tensor:
        """Draw standard normal numbers."""
        return torch.randn(shape, generator=self._generator, device=self._generator.device)

    def _normals(self, batch: int, *shape: int) -> Tensor:
        """Draw standard normal numbers (batch, *shape): a part's share of those for the whole batch."""
        return self._normal(self._batch_size or batch, *shape)[self._first :][:batch]

    def _uniforms(self, batch: int, *shape: int) -> Tensor:
        """Draw uniform numbers in [0, 1) (batch, *shape): a part's share of those for the whole batch."""
        size = (self._batch_size or batch, *shape)
        return torch.rand(size, generator=self._generator, device=self._generator.device)[self._first :][:batch]


class Augmenter(ImageAugmenter):
    """Draws and applies changes of images and maps."""

    def __init__(self, config: AugmentationConfig, map_spec: MapSpec, seed: int, device: torch.device) -> None:
        """Fill the noise bank.

        Args:
            config: Strength of the changes.
            map_spec: Scale of the maps and the car's place on them.
            seed: Seed of the noise bank.
            device: Where the batches live.
        """
        super().__init__(config, seed, device)
        self._config = config
        self._map_spec = map_spec

    def __call__(self, inputs: Inputs) -> Inputs:
        """Return augmented inputs; the given ones may be overwritten."""
        return Inputs(self.images(inputs.images), self._maps(inputs.maps), inputs.speed)

    def _maps(self, maps: Tensor) -> Tensor:
        """Shift and turn maps (B, 2, S, S) together, as a worse GPS fix would have drawn them, and blank some."""
        config, batch = self._config, len(maps)
        if config.map_shift or config.map_turn_deg:
            maps = functional.grid_sample(
                maps.float(), self._grid(maps), padding_mode="border", align_corners=False
            ).to(maps.dtype)
        if config.map_dropout:
            maps = maps * (self._uniforms(batch, 1, 1, 1) >= config.map_dropout).to(maps)
        return maps

    def _grid(self, maps: Tensor) -> Tensor:
        """Return the source of each pixel of the changed maps: (B, S, S, 2) in grid_sample's coordinates [-1, 1]."""
        spec, batch = self._map_spec, len(maps)
        turn = torch.deg2rad(self._config.map_turn_deg * self._normals(batch))
        shift = self._config.map_shift / (spec.metres_per_pixel * spec.size_px / 2) * self._normals(batch, 2)
        car = 2 * spec.ego_row / spec.size_px - 1  # the car's row; its column is 0
        middles = (torch.arange(spec.size_px, device=maps.device) * 2 + 1) / spec.size_px - 1  # of pixels (S,)
        c, s, right, down = (value[:, None, None] for value in (turn.cos(), turn.sin(), *shift.unbind(dim=1)))
        x, y = middles[None, None, :], middles[None, :, None] - car
        # The same as affine_grid, whose product of many small matrices takes several times as long.
        return torch.stack([c * x - s * y + right, s * x + c * y + down + car], dim=-1)


class NoisyCameras:
    """Adds the noise of the car's cameras, like `navsim.sensing.camera.with_noise`; owns a random generator."""

    def __init__(self, noise: CameraNoise, device: torch.device) -> None:
        """Start unseeded; call `restart` before each batch.

        Args:
            noise: Noise of the cameras.
            device: Where the batches live.
        """
        self._noise = None if noise.is_clean else noise
        self._generator = torch.Generator(device)
        self._first, self._batch_size = 0, 0

    def restart(self, seed: int, first: int = 0, batch_size: int = 0) -> None:
        """Seed the draws that follow, see `ImageAugmenter.restart`."""
        self._generator.manual_seed(seed)
        self._first, self._batch_size = first, batch_size

    def __call__(self, observations: ObservationBatch) -> ObservationBatch:
        """Return observations with noisy images (B, C, H, W, 3) uint8; the given ones if the cameras are clean."""
        noise = self._noise
        if noise is None:
            return observations
        values = observations.images.float()
        if noise.blur_px:
            values = blurred(values, noise.blur_px).round_()
        values.mul_(torch.exp(noise.exposure * self._normal(len(observations), 1, 1, 1, 1)))
        if noise.variance:
            values.add_(self._normal(*values.shape), alpha=255 * math.sqrt(noise.variance))
        return replace(observations, images=values.round_().clamp_(0, 255).to(torch.uint8))

    def _normal(self, batch: int, *shape: int) -> Tensor:
        """Draw standard normal numbers (batch, *shape): a part's share of those for the whole batch."""
        size = (self._batch_size or batch, *shape)
        return torch.randn(size, generator=self._generator, device=self._generator.device)[self._first :][:batch]


def blurred(images: Tensor, sigma: float) -> Tensor:
    """Blur images (B, C, H, W, 3) in floating point by a Gaussian of `sigma` [px], edges mirrored as OpenCV does."""
    height, width = (_blur_matrix(images.shape[dim], sigma).to(images) for dim in (2, 3))
    rows = torch.matmul(height, images.flatten(3)).view(images.shape)
    return torch.matmul(width, rows)


def _blur_matrix(size: int, sigma: float) -> Tensor:
    """Return the blur of a line of `size` pixels as a matrix (size, size), computed by OpenCV."""
    side = round(sigma * 6 + 1) | 1  # OpenCV's kernel for 8-bit pictures
    kernel = cv2.getGaussianKernel(side, sigma)
    matrix = cv2.sepFilter2D(np.eye(size), -1, np.ones(1), kernel, borderType=cv2.BORDER_REFLECT_101)
    return torch.from_numpy(matrix)
