"""Features of cameras and maps are separate: one image's features serve for many maps."""

import pytest
import torch

from agents.policies.networks.config import PolicyConfig
from agents.policies.networks.network import CachedMapEncoder
from agents.policies.networks.observation_batch import Inputs, ObservationSpec
from agents.policies.policy import NETWORKS, build_policy

SPEC = ObservationSpec(2, 64, 96, 50)


@pytest.mark.parametrize("network", sorted(NETWORKS))
@pytest.mark.parametrize("inputs", [("camera", "road_map", "speed"), ("camera", "road_map"), ("road_map",)])
@torch.inference_mode()
def test_one_image_with_many_maps_equals_copies_of_the_image(network: str, inputs: tuple[str, ...]) -> None:
    config = PolicyConfig(network=network, inputs=inputs)  # type: ignore[arg-type]  # names of networks and inputs
    policy = build_policy(config, SPEC, seed=1).eval()
    draws = torch.Generator().manual_seed(0)
    image = torch.rand(1, 2, 64, 96, 3, generator=draws) * 2 - 1
    maps, speed = torch.rand(5, 2, 50, 50, generator=draws), torch.rand(1, 1, generator=draws)
    one = Inputs(image, maps, speed)
    copies = Inputs(image.expand(5, -1, -1, -1, -1).contiguous(), maps, speed.expand(5, -1))
    seen = torch.cat([*policy.network.encode_images(Inputs(image, maps[:1], speed)), torch.zeros(1, 0)], dim=1)
    (read,) = policy.network.encode_maps(one)
    if policy.network.norm is not None:  # as after training
        policy.network.norm.weight.uniform_(0.5, 1.5, generator=draws)
        policy.network.norm.bias.uniform_(-1.0, 1.0, generator=draws)
    side = CachedMapEncoder(policy.network, seen.shape[1], read.shape[1])
    features = side.join(seen, side.encode(read), speed)
    output, wanted = policy.distribution_of(features), policy.distribution(copies)
    places = torch.linspace(-0.2, 0.2, 7)[:, None].expand(-1, 5)
    torch.testing.assert_close(output.log_prob(places), wanted.log_prob(places), rtol=1e-3, atol=1e-3)
    assert output.mean.std() > 0  # the maps do tell
