"""From a policy's answer to plain numbers that can be acted on and shown. B: batch, G: grid points."""

import torch

from agents.policies.networks.observation_batch import Senses, scale_senses
from agents.policies.policy import Policy
from navsim.drivers.acting import GRID_POINTS, ActingConfig, Memory, Outlook, act, decision
from navsim.drivers.drivers import Decision


def outlooks(policy: Policy, senses: Senses) -> list[Outlook]:
    """What the policy answers in each of B situations.

    Call it with the policy in evaluation mode and without gradients.
    """
    limit = policy.config.max_curvature
    grid = torch.linspace(-limit, limit, GRID_POINTS, dtype=torch.float64)
    answer = policy.answer(scale_senses(senses, torch.float32))
    distribution, points = answer.distribution, grid.numpy()
    densities = distribution.density(grid.to(senses.speed)).double().cpu().numpy()  # (B, G)
    modes, means = distribution.mode.tolist(), distribution.mean.tolist()
    commands = [None] * len(modes) if answer.command is None else answer.command.tolist()
    return [Outlook(points, *values) for values in zip(densities, modes, means, commands, strict=True)]


def decide(policy: Policy, senses: Senses) -> list[Decision]:
    """What the policy does in each of B situations if nothing is known of before: B decisions.

    Call it with the policy in evaluation mode and without gradients.
    """
    plain, nothing = ActingConfig("mode"), Memory(0)
    return [decision(seen, act(plain, seen, nothing)[0]) for seen in outlooks(policy, senses)]
