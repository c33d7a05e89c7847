from typing import Any, get_args

import numpy as np
import pytest
import torch

from agents.drivers.policy_driver import action_distributions, decide
from agents.policies.distributions.mixture import SteeringMixture
from agents.policies.networks.config import NetworkName, PolicyConfig, Sense
from agents.policies.networks.observation_batch import (
    ObservationBatch,
    ObservationSpec,
    observation_spec,
    scale_observations,
)
from agents.policies.networks.own_networks import CompactNetwork
from agents.policies.policy import HEADS, NETWORKS, build_policy, parameter_count
from navsim.drivers.action_selection import GRID_POINTS, SHOWN_EVERY
from navsim.errors import ConfigError
from navsim.sensing.camera import Camera
from navsim.sensing.roadmap import MapSpec
from tests.agents.small_runs import SPEC, small_policy, small_samples


def with_changed(batch: ObservationBatch, name: str) -> ObservationBatch:
    """The same senses, one of them inverted."""
    parts = {field: getattr(batch, field).clone() for field in ("images", "road_map", "route_map", "speed")}
    parts[name] = 255 - parts[name] if name != "speed" else parts[name] + 5
    return ObservationBatch(**parts)


def outputs(policy: torch.nn.Module, batch: ObservationBatch) -> torch.Tensor:
    with torch.no_grad():
        result: torch.Tensor = policy(scale_observations(batch, torch.float32))
    return result


@pytest.mark.parametrize(
    ("inputs", "seen"),
    [
        (("camera", "road_map", "route_map"), {"images", "road_map", "route_map"}),
        (("camera",), {"images"}),
        (("route_map",), {"route_map"}),
        (("road_map", "speed"), {"road_map", "speed"}),
        (("speed",), {"speed"}),
        (("camera", "road_map", "route_map", "speed"), {"images", "road_map", "route_map", "speed"}),
    ],
)
def test_the_policy_depends_on_its_inputs_and_on_nothing_else(inputs: tuple[Sense, ...], seen: set[str]) -> None:
    policy, batch = small_policy(inputs=inputs), small_samples(3).observations
    before = outputs(policy, batch)
    for name in ("images", "road_map", "route_map", "speed"):
        changed = not torch.equal(before, outputs(policy, with_changed(batch, name)))
        assert changed == (name in seen), name


def test_a_blind_policy_does_not_see_the_images_but_has_the_same_network() -> None:
    blind, seeing, batch = small_policy(blind=True), small_policy(), small_samples(4).observations
    assert blind.state_dict().keys() == seeing.state_dict().keys()
    assert torch.equal(outputs(blind, batch), outputs(blind, with_changed(batch, "images")))
    assert not torch.equal(outputs(blind, batch), outputs(blind, with_changed(batch, "route_map")))


def test_a_blind_policy_is_the_policy_on_black_images() -> None:
    batch = small_samples(4).observations
    inputs = scale_observations(batch, torch.float32)
    inputs.images.zero_()
    with torch.no_grad():
        torch.testing.assert_close(outputs(small_policy(blind=True), batch), small_policy()(inputs))


def test_situations_of_a_batch_are_independent() -> None:
    policy, batch = small_policy(), small_samples(6).observations
    together = outputs(policy, batch)
    for i in range(6):
        torch.testing.assert_close(outputs(policy, batch[slice(i, i + 1)])[0], together[i], rtol=1e-4, atol=1e-5)


def test_several_cameras_share_one_trunk() -> None:
    three = ObservationSpec(3, SPEC.height, SPEC.width, SPEC.map_size)
    config = PolicyConfig(hidden=16, inputs=("camera",))
    many = build_policy(config, three, 0)
    trunks = [CompactNetwork(config, spec).camera_trunk for spec in (SPEC, three)]
    assert parameter_count(trunks[0]) == parameter_count(trunks[1])
    batch = small_samples(2).observations
    images = batch.images.expand(-1, 3, -1, -1, -1).clone()
    swapped = images.clone()
    swapped[:, 0] = 0
    given_, other = (
        ObservationBatch(pictures, batch.road_map, batch.route_map, batch.speed) for pictures in (images, swapped)
    )
    assert outputs(many.eval(), given_).shape == (2, 9)
    assert not torch.equal(outputs(many, given_), outputs(many, other))


def test_the_seed_decides_the_weights_and_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, again, other = small_policy(1), small_policy(1), small_policy(2)
    assert torch.equal(torch.rand(3), expected)
    for name, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
    assert any(not torch.equal(value, other.state_dict()[name]) for name, value in first.state_dict().items())


def test_an_untrained_policy_spreads_over_the_range() -> None:
    with torch.no_grad():
        distribution = small_policy().steer(small_samples(8).observations)
    assert isinstance(distribution, SteeringMixture)
    weights, means, scales = distribution.components
    assert float(weights.min()) > 0.1
    assert float(means[:, 0].max()) < 0 < float(means[:, -1].min())
    assert 0.005 < float(scales.min()) <= float(scales.max()) < 0.1


def test_the_demos_network_is_small() -> None:
    policy = build_policy(PolicyConfig(), observation_spec([Camera()], MapSpec()), 0)
    assert 300_000 < parameter_count(policy) < 600_000


def test_every_network_by_name_can_be_built() -> None:
    assert set(NETWORKS) == set(get_args(NetworkName))
    assert set(HEADS) == set(get_args(PolicyConfig.__dataclass_fields__["head"].type))


@pytest.mark.parametrize(
    "changes",
    [
        {"inputs": ()},
        {"inputs": ("camera", "camera")},
        {"components": 0},
        {"hidden": 1},
        {"scale_floor": 0.0},
        {"max_curvature": 0.0},
    ],
)
def test_impossible_configurations_are_refused_by_name(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(changes))):
        small_policy(**changes)


def test_pictures_too_small_for_the_network_are_refused() -> None:
    with pytest.raises(ConfigError, match="16x8 px are too small"):
        build_policy(PolicyConfig(), observation_spec([Camera(width=16, height=8)], MapSpec()), 0)


def test_cameras_of_different_sizes_are_refused() -> None:
    with pytest.raises(ConfigError, match="left 64x48"):
        observation_spec([Camera(), Camera(name="left", width=64)], MapSpec())
    with pytest.raises(ConfigError, match="none"):
        observation_spec([], MapSpec())


def test_observations_are_scaled_without_modification() -> None:
    samples = small_samples(3)
    before = samples.observations.images.clone()
    inputs = scale_observations(samples.observations, torch.bfloat16)
    assert torch.equal(samples.observations.images, before)
    assert inputs.images.dtype is torch.bfloat16
    assert inputs.maps.shape == (3, 2, 20, 20)
    black = ObservationBatch(
        torch.zeros(1, 1, 32, 32, 3, dtype=torch.uint8), *(torch.full((1, 20, 20), 255),) * 2, torch.ones(1)
    )
    scaled = scale_observations(black, torch.float32)
    assert float(scaled.images.max()) == -1.0
    assert float(scaled.maps.min()) == pytest.approx(1.0)


def test_decisions_take_the_mode_and_include_the_density() -> None:
    policy, batch = small_policy(max_curvature=0.1), small_samples(5).observations
    with torch.inference_mode():
        decisions = decide(policy, batch)
        modes = policy.steer(batch).mode
    assert [decision.curvature for decision in decisions] == pytest.approx(modes.tolist())
    for decision in decisions:
        assert decision.grid is not None
        assert decision.density is not None
        assert decision.grid.shape == decision.density.shape == (GRID_POINTS // SHOWN_EVERY + 1,)
        assert decision.grid[0] == -0.1
        assert decision.grid[-1] == 0.1
        assert 0.5 < np.trapezoid(decision.density, decision.grid) <= 1.001


def test_action_distributions_are_the_distribution_as_plain_numbers() -> None:
    policy, batch = small_policy(max_curvature=0.1), small_samples(3).observations
    with torch.inference_mode():
        found = action_distributions(policy, batch)
        distribution = policy.steer(batch)
    for i, numbers in enumerate(found):
        assert (numbers.grid[0], numbers.grid[-1], len(numbers.grid)) == (-0.1, 0.1, GRID_POINTS)
        assert numbers.mode == pytest.approx(float(distribution.mode[i]))
        assert numbers.mean == pytest.approx(float(distribution.mean[i]))
        log_prob = distribution.log_prob(torch.full((3,), float(numbers.grid[200])))[i]
        assert numbers.density[200] == pytest.approx(float(log_prob.exp()), rel=1e-4)
        assert numbers.command is None


def test_a_decision_never_exceeds_the_range_by_rounding() -> None:
    policy = small_policy()
    with torch.no_grad():
        policy.head.weight.zero_()
        policy.head.bias[3:6] = 100.0
    with torch.inference_mode():
        decision = decide(policy, small_samples(1).observations)[0]
    assert decision.curvature == 0.2
