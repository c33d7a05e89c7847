"""Heads: how a network's last numbers become a distribution over steering. B: batch, K: components."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from agents.policies.distributions.base import SteeringDistribution
from agents.policies.distributions.mixture import SteeringMixture
from agents.policies.settings import PolicyConfig


@dataclass(frozen=True)
class Head:
    """One way to answer."""

    initial_bias: Callable[[PolicyConfig], Tensor]
    """What the last layer starts from (outputs,); its length is the number of outputs."""
    distribution: Callable[[Tensor, PolicyConfig], SteeringDistribution]
    """The distribution that outputs (B, outputs) in float32 mean."""


def _mixture_bias(config: PolicyConfig) -> Tensor:
    """Let the components start apart, with scales of a tenth of the range."""
    count = config.components
    return torch.cat([torch.zeros(count), torch.linspace(-0.5, 0.5, count + 2)[1:-1], torch.full((count,), -2.2)])


def _mixture(outputs: Tensor, config: PolicyConfig) -> SteeringDistribution:
    return SteeringMixture.from_outputs(outputs, config.max_curvature, config.scale_floor)


HEADS: dict[str, Head] = {"mixture": Head(_mixture_bias, _mixture)}
"""The heads by name."""
