"""What the hardware would allow: measured rates of copying and of arithmetic, and what a sample needs of both."""

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
    """Rates of one device."""

    bandwidth: float
    """Bytes read and written per second by a copy that is much larger than any cache [B/s]."""
    arithmetic: float
    """Floating-point operations per second of a product of square matrices [1/s]; one multiplication and one addition
    are two."""


@dataclass(frozen=True)
class Cost:
    """What it takes to train on one sample: prediction, loss and gradients, without preparing the pictures."""

    operations: float
    """Floating-point operations of convolutions and matrix products."""
    traffic: float
    """Bytes that layers read and write if each of them goes to memory, see `layer_traffic`."""


@dataclass(frozen=True)
class Shares:
    """How much of the ceilings a rate of training uses."""

    bandwidth: float
    """Of the memory's bandwidth."""
    arithmetic: float
    """Of the arithmetic."""


def measure_ceilings(
    device: torch.device, dtype: torch.dtype, copied: int = 2**30, side: int = 8192, repeats: int = _REPEATS
) -> Ceilings:
    """Measure a device.

    Args:
        device: Which one.
        dtype: Type of the arithmetic.
        copied: Size of what is copied [bytes].
        side: Side of the matrices.
        repeats: How often each is done; the best counts.
    """
    source = torch.zeros(copied, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    copy = min(_seconds(lambda: target.copy_(source), device) for _ in range(repeats))
    a, b = (torch.randn(side, side, device=device, dtype=torch.float32).to(dtype) for _ in range(2))
    product = min(_seconds(lambda: a @ b, device) for _ in range(repeats))
    return Ceilings(2 * copied / copy, 2 * side**3 / product)


def training_cost(policy: Policy, inputs: Inputs, labels: Tensor, bytes_per_value: int) -> Cost:
    """Count what a policy needs for the given situations, per situation.

    Args:
        policy: The network; its gradients are cleared.
        inputs: B situations.
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
    """Values that a layer moves in training, of so many inputs and outputs, if nothing is fused or stays in a cache.

    Forward it reads its inputs and writes its outputs; backward it reads its inputs again and the gradient of its
    outputs, and writes the gradient of its inputs. Weights are few and are left out.
    """
    return 3 * inputs + 2 * outputs


def shares(rate: float, cost: Cost, ceilings: Ceilings) -> Shares:
    """What a rate [samples/s] uses of the ceilings."""
    return Shares(rate * cost.traffic / ceilings.bandwidth, rate * cost.operations / ceilings.arithmetic)


def made_up_inputs(spec: ObservationSpec, batch: int, device: torch.device, dtype: torch.dtype) -> Inputs:
    """Random inputs of `batch` situations."""
    return Inputs(
        torch.randn(batch, spec.cameras, spec.height, spec.width, 3, device=device).to(dtype),
        torch.rand(batch, 2, spec.map_size, spec.map_size, device=device).to(dtype),
        torch.rand(batch, 1, device=device).to(dtype),
    )


def _numbers(values: tuple[object, ...]) -> int:
    """How many numbers tensors hold."""
    return sum(value.numel() for value in values if isinstance(value, Tensor))


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    """Time that work on a device takes [s]."""
    wait = torch.cuda.synchronize if device.type == "cuda" else (lambda _device: None)
    wait(device)
    begin = time.perf_counter()
    work()
    wait(device)
    return time.perf_counter() - begin
