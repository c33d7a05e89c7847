"""The fully convolutional network and its checkpoints."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from agents.perception.pictures import network_inputs
from agents.perception.segmentation.network import (
    SegmentationNetwork,
    SegmentationNetworkConfig,
    build_segmentation_network,
)
from agents.perception.segmentation.task import NETWORKS, SegmentationInfo
from agents.policies.policy import parameter_count
from navsim.errors import CheckpointError, ConfigError
from navsim.world.scenery.meshes import CLASS_NAMES
from tests.agents.small_runs import CAMERAS

SMALL = SegmentationNetworkConfig((4, 8), 4)


def small_network(seed: int = 0) -> SegmentationNetwork:
    return build_segmentation_network(SMALL, len(CLASS_NAMES), seed).eval()


@pytest.mark.parametrize("size", [(48, 128), (80, 192), (66, 200), (33, 47), (1, 1)])
def test_every_pixel_of_pictures_of_any_size_gets_scores(size: tuple[int, int]) -> None:
    network = build_segmentation_network(SegmentationNetworkConfig(), 10, 0).eval()
    with torch.inference_mode():
        assert network(torch.zeros(2, 3, *size)).shape == (2, 10, *size)


def test_it_is_small_and_made_of_convolutions_and_transposed_convolutions_alone() -> None:
    network = build_segmentation_network(SegmentationNetworkConfig(), 10, 0)
    assert parameter_count(network) < 1_000_000
    kinds = {type(module) for module in network.modules() if not [*module.children()]}
    assert kinds == {nn.Conv2d, nn.ConvTranspose2d, nn.BatchNorm2d, nn.ReLU}


def test_what_it_says_moves_with_the_picture() -> None:
    """As convolutions do, when the shift is a whole number of its coarsest pixels and the border is far."""
    generator = torch.Generator().manual_seed(0)
    wide = torch.randn(1, 3, 16, 160, generator=generator, dtype=torch.float64)
    network = small_network().double()
    with torch.inference_mode():
        left, right = network(wide[..., :128]), network(wide[..., 32:])
    torch.testing.assert_close(left[..., 64:96], right[..., 32:64])


def test_pictures_are_scaled_without_a_copy_of_their_order() -> None:
    pictures = torch.tensor([0, 255], dtype=torch.uint8)[torch.randint(2, (2, 4, 5, 3))]
    images = network_inputs(pictures, torch.float32)
    assert images.shape == (2, 3, 4, 5)
    assert images.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(images, pictures.permute(0, 3, 1, 2).float() / 127.5 - 1)


def test_weights_depend_on_the_seed_alone() -> None:
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    a, b, c = small_network(3), small_network(3), small_network(4)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(map(torch.equal, a.state_dict().values(), b.state_dict().values()))
    assert not torch.equal(a.scores.weight, c.scores.weight)


def test_a_size_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"network\.widths must be one to six numbers"):
        SegmentationNetworkConfig(())
    with pytest.raises(ConfigError, match="1 to 1024"):
        SegmentationNetworkConfig((8, 0))


def test_a_checkpoint_predicts_like_its_network_and_holds_no_other(tmp_path: Path) -> None:
    network, path = small_network(), tmp_path / "best.safetensors"
    info = SegmentationInfo(network=SMALL, class_names=CLASS_NAMES, cameras=CAMERAS, run={"seed": 0})
    NETWORKS.save(path, info, network)
    loaded, found = NETWORKS.load(path)
    images = torch.randn(1, 3, 32, 32)
    with torch.inference_mode():
        assert torch.equal(loaded(images), network(images))
    assert found == info
    NETWORKS.save(path, replace(info, network=SegmentationNetworkConfig((4,), 4)), network)
    with pytest.raises(CheckpointError, match="holds another network"):
        NETWORKS.load(path)
