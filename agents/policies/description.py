"""A policy's layers as a table: what each returns, how far it sees, what it holds and what it costs.

One situation of zeros goes through the policy; hooks note what each layer is given and returns.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from agents.policies.networks.observation_batch import Inputs
from agents.policies.networks.residual import Sum
from agents.policies.policy import Policy, parameter_count
from navsim.number_formats import thousands
from navsim.tables import Table, TableSection

Pair = tuple[int, int]

_NORMS = (nn.GroupNorm, nn.LayerNorm)
_SHOWN = (nn.Conv2d, nn.AvgPool2d, nn.Linear, *_NORMS)
_FOLLOWED = (*_SHOWN, nn.ReLU, Sum)  # a trunk consists of these


@dataclass(frozen=True)
class Layer:
    """One layer of a network, as it is used for one situation."""

    name: str
    """Its place in the policy, such as `network.camera_trunk.0`; its weights in checkpoints begin like this."""
    kind: str
    """`conv`, `pool`, `norm` or `fc` (fully connected)."""
    output: tuple[int, ...]
    """Its output: (height, width, depth) of a picture or (length,) of a vector."""
    pictures: int
    """Pictures that it looks at in one situation: one for each camera that shares it."""
    kernel: Pair | None
    """Height and width of its kernel [px of its input]; None of layers without one."""
    stride: Pair | None
    """Step of its kernel, down and across [px of its input]; None of layers without one."""
    field: Pair | None
    """Receptive field: height and width of the part of the camera image or map that one pixel of its output can depend
    on [px], but for the mean and spread that group norms take over the whole picture. It may be larger than the
    picture. None of a layer that sees all of what it is given."""
    step: Pair | None
    """How far the fields of neighbouring pixels lie apart, down and across [px of the camera image or map]."""
    parameters: int
    """Number of trained values."""
    flops: int
    """Floating-point operations for one situation, all pictures together, as torch's `FlopCounterMode` counts them: a
    multiplication with its addition as two, convolutions and matrix products only."""


@dataclass(frozen=True)
class PolicyDescription:
    """A policy's layers and their totals."""

    network: str
    """Name of the network."""
    head: str
    """Name of the head."""
    inputs: tuple[str, ...]
    """What the network sees."""
    cameras: int
    """Number of cameras."""
    camera_size: Pair
    """Height and width of their images [px]."""
    map_size: int
    """Side of the map patches [px]."""
    layers: tuple[Layer, ...]
    """The layers in the order of computation."""
    parameters: int
    """Number of trained values in all."""
    flops: int
    """Floating-point operations for one decision, counted as in `Layer.flops`."""

    def parameters_of(self, kind: str) -> int:
        """Trained values in all layers of a kind."""
        return sum(layer.parameters for layer in self.layers if layer.kind == kind)


@dataclass(frozen=True)
class _Field:
    """What a pixel of a picture inside a trunk depends on."""

    size: Pair = (1, 1)
    step: Pair = (1, 1)

    def through(self, kernel: Pair, stride: Pair) -> "_Field":
        """The field after a layer with a kernel."""
        size = (self.size[0] + (kernel[0] - 1) * self.step[0], self.size[1] + (kernel[1] - 1) * self.step[1])
        return _Field(size, (self.step[0] * stride[0], self.step[1] * stride[1]))

    def joined(self, other: "_Field") -> "_Field":
        """The field of a sum of two pictures of one size."""
        return _Field((max(self.size[0], other.size[0]), max(self.size[1], other.size[1])), self.step)


@dataclass
class _Visit:
    """What a hook saw of a layer."""

    output: tuple[int, ...]
    pictures: int
    field: _Field | None


def describe_policy(policy: Policy) -> PolicyDescription:
    """Measure each layer of `policy`, which is left as it was."""
    spec, weight = policy.spec, policy.head.weight
    inputs = Inputs(
        weight.new_zeros(1, spec.cameras, spec.height, spec.width, 3),
        weight.new_zeros(1, 2, spec.map_size, spec.map_size),
        weight.new_zeros(1, 1),
    )
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), _watched(policy) as visits, counter:
        policy(inputs)
    counts = {name: sum(ops.values()) for name, ops in counter.get_flop_counts().items()}
    modules = dict(policy.named_modules())
    layers = [
        _layer(name, modules[name], visit, counts.get(f"{type(policy).__name__}.{name}", 0))
        for name, visit in visits.items()
        if isinstance(modules[name], _SHOWN)
    ]
    return PolicyDescription(
        network=policy.config.network,
        head=policy.config.head,
        inputs=policy.config.inputs,
        cameras=spec.cameras,
        camera_size=(spec.height, spec.width),
        map_size=spec.map_size,
        layers=tuple(layers),
        parameters=parameter_count(policy),
        flops=counter.get_total_flops(),
    )


@contextmanager
def _watched(policy: Policy) -> Iterator[dict[str, _Visit]]:
    """Note inside the block which layers are visited, in the order of the visits."""
    visits: dict[str, _Visit] = {}
    fields: dict[int, tuple[Tensor, _Field]] = {}  # by the tensor's id; the tensor is kept so that its id stays its own

    def hook_for(name: str) -> Any:
        def note(module: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
            field = None
            if output.ndim == 4:
                field = _field_after(module, [fields[id(x)][1] if id(x) in fields else _Field() for x in given])
                fields[id(output)] = (output, field)
            shape = tuple(output.shape[1:])
            visits[name] = _Visit((*shape[1:], shape[0]) if field else shape, len(output), field)

        return note

    with ExitStack() as hooks:
        for name, module in policy.named_modules():
            if isinstance(module, _FOLLOWED):
                hooks.callback(module.register_forward_hook(hook_for(name)).remove)
        yield visits


def _field_after(module: nn.Module, given: list[_Field]) -> _Field:
    """The field of a layer's output, from those of its inputs; pictures that come from no layer are inputs."""
    field = given[0]
    for other in given[1:]:
        field = field.joined(other)
    window = _window(module)
    return field if window is None else field.through(*window)


def _window(module: nn.Module) -> tuple[Pair, Pair] | None:
    """Kernel and stride of a layer, or None."""
    if not isinstance(module, nn.Conv2d | nn.AvgPool2d):
        return None
    kernel, stride = (
        value if isinstance(value, tuple) else (value, value) for value in (module.kernel_size, module.stride)
    )
    return (kernel[0], kernel[1]), (stride[0], stride[1])


def _layer(name: str, module: nn.Module, visit: _Visit, flops: int) -> Layer:
    """A row of the table."""
    kinds = {nn.Conv2d: "conv", nn.AvgPool2d: "pool", **dict.fromkeys(_NORMS, "norm")}
    kind = next((kind for cls, kind in kinds.items() if isinstance(module, cls)), "fc")
    kernel, stride = _window(module) or (None, None)
    return Layer(
        name=name,
        kind=kind,
        output=visit.output,
        pictures=visit.pictures,
        kernel=kernel,
        stride=stride,
        field=None if visit.field is None else visit.field.size,
        step=None if visit.field is None else visit.field.step,
        parameters=parameter_count(module),
        flops=flops,
    )


def layer_table(description: PolicyDescription) -> Table:
    """The layers and their totals for a terminal; `s2` is a stride of 2."""
    rows = []
    for layer in description.layers:
        window = "" if layer.kernel is None or layer.stride is None else f" {_by(layer.kernel)} s{_short(layer.stride)}"
        rows.append(
            (
                layer.name.removeprefix("network."),
                layer.kind + window,
                ("" if layer.pictures == 1 else f"{layer.pictures} x ") + _by(layer.output),
                "all" if layer.field is None else _by(layer.field),
                thousands(layer.parameters) if layer.parameters else "",
                thousands(layer.flops / 1e6, 3) if layer.flops else "",
            )
        )
    total = ("all", "", "", "", thousands(description.parameters), thousands(description.flops / 1e6, 3))
    return Table(
        headers=("layer", "kind", "output hxwxd", "field px", "parameters", "MFLOPs"),
        rows=rows,
        sections=(TableSection([total]),),
        title=title_of(description),
        text_columns=2,
    )


def title_of(description: PolicyDescription) -> str:
    """What is described, and how its costs are counted."""
    return (
        f"{description.network} with {description.head} head, sees {', '.join(description.inputs)}: "
        f"{description.cameras} x {_by(description.camera_size)}x3, maps {_by((description.map_size,) * 2)}; "
        "FLOPs for one decision, a multiply-add counts as 2"
    )


def _by(sides: tuple[int, ...]) -> str:
    """Height and width, and depth if there is one, in short."""
    return "x".join(map(str, sides))


def _short(pair: Pair) -> str:
    """Height and width as one number if they are equal."""
    return str(pair[0]) if pair[0] == pair[1] else _by(pair)
