"""Saliency with known results: hand-made stages and networks, completeness, another implementation."""

import pytest
import torch
from captum.attr import LayerAttribution, LayerGradCam
from torch import Tensor, nn

from agents.interpretability.layers import LayerStage, ReceptiveField, Stream, record_activations, sees, streams_of
from agents.interpretability.saliency import (
    backproject,
    blurred_baseline,
    grad_cam,
    integrated_gradients,
    steering,
    visual_backprop,
)
from agents.policies.networks.config import PolicyConfig
from agents.policies.networks.observation_batch import Inputs, ObservationSpec, scale_observations
from agents.policies.policy import Policy, build_policy
from tests.agents.small_runs import SPEC, small_policy, small_samples

torch.set_num_threads(1)
WIDE = ObservationSpec(3, 64, 64, 50)


def some_inputs(count: int = 2) -> Inputs:
    return scale_observations(small_samples(count).observations, torch.float32)


def wide_inputs(spec: ObservationSpec = WIDE, count: int = 2) -> Inputs:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(count, spec.cameras, spec.height, spec.width, 3, generator=generator) * 2 - 1
    return Inputs(images, torch.rand(count, 2, spec.map_size, spec.map_size, generator=generator), torch.ones(count, 1))


def hand_made(*windows: ReceptiveField) -> Stream:
    stages = tuple(LayerStage(f"stage {i}", nn.Identity(), window) for i, window in enumerate(windows))
    return Stream("by hand", "camera", (0,), stages)


def test_visual_backprop_by_hand() -> None:
    # Windows of 2x2 that do not overlap, twice: 4x4 pixels, 2x2 pixels, one pixel.
    stream = hand_made(ReceptiveField(2, 2), ReceptiveField(2, 2))
    first = torch.tensor([[[[0.0, 1.0], [3.0, 0.0]], [[0.0, 1.0], [1.0, 0.0]]]])  # two channels; their means 0 1 2 0
    mask = backproject(stream, {"stage 0": first, "stage 1": torch.full((1, 5, 1, 1), 7.0)}, (4, 4))
    expected = torch.tensor([[0.0, 0.0, 0.5, 0.5]] * 2 + [[1.0, 1.0, 0.0, 0.0]] * 2)
    torch.testing.assert_close(mask, expected[None])


def test_overlapping_windows_leave_no_grid() -> None:
    stream = hand_made(ReceptiveField(5, 2, 2))
    mask = backproject(stream, {"stage 0": torch.ones(1, 3, 4, 8)}, (8, 16))
    torch.testing.assert_close(mask, torch.ones(1, 8, 16))


def test_zero_activations_are_not_salient() -> None:
    stream = hand_made(ReceptiveField(3, 1, 1))
    assert (backproject(stream, {"stage 0": torch.zeros(2, 3, 6, 6)}, (6, 6)) == 0).all()


@pytest.mark.parametrize("size", [(7, 10), (8, 9), (64, 65)])
def test_masks_have_the_size_of_the_pictures(size: tuple[int, int]) -> None:
    layers = nn.Sequential(nn.Conv2d(1, 2, 5, 2, 2), nn.Conv2d(2, 2, 3, 2))
    first = layers[0](torch.ones(1, 1, *size))
    activations = {"stage 0": first.abs(), "stage 1": layers[1](first).abs()}
    assert backproject(hand_made(ReceptiveField(5, 2, 2), ReceptiveField(3, 2)), activations, size).shape == (1, *size)


def test_an_averaging_network_has_bright_pixels_salient() -> None:
    policy = small_policy()
    with torch.no_grad():
        for module in policy.modules():
            if isinstance(module, nn.Conv2d):
                module.weight.fill_(1 / module.weight[0].numel())  # means over what each pixel sees
                module.bias.zero_()  # type: ignore[union-attr]
    inputs = some_inputs(1)
    inputs.images.fill_(-1.0)  # black, of which the rectifiers let nothing through
    inputs.images[0, 0, 20:28, 4:12] = 1.0
    mask = visual_backprop(policy, inputs).images
    assert mask is not None
    bright = mask[0, 0, 20:28, 4:12]
    assert float(bright.max()) == 1.0
    assert float(bright.mean()) > 3 * float(mask.mean())
    assert float(mask[0, 0, :8, 20:].max()) < 0.1  # far away


def test_visual_backprop_of_a_black_and_a_white_map_differs_only_on_the_map() -> None:
    policy, inputs = small_policy(), some_inputs(1)
    other = Inputs(inputs.images, torch.ones_like(inputs.maps), inputs.speed)
    one, two = visual_backprop(policy, inputs), visual_backprop(policy, other)
    assert one.images is not None
    assert two.images is not None
    assert one.maps is not None
    assert two.maps is not None
    torch.testing.assert_close(one.images, two.images)
    assert not torch.allclose(one.maps, two.maps)


@pytest.mark.parametrize("network", ["compact", "pilotnet", "amini2019", "residual"])
def test_every_network_with_convolutions_has_streams_and_saliency(network: str) -> None:
    policy = build_policy(PolicyConfig(network=network), WIDE, 0).eval()
    inputs = wide_inputs()
    assert {stream.sense for stream in streams_of(policy)} == {"camera", "map"}
    for method in (visual_backprop, grad_cam):
        saliency = method(policy, inputs)
        assert saliency.images is not None
        assert saliency.maps is not None
        assert saliency.images.shape == (2, 3, 64, 64)
        assert saliency.maps.shape == (2, 50, 50)
        for part in (saliency.images, saliency.maps):
            assert torch.isfinite(part).all()
            assert float(part.min()) >= 0
        assert float(saliency.images.flatten(2).amax(dim=2).min()) > 0  # each camera of each frame has some


def test_a_residual_block_counts_as_one_layer() -> None:
    policy = build_policy(PolicyConfig(network="residual"), WIDE, 0).eval()
    stream = streams_of(policy)[0]
    # The stem 5 s2, blocks 3 s2 + 3 s1 = 7 s2 and 3 + 3 = 5 s1, three times, and the neck of 1x1.
    assert [(stage.window.kernel, stage.window.stride, stage.window.padding) for stage in stream.stages] == [
        (5, 2, 2),
        *[(7, 2, 3), (5, 1, 2)] * 3,
        (1, 1, 0),
    ]


def test_streams_follow_the_policys_inputs() -> None:
    assert streams_of(small_policy(network="fully_connected")) == ()
    assert [stream.sense for stream in streams_of(small_policy(blind=True))] == ["map"]
    assert not sees(small_policy(blind=True), "camera")
    routed = streams_of(small_policy(inputs=("route_map",)))
    assert [(stream.sense, stream.inputs) for stream in routed] == [("map", (1,))]
    source = streams_of(build_policy(PolicyConfig(network="amini2019"), WIDE, 0))
    assert [stream.inputs for stream in source] == [(0,), (1,), (2,), (0,), (1,)]
    assert source[-1].name == "network.branch.column"


def test_activations_are_rectified_and_hooks_are_removed() -> None:
    policy = small_policy()
    with torch.no_grad(), record_activations(streams_of(policy)) as activations:
        policy(some_inputs())
    assert not any(module._forward_hooks for module in policy.modules())
    assert len(activations) == 8
    assert all(float(output.min()) >= 0 for output in activations.values())


def test_grad_cam_is_that_of_captum() -> None:
    policy, inputs = small_policy(), some_inputs(1)

    def output(images: Tensor) -> Tensor:
        return steering(policy.predict(Inputs(images, inputs.maps, inputs.speed)))

    last = streams_of(policy)[0].stages[-1].module
    theirs = LayerGradCam(output, last).attribute(inputs.images.clone().requires_grad_())
    wide = LayerAttribution.interpolate(theirs, (32, 32), "bilinear").abs()
    ours = grad_cam(policy, inputs).images
    assert ours is not None
    assert float(ours.max()) > 0
    torch.testing.assert_close(ours[0], wide[0].detach())


@pytest.mark.parametrize("network", ["compact", "fully_connected"])
def test_integrated_gradients_sum_to_the_explained_change(network: str) -> None:
    policy, inputs = small_policy(network=network), some_inputs(3)
    found = integrated_gradients(policy, inputs, steps=200)
    with torch.no_grad():
        change = steering(policy.predict(inputs)) - steering(policy.predict(blurred_baseline(inputs)))
    assert found.images is not None
    assert found.maps is not None
    total = found.images.flatten(1).sum(dim=1) + found.maps.flatten(1).sum(dim=1)
    assert float(change.abs().max()) > 1e-3
    torch.testing.assert_close(total, change, atol=1e-3, rtol=0.02)
    torch.testing.assert_close(found.residual, total - change, atol=1e-5, rtol=1e-3)
    assert found.error < 0.05
    assert found.error < integrated_gradients(policy, inputs, steps=4).error


def test_inputs_equal_to_the_baseline_have_no_attribution() -> None:
    policy, inputs = small_policy(network="fully_connected"), some_inputs(1)
    inputs.maps[:, :, :7] = 0.0
    found = integrated_gradients(policy, inputs)
    assert found.maps is not None
    assert float(found.maps[:, :, :7].abs().max()) == 0
    assert float(found.maps[:, :, 7:].abs().max()) > 0
    assert found.saliency.maps is not None
    torch.testing.assert_close(found.saliency.maps, found.maps.abs().sum(dim=1))


def test_only_inputs_of_the_policy_have_attributions() -> None:
    inputs = some_inputs()
    blind = integrated_gradients(small_policy(blind=True), inputs)
    assert blind.images is None
    assert blind.maps is not None
    unmapped = integrated_gradients(small_policy(inputs=("camera",)), inputs)
    assert unmapped.maps is None
    assert unmapped.images is not None
    nothing = integrated_gradients(small_policy(inputs=("speed",)), inputs)
    assert (nothing.images, nothing.maps) == (None, None)
    assert nothing.residual.tolist() == [0.0, 0.0]
    assert nothing.error == 0
    assert visual_backprop(small_policy(inputs=("speed",)), inputs).images is None
    assert grad_cam(small_policy(network="fully_connected"), inputs).images is None
    road = integrated_gradients(small_policy(inputs=("road_map",)), inputs).maps
    assert road is not None
    assert (road[:, 1] == 0).all()  # the route


def test_the_baseline_has_the_colours_and_no_edges() -> None:
    images = torch.full((1, 1, 16, 32, 3), -0.5)
    images[:, :, :8] = 0.5  # sky above, ground below
    baseline = blurred_baseline(Inputs(images, torch.ones(1, 2, 9, 9), torch.ones(1, 1)))
    assert (baseline.maps == 0).all()
    torch.testing.assert_close(baseline.images[0, 0, 0], images[0, 0, 0])
    torch.testing.assert_close(baseline.images[0, 0, -1], images[0, 0, -1])
    assert float(baseline.images.diff(dim=2).abs().max()) < 0.2  # the horizon's step was 1


def test_the_command_of_a_branch_counts() -> None:
    policy: Policy = build_policy(PolicyConfig(network="amini2019"), WIDE, 0).eval()
    inputs = wide_inputs()
    with torch.no_grad():
        output = policy.predict(inputs)
    assert output.command is not None
    expected = (output.distribution.mean + output.command) / 0.2
    torch.testing.assert_close(steering(output), expected)
    maps = grad_cam(policy, inputs).maps
    assert maps is not None
    assert float(maps.max()) > 0
    assert policy.spec != SPEC
