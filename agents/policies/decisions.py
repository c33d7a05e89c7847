"""From a policy's answer to commands: drive by its command or mode, keep the density for whoever watches."""

import torch

from agents.policies.policy import Policy
from agents.policies.senses import Senses, scale_senses
from navsim.driving.drivers import Decision

GRID_POINTS = 161
"""Curvatures at which a decision's density is given, evenly over the vehicle's range."""


def decide(policy: Policy, senses: Senses) -> list[Decision]:
    """What the policy does in each of B situations: B decisions with their densities.

    Call it with the policy in evaluation mode and without gradients.
    """
    limit = policy.config.max_curvature
    grid = torch.linspace(-limit, limit, GRID_POINTS, dtype=torch.float64)
    answer = policy.answer(scale_senses(senses, torch.float32))
    densities = answer.distribution.density(grid.to(senses.speed)).double().cpu().numpy()  # (B, G)
    # float32 may round the range's ends outwards, where a command would be refused.
    chosen = answer.steering.double().clamp(-limit, limit).tolist()
    points = grid.numpy()
    return [Decision(curvature, points, density) for curvature, density in zip(chosen, densities, strict=True)]
