"""From a policy's distribution to plain numbers that can be acted on and shown. B: batch, G: grid points."""

import torch

from agents.acting import GRID_POINTS, Outlook, decision
from agents.policies.policy import Policy
from agents.policies.senses import Senses
from navsim.driving.drivers import Decision


def outlooks(policy: Policy, senses: Senses) -> list[Outlook]:
    """What the policy answers in each of B situations.

    Call it with the policy in evaluation mode and without gradients.
    """
    limit = policy.config.max_curvature
    grid = torch.linspace(-limit, limit, GRID_POINTS, dtype=torch.float64)
    distribution = policy.steer(senses)
    densities = distribution.density(grid.to(senses.speed)).double().cpu().numpy()  # (B, G)
    points, modes, means = grid.numpy(), distribution.mode.tolist(), distribution.mean.tolist()
    return [Outlook(points, *answer) for answer in zip(densities, modes, means, strict=True)]


def decide(policy: Policy, senses: Senses) -> list[Decision]:
    """What the policy does in each of B situations that follow from nothing: B decisions for the highest modes.

    Call it with the policy in evaluation mode and without gradients.
    """
    limit = policy.config.max_curvature
    # float32 may round the range's ends outwards, where a command would be refused.
    return [decision(outlook, min(max(outlook.mode, -limit), limit)) for outlook in outlooks(policy, senses)]
