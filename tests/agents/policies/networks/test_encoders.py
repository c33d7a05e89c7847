import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from agents.policies.networks.encoders import ConvLayer, convolutions, min_side, output_size, pooling, rectified
from navsim.errors import ConfigError

SIDES = st.integers(16, 70)
LAYERS = st.builds(
    ConvLayer, st.sampled_from([8, 16]), st.sampled_from([1, 3, 5]), st.sampled_from([1, 2, 3]), st.booleans()
)


@settings(deadline=None, max_examples=60)
@given(SIDES, SIDES, st.lists(LAYERS, min_size=1, max_size=2))
def test_sizes_are_what_the_convolutions_give(height: int, width: int, layers: list[ConvLayer]) -> None:
    trunk = convolutions(2, layers, (height, width))
    pictures = torch.zeros(1, 2, height, width)
    assert trunk(pictures).shape == (1, trunk.features)
    assert trunk[:-1](pictures).shape[2:] == output_size(layers, (height, width))  # all but flattening


@settings(deadline=None, max_examples=60)
@given(st.lists(LAYERS, min_size=1, max_size=4))
def test_min_side_is_the_smallest_side(layers: list[ConvLayer]) -> None:
    side = min_side(layers)
    assert min(output_size(layers, (side, side))) >= (2 if layers[-1].padded else 1)
    with pytest.raises(ConfigError, match=f"{side + 9}x{side - 1} px are too small.*minimum is {side}x{side} px"):
        output_size(layers, (side - 1, side + 9))


def test_sizes_by_hand() -> None:
    five, three = ConvLayer(8, 5, 2, padded=False), ConvLayer(8, 3, 1, padded=False)
    # (66 - 5) / 2 + 1 = 31, 14, 5, then 3 and 1: PilotNet's figure 4, whose last volume is 64 of 1x18.
    assert output_size((five, five, five, three, three), (66, 200)) == (1, 18)
    assert min_side((five, five, five, three, three)) == 61
    assert output_size((ConvLayer(8, 5, 2), ConvLayer(8, 3, 2)), (48, 128)) == (12, 32)
    assert min_side((ConvLayer(8, 5, 2), ConvLayer(8, 3, 2))) == 5


@settings(deadline=None, max_examples=60)
@given(SIDES, SIDES, st.integers(1, 12), st.integers(1, 12))
def test_pooling_keeps_the_grid_within_its_bounds(height: int, width: int, max_height: int, max_width: int) -> None:
    layers, grid = pooling((height, width), (max_height, max_width))
    pooled = nn.Sequential(*layers)(torch.full((1, 3, height, width), 2.5))
    assert pooled.shape == (1, 3, *grid)
    assert grid[0] <= max_height
    assert grid[1] <= max_width
    assert torch.equal(pooled, torch.full_like(pooled, 2.5))  # means, also of blocks that the edge cuts


def test_a_small_grid_is_left_alone() -> None:
    assert pooling((3, 8), (3, 8)) == ([], (3, 8))
    assert pooling((300, 800), None) == ([], (300, 800))


def test_rectified_layers_keep_the_spread_of_what_goes_through() -> None:
    torch.manual_seed(0)
    layers = rectified(400, 300, 200, 100)
    assert [module.out_features for module in layers if isinstance(module, nn.Linear)] == [300, 200, 100]
    with torch.no_grad():
        out = layers(torch.randn(64, 400))
    assert float(out.min()) == 0.0
    # He's weights keep the mean square at that of the inputs' through a rectifier and a layer of twice the gain.
    assert float(out.square().mean()) == pytest.approx(1.0, rel=0.4)
