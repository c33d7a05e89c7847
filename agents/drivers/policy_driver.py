"""Driver by a trained policy, and its output as plain numbers. B: batch, G: grid points."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from agents.interpretability.saliency import quick_saliency
from agents.policies.checkpoint import load_policy
from agents.policies.networks.observation_batch import ObservationBatch, scale_observations
from agents.policies.policy import Policy
from navsim.drivers.action_selection import (
    BATCH_CARS,
    GRID_POINTS,
    ActingConfig,
    ActionDistribution,
    ActionMemory,
    LearnedDriver,
    decision,
    select_action,
)
from navsim.drivers.protocol import Decision, Salience
from navsim.sensing.camera import Camera, mirrored_images
from navsim.sensing.observation import Observation, blank_observation, right_hand_observation
from navsim.sensing.roadmap import MapSpec


def action_distributions(policy: Policy, batch: ObservationBatch) -> list[ActionDistribution]:
    """Return the policy's output in each of B situations as plain numbers.

    Call it with the policy in evaluation mode and without gradients.
    """
    limit = policy.config.max_curvature
    grid = torch.linspace(-limit, limit, GRID_POINTS, dtype=torch.float64)
    output = policy.predict(scale_observations(batch, torch.float32))
    distribution, points = output.distribution, grid.numpy()
    densities = distribution.density(grid.to(batch.speed)).double().cpu().numpy()  # (B, G)
    modes, means = distribution.mode.tolist(), distribution.mean.tolist()
    commands = [None] * len(modes) if output.command is None else output.command.tolist()
    return [ActionDistribution(points, *values) for values in zip(densities, modes, means, commands, strict=True)]


def decide(policy: Policy, batch: ObservationBatch) -> list[Decision]:
    """Return the policy's decisions in B situations without memory of earlier steps.

    Call it with the policy in evaluation mode and without gradients.
    """
    acting, memory = ActingConfig("mode"), ActionMemory(0)
    return [decision(each, select_action(acting, each, memory)[0]) for each in action_distributions(policy, batch)]


class PolicyDriver(LearnedDriver):
    """Drives by a policy's distribution; a `navsim.drivers.protocol.BatchDriver`."""

    def __init__(
        self,
        checkpoint: Path,
        cameras: Sequence[Camera],
        map_spec: MapSpec,
        name: str = "policy",
        acting: ActingConfig | None = None,
        cars: int = BATCH_CARS,
    ) -> None:
        """Load the policy on the CPU; a batch of one is too small for a GPU to be faster.

        Args:
            checkpoint: File of the policy.
            cameras: Cameras of the car.
            map_spec: Map patches of the car.
            name: Name in tables and files.
            acting: How commands are chosen from distributions; None takes the defaults.
            cars: Number of cars for which the driver decides in one pass.

        Raises:
            CheckpointError: If the file is unusable or was trained with other cameras or another map.
        """
        super().__init__(name, acting or ActingConfig(), cars)
        self._policy: Policy = load_policy(checkpoint, cameras, map_spec)
        self.predict([blank_observation(cameras, map_spec.size_px)])  # the first pass is slow

    @torch.inference_mode()
    def predict(self, observations: Sequence[Observation]) -> list[ActionDistribution]:
        """Return the policy's distribution for each observation."""
        return action_distributions(self._policy, stack_observations(observations))

    @torch.inference_mode()
    def explain(self, observation: Observation) -> Salience:
        """Return the saliency of an observation, see `agents.interpretability.saliency.quick_saliency`."""
        shown = right_hand_observation(observation)
        saliency = quick_saliency(self._policy, scale_observations(stack_observations([shown]), torch.float32))
        images, maps = (None if part is None else part[0].cpu().numpy() for part in (saliency.images, saliency.maps))
        if shown is observation:
            return Salience(images, maps)
        if images is not None:
            images = mirrored_images(images[..., None], observation.cameras)[..., 0]
        return Salience(images, None if maps is None else maps[..., ::-1])


def stack_observations(observations: Sequence[Observation]) -> ObservationBatch:
    """Copy observations into a batch."""
    return ObservationBatch(
        torch.from_numpy(np.stack([observation.images for observation in observations])),
        torch.from_numpy(np.stack([observation.road_map for observation in observations])),
        torch.from_numpy(np.stack([observation.route_map for observation in observations])),
        torch.tensor([observation.speed for observation in observations], dtype=torch.float32),
    )
