"""Which pixels a policy's answer comes from. B: batch, C: cameras, H and W: height and width, S: side of a map [px].

Three ways: VisualBackProp follows the activations back through the convolutions, Grad-CAM weighs the last feature maps
by their gradient, integrated gradients adds up the gradients of the pixels on the way from nothing to the picture.

Saliency that is cheap enough to drive by, and the pictures that it is about. H and W: height and width [px].
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from agents.interpretability.layers import ReceptiveField, Stream, record_activations, sees, streams_of
from agents.policies.networks.observation_batch import Inputs
from agents.policies.policy import Policy, PolicyOutput
from navsim.errors import ConfigError
from navsim.sensing.observation import Image
from navsim.visualization.canvas import overlay_saliency

STEPS = 64
"""Points on the way from nothing to the picture at which integrated gradients are taken: with 32 the error is 2.5 times
as large, and a tenth of what is explained."""
_VEIL = (2, 4)  # what is left of a camera's picture: rows and columns of means
_AT_ONCE = 256  # pictures that go through the network together


@dataclass(frozen=True, eq=False)
class Saliency:
    """How much each pixel matters in B situations, in a unit of its own: only ratios within a picture mean anything."""

    images: Tensor | None
    """Of the cameras' pixels (B, C, H, W), at least 0; None if the policy sees no camera."""
    maps: Tensor | None
    """Of the map's pixels (B, S, S), of all maps together, at least 0; None if the policy sees no map."""


@dataclass(frozen=True, eq=False)
class Attribution:
    """What integrated gradients say, with the sign that says to which side a pixel steers."""

    images: Tensor | None
    """Of every number of the cameras' images (B, C, H, W, 3); None if the policy sees no camera."""
    maps: Tensor | None
    """Of every number of the maps (B, 2, S, S); None if the policy sees no map."""
    residual: Tensor
    """What the attributions add up to, minus the change that they should explain (B,): the error of the integral."""

    @property
    def saliency(self) -> Saliency:
        """The attributions' sizes, summed over colours and maps."""
        images = None if self.images is None else self.images.abs().sum(dim=-1)
        return Saliency(images, None if self.maps is None else self.maps.abs().sum(dim=1))

    @property
    def error(self) -> float:
        """Mean size of the residual, as a share of the mean size of what is explained; 0 if there is nothing."""
        parts = [part.flatten(1).sum(dim=1) for part in (self.images, self.maps) if part is not None]
        explained = float((sum(parts) - self.residual).abs().mean()) if parts else 0.0
        return float(self.residual.abs().mean()) / explained if explained > 0 else 0.0


def steering(answer: PolicyOutput) -> Tensor:
    """The number that is explained (B,): the mean curvature, in units of the largest.

    The command of a network that has one beside its distribution is added, since only that sees the route.
    """
    limit = answer.distribution.max_curvature
    mean = answer.distribution.mean / limit
    return mean if answer.command is None else mean + answer.command / limit


def blurred_baseline(inputs: Inputs) -> Inputs:
    """What inputs look like with nothing left to see: cameras as a few soft stains of colour, maps without roads.

    The stains are means over 2x4 blocks, joined smoothly: sky and ground keep their colours, and all edges are gone. A
    black picture would bring edges of its own where a part is covered by it.
    """
    batch, cameras, height, width, _ = inputs.images.shape
    planes = inputs.images.flatten(0, 1).permute(0, 3, 1, 2)
    stains = functional.interpolate(
        functional.adaptive_avg_pool2d(planes, _VEIL), (height, width), mode="bilinear", align_corners=False
    )
    images = stains.permute(0, 2, 3, 1).reshape(batch, cameras, height, width, 3).contiguous()
    return Inputs(images, torch.zeros_like(inputs.maps), inputs.speed)


def visual_backprop(policy: Policy, inputs: Inputs) -> Saliency:
    """VisualBackProp (Bojarski et al. 2016, arXiv 1611.05418), in one pass and without gradients.

    From the last stage backwards: the mean of its channels is spread by a transposed convolution of ones, of the
    window that leads there, and multiplied by the mean of the channels in the stage before. It sees what excites the
    convolutions, whatever the layers after them make of it. Ours: what is spread is divided by the number of windows
    that reach a pixel, without which a grid of the stride's shape lies over the picture; a residual block counts as one
    layer.
    """
    streams = streams_of(policy)
    with torch.no_grad(), record_activations(streams) as heard:
        policy(inputs)
    masks = {stream.name: backprojected(stream, heard, _size(stream, inputs)) for stream in streams}
    return _joined(streams, masks, inputs)


def backprojected(stream: Stream, heard: Mapping[str, Tensor], size: tuple[int, int]) -> Tensor:
    """The mask (N, H, W) over the pictures of a stream, from what its stages gave out, each (N, channels, h, w).

    Args:
        stream: The stream.
        heard: What its stages gave out, by their names.
        size: The pictures' (H, W) [px].
    """
    means = [heard[stage.name].float().mean(dim=1, keepdim=True) for stage in stream.stages]
    mask = means[-1]
    for stage, below in zip(reversed(stream.stages[1:]), reversed(means[:-1]), strict=True):
        # Scaled at each step, so that many layers neither vanish nor overflow; the paper scales once, at the end.
        mask = _scaled(below * _spread(mask, stage.window, (below.shape[2], below.shape[3])))
    return _scaled(_spread(mask, stream.stages[0].window, size))[:, 0]


def grad_cam(policy: Policy, inputs: Inputs) -> Saliency:
    """Grad-CAM (Selvaraju et al., ICCV 2017) for `steering`, over the last feature maps of each stream.

    The size of the weighted sum is taken where the paper keeps what is above 0: steering to the right is no less a
    decision than steering to the left.
    """
    streams = streams_of(policy)
    if not streams:
        return Saliency(None, None)
    with torch.enable_grad(), record_activations(streams) as heard:
        target = steering(policy.predict(inputs)).sum()
        last = [heard[stream.stages[-1].name] for stream in streams]
        slopes = torch.autograd.grad(target, last)
    masks = {}
    for stream, features, slope in zip(streams, last, slopes, strict=True):
        weighted = (slope.mean(dim=(2, 3), keepdim=True) * features).sum(dim=1, keepdim=True).abs().detach()
        wide = functional.interpolate(weighted.float(), _size(stream, inputs), mode="bilinear", align_corners=False)
        masks[stream.name] = wide[:, 0]
    return _joined(streams, masks, inputs)


def integrated_gradients(policy: Policy, inputs: Inputs, steps: int = STEPS) -> Attribution:
    """Return integrated gradients of `steering`, from `blurred_baseline` inputs to the given ones.

    The method is of Sundararajan et al. (ICML 2017).
    They are complete: added up, they are the change of the answer between the two, but for the integral's error.

    Args:
        policy: In evaluation mode.
        inputs: B situations.
        steps: Points of the integral (Gauss-Legendre).
    """
    names = [*(["images"] if sees(policy, "camera") else []), *(["maps"] if sees(policy, "map") else [])]
    if not names:
        return Attribution(None, None, torch.zeros(len(inputs.images)))
    from captum.attr import IntegratedGradients  # here, since a live overlay shall not wait half a second for it

    nothing = blurred_baseline(inputs)

    def explained(*parts: Tensor) -> Tensor:
        given = dict(zip([*names, "speed"], parts, strict=True))
        images, maps = (given.get(name, _repeated(getattr(inputs, name), len(parts[0]))) for name in ("images", "maps"))
        return steering(policy.predict(Inputs(images, maps, given["speed"])))

    values, residual = IntegratedGradients(explained).attribute(
        tuple(getattr(inputs, name) for name in names),
        baselines=tuple(getattr(nothing, name) for name in names),
        additional_forward_args=(inputs.speed,),
        n_steps=steps,
        method="gausslegendre",
        internal_batch_size=_AT_ONCE,
        return_convergence_delta=True,
    )
    found = {name: value.detach().float() for name, value in zip(names, values, strict=True)}
    return Attribution(found.get("images"), found.get("maps"), residual.detach().float())


def integrated_saliency(policy: Policy, inputs: Inputs) -> Saliency:
    """The size of the integrated gradients."""
    return integrated_gradients(policy, inputs).saliency


METHODS: Mapping[str, Callable[[Policy, Inputs], Saliency]] = MappingProxyType(
    {
        "VisualBackProp": visual_backprop,
        "Grad-CAM": grad_cam,
        "integrated gradients": integrated_saliency,
    }
)
"""The ways by name. The first two need convolutions: of a network without any they find nothing."""


def _repeated(values: Tensor, rows: int) -> Tensor:
    """The first of some values (B, ...) as often as wanted (rows, ...); for what a policy does not look at."""
    return values[:1].expand(rows, *values.shape[1:])


def _size(stream: Stream, inputs: Inputs) -> tuple[int, int]:
    """Height and width of the pictures of a stream [px]."""
    shape = inputs.images.shape[2:4] if stream.sense == "camera" else inputs.maps.shape[2:4]
    return shape[0], shape[1]


def _spread(mask: Tensor, window: ReceptiveField, size: tuple[int, int]) -> Tensor:
    """Give each pixel of a picture of `size` the mean of `mask` (N, 1, h, w) over all windows with it: (N, 1, H, W)."""
    ones = mask.new_ones(1, 1, window.kernel, window.kernel)
    # A stride leaves open how many pixels at the end no window reaches.
    least = [(side - 1) * window.stride - 2 * window.padding + window.kernel for side in mask.shape[2:]]
    extra = [min(max(whole - side, 0), window.stride - 1) for whole, side in zip(size, least, strict=True)]
    both = functional.conv_transpose2d(
        torch.cat([mask, torch.ones_like(mask[:1])]),
        ones,
        stride=window.stride,
        padding=window.padding,
        output_padding=(extra[0], extra[1]),
    )
    spread = both[:-1] / both[-1:].clamp(min=1.0)
    return functional.pad(spread, (0, size[1] - spread.shape[3], 0, size[0] - spread.shape[2]))


def _scaled(masks: Tensor) -> Tensor:
    """Masks (N, ...) with 1 as their largest value each, unless they are 0 everywhere."""
    largest = masks.flatten(1).amax(dim=1).reshape(-1, *[1] * (masks.ndim - 1))
    return masks / torch.where(largest > 0, largest, 1.0)


def _joined(streams: Sequence[Stream], masks: Mapping[str, Tensor], inputs: Inputs) -> Saliency:
    """Put the masks of streams where they belong; maps that are looked at apart are added up."""
    batch, cameras, height, width, _ = inputs.images.shape
    images = inputs.images.new_zeros(batch, cameras, height, width)
    maps = inputs.maps.new_zeros(batch, *inputs.maps.shape[2:])
    for stream in streams:
        mask = masks[stream.name]
        if stream.sense == "map":
            maps = maps + mask
        else:
            images[:, list(stream.inputs)] = mask.reshape(batch, len(stream.inputs), height, width)
    senses = {stream.sense for stream in streams}
    return Saliency(images if "camera" in senses else None, maps if "map" in senses else None)


_QUICK_STEPS = 4
_ROUTE = (232, 72, 72)


def saliency_overlay(policy: Policy, inputs: Inputs, camera: int = 0) -> Image:
    """What excites the network in a camera's image, for use while driving: VisualBackProp in one further pass.

    A network without convolutions has nothing to follow; of it coarse integrated gradients are shown.

    Args:
        policy: In evaluation mode.
        inputs: One situation.
        camera: Number of the camera.

    Returns:
        The image with the saliency over it (H, W, 3) uint8 RGB; of a policy that sees no camera, the image alone.

    Raises:
        ConfigError: If there is not one situation, or no such camera.
    """
    if len(inputs.images) != 1 or not 0 <= camera < inputs.images.shape[1]:
        raise ConfigError(
            f"an overlay is for one situation and a camera below {inputs.images.shape[1]}, "
            f"got {len(inputs.images)} situations and camera {camera}"
        )
    picture = image_of(inputs)[0, camera]
    found = quick_saliency(policy, inputs).images
    return picture if found is None else overlay_saliency(picture, found[0, camera].cpu().numpy())


def quick_saliency(policy: Policy, inputs: Inputs) -> Saliency:
    """VisualBackProp, or of a network without convolutions integrated gradients of few steps."""
    if streams_of(policy) or not (sees(policy, "camera") or sees(policy, "map")):
        return visual_backprop(policy, inputs)
    with torch.inference_mode(mode=False):
        return integrated_gradients(policy, Inputs(*(part.clone() for part in _parts(inputs))), _QUICK_STEPS).saliency


def image_of(inputs: Inputs) -> Image:
    """The cameras' images (B, C, H, W, 3) uint8 that scaled inputs were."""
    values = inputs.images.float().add(1).mul(127.5).round().clamp(0, 255)
    return np.asarray(values.byte().cpu().numpy(), np.uint8)


def map_of(inputs: Inputs) -> Image:
    """Both maps as pictures (B, S, S, 3) uint8, the route in red, as in the source's figure."""
    maps = inputs.maps.float().cpu().numpy()
    roads, route = 255 * maps[:, 0, ..., None], maps[:, 1, ..., None]
    return np.asarray(np.round(roads + route * (np.array(_ROUTE) - roads)), np.uint8)


def _parts(inputs: Inputs) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return inputs.images, inputs.maps, inputs.speed
