"""Saliency of pixels for a policy's output. B: batch, C: cameras, H and W: height and width, S: side of a map [px].

Three methods. VisualBackProp follows the activations back through the convolutions. Grad-CAM weights the last feature
maps by their gradient. Integrated gradients sums the gradients of the pixels on the path from a baseline to the image.
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
"""Points on the path from baseline to image for integrated gradients: with 32 the error is 2.5 times as large, a tenth
of the explained change."""
_BASELINE_GRID = (2, 4)  # rows and columns of the means that remain of an image
_AT_ONCE = 256  # images in one pass of the network


@dataclass(frozen=True, eq=False)
class Saliency:
    """Importance of each pixel in B situations; only ratios within an image are meaningful."""

    images: Tensor | None
    """Saliency of the cameras' pixels (B, C, H, W), at least 0; None if the policy sees no camera."""
    maps: Tensor | None
    """Saliency of the maps' pixels (B, S, S), all maps together, at least 0; None if the policy sees no map."""


@dataclass(frozen=True, eq=False)
class Attribution:
    """Integrated gradients, whose sign is the direction of steering."""

    images: Tensor | None
    """Attribution of all values of the cameras' images (B, C, H, W, 3); None if the policy sees no camera."""
    maps: Tensor | None
    """Attribution of all values of the maps (B, 2, S, S); None if the policy sees no map."""
    residual: Tensor
    """Sum of the attributions minus the change to explain (B,): the error of the integral."""

    @property
    def saliency(self) -> Saliency:
        """Magnitude of the attributions, summed over colours and maps."""
        images = None if self.images is None else self.images.abs().sum(dim=-1)
        return Saliency(images, None if self.maps is None else self.maps.abs().sum(dim=1))

    @property
    def error(self) -> float:
        """Mean magnitude of the residual as a share of the explained change; 0 without a change."""
        values = [part.flatten(1).sum(dim=1) for part in (self.images, self.maps) if part is not None]
        explained = float((sum(values) - self.residual).abs().mean()) if values else 0.0
        return float(self.residual.abs().mean()) / explained if explained > 0 else 0.0


def steering(output: PolicyOutput) -> Tensor:
    """Return the number to explain (B,): the mean curvature, in units of the largest.

    The command of a network with a branch is added, since only the command depends on the route.
    """
    limit = output.distribution.max_curvature
    mean = output.distribution.mean / limit
    return mean if output.command is None else mean + output.command / limit


def blurred_baseline(inputs: Inputs) -> Inputs:
    """Return inputs without information: cameras as a few soft patches of colour, maps without roads.

    The patches are means over 2x4 blocks, interpolated smoothly: sky and ground keep their colours, without edges. A
    black image would add edges where it covers a part.
    """
    batch, cameras, height, width, _ = inputs.images.shape
    planes = inputs.images.flatten(0, 1).permute(0, 3, 1, 2)
    blurred = functional.interpolate(
        functional.adaptive_avg_pool2d(planes, _BASELINE_GRID), (height, width), mode="bilinear", align_corners=False
    )
    images = blurred.permute(0, 2, 3, 1).reshape(batch, cameras, height, width, 3).contiguous()
    return Inputs(images, torch.zeros_like(inputs.maps), inputs.speed)


def visual_backprop(policy: Policy, inputs: Inputs) -> Saliency:
    """VisualBackProp (Bojarski et al. 2016, arXiv 1611.05418), in one pass and without gradients.

    From the last stage backwards: the mean of its channels is expanded by a transposed convolution of ones with the
    stage's window, and multiplied by the mean of the channels in the stage before. It shows what excites the
    convolutions, whatever the layers after them do with it. Ours: the expanded mean is divided by the number of windows
    over each pixel, which removes a grid of the stride; a residual block counts as one layer.
    """
    streams = streams_of(policy)
    with torch.no_grad(), record_activations(streams) as activations:
        policy(inputs)
    masks = {stream.name: backproject(stream, activations, _size(stream, inputs)) for stream in streams}
    return _combine(streams, masks, inputs)


def backproject(stream: Stream, activations: Mapping[str, Tensor], size: tuple[int, int]) -> Tensor:
    """Return the mask (N, H, W) over the images of a stream, from the outputs of its stages (N, channels, h, w).

    Args:
        stream: The stream.
        activations: Outputs of its stages, by name.
        size: Size of the images (H, W) [px].
    """
    means = [activations[stage.name].float().mean(dim=1, keepdim=True) for stage in stream.stages]
    mask = means[-1]
    for stage, below in zip(reversed(stream.stages[1:]), reversed(means[:-1]), strict=True):
        # Normalised at each step against underflow and overflow; the paper normalises once, at the end.
        mask = _normalised(below * _backproject_mean(mask, stage.window, (below.shape[2], below.shape[3])))
    return _normalised(_backproject_mean(mask, stream.stages[0].window, size))[:, 0]


def grad_cam(policy: Policy, inputs: Inputs) -> Saliency:
    """Grad-CAM (Selvaraju et al., ICCV 2017) for `steering`, over the last feature maps of each stream.

    The weighted sum's magnitude replaces its positive part in the paper, since steering to the right counts as much as
    to the left.
    """
    streams = streams_of(policy)
    if not streams:
        return Saliency(None, None)
    with torch.enable_grad(), record_activations(streams) as activations:
        target = steering(policy.predict(inputs)).sum()
        last = [activations[stream.stages[-1].name] for stream in streams]
        slopes = torch.autograd.grad(target, last)
    masks = {}
    for stream, features, slope in zip(streams, last, slopes, strict=True):
        weighted = (slope.mean(dim=(2, 3), keepdim=True) * features).sum(dim=1, keepdim=True).abs().detach()
        wide = functional.interpolate(weighted.float(), _size(stream, inputs), mode="bilinear", align_corners=False)
        masks[stream.name] = wide[:, 0]
    return _combine(streams, masks, inputs)


def integrated_gradients(policy: Policy, inputs: Inputs, steps: int = STEPS) -> Attribution:
    """Return integrated gradients of `steering`, from `blurred_baseline` inputs to the given ones.

    The method of Sundararajan et al. (ICML 2017) is complete: the attributions sum to the change of the output between
    baseline and inputs, up to the error of the integral.

    Args:
        policy: The policy, in evaluation mode.
        inputs: B situations.
        steps: Points of the integral (Gauss-Legendre).
    """
    names = [*(["images"] if sees(policy, "camera") else []), *(["maps"] if sees(policy, "map") else [])]
    if not names:
        return Attribution(None, None, torch.zeros(len(inputs.images)))
    from captum.attr import IntegratedGradients  # imported here: a live overlay must not wait half a second for it

    baseline = blurred_baseline(inputs)

    def explained(*values: Tensor) -> Tensor:
        inputs_by_name = dict(zip([*names, "speed"], values, strict=True))
        images, maps = (
            inputs_by_name.get(name, _repeated(getattr(inputs, name), len(values[0]))) for name in ("images", "maps")
        )
        return steering(policy.predict(Inputs(images, maps, inputs_by_name["speed"])))

    values, residual = IntegratedGradients(explained).attribute(
        tuple(getattr(inputs, name) for name in names),
        baselines=tuple(getattr(baseline, name) for name in names),
        additional_forward_args=(inputs.speed,),
        n_steps=steps,
        method="gausslegendre",
        internal_batch_size=_AT_ONCE,
        return_convergence_delta=True,
    )
    attributions = {name: value.detach().float() for name, value in zip(names, values, strict=True)}
    return Attribution(attributions.get("images"), attributions.get("maps"), residual.detach().float())


def integrated_saliency(policy: Policy, inputs: Inputs) -> Saliency:
    """Return the magnitude of the integrated gradients."""
    return integrated_gradients(policy, inputs).saliency


METHODS: Mapping[str, Callable[[Policy, Inputs], Saliency]] = MappingProxyType(
    {
        "VisualBackProp": visual_backprop,
        "Grad-CAM": grad_cam,
        "integrated gradients": integrated_saliency,
    }
)
"""Saliency methods by name. The first two need convolutions; without them their saliency is None."""


def _repeated(values: Tensor, rows: int) -> Tensor:
    """Repeat the first of values (B, ...) to (rows, ...), for inputs that a policy ignores."""
    return values[:1].expand(rows, *values.shape[1:])


def _size(stream: Stream, inputs: Inputs) -> tuple[int, int]:
    """Return height and width of the images of a stream [px]."""
    shape = inputs.images.shape[2:4] if stream.sense == "camera" else inputs.maps.shape[2:4]
    return shape[0], shape[1]


def _backproject_mean(mask: Tensor, window: ReceptiveField, size: tuple[int, int]) -> Tensor:
    """Give each pixel of an image of `size` the mean of `mask` (N, 1, h, w) over its windows: (N, 1, H, W)."""
    ones = mask.new_ones(1, 1, window.kernel, window.kernel)
    # With a stride, the number of pixels after the last window is ambiguous.
    minimum = [(side - 1) * window.stride - 2 * window.padding + window.kernel for side in mask.shape[2:]]
    extra = [min(max(whole - side, 0), window.stride - 1) for whole, side in zip(size, minimum, strict=True)]
    both = functional.conv_transpose2d(
        torch.cat([mask, torch.ones_like(mask[:1])]),
        ones,
        stride=window.stride,
        padding=window.padding,
        output_padding=(extra[0], extra[1]),
    )
    spread = both[:-1] / both[-1:].clamp(min=1.0)
    return functional.pad(spread, (0, size[1] - spread.shape[3], 0, size[0] - spread.shape[2]))


def _normalised(masks: Tensor) -> Tensor:
    """Scale masks (N, ...) to a maximum of 1 each, unless they are 0 everywhere."""
    largest = masks.flatten(1).amax(dim=1).reshape(-1, *[1] * (masks.ndim - 1))
    return masks / torch.where(largest > 0, largest, 1.0)


def _combine(streams: Sequence[Stream], masks: Mapping[str, Tensor], inputs: Inputs) -> Saliency:
    """Assign the masks of streams to cameras and maps; masks of separate maps are summed."""
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


_FEW_STEPS = 4
_ROUTE = (232, 72, 72)


def saliency_overlay(policy: Policy, inputs: Inputs, camera: int = 0) -> Image:
    """Overlay a camera's image with its saliency, for use while driving: VisualBackProp in one further pass.

    A network without convolutions is shown with coarse integrated gradients.

    Args:
        policy: The policy, in evaluation mode.
        inputs: One situation.
        camera: Index of the camera.

    Returns:
        The image with its saliency (H, W, 3) uint8 RGB; the image alone if the policy sees no camera.

    Raises:
        ConfigError: If the inputs are not one situation, or the camera does not exist.
    """
    if len(inputs.images) != 1 or not 0 <= camera < inputs.images.shape[1]:
        raise ConfigError(
            f"an overlay is for one situation and a camera below {inputs.images.shape[1]}, "
            f"got {len(inputs.images)} situations and camera {camera}"
        )
    picture = image_of(inputs)[0, camera]
    attributions = quick_saliency(policy, inputs).images
    return picture if attributions is None else overlay_saliency(picture, attributions[0, camera].cpu().numpy())


def quick_saliency(policy: Policy, inputs: Inputs) -> Saliency:
    """Return VisualBackProp, or integrated gradients of few steps for a network without convolutions."""
    if streams_of(policy) or not (sees(policy, "camera") or sees(policy, "map")):
        return visual_backprop(policy, inputs)
    with torch.inference_mode(mode=False):
        return integrated_gradients(policy, Inputs(*(part.clone() for part in _parts(inputs))), _FEW_STEPS).saliency


def image_of(inputs: Inputs) -> Image:
    """Convert scaled inputs back to the cameras' images (B, C, H, W, 3) uint8."""
    values = inputs.images.float().add(1).mul(127.5).round().clamp(0, 255)
    return np.asarray(values.byte().cpu().numpy(), np.uint8)


def map_of(inputs: Inputs) -> Image:
    """Draw both maps as images (B, S, S, 3) uint8, the route in red, as in the source's figure."""
    maps = inputs.maps.float().cpu().numpy()
    roads, route = 255 * maps[:, 0, ..., None], maps[:, 1, ..., None]
    return np.asarray(np.round(roads + route * (np.array(_ROUTE) - roads)), np.uint8)


def _parts(inputs: Inputs) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return inputs.images, inputs.maps, inputs.speed
