"""Limits of the hardware: measured rates of copying and of arithmetic, and the cost of a training sample in both."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from agents.policies.networks.observation_batch import Inputs, ObservationSpec
from agents.policies.policy import Policy
from agents.training.config import LossConfig
from agents.training.policy_task import steering_loss

_REPEATS = 10


@dataclass(frozen=True)
class Ceilings:
    """Highest rates of one device."""

    bandwidth: float
    """Bytes read and written per second by a copy that is much larger than any cache [B/s]."""
    arithmetic: float
    """Floating-point operations per second of a product of square matrices [1/s]; one multiplication and one addition
    are two."""


@dataclass(frozen=True)
class Cost:
    """Cost of training on one sample: prediction, loss and gradients, without preparing the images."""

    operations: float
    """Floating-point operations of convolutions and matrix products."""
    traffic: float
    """Traffic of the layers if all values go to memory, see `layer_traffic` [bytes]."""


@dataclass(frozen=True)
class Shares:
    """Shares of the ceilings that a rate of training uses."""

    bandwidth: float
    """Share of the memory's bandwidth."""
    arithmetic: float
    """Share of the arithmetic."""


def measure_ceilings(
    device: torch.device, dtype: torch.dtype, copied: int = 2**30, side: int = 8192, repeats: int = _REPEATS
) -> Ceilings:
    """Measure a device.

    Args:
        device: The device.
        dtype: Type of the arithmetic.
        copied: Size of the copied block [bytes].
        side: Side of the matrices.
        repeats: Number of measurements of each rate; the best counts.
    """
    source = torch.zeros(copied, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    copy = min(_seconds(lambda: target.copy_(source), device) for _ in range(repeats))
    a, b = (torch.randn(side, side, device=device, dtype=torch.float32).to(dtype) for _ in range(2))
    product = min(_seconds(lambda: a @ b, device) for _ in range(repeats))
    return Ceilings(2 * copied / copy, 2 * side**3 / product)


def training_cost(policy: Policy, inputs: Inputs, labels: Tensor, bytes_per_value: int) -> Cost:
    """Count the cost of a policy's training step per frame.

    Args:
        policy: The network; its gradients are cleared.
        inputs: Inputs of B frames.
        labels: Their labels (B,) [1/m].
        bytes_per_value: Size of a number between two layers.
    """
    values = 0

    def note(_layer: nn.Module, given: tuple[object, ...], output: object) -> None:
        nonlocal values
        values += layer_traffic(_numbers(given), _numbers((output,)))

    leaves = [module for module in policy.modules() if not any(module.children())]
    hooks = [module.register_forward_hook(note) for module in leaves]
    try:
        with FlopCounterMode(display=False) as counter:
            answer = policy.predict(inputs)
            loss = steering_loss(answer.distribution, labels, policy.config, LossConfig(), command=answer.command)
            loss.total.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    finally:
        for hook in hooks:
            hook.remove()
        policy.zero_grad(set_to_none=True)
    return Cost(counter.get_total_flops() / len(labels), values * bytes_per_value / len(labels))


def layer_traffic(inputs: int, outputs: int) -> int:
    """Return the number of values that a layer moves in training, if nothing is fused or stays in a cache.

    The forward pass reads the inputs and writes the outputs. The backward pass reads the inputs and the gradient of the
    outputs, and writes the gradient of the inputs. Weights are few and are left out.

    Args:
        inputs: Number of values in the layer's inputs.
        outputs: Number of values in the layer's outputs.
    """
    return 3 * inputs + 2 * outputs


def shares(rate: float, cost: Cost, ceilings: Ceilings) -> Shares:
    """Return the shares of the ceilings that a rate [samples/s] uses."""
    return Shares(rate * cost.traffic / ceilings.bandwidth, rate * cost.operations / ceilings.arithmetic)


def random_inputs(spec: ObservationSpec, batch: int, device: torch.device, dtype: torch.dtype) -> Inputs:
    """Return random inputs of `batch` frames."""
    return Inputs(
        torch.randn(batch, spec.cameras, spec.height, spec.width, 3, device=device).to(dtype),
        torch.rand(batch, 2, spec.map_size, spec.map_size, device=device).to(dtype),
        torch.rand(batch, 1, device=device).to(dtype),
    )


def _numbers(values: tuple[object, ...]) -> int:
    """Return the number of values in tensors."""
    return sum(value.numel() for value in values if isinstance(value, Tensor))


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    """Return the time of a function that runs on a device [s]."""
    wait = torch.cuda.synchronize if device.type == "cuda" else (lambda _device: None)
    wait(device)
    begin = time.perf_counter()
    work()
    wait(device)
    return time.perf_counter() - begin
