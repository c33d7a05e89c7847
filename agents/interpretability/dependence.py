"""What a decision depends on: the answer with one of the inputs taken away. N: frames."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from agents.interpretability.deletion import Fingerprint
from agents.interpretability.saliency import veiled
from agents.policies.networks.network import MAPS
from agents.policies.networks.observation_batch import Inputs
from agents.policies.policy import Policy
from navsim.evaluation.statistics.estimates import mean_over_frames
from navsim.evaluation.statistics.intervals import Estimate

_AT_ONCE = 64


@dataclass(frozen=True)
class DependenceRow:
    """What one input is worth."""

    removed: str
    """The input."""
    how: str
    """`gone`: a camera's picture is veiled, a map is empty, the car stands still. `swapped`: it is that of another
    frame, which keeps it a picture such as the policy knows."""
    distance: Estimate
    """Total variation between the distributions with and without it, in [0, 1]."""
    steering: Estimate
    """Absolute change of the mean curvature (and command) [1/m]."""
    loss: Estimate
    """How much more surprised the policy is by the expert's command [nats]; below 0 it does better without."""


def removals(policy: Policy, inputs: Inputs, others: Inputs, cameras: Sequence[str]) -> dict[str, Inputs]:
    """Inputs with one part taken from `others`, for each part that the policy looks at.

    Args:
        policy: What looks.
        inputs: N frames.
        others: What stands where a part is taken away, as many.
        cameras: Names of the cameras.
    """
    seen, found = policy.config.inputs, dict[str, Inputs]()
    if "camera" in seen and not policy.config.blind:
        if len(cameras) > 1:
            for number, name in enumerate(cameras):
                found[f"{name} camera"] = replace(inputs, images=_with(inputs.images, others.images, number))
        found["all cameras" if len(cameras) > 1 else "camera"] = replace(inputs, images=others.images)
    maps = {name: number for number, name in enumerate(MAPS) if name in seen}
    for name, number in maps.items():
        found[name.replace("_", " ")] = replace(inputs, maps=_with(inputs.maps, others.maps, number))
    if len(maps) > 1:
        found["both maps"] = replace(inputs, maps=others.maps)
    if "speed" in seen:
        found["speed"] = replace(inputs, speed=others.speed)
    return found


def gone(inputs: Inputs) -> Inputs:
    """What stands where something is `gone`."""
    return replace(veiled(inputs), speed=torch.zeros_like(inputs.speed))


def swapped(inputs: Inputs, rng: np.random.Generator) -> Inputs:
    """The inputs of other frames: all moved on by one number of frames, so that none is its own."""
    step = int(rng.integers(1, max(len(inputs.images), 2)))
    return Inputs(*(part.roll(step, dims=0) for part in (inputs.images, inputs.maps, inputs.speed)))


@torch.no_grad()
def dependence_rows(
    policy: Policy, inputs: Inputs, labels: Tensor, cameras: Sequence[str], rng: np.random.Generator
) -> list[DependenceRow]:
    """Take away each input in turn.

    Args:
        policy: In evaluation mode.
        inputs: N frames.
        labels: The expert's curvatures (N,) [1/m].
        cameras: Names of the cameras.
        rng: Chooses the frames to swap with, and draws for the intervals.
    """
    whole, likely = _answers(policy, inputs, labels)
    rows = []
    for how, others in (("gone", gone(inputs)), ("swapped", swapped(inputs, rng))):
        for name, left in removals(policy, inputs, others, cameras).items():
            answer, now = _answers(policy, left, labels)
            change = answer.change(whole)
            values = (change.distance, change.steering, likely - now)
            rows.append(DependenceRow(name, how, *(mean_over_frames(v.double().cpu().numpy(), rng) for v in values)))
    return rows


def _with(values: Tensor, others: Tensor, number: int) -> Tensor:
    """Values (N, P, ...) with part `number` taken from `others`."""
    mixed = values.clone()
    mixed[:, number] = others[:, number]
    return mixed


def _answers(policy: Policy, inputs: Inputs, labels: Tensor) -> tuple[Fingerprint, Tensor]:
    """Answers and the labels' log density (N,), stretch by stretch."""
    prints, logs = [], []
    for start in range(0, len(labels), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        answer = policy.answer(Inputs(inputs.images[part], inputs.maps[part], inputs.speed[part]))
        prints.append(Fingerprint.of(answer))
        logs.append(answer.distribution.log_prob(labels[part]))
    masses, values = torch.cat([each.masses for each in prints]), torch.cat([each.steering for each in prints])
    return Fingerprint(masses, values), torch.cat(logs)
