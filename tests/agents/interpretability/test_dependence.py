"""Effect of removing inputs, with policies that are known to ignore some."""

import numpy as np
import torch

from agents.interpretability.checks import ablated_inputs, dependence_rows, removed_baseline, swapped_inputs
from agents.policies.networks.config import PolicyConfig
from agents.policies.networks.observation_batch import Inputs, ObservationSpec, scale_observations
from agents.policies.policy import Policy, build_policy
from navsim.seeding import generator
from tests.agents.small_runs import small_policy, small_samples

SAMPLES = small_samples(6)
INPUTS = scale_observations(SAMPLES.observations, torch.float32)
THREE = ObservationSpec(3, 64, 64, 50)


def three_cameras() -> Inputs:
    draw = torch.Generator().manual_seed(3)
    images = torch.rand(5, 3, 64, 64, 3, generator=draw) * 2 - 1
    return Inputs(images, torch.rand(5, 2, 50, 50, generator=draw), torch.rand(5, 1, generator=draw))


def names_of(policy: Policy, inputs: Inputs, cameras: list[str]) -> list[str]:
    return list(ablated_inputs(policy, inputs, removed_baseline(inputs), cameras))


def test_only_inputs_of_the_policy_are_removed() -> None:
    assert names_of(small_policy(), INPUTS, ["front"]) == ["camera", "road map", "route map", "both maps"]
    assert names_of(small_policy(inputs=("route_map", "speed")), INPUTS, ["front"]) == ["route map", "speed"]
    assert names_of(small_policy(blind=True, inputs=("camera", "road_map")), INPUTS, ["front"]) == ["road map"]
    policy = build_policy(PolicyConfig(inputs=("camera",)), THREE, 0)
    expected = ["front camera", "left camera", "right camera", "all cameras"]
    assert names_of(policy, three_cameras(), ["front", "left", "right"]) == expected


def test_only_one_part_is_removed() -> None:
    inputs = three_cameras()
    policy = build_policy(PolicyConfig(), THREE, 0)
    found = ablated_inputs(policy, inputs, removed_baseline(inputs), ["front", "left", "right"])
    left = found["left camera"]
    assert torch.equal(left.images[:, [0, 2]], inputs.images[:, [0, 2]])
    assert not torch.equal(left.images[:, 1], inputs.images[:, 1])
    assert torch.equal(left.maps, inputs.maps)
    route = found["route map"]
    assert torch.equal(route.maps[:, 0], inputs.maps[:, 0])
    assert (route.maps[:, 1] == 0).all()
    assert torch.equal(route.images, inputs.images)


def test_a_frame_is_never_swapped_with_itself() -> None:
    for seed in range(20):
        other = swapped_inputs(INPUTS, generator(seed))
        assert all(not torch.equal(other.images[i], INPUTS.images[i]) for i in range(6))
        assert torch.equal(other.speed.sort(dim=0).values, INPUTS.speed.sort(dim=0).values)


def test_a_constant_policy_depends_on_nothing() -> None:
    policy = small_policy()
    with torch.no_grad():
        policy.head.weight.zero_()
    rows = dependence_rows(policy, INPUTS, SAMPLES.labels, ["front"], generator(0))
    assert [(row.removed, row.how) for row in rows] == [
        (name, how) for how in ("gone", "swapped") for name in ("camera", "road map", "route map", "both maps")
    ]
    assert all(row.distance.high == row.steering.high == row.loss.high == 0 for row in rows)


def test_in_the_source_only_the_command_depends_on_the_route() -> None:
    policy = build_policy(PolicyConfig(network="amini2019"), THREE, 0).eval()
    labels = torch.zeros(5)
    rows = {
        row.removed: row
        for row in dependence_rows(policy, three_cameras(), labels, ["front", "left", "right"], generator(0))
        if row.how == "gone"
    }
    assert rows["route map"].distance.value == rows["route map"].loss.value == 0
    assert rows["route map"].steering.value > 0
    assert rows["front camera"].distance.value > 0


def test_removing_a_used_input_increases_the_loss() -> None:
    policy = small_policy(head="point", inputs=("speed",))
    with torch.no_grad():
        expert = policy.distribution(INPUTS).mode  # an expert who does what the policy does
    rows = dependence_rows(policy, INPUTS, expert, ["front"], generator(0))
    assert [row.removed for row in rows] == ["speed", "speed"]
    assert all(row.loss.value > 0 for row in rows)
    assert all(0 < row.distance.value <= 1 for row in rows)
    assert np.isfinite([row.loss.high for row in rows]).all()
