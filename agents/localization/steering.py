"""Likelihood of the driven steering at candidate poses, by Bayes' rule on the policy's output.

P(pose | theta, I, M) is proportional to P(theta | I, M(pose)) P(pose) (Amini et al., ICRA 2019): the road map is drawn
at every candidate pose, and the network predicts the steering there. N: candidates, U: distinct candidates, F:
features, K: length of a row in the cache, G: grid points.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
import torch
from annotated_types import Ge, Le
from numpy.typing import NDArray
from torch import Tensor

from agents.policies.distributions.base import SteeringDistribution
from agents.policies.networks.network import CachedMapEncoder
from agents.policies.networks.observation_batch import ObservationBatch, scale_observations
from agents.policies.policy import Policy
from navsim.config import Constrained
from navsim.errors import CheckpointError
from navsim.geometry import Array
from navsim.localization.likelihoods import ObservedFrame
from navsim.sensing.camera import Camera, mirrored_images
from navsim.sensing.observation import Image
from navsim.sensing.roadmap import MapRaster, MapSpec, draw_maps

_MIN_ROWS = 4096  # rows allocated first
MakeRows = Callable[[NDArray[np.int64]], Tensor]
"""Computes the rows (n, K) of some of the keys, given their indices (n,)."""


class RowCache:
    """A cache of rows by integer keys, which is cleared when it is full. N: keys, K: length of a row."""

    def __init__(self, width: int, max_size: int) -> None:
        """Start empty.

        Args:
            width: Length of a row.
            max_size: Largest number of rows; exceeded only by a single request.
        """
        self._width, self._max_size = width, max_size
        self._indices: dict[int, int] = {}
        self._rows = torch.zeros(0, width)

    def __len__(self) -> int:
        """Number of rows in the cache."""
        return len(self._indices)

    def get(self, keys: NDArray[np.int64], make: MakeRows) -> Tensor:
        """Return the rows (N, K) of distinct keys (N,); `make` computes those that are missing."""
        key_list = keys.tolist()
        missing = [index for index, key in enumerate(key_list) if key not in self._indices]
        if len(self._indices) + len(missing) > self._max_size and self._indices:
            self._indices.clear()
            missing = list(range(len(key_list)))
        if missing:
            start = len(self._indices)
            self._grow(start + len(missing))
            self._rows[start : start + len(missing)] = make(np.array(missing))
            self._indices |= {key_list[index]: start + i for i, index in enumerate(missing)}
        return self._rows[[self._indices[key] for key in key_list]]

    def _grow(self, count: int) -> None:
        """Make room for `count` rows; doubled, so that rows are seldom moved."""
        if count > len(self._rows):
            rows = torch.zeros(max(count, 2 * len(self._rows), _MIN_ROWS), self._width)
            rows[: len(self._rows)] = self._rows
            self._rows = rows


OUTLIER_PROBABILITY = 0.05
"""Probability of steering that the policy does not predict: one outlier must not rule out the true pose."""
_GRID = 161  # grid points for the likelihood without steering
_MAX_BYTES = 2**28  # size of the cache of maps
_MASK = 2**24 - 1  # positions in lattice steps, as far as towns reach; headings take 12 bits
_BATCH_SIZE = 256  # maps in one pass: their images stay in the processor's cache


@dataclass(frozen=True)
class LatticeConfig(Constrained):
    """Grid of poses at which maps are drawn: a map resolves no more, and its features can be cached."""

    metres: Annotated[float, Ge(0.01), Le(10)] = 2.0
    """Distance between neighbouring positions [m]: an error of 0.8 m (RMS); networks train with fixes off by 2.8 m."""
    turn_deg: Annotated[float, Ge(0.1), Le(45)] = 6.0
    """Angle between neighbouring headings [deg]."""

    def cells(self, poses: Array) -> NDArray[np.int64]:
        """Return the lattice indices (N, 3) of poses (N, 3)."""
        turns = max(round(360 / self.turn_deg), 1)
        heading = np.round(poses[:, 2] / (2 * np.pi) * turns) % turns
        return np.column_stack([np.round(poses[:, :2] / self.metres), heading]).astype(np.int64)

    def poses(self, cells: NDArray[np.int64]) -> Array:
        """Return the poses (N, 3) at lattice indices (N, 3)."""
        turns = max(round(360 / self.turn_deg), 1)
        return np.column_stack([cells[:, :2] * self.metres, cells[:, 2] * 2 * np.pi / turns])


def mirrored_frame(frame: ObservedFrame, cameras: tuple[Camera, ...]) -> ObservedFrame:
    """Return the mirror image of a frame.

    Raises:
        ConfigError: If the cameras are not placed symmetrically.
    """
    steering = None if frame.steering is None else -frame.steering
    return replace(frame, images=mirrored_images(frame.images, cameras), steering=steering)


class SteeringLikelihood:
    """P(theta | I, M(pose)) of a policy that sees the unrouted map; caches the features of maps between calls."""

    def __init__(
        self,
        policy: Policy,
        raster: MapRaster,
        spec: MapSpec,
        lattice: LatticeConfig | None = None,
        outlier_probability: float = OUTLIER_PROBABILITY,
        mirrored: tuple[Camera, ...] = (),
    ) -> None:
        """Prepare a policy for a town.

        Args:
            policy: The policy, in evaluation mode, on the CPU.
            raster: Roads of the town.
            spec: Map patches of the training data.
            lattice: Poses at which maps are drawn; None takes the defaults.
            outlier_probability: Probability that the steering is independent of the policy and uniform over the range.
            mirrored: Cameras of the car where traffic keeps left, so that the policy is shown mirror images; else none.

        Raises:
            CheckpointError: If the policy does not see the unrouted map, or depends on the route, which candidates
                lack.
        """
        check_can_localise(policy)
        self._policy, self._mirrored = policy, mirrored
        self._raster, self._spec = raster, spec
        self._lattice, self._outlier_probability = lattice or LatticeConfig(), outlier_probability
        blank = scale_observations(self._observations(self._black_images, self._empty_map, 0.0), torch.float32)
        with torch.inference_mode():
            cameras = sum(features.shape[1] for features in policy.network.encode_images(blank))
            maps = self._features(self._empty_map)
        self._encoder = CachedMapEncoder(policy.network, cameras, maps.shape[1])
        row = self._encoder.encode(maps)
        self._cache = RowCache(row.shape[1], _MAX_BYTES // (row.shape[1] * row.element_size()))

    def __call__(self, frame: ObservedFrame, poses: Array) -> Array:
        """Return the log likelihood (N,) of candidate poses (N, 3).

        Without steering it is the logarithm of the mean of P(theta | I, M(pose)) over the steering expected from the
        images alone, which is the network's output for an empty map.
        """
        cells = self._lattice.cells(poses)
        _, unique, inverse = np.unique(_keys(cells), return_index=True, return_inverse=True)
        shown = mirrored_frame(frame, self._mirrored) if self._mirrored else frame
        log_likelihood = self._log_likelihood(shown, cells[unique]).double().numpy()
        return np.asarray(log_likelihood[inverse])

    @torch.inference_mode()
    def distributions(self, frame: ObservedFrame, poses: Array) -> SteeringDistribution:
        """Return the policy's distributions (N,) for candidate poses (N, 3), rounded to the lattice."""
        return self._distributions(frame, self._encoded_maps(self._lattice.cells(poses)))

    @torch.inference_mode()
    def _log_likelihood(self, frame: ObservedFrame, cells: NDArray[np.int64]) -> Tensor:
        """Return the log likelihood (U,) of cells (U, 3)."""
        distributions = self._distributions(frame, self._encoded_maps(cells))
        limit = self._policy.config.max_curvature
        if frame.steering is not None:
            driven = min(max(frame.steering, -limit), limit)
            return self._with_outliers(distributions.log_prob(torch.full((len(cells),), driven)))
        grid = torch.linspace(-limit, limit, _GRID)
        empty = self._encoder.encode(self._features(self._empty_map))
        image_only = self._distributions(frame, empty).density(grid)  # (1, G)
        share = image_only / image_only.sum()
        return self._with_outliers((distributions.density(grid) * share).sum(dim=1).clamp(min=1e-30).log())

    def _with_outliers(self, log_densities: Tensor) -> Tensor:
        """Mix log densities of the steering (U,) with a uniform density of weight `outlier_probability`."""
        any_steering = math.log(self._outlier_probability / (2 * self._policy.config.max_curvature))
        return torch.logaddexp(
            log_densities + math.log1p(-self._outlier_probability), torch.full_like(log_densities, any_steering)
        )

    def _distributions(self, frame: ObservedFrame, encoded: Tensor) -> SteeringDistribution:
        """Return the distributions (U,) of one frame with U encoded maps (U, K); the images are encoded once."""
        inputs = scale_observations(self._observations(frame.images[None], self._empty_map, frame.speed), torch.float32)
        images = torch.cat([*self._policy.network.encode_images(inputs), torch.zeros(1, 0)], dim=1)
        return self._policy.distribution_of(self._encoder.join(images, encoded, inputs.speed))

    def _encoded_maps(self, cells: NDArray[np.int64]) -> Tensor:
        """Return the encoded maps (U, K) at lattice indices (U, 3)."""

        def make(missing: NDArray[np.int64]) -> Tensor:
            poses = self._lattice.poses(cells[missing])
            batches = [poses[i : i + _BATCH_SIZE] for i in range(0, len(poses), _BATCH_SIZE)]
            return torch.cat([self._encode_batch(batch) for batch in batches])

        return self._cache.get(_keys(cells), make)

    def _encode_batch(self, poses: Array) -> Tensor:
        """Encode the maps at poses (U, 3): (U, K)."""
        return self._encoder.encode(self._features(draw_maps(self._raster, self._spec, poses)))

    def _features(self, maps: NDArray[np.uint8]) -> Tensor:
        """Return the features (U, F) of maps (U, S, S) uint8."""
        maps = np.ascontiguousarray(maps[..., ::-1]) if self._mirrored else maps
        # bfloat16 takes half the time, and maps are coarse.
        inputs = scale_observations(self._observations(self._black_images[:, :, :1, :1], maps, 0.0), torch.bfloat16)
        with torch.autocast("cpu", torch.bfloat16):
            (features,) = self._policy.network.encode_maps(inputs)
        return features.float()

    @property
    def _empty_map(self) -> NDArray[np.uint8]:
        """Map without roads (1, S, S)."""
        return np.zeros((1, self._spec.size_px, self._spec.size_px), np.uint8)

    @property
    def _black_images(self) -> Image:
        """Black camera images (1, C, H, W, 3)."""
        spec = self._policy.spec
        return np.zeros((1, spec.cameras, spec.height, spec.width, 3), np.uint8)

    @staticmethod
    def _observations(images: NDArray[np.uint8], maps: NDArray[np.uint8], speed: float) -> ObservationBatch:
        road_maps = torch.from_numpy(maps)
        route_maps = torch.zeros_like(road_maps)
        return ObservationBatch(torch.from_numpy(images.copy()), road_maps, route_maps, torch.tensor([speed]))


def _keys(cells: NDArray[np.int64]) -> NDArray[np.int64]:
    """Combine lattice indices (N, 3) into one number each (N,)."""
    return np.asarray((cells[:, 0] & _MASK) << 36 | (cells[:, 1] & _MASK) << 12 | cells[:, 2])


def check_can_localise(policy: Policy) -> None:
    """Refuse a policy that cannot localise.

    Raises:
        CheckpointError: If it does not see the unrouted map, or its distribution depends on the routed one.
    """
    inputs = policy.config.inputs
    if "road_map" not in inputs:
        raise CheckpointError(
            f"this policy sees {', '.join(inputs)}: to localise, it must see the unrouted map; "
            "train one with --policy.inputs camera road_map"
        )
    if "route_map" in inputs and policy.network.branch is None:
        raise CheckpointError(
            f"this policy sees {', '.join(inputs)}: to localise, its distribution must not depend on a route; "
            "train one with --policy.inputs camera road_map"
        )
