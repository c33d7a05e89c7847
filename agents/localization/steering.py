"""Rows of numbers remembered by whole numbers. N: keys, K: numbers in a row.

The network read backwards: how likely is the steering that was driven, were the car at this or that pose.

By Bayes' rule P(pose | theta, I, M) is proportional to P(theta | I, M(pose)) P(pose) (Amini et al., ICRA 2019): the
road map is drawn for every candidate pose, and the network says what it would do there. N: candidates, U: of them
different, F: features, K: what is kept of them, G: grid points.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.localization.likelihoods import ObservedFrame
from agents.policies.distributions.base import SteeringDistribution
from agents.policies.networks.network import CachedMapEncoder
from agents.policies.networks.observation_batch import ObservationBatch, scale_observations
from agents.policies.policy import Policy
from navsim.errors import CheckpointError, ConfigError
from navsim.geometry import Array
from navsim.sensing.observation import Image
from navsim.sensing.roadmap import MapRaster, MapSpec, draw_maps

_ROOM = 4096  # rows at first
Make = Callable[[NDArray[np.int64]], Tensor]
"""Makes the rows (n, K) of some of the keys, given their indices (n,)."""


class RowCache:
    """What was made once is not made again, until there is too much of it: then all is forgotten."""

    def __init__(self, width: int, max_size: int) -> None:
        """Remember nothing yet.

        Args:
            width: Length of a row.
            max_size: Largest number of rows; exceeded only by a single request.
        """
        self._width, self._most = width, max_size
        self._places: dict[int, int] = {}
        self._rows = torch.zeros(0, width)

    def __len__(self) -> int:
        """Number of rows that are remembered."""
        return len(self._places)

    def recall(self, keys: NDArray[np.int64], make: Make) -> Tensor:
        """The rows (N, K) of different keys (N,); `make` is asked for those that are not remembered."""
        listed = keys.tolist()
        new = [index for index, key in enumerate(listed) if key not in self._places]
        if len(self._places) + len(new) > self._most and self._places:
            self._places.clear()
            new = list(range(len(listed)))
        if new:
            first = len(self._places)
            self._make_room(first + len(new))
            self._rows[first : first + len(new)] = make(np.array(new))
            self._places |= {listed[index]: first + i for i, index in enumerate(new)}
        return self._rows[[self._places[key] for key in listed]]

    def _make_room(self, count: int) -> None:
        """Have room for `count` rows; doubled, so that what is there is seldom moved."""
        if count > len(self._rows):
            rows = torch.zeros(max(count, 2 * len(self._rows), _ROOM), self._width)
            rows[: len(self._rows)] = self._rows
            self._rows = rows


OUTLIER_PROBABILITY = 0.05
"""How often the steering is none that the policy foresees: one surprise must not rule out the true pose."""
_GRID = 161  # points of the soft form
_MOST_BYTES = 2**28  # of what is remembered of maps
_MASK = 2**24 - 1  # positions in lattice steps, as far as towns reach; turns take 12 bits
_PASS = 256  # maps in one pass: their pictures stay in the processor's cache


@dataclass(frozen=True)
class LatticeConfig:
    """Poses at which maps are drawn: a map shows no more, and what was seen once need not be seen again."""

    metres: float = 2.0
    """Between neighbouring positions [m]: off by 0.8 m (RMS); networks learn with fixes off by 2.8 m."""
    turn_deg: float = 6.0
    """Between neighbouring headings [deg]."""

    def __post_init__(self) -> None:
        if not (0.01 <= self.metres <= 10 and 0.1 <= self.turn_deg <= 45):
            raise ConfigError(
                f"lattice needs metres of 0.01 to 10 and turn_deg of 0.1 to 45, got {self.metres} and {self.turn_deg}"
            )

    def cells(self, poses: Array) -> NDArray[np.int64]:
        """The lattice's indices (N, 3) of poses (N, 3)."""
        turns = max(round(360 / self.turn_deg), 1)
        heading = np.round(poses[:, 2] / (2 * np.pi) * turns) % turns
        return np.column_stack([np.round(poses[:, :2] / self.metres), heading]).astype(np.int64)

    def poses(self, cells: NDArray[np.int64]) -> Array:
        """Poses (N, 3) at the lattice's indices (N, 3)."""
        turns = max(round(360 / self.turn_deg), 1)
        return np.column_stack([cells[:, :2] * self.metres, cells[:, 2] * 2 * np.pi / turns])


class SteeringLikelihood:
    """P(theta | I, M(pose)) of a policy that sees the unrouted map; remembers the maps' features between calls."""

    def __init__(
        self,
        policy: Policy,
        raster: MapRaster,
        spec: MapSpec,
        lattice: LatticeConfig | None = None,
        outlier_probability: float = OUTLIER_PROBABILITY,
    ) -> None:
        """Read a policy backwards in a town.

        Args:
            policy: In evaluation mode, on the CPU.
            raster: The town's roads.
            spec: Map patches that the policy was trained with.
            lattice: Where maps are drawn; None takes the defaults.
            outlier_probability: Probability that the steering is what the policy does not foresee: then it may be any.

        Raises:
            CheckpointError: If the policy sees no unrouted map, or the routed one as well, which candidates have not.
        """
        check_localises(policy)
        self._policy = policy
        self._raster, self._spec = raster, spec
        self._lattice, self._unforeseen = lattice or LatticeConfig(), outlier_probability
        blank = scale_observations(self._senses(self._dark, self._blank, 0.0), torch.float32)
        with torch.inference_mode():
            cameras = sum(features.shape[1] for features in policy.network.encode_images(blank))
            maps = self._features(self._blank)
        self._side = CachedMapEncoder(policy.network, cameras, maps.shape[1])
        row = self._side.encode(maps)
        self._memory = RowCache(row.shape[1], _MOST_BYTES // (row.shape[1] * row.element_size()))

    def __call__(self, frame: ObservedFrame, poses: Array) -> Array:
        """Logarithm of the likelihood (N,) of candidate poses (N, 3).

        Without steering it is the soft form: the logarithm of the mean of P(theta | I, M(pose)) over the steering that
        the images alone let expect, which is the network's answer to an empty map.
        """
        cells = self._lattice.cells(poses)
        _, first, inverse = np.unique(_keys(cells), return_index=True, return_inverse=True)
        found = self._log_likelihood(frame, cells[first]).double().numpy()
        return np.asarray(found[inverse])

    @torch.inference_mode()
    def answers(self, frame: ObservedFrame, poses: Array) -> SteeringDistribution:
        """The policy's distributions (N,) for candidate poses (N, 3), as drawn on the lattice."""
        return self._answers(frame, self._kept(self._lattice.cells(poses)))

    @torch.inference_mode()
    def _log_likelihood(self, frame: ObservedFrame, cells: NDArray[np.int64]) -> Tensor:
        """Logarithms (U,) of the likelihood of cells (U, 3)."""
        answers = self._answers(frame, self._kept(cells))
        limit = self._policy.config.max_curvature
        if frame.steering is not None:
            driven = min(max(frame.steering, -limit), limit)
            return self._doubted(answers.log_prob(torch.full((len(cells),), driven)))
        grid = torch.linspace(-limit, limit, _GRID)
        alone = self._answers(frame, self._side.encode(self._features(self._blank))).density(grid)  # (1, G)
        share = alone / alone.sum()
        return self._doubted((answers.density(grid) * share).sum(dim=1).clamp(min=1e-30).log())

    def _doubted(self, logs: Tensor) -> Tensor:
        """Logarithms of densities of the steering (U,), were it any with probability `outlier_probability`."""
        any_steering = math.log(self._unforeseen / (2 * self._policy.config.max_curvature))
        return torch.logaddexp(logs + math.log1p(-self._unforeseen), torch.full_like(logs, any_steering))

    def _answers(self, frame: ObservedFrame, kept: Tensor) -> SteeringDistribution:
        """Distributions (U,) of one frame with the kept of U maps (U, K); the images are looked at once."""
        inputs = scale_observations(self._senses(frame.images[None], self._blank, frame.speed), torch.float32)
        seen = torch.cat([*self._policy.network.encode_images(inputs), torch.zeros(1, 0)], dim=1)
        return self._policy.distribution_of(self._side.join(seen, kept, inputs.speed))

    def _kept(self, cells: NDArray[np.int64]) -> Tensor:
        """What is kept (U, K) of the maps at the lattice's indices (U, 3)."""

        def make(new: NDArray[np.int64]) -> Tensor:
            poses = self._lattice.poses(cells[new])
            return torch.cat([self._read(poses[i : i + _PASS]) for i in range(0, len(poses), _PASS)])

        return self._memory.recall(_keys(cells), make)

    def _read(self, poses: Array) -> Tensor:
        """What to keep (U, K) of the maps at poses (U, 3)."""
        return self._side.encode(self._features(draw_maps(self._raster, self._spec, poses)))

    def _features(self, drawn: NDArray[np.uint8]) -> Tensor:
        """Features (U, F) of maps (U, S, S) uint8."""
        # bfloat16 takes half the time, and maps are coarse.
        inputs = scale_observations(self._senses(self._dark[:, :, :1, :1], drawn, 0.0), torch.bfloat16)
        with torch.autocast("cpu", torch.bfloat16):
            (features,) = self._policy.network.encode_maps(inputs)
        return features.float()

    @property
    def _blank(self) -> NDArray[np.uint8]:
        """An empty map (1, S, S)."""
        return np.zeros((1, self._spec.size_px, self._spec.size_px), np.uint8)

    @property
    def _dark(self) -> Image:
        """Images of nothing (1, C, H, W, 3)."""
        spec = self._policy.spec
        return np.zeros((1, spec.cameras, spec.height, spec.width, 3), np.uint8)

    @staticmethod
    def _senses(images: NDArray[np.uint8], maps: NDArray[np.uint8], speed: float) -> ObservationBatch:
        drawn = torch.from_numpy(maps)
        return ObservationBatch(torch.from_numpy(images.copy()), drawn, torch.zeros_like(drawn), torch.tensor([speed]))


def _keys(cells: NDArray[np.int64]) -> NDArray[np.int64]:
    """The lattice's indices (N, 3) as one number each (N,)."""
    return np.asarray((cells[:, 0] & _MASK) << 36 | (cells[:, 1] & _MASK) << 12 | cells[:, 2])


def check_localises(policy: Policy) -> None:
    """Refuse a policy that cannot tell where it is.

    Raises:
        CheckpointError: If it sees no unrouted map, or its distribution depends on the routed one.
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
