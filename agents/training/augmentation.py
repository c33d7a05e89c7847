"""Augmentation of whole batches: light and camera noise on images, further GPS and heading errors on maps.

Mirroring left and right is left out on purpose: traffic keeps right, so that a mirrored scene shows a car in the
wrong lane, for which the mirrored label would be wrong. B: batch, C: cameras, S: side of a map [px].

The cameras' own noise, exposure and blur on whole batches, as the simulator adds them when a policy drives.

Recorded pictures are clean; a policy that will look through noisy cameras must learn, and be validated, through such.
B: batch, C: cameras, H and W: height and width [px].
"""

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from agents.policies.networks.observation_batch import Inputs, ObservationBatch
from navsim.errors import ConfigError
from navsim.sensing.camera import CameraNoise
from navsim.sensing.roadmap import MapSpec

_NOISE_BANK = 1 << 22
_NOISE_STEP = 64


@dataclass(frozen=True)
class ImageVariation:
    """How strongly training images vary; 0 turns a part off. They lie in [-1, 1]."""

    brightness: float = 0.15
    """Standard deviation of what is added to a whole image."""
    contrast: float = 0.2
    """Standard deviation of the factor on a whole image, around 1."""
    colour: float = 0.1
    """Standard deviation of the factor on each colour channel, around 1."""
    noise: float = 0.08
    """Largest standard deviation of the Gaussian noise of pixels; each image draws its own, from 0 to this."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 <= value < 100 or (name == "map_dropout" and value > 1):
                raise ConfigError(f"augmentation.{name} must be at least 0 (a share at most 1), got {value}")


@dataclass(frozen=True)
class AugmentationConfig(ImageVariation):
    """How strongly training pictures vary; 0 turns a part off. Images lie in [-1, 1], maps in [0, 1]."""

    map_shift: float = 1.0
    """Standard deviation of the maps' shift, ahead and left, each [m]; comes on top of the recorded GPS error."""
    map_turn_deg: float = 2.0
    """Standard deviation of the maps' turn about the car [deg]."""
    map_dropout: float = 0.0
    """Share of the situations whose maps are blank."""


class ImageAugmenter:
    """Draws and applies changes of images; owns a bank of noise and a random generator.

    What a batch gets depends on the seed given to `restart` alone, so that a training run can be taken up at any step.
    """

    def __init__(self, variation: ImageVariation, seed: int, device: torch.device) -> None:
        """Fill the noise bank.

        Args:
            variation: How strongly to change images.
            seed: Seed of the noise bank.
            device: Where the batches live.
        """
        self._variation = variation
        self._generator = torch.Generator(device).manual_seed(seed)
        self._first, self._of = 0, 0
        # Drawing normal numbers costs more than the rest of a step's augmentation: images take stretches of a bank.
        self._bank = self._normal(_NOISE_BANK if variation.noise else 0).to(torch.bfloat16)

    def restart(self, seed: int, first: int = 0, of: int = 0) -> None:
        """Let `seed` decide all that follows.

        A part of a batch is changed as it would be within the whole, so that parts can be computed one after another,
        or by several processes.

        Args:
            seed: Decides all draws.
            first: Place of the part's first situation in the whole batch.
            of: Situations in the whole batch; 0 if the part is the whole.
        """
        self._generator.manual_seed(seed)
        self._first, self._of = first, of

    def images(self, images: Tensor) -> Tensor:
        """Change light, contrast and colours of images (B, C, H, W, 3) and add noise; the cameras share the light."""
        config, batch = self._variation, len(images)
        bright = config.brightness * self._normals(batch, 1, 1, 1, 1)
        gain = 1 + config.contrast * self._normals(batch, 1, 1, 1, 1) + config.colour * self._normals(batch, 1, 1, 1, 3)
        # Rows with a gain for each of their numbers: runs over three colours at a time took ten times as long.
        gains = gain.clamp(min=0.1).to(images).expand(-1, -1, -1, images.shape[3], -1).flatten(3)
        images = torch.addcmul(bright.to(images).flatten(3), images.flatten(3), gains).view(images.shape)
        if not config.noise:
            return images
        size = images[0].numel()
        bank = self._bank.repeat(-(-size // len(self._bank)) + 1) if size >= len(self._bank) else self._bank
        stretches = bank.unfold(0, size, _NOISE_STEP)  # a view (starts, size)
        starts = torch.randint(len(stretches), (self._of or batch,), generator=self._generator, device=images.device)[
            self._first :
        ][:batch]
        sigma = config.noise * self._uniforms(batch, 1, 1, 1, 1)
        noise = torch.index_select(stretches, 0, starts).view(images.shape)
        return torch.addcmul(images, noise.to(images.dtype), sigma.to(images))

    def _normal(self, *shape: int) -> Tensor:
        """Standard normal numbers."""
        return torch.randn(shape, generator=self._generator, device=self._generator.device)

    def _normals(self, batch: int, *shape: int) -> Tensor:
        """Standard normal numbers (batch, *shape): a part's share of those for the whole batch."""
        return self._normal(self._of or batch, *shape)[self._first :][:batch]

    def _uniforms(self, batch: int, *shape: int) -> Tensor:
        """Uniform numbers in [0, 1), likewise."""
        size = (self._of or batch, *shape)
        return torch.rand(size, generator=self._generator, device=self._generator.device)[self._first :][:batch]


class Augmenter(ImageAugmenter):
    """Draws and applies changes of images and maps."""

    def __init__(self, config: AugmentationConfig, map_spec: MapSpec, seed: int, device: torch.device) -> None:
        """Fill the noise bank.

        Args:
            config: How strongly to augment.
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
        """Where each pixel of the changed maps comes from: (B, S, S, 2) in grid_sample's coordinates [-1, 1]."""
        spec, batch = self._map_spec, len(maps)
        turn = torch.deg2rad(self._config.map_turn_deg * self._normals(batch))
        shift = self._config.map_shift / (spec.metres_per_pixel * spec.size_px / 2) * self._normals(batch, 2)
        car = 2 * spec.ego_row / spec.size_px - 1  # the car's row; its column is 0
        middles = (torch.arange(spec.size_px, device=maps.device) * 2 + 1) / spec.size_px - 1  # of pixels (S,)
        c, s, right, down = (value[:, None, None] for value in (turn.cos(), turn.sin(), *shift.unbind(dim=1)))
        x, y = middles[None, None, :], middles[None, :, None] - car
        # As affine_grid does, whose product of many small matrices takes several times as long.
        return torch.stack([c * x - s * y + right, s * x + c * y + down + car], dim=-1)


class NoisyCameras:
    """Spoils pictures as `navsim.sensing.camera.with_noise` does; owns a random generator."""

    def __init__(self, noise: CameraNoise, device: torch.device) -> None:
        """Take up the noise.

        Args:
            noise: What the cameras add.
            device: Where the batches live.
        """
        self._noise = None if noise.is_clean else noise
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

    def __call__(self, observations: ObservationBatch) -> ObservationBatch:
        """Return senses with spoiled images (B, C, H, W, 3) uint8; the given ones if the cameras are clean."""
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
