"""Saliency as an overlay, and the fast overlay for use while driving."""

import numpy as np
import pytest
import torch

from agents.interpretability.saliency import image_of, map_of, quick_saliency, saliency_overlay
from agents.policies.networks.observation_batch import Inputs, scale_observations
from navsim.errors import ConfigError
from navsim.visualization.canvas import overlay_saliency, relative_saliency
from tests.agents.small_runs import small_policy, small_samples

BATCH = small_samples(1).observations


def some_inputs() -> Inputs:
    return scale_observations(BATCH, torch.float32)


def test_images_are_recovered_from_scaled_inputs() -> None:
    assert (image_of(some_inputs()) == BATCH.images.numpy()).all()


def test_the_route_is_red_on_white_roads() -> None:
    maps = torch.tensor([[[[0.0, 1.0, 1.0]] * 3, [[0.0, 0.0, 1.0]] * 3]])
    picture = map_of(Inputs(torch.zeros(1, 1, 8, 8, 3), maps, torch.zeros(1, 1)))
    assert picture[0, 0].tolist() == [[0, 0, 0], [255, 255, 255], [232, 72, 72]]


def test_heat_is_relative_to_the_picture_s_own_largest() -> None:
    assert relative_saliency(np.zeros((4, 4))).tolist() == [[0.0] * 4] * 4
    ramp = relative_saliency(np.arange(1000.0).reshape(10, 100))
    assert ramp.max() == 1.0
    assert ramp[5, 0] == pytest.approx(500 / 994, abs=1e-3)
    alone = np.zeros((100, 100))
    alone[3, 4] = 7.0  # fewer pixels than the percentile leaves out
    assert relative_saliency(alone)[3, 4] == 1.0


def test_pixels_without_saliency_have_no_overlay() -> None:
    grey = np.full((6, 6, 3), 100, np.uint8)
    saliency = np.zeros((6, 6))
    saliency[0, 0] = 1.0
    found = overlay_saliency(grey, saliency)
    assert (found[1:] == 70).all()  # a little darker
    assert found[0, 0].sum() > 300


@pytest.mark.parametrize("network", ["compact", "fully_connected", "residual"])
def test_an_overlay_has_the_image_s_size_for_any_network(network: str) -> None:
    policy = small_policy(network=network)
    with torch.inference_mode():
        found = saliency_overlay(policy, some_inputs())
    assert found.shape == (32, 32, 3)
    assert found.dtype == np.uint8
    assert (found != overlay_saliency(BATCH.images[0, 0].numpy(), np.zeros((32, 32)))).any()


def test_it_is_the_same_each_time_and_leaves_the_policy_alone() -> None:
    policy, inputs = small_policy(), some_inputs()
    before = policy(inputs)
    assert (saliency_overlay(policy, inputs) == saliency_overlay(policy, inputs)).all()
    assert torch.equal(policy(inputs), before)
    assert torch.equal(inputs.images, some_inputs().images)
    assert all(parameter.grad is None for parameter in policy.parameters())


def test_without_camera_input_the_overlay_is_the_image() -> None:
    image = BATCH.images[0, 0].numpy()
    for policy in (small_policy(inputs=("road_map",)), small_policy(blind=True), small_policy(inputs=("speed",))):
        assert (saliency_overlay(policy, some_inputs()) == image).all()
    assert quick_saliency(small_policy(inputs=("road_map",)), some_inputs()).maps is not None


def test_one_situation_and_a_camera_that_is_there() -> None:
    inputs = some_inputs()
    with pytest.raises(ConfigError, match="a camera below 1, got 1 situations and camera 1"):
        saliency_overlay(small_policy(), inputs, camera=1)
    two = Inputs(inputs.images.repeat(2, 1, 1, 1, 1), inputs.maps.repeat(2, 1, 1, 1), inputs.speed.repeat(2, 1))
    with pytest.raises(ConfigError, match="got 2 situations"):
        saliency_overlay(small_policy(), two)
