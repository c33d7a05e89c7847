import numpy as np
import pytest
import torch

from agents.interpretability.layers import channel_picture, convolution_outputs
from agents.policies.policy import Policy
from tests.agents.small_runs import small_policy, small_samples


@pytest.fixture(scope="module")
def policy() -> Policy:
    return small_policy()


def test_outputs_are_recorded_before_later_layers_change_them(policy: Policy) -> None:
    batch = small_samples(2).observations
    with torch.inference_mode():
        outputs = convolution_outputs(policy, batch)
        images = batch.images.float().mul(1 / 127.5).sub(1)[:, 0].permute(0, 3, 1, 2)
        first = policy.network.get_submodule("camera_trunk.0")(images)
    layers = [name for name, module in policy.named_modules() if isinstance(module, torch.nn.Conv2d)]
    assert list(outputs) == layers
    assert len(layers) == 8
    torch.testing.assert_close(outputs["network.camera_trunk.0"], first)
    assert float(outputs["network.camera_trunk.0"].min()) < 0  # the rectifier behind it works in place


def test_hooks_are_removed(policy: Policy) -> None:
    with torch.inference_mode():
        convolution_outputs(policy, small_samples(1).observations)
    assert not any(module._forward_hooks for module in policy.modules())


def test_channels_are_tiles_from_black_to_white() -> None:
    ramp = torch.arange(16.0).reshape(1, 4, 4)
    picture = channel_picture(torch.cat([ramp, -ramp, torch.ones(1, 4, 4)]))
    assert picture.dtype == np.uint8
    assert picture.shape == (2 * 66, 2 * 66, 3)  # three tiles of 64 with gaps, two in a row
    assert picture[0, 0, 0] == 0
    assert picture[63, 63, 0] == 255
    assert picture[0, 66, 0] == 255
    assert picture[63, 66 + 63, 0] == 0
    assert (picture[66 : 66 + 64, :64] == 128).all()  # says the same everywhere
    assert (picture[:, 64:66] == 0).all()
