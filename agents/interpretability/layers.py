"""The convolutions of a policy and their activations. B: batch, C: channels or cameras, H and W: height and width [px].

A stream is a chain of convolutions over one kind of image. Its stages are the places where a rectifier returns a
feature map, from which the next convolution, or a saliency method, continues.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.policies.networks.encoders import Trunk
from agents.policies.networks.network import MAPS, SharedTrunks
from agents.policies.networks.observation_batch import ObservationBatch
from agents.policies.networks.own_networks import ResidualBlock
from agents.policies.networks.published_networks import Amini2019, RouteBranch
from agents.policies.policy import Policy
from navsim.sensing.observation import Image

_TILE_SIZE = 64  # longer side of a channel's picture [px]
_GAP = 2  # between pictures [px]


def convolution_outputs(policy: Policy, batch: ObservationBatch) -> dict[str, Tensor]:
    """Return the output of each convolution for B situations, by name: (B or B * cameras, C, H, W) float32.

    Call it with the policy in evaluation mode and without gradients.
    """
    outputs: dict[str, Tensor] = {}
    with _record_convolutions(policy, outputs):
        policy.steer(batch)
    return outputs


def channel_picture(output: Tensor) -> Image:
    """Draw the channels (C, H, W) of one feature map as tiles of an image (height, width, 3) uint8.

    Each channel is scaled from its own minimum (black) to its maximum (white); a constant channel is grey.
    """
    channels, height, width = output.shape
    low, high = output.amin(dim=(1, 2), keepdim=True), output.amax(dim=(1, 2), keepdim=True)
    flat = high - low <= 1e-12
    normalised = torch.where(flat, 0.5, (output - low) / torch.where(flat, 1.0, high - low))
    scale = max(_TILE_SIZE // max(height, width), 1)
    tiles = functional.pad(functional.interpolate(normalised[None], scale_factor=float(scale))[0], (0, _GAP, 0, _GAP))
    columns = math.ceil(math.sqrt(channels))
    tiles = functional.pad(tiles, (0, 0, 0, 0, 0, -channels % columns))
    _, tall, wide = tiles.shape
    grid = tiles.reshape(-1, columns, tall, wide).transpose(1, 2).reshape(-1, columns * wide)
    grey = (255 * grid).round().byte().cpu().numpy()
    return np.repeat(grey[..., None], 3, axis=2)


@contextmanager
def _record_convolutions(policy: Policy, outputs: dict[str, Tensor]) -> Iterator[None]:
    """Record the outputs of the convolutions inside the block in `outputs`."""

    def hook_for(name: str) -> nn.Module:
        def note(_module: nn.Module, _given: tuple[Tensor, ...], output: Tensor) -> None:
            outputs[name] = output.detach().float().clone()  # the next layer may work in place

        return note  # type: ignore[return-value]

    layers = {name: module for name, module in policy.named_modules() if isinstance(module, nn.Conv2d)}
    handles = [module.register_forward_hook(hook_for(name)) for name, module in layers.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


Sense = Literal["camera", "map"]


@dataclass(frozen=True)
class ReceptiveField:
    """Window of one pixel of a stage's output in the output of the stage before, equal across and down."""

    kernel: int = 1
    """Side of the window [px]."""
    stride: int = 1
    """Step between neighbouring pixels' windows [px]."""
    padding: int = 0
    """Zeros on each side [px]."""

    def then(self, kernel: int, stride: int, padding: int) -> "ReceptiveField":
        """Return the window after one more convolution, relative to the same input."""
        return ReceptiveField(
            self.kernel + (kernel - 1) * self.stride, self.stride * stride, self.padding + padding * self.stride
        )


@dataclass(frozen=True, eq=False)
class LayerStage:
    """A rectified feature map inside a stream."""

    name: str
    """Name in the policy of the module that returns it."""
    module: nn.Module
    """Module that returns it."""
    window: ReceptiveField
    """Window of one pixel in the stage before, or in the stream's images."""


@dataclass(frozen=True, eq=False)
class Stream:
    """A chain of convolutions over the images of some cameras or over some maps."""

    name: str
    """Name of its module in the policy."""
    sense: Sense
    """Kind of input: camera images or maps."""
    inputs: tuple[int, ...]
    """Indices of the cameras, each a separate image; or channels of `Inputs.maps`, together one image."""
    stages: tuple[LayerStage, ...]
    """Stages in the order of computation, at least one."""


def streams_of(policy: Policy) -> tuple[Stream, ...]:
    """Return the streams of a policy; empty without convolutions, and without cameras for a blind policy."""
    network, used_inputs = policy.network, policy.config.inputs
    cameras = range(policy.spec.cameras)
    channels = tuple(i for i, name in enumerate(MAPS) if name in used_inputs)
    streams: list[Stream] = []
    if isinstance(network, SharedTrunks):
        if "camera" in used_inputs and not policy.config.blind:
            streams.append(_stream("network.camera_trunk", network.camera_trunk, "camera", tuple(cameras)))
        if channels:
            streams.append(_stream("network.map_trunk", network.map_trunk, "map", channels))
    if isinstance(network, Amini2019):
        if "camera" in used_inputs and not policy.config.blind:
            for camera in cameras:
                column = network.camera_columns.get_submodule(str(camera))
                streams.append(_stream(f"network.camera_columns.{camera}", column, "camera", (camera,)))
        if "road_map" in used_inputs:
            column = network.road_map_column
            streams.append(_stream("network.road_map_column", column, "map", (MAPS.index("road_map"),)))
        if isinstance(network.branch, RouteBranch):
            column = network.branch.column
            streams.append(_stream("network.branch.column", column, "map", (MAPS.index("route_map"),)))
    return tuple(streams)


def sees(policy: Policy, sense: Sense) -> bool:
    """Whether a policy depends on its cameras, or on any map."""
    if sense == "camera":
        return "camera" in policy.config.inputs and not policy.config.blind
    return any(name in policy.config.inputs for name in MAPS)


@contextmanager
def record_activations(streams: Sequence[Stream]) -> Iterator[dict[str, Tensor]]:
    """Record the outputs of the stages inside the block by name; the tensors themselves, not copies.

    Later layers do not change the output of a rectifier, even where it works in place itself.
    """
    activations: dict[str, Tensor] = {}

    def hook_for(name: str) -> Any:
        def note(_module: nn.Module, _given: tuple[Tensor, ...], output: Tensor) -> None:
            activations[name] = output

        return note

    with ExitStack() as hooks:
        for stream in streams:
            for stage in stream.stages:
                hooks.callback(stage.module.register_forward_hook(hook_for(stage.name)).remove)
        yield activations


def _stream(name: str, trunk: nn.Module, sense: Sense, inputs: tuple[int, ...]) -> Stream:
    """Find the stages of a trunk."""
    if not isinstance(trunk, Trunk):
        raise TypeError(f"{name} is a {type(trunk).__name__}, not a trunk")
    stages, window = [], ReceptiveField()
    for number, module in trunk.named_children():
        for convolution in _convolutions(module):
            window = window.then(convolution.kernel_size[0], convolution.stride[0], _padding(convolution))
        if isinstance(module, nn.ReLU | ResidualBlock):
            stages.append(LayerStage(f"{name}.{number}", module, window))
            window = ReceptiveField()
    return Stream(name, sense, inputs, tuple(stages))


def _convolutions(module: nn.Module) -> list[nn.Conv2d]:
    """Return the convolutions that a module of a trunk applies, without a residual block's shortcut."""
    if isinstance(module, nn.Conv2d):
        return [module]
    return [each for each in module.main if isinstance(each, nn.Conv2d)] if isinstance(module, ResidualBlock) else []


def _padding(convolution: nn.Conv2d) -> int:
    """Return the zeros on each side of a convolution's input [px]."""
    padding = convolution.padding
    if isinstance(padding, str):
        raise TypeError(f"padding by name ({padding}) has no number of pixels")
    return padding[0]
