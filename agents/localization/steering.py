"""The network read backwards: how likely is the steering that was driven, were the car at this or that pose.

By Bayes' rule P(pose | theta, I, M) is proportional to P(theta | I, M(pose)) P(pose) (Amini et al., ICRA 2019): the
road map is drawn for every candidate pose, and the network says what it would do there. N: candidates, U: of them
different, F: features, G: grid points.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.localization.likelihoods import Frame
from agents.policies.distributions.base import SteeringDistribution
from agents.policies.policy import Policy
from agents.policies.senses import Senses, scale_senses
from navsim.errors import CheckpointError, ConfigError
from navsim.geometry import Array
from navsim.sensing.roadmap import MapRaster, MapSpec, draw_maps

_GRID = 161  # points of the soft form
_MOST_BYTES = 2**28  # of remembered features
_PASS = 1024  # maps in one pass: their pictures stay in the processor's cache


@dataclass(frozen=True)
class LatticeSpec:
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

    def __init__(self, policy: Policy, raster: MapRaster, spec: MapSpec, lattice: LatticeSpec | None = None) -> None:
        """Read a policy backwards in a town.

        Args:
            policy: In evaluation mode, on the CPU.
            raster: The town's roads.
            spec: Map patches that the policy was trained with.
            lattice: Where maps are drawn; None takes the defaults.

        Raises:
            CheckpointError: If the policy sees no unrouted map, or the routed one as well, which candidates have not.
        """
        check_localises(policy)
        self._policy = policy
        self._raster, self._spec = raster, spec
        self._lattice = lattice or LatticeSpec()
        self._rows: dict[tuple[int, int, int], int] = {}
        self._features: Tensor = torch.zeros(0, 0)

    def __call__(self, frame: Frame, poses: Array) -> Array:
        """Logarithm of the likelihood (N,) of candidate poses (N, 3).

        Without steering it is the soft form: the logarithm of the mean of P(theta | I, M(pose)) over the steering that
        the images alone let expect, which is the network's answer to an empty map.
        """
        cells, inverse = np.unique(self._lattice.cells(poses), axis=0, return_inverse=True)
        found = self._log_likelihood(frame, cells).double().numpy()
        return np.asarray(found[inverse.ravel()])

    @torch.inference_mode()
    def answers(self, frame: Frame, poses: Array) -> SteeringDistribution:
        """The policy's distributions (N,) for candidate poses (N, 3), as drawn on the lattice."""
        return self._answers(frame, self._map_features(self._lattice.cells(poses)))

    @torch.inference_mode()
    def _log_likelihood(self, frame: Frame, cells: NDArray[np.int64]) -> Tensor:
        """Logarithms (U,) of the likelihood of cells (U, 3)."""
        answers = self._answers(frame, self._map_features(cells))
        limit = self._policy.config.max_curvature
        if frame.steering is not None:
            driven = min(max(frame.steering, -limit), limit)
            return answers.log_prob(torch.full((len(cells),), driven))
        grid = torch.linspace(-limit, limit, _GRID)
        alone = self._answers(frame, self._read(self._blank)).density(grid)  # (1, G)
        share = alone / alone.sum()
        return (answers.density(grid) * share).sum(dim=1).clamp(min=1e-30).log()

    def _answers(self, frame: Frame, maps: Tensor) -> SteeringDistribution:
        """Distributions (U,) of one frame with the features of U maps (U, F); the images are looked at once."""
        network, count = self._policy.network, len(maps)
        inputs = scale_senses(self._senses(frame.images[None], self._blank, frame.speed), torch.float32)
        seen = [features.expand(count, -1) for features in network.look(inputs)]
        return self._policy.distribution_of(network.join([*seen, maps], inputs.speed.expand(count, -1)))

    def _map_features(self, cells: NDArray[np.int64]) -> Tensor:
        """Features (U, F) of the maps at the lattice's indices (U, 3)."""
        keys = [tuple(cell) for cell in cells.tolist()]
        new = [index for index, key in enumerate(keys) if key not in self._rows]
        if new:
            drawn = draw_maps(self._raster, self._spec, self._lattice.poses(cells[new]))
            features = torch.cat([self._read(drawn[i : i + _PASS]) for i in range(0, len(drawn), _PASS)])
            if self._features.nbytes + features.nbytes > _MOST_BYTES and self._rows:
                self._rows, self._features = {}, torch.zeros(0, 0)
                return self._map_features(cells)
            first = len(self._rows)
            self._features = torch.cat([self._features, features]) if first else features
            self._rows |= {keys[index]: first + i for i, index in enumerate(new)}
        return self._features[[self._rows[key] for key in keys]]

    def _read(self, drawn: NDArray[np.uint8]) -> Tensor:
        """Features (U, F) of maps (U, S, S) uint8."""
        inputs = scale_senses(self._senses(np.zeros((1, 1, 1, 1, 3), np.uint8), drawn, 0.0), torch.float32)
        with torch.autocast("cpu", torch.bfloat16):  # half the time, and maps are coarse
            (features,) = self._policy.network.read_maps(inputs)
        return features.float()

    @property
    def _blank(self) -> NDArray[np.uint8]:
        """An empty map (1, S, S)."""
        return np.zeros((1, self._spec.size_px, self._spec.size_px), np.uint8)

    @staticmethod
    def _senses(images: NDArray[np.uint8], maps: NDArray[np.uint8], speed: float) -> Senses:
        drawn = torch.from_numpy(maps)
        return Senses(torch.from_numpy(images.copy()), drawn, torch.zeros_like(drawn), torch.tensor([speed]))


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
