"""A trained policy at the wheel."""

from collections.abc import Sequence
from pathlib import Path

import torch

from agents.policies.decisions import decide
from agents.policies.policy import Policy
from agents.policies.senses import Senses
from agents.training.checkpoint import load_policy
from navsim.driving.drivers import Decision
from navsim.sensing.camera import Camera
from navsim.sensing.observation import Observation
from navsim.sensing.roadmap import MapSpec


class PolicyDriver:
    """Drives by a policy's command or the mode of its distribution; a `navsim.driving.drivers.Driver`."""

    def __init__(self, checkpoint: Path, cameras: Sequence[Camera], map_spec: MapSpec, name: str = "policy") -> None:
        """Load the policy on the CPU; a batch of one is too small for anything else to be faster.

        Args:
            checkpoint: File of the policy.
            cameras: Cameras of the car to be driven.
            map_spec: Map patches that it will be shown.
            name: Name in tables and files.

        Raises:
            CheckpointError: If the file is unusable or was made for other cameras or another map.
        """
        self.name = name
        self._policy: Policy = load_policy(checkpoint, cameras, map_spec)

    def begin(self, seed: int) -> None:
        """Nothing to forget: each decision follows from one observation."""

    @torch.inference_mode()
    def drive(self, observation: Observation) -> Decision:
        """Choose the command; the decision carries the density."""
        senses = Senses(
            torch.tensor(observation.images)[None],
            torch.tensor(observation.road_map)[None],
            torch.tensor(observation.route_map)[None],
            torch.tensor([observation.speed], dtype=torch.float32),
        )
        return decide(self._policy, senses)[0]
