"""From a policy's answer to plain numbers that can be acted on and shown. B: batch, G: grid points.

A trained policy at the wheel.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from agents.drivers.learned_driver import CARS, LearnedDriver, blank_observation
from agents.interpretability.saliency import quick_saliency
from agents.policies.checkpoint import load_policy
from agents.policies.networks.observation_batch import ObservationBatch, scale_senses
from agents.policies.policy import Policy
from navsim.drivers.action_selection import (
    GRID_POINTS,
    ActingConfig,
    ActionDistribution,
    ActionMemory,
    decision,
    select_action,
)
from navsim.drivers.protocol import Decision, Salience
from navsim.sensing.camera import Camera
from navsim.sensing.observation import Observation
from navsim.sensing.roadmap import MapSpec


def outlooks(policy: Policy, senses: ObservationBatch) -> list[ActionDistribution]:
    """What the policy answers in each of B situations.

    Call it with the policy in evaluation mode and without gradients.
    """
    limit = policy.config.max_curvature
    grid = torch.linspace(-limit, limit, GRID_POINTS, dtype=torch.float64)
    answer = policy.predict(scale_senses(senses, torch.float32))
    distribution, points = answer.distribution, grid.numpy()
    densities = distribution.density(grid.to(senses.speed)).double().cpu().numpy()  # (B, G)
    modes, means = distribution.mode.tolist(), distribution.mean.tolist()
    commands = [None] * len(modes) if answer.command is None else answer.command.tolist()
    return [ActionDistribution(points, *values) for values in zip(densities, modes, means, commands, strict=True)]


def decide(policy: Policy, senses: ObservationBatch) -> list[Decision]:
    """What the policy does in each of B situations if nothing is known of before: B decisions.

    Call it with the policy in evaluation mode and without gradients.
    """
    plain, nothing = ActingConfig("mode"), ActionMemory(0)
    return [decision(seen, select_action(plain, seen, nothing)[0]) for seen in outlooks(policy, senses)]


class PolicyDriver(LearnedDriver):
    """Drives by a policy's distribution; a `navsim.drivers.protocol.BatchDriver`."""

    def __init__(
        self,
        checkpoint: Path,
        cameras: Sequence[Camera],
        map_spec: MapSpec,
        name: str = "policy",
        acting: ActingConfig | None = None,
        cars: int = CARS,
    ) -> None:
        """Load the policy on the CPU; a batch of one is too small for anything else to be faster.

        Args:
            checkpoint: File of the policy.
            cameras: Cameras of the car to be driven.
            map_spec: Map patches that it will be shown.
            name: Name in tables and files.
            acting: How commands are taken from distributions; None takes the defaults.
            cars: For how many cars it decides in one pass.

        Raises:
            CheckpointError: If the file is unusable or was made for other cameras or another map.
        """
        super().__init__(name, acting or ActingConfig(), cars)
        self._policy: Policy = load_policy(checkpoint, cameras, map_spec)
        self.look([blank_observation(cameras, map_spec)])  # the first pass is slow

    @torch.inference_mode()
    def look(self, observations: Sequence[Observation]) -> list[ActionDistribution]:
        """What the policy answers to each observation."""
        return outlooks(self._policy, stacked_senses(observations))

    @torch.inference_mode()
    def explain(self, observation: Observation) -> Salience:
        """What excites the network in an observation, see `agents.interpretability.saliency.quick_saliency`."""
        found = quick_saliency(self._policy, scale_senses(stacked_senses([observation]), torch.float32))
        parts = (None if part is None else part[0].cpu().numpy() for part in (found.images, found.maps))
        return Salience(*parts)


def stacked_senses(observations: Sequence[Observation]) -> ObservationBatch:
    """Observations as the senses of a batch; copies."""
    return ObservationBatch(
        torch.from_numpy(np.stack([seen.images for seen in observations])),
        torch.from_numpy(np.stack([seen.road_map for seen in observations])),
        torch.from_numpy(np.stack([seen.route_map for seen in observations])),
        torch.tensor([seen.speed for seen in observations], dtype=torch.float32),
    )
