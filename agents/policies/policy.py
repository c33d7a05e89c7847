"""Policies: a network with a head; senses in, a distribution over curvature out. B: batch."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.policies.distributions.base import SteeringDistribution
from agents.policies.heads import HEADS
from agents.policies.networks.compact import CompactNetwork
from agents.policies.senses import Inputs, Senses, SensesSpec, scale_senses
from agents.policies.settings import PolicyConfig

NETWORKS: dict[str, type[CompactNetwork]] = {"compact": CompactNetwork}
"""The networks by name."""


class Policy(nn.Module):
    """A network and the last layer that its head reads."""

    def __init__(self, config: PolicyConfig, spec: SensesSpec) -> None:
        """Draw the initial weights from torch's global generator.

        Args:
            config: What the policy sees and how it answers.
            spec: Shapes of what it senses.

        Raises:
            ConfigError: If the pictures are too small for the network.
        """
        super().__init__()
        self.config = config
        self.spec = spec
        self.temperature = 1.0  # of the answers; fitted after training, kept in the checkpoint's header
        self.network = NETWORKS[config.network](config, spec)
        bias = HEADS[config.head].initial_bias(config)
        self.head = nn.Linear(self.network.features, len(bias))
        with torch.no_grad():
            self.head.weight.mul_(0.1)
            self.head.bias.copy_(bias)

    def forward(self, inputs: Inputs) -> Tensor:
        """Return the head's outputs (B, outputs) in float32, whatever type autocast runs the layers in."""
        features: Tensor = self.network(inputs)
        with torch.autocast(features.device.type, enabled=False):
            return functional.linear(features.float(), self.head.weight.float(), self.head.bias.float())

    def distribution(self, inputs: Inputs) -> SteeringDistribution:
        """Return the distribution over curvature for scaled inputs, tempered if the policy was calibrated."""
        answer: SteeringDistribution = HEADS[self.config.head].distribution(self(inputs), self.config)
        return answer.tempered(self.temperature)

    def steer(self, senses: Senses) -> SteeringDistribution:
        """Return the distribution over curvature for senses as recorded."""
        return self.distribution(scale_senses(senses, torch.float32))


def build_policy(config: PolicyConfig, spec: SensesSpec, seed: int) -> Policy:
    """Build a network with initial weights that depend on `seed` alone; torch's global generator is left as it was.

    Raises:
        ConfigError: If the pictures are too small for the network.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        policy = Policy(config, spec)
    for parameter in policy.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return policy


def parameter_count(policy: nn.Module) -> int:
    """Number of trained values."""
    return sum(math.prod(parameter.shape) for parameter in policy.parameters())
