"""Table of a policy's layers: output shapes, receptive fields, trained values and costs.

One situation of zeros passes through the policy; hooks record each layer's inputs and output.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from agents.policies.networks.observation_batch import Inputs
from agents.policies.networks.own_networks import Sum
from agents.policies.policy import Policy, parameter_count
from navsim.number_formats import thousands
from navsim.tables import Table, TableSection

Pair = tuple[int, int]

_NORMS = (nn.GroupNorm, nn.LayerNorm)
_SHOWN = (nn.Conv2d, nn.AvgPool2d, nn.Linear, *_NORMS)
_RECORDED = (*_SHOWN, nn.ReLU, Sum)  # all layers of a trunk


@dataclass(frozen=True)
class LayerDescription:
    """One layer of a network, as used for one situation."""

    name: str
    """Name of the module in the policy, such as `network.camera_trunk.0`; the prefix of its weights in checkpoints."""
    kind: str
    """Kind of layer: `conv`, `pool`, `norm` or `fc` (fully connected)."""
    output: tuple[int, ...]
    """Shape of the output: (height, width, depth) of an image or (length,) of a vector."""
    pictures: int
    """Number of images that pass through the layer in one situation: one for each camera that shares it."""
    kernel: Pair | None
    """Height and width of the kernel [px of its input]; None without a kernel."""
    stride: Pair | None
    """Step of the kernel, down and across [px of its input]; None without a kernel."""
    field: Pair | None
    """Receptive field: height and width of the part of the camera image or map that one output pixel can depend on
    [px]. The statistics of group norms over the whole image are left out. It may exceed the image; None for fully
    connected layers."""
    step: Pair | None
    """Distance between the fields of neighbouring pixels, down and across [px of the camera image or map]."""
    parameters: int
    """Number of trained values."""
    flops: int
    """Floating-point operations for one situation, all images together, as torch's `FlopCounterMode` counts them: a
    multiplication with its addition as two, convolutions and matrix products only."""


@dataclass(frozen=True)
class PolicyDescription:
    """Layers of a policy and their totals."""

    network: str
    """Name of the network."""
    head: str
    """Name of the head."""
    inputs: tuple[str, ...]
    """Names of the network's inputs."""
    cameras: int
    """Number of cameras."""
    camera_size: Pair
    """Height and width of the camera images [px]."""
    map_size: int
    """Side of the map patches [px]."""
    layers: tuple[LayerDescription, ...]
    """Layers in the order of computation."""
    parameters: int
    """Number of trained values in all."""
    flops: int
    """Floating-point operations for one decision, counted as in `LayerDescription.flops`."""

    def parameters_of(self, kind: str) -> int:
        """Return the number of trained values in all layers of a kind."""
        return sum(layer.parameters for layer in self.layers if layer.kind == kind)


@dataclass(frozen=True)
class _ReceptiveField:
    """Part of the input that one pixel inside a trunk depends on."""

    size: Pair = (1, 1)
    step: Pair = (1, 1)

    def through(self, kernel: Pair, stride: Pair) -> "_ReceptiveField":
        """Return the field after a layer with a kernel."""
        size = (self.size[0] + (kernel[0] - 1) * self.step[0], self.size[1] + (kernel[1] - 1) * self.step[1])
        return _ReceptiveField(size, (self.step[0] * stride[0], self.step[1] * stride[1]))

    def joined(self, other: "_ReceptiveField") -> "_ReceptiveField":
        """Return the field of a sum of two feature maps of one size."""
        return _ReceptiveField((max(self.size[0], other.size[0]), max(self.size[1], other.size[1])), self.step)


@dataclass
class _LayerRecord:
    """Shapes that a hook recorded for a layer."""

    output: tuple[int, ...]
    pictures: int
    field: _ReceptiveField | None


def describe_policy(policy: Policy) -> PolicyDescription:
    """Measure each layer of `policy`, which stays unchanged."""
    spec, weight = policy.spec, policy.head.weight
    inputs = Inputs(
        weight.new_zeros(1, spec.cameras, spec.height, spec.width, 3),
        weight.new_zeros(1, 2, spec.map_size, spec.map_size),
        weight.new_zeros(1, 1),
    )
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), _record_layers(policy) as records, counter:
        policy(inputs)
    counts = {name: sum(ops.values()) for name, ops in counter.get_flop_counts().items()}
    modules = dict(policy.named_modules())
    layers = [
        _layer(name, modules[name], record, counts.get(f"{type(policy).__name__}.{name}", 0))
        for name, record in records.items()
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
def _record_layers(policy: Policy) -> Iterator[dict[str, _LayerRecord]]:
    """Record the layers that run inside the block, in the order of computation."""
    records: dict[str, _LayerRecord] = {}
    fields: dict[int, tuple[Tensor, _ReceptiveField]] = {}  # by the tensor's id; holding the tensor keeps the id valid

    def hook_for(name: str) -> Any:
        def note(module: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
            field = None
            if output.ndim == 4:
                field = _field_after(
                    module, [fields[id(x)][1] if id(x) in fields else _ReceptiveField() for x in given]
                )
                fields[id(output)] = (output, field)
            shape = tuple(output.shape[1:])
            records[name] = _LayerRecord((*shape[1:], shape[0]) if field else shape, len(output), field)

        return note

    with ExitStack() as hooks:
        for name, module in policy.named_modules():
            if isinstance(module, _RECORDED):
                hooks.callback(module.register_forward_hook(hook_for(name)).remove)
        yield records


def _field_after(module: nn.Module, given: list[_ReceptiveField]) -> _ReceptiveField:
    """Return the field of a layer's output, from those of its inputs; an unknown tensor is an input image."""
    field = given[0]
    for other in given[1:]:
        field = field.joined(other)
    window = _window(module)
    return field if window is None else field.through(*window)


def _window(module: nn.Module) -> tuple[Pair, Pair] | None:
    """Return the kernel and stride of a layer, or None."""
    if not isinstance(module, nn.Conv2d | nn.AvgPool2d):
        return None
    kernel, stride = (
        value if isinstance(value, tuple) else (value, value) for value in (module.kernel_size, module.stride)
    )
    return (kernel[0], kernel[1]), (stride[0], stride[1])


def _layer(name: str, module: nn.Module, record: _LayerRecord, flops: int) -> LayerDescription:
    """Build a row of the table."""
    kinds = {nn.Conv2d: "conv", nn.AvgPool2d: "pool", **dict.fromkeys(_NORMS, "norm")}
    kind = next((kind for cls, kind in kinds.items() if isinstance(module, cls)), "fc")
    kernel, stride = _window(module) or (None, None)
    return LayerDescription(
        name=name,
        kind=kind,
        output=record.output,
        pictures=record.pictures,
        kernel=kernel,
        stride=stride,
        field=None if record.field is None else record.field.size,
        step=None if record.field is None else record.field.step,
        parameters=parameter_count(module),
        flops=flops,
    )


def layer_table(description: PolicyDescription) -> Table:
    """Build a table of the layers and their totals for a terminal; `s2` is a stride of 2."""
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
        title=description_title(description),
        text_columns=2,
    )


def description_title(description: PolicyDescription) -> str:
    """Return the title of the table: the policy, and how costs are counted."""
    return (
        f"{description.network} with {description.head} head, sees {', '.join(description.inputs)}: "
        f"{description.cameras} x {_by(description.camera_size)}x3, maps {_by((description.map_size,) * 2)}; "
        "FLOPs for one decision, a multiply-add counts as 2"
    )


def _by(sides: tuple[int, ...]) -> str:
    """Return height and width, and depth if there is one, as text."""
    return "x".join(map(str, sides))


def _short(pair: Pair) -> str:
    """Return height and width as one number if they are equal."""
    return str(pair[0]) if pair[0] == pair[1] else _by(pair)
