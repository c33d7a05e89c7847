"""What a device can do and what a sample needs, counted by hand where that is possible."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from agents.experiments.hardware_limits import (
    Ceilings,
    Cost,
    layer_traffic,
    measure_ceilings,
    random_inputs,
    shares,
    training_cost,
)
from agents.experiments.training_benchmark import (
    WORKLOADS,
    devices_table,
    measure_network,
    measured_networks,
    random_samples,
)
from agents.policies.networks.observation_batch import ObservationSpec
from agents.policies.policy import NETWORKS
from tests.agents.small_runs import SPEC, small_config, small_policy

CPU = torch.device("cpu")


def test_ceilings_are_those_of_a_machine() -> None:
    ceilings = measure_ceilings(CPU, torch.float32, copied=2**24, side=256, repeats=3)
    assert 1e8 < ceilings.bandwidth < 1e13
    assert 1e8 < ceilings.arithmetic < 1e14


def test_a_layers_traffic_is_counted_forward_and_backward() -> None:
    # Forward reads 10 and writes 4; backward reads 10 and 4 and writes 10.
    assert layer_traffic(10, 4) == 10 + 4 + 10 + 4 + 10


def test_the_cost_of_a_sample_does_not_depend_on_the_batch_and_leaves_no_gradients() -> None:
    policy = small_policy()
    costs = [
        training_cost(policy, random_inputs(SPEC, batch, CPU, torch.float32), torch.zeros(batch), 2) for batch in (2, 6)
    ]
    assert costs[0].operations == pytest.approx(costs[1].operations)
    assert costs[0].traffic == pytest.approx(costs[1].traffic)
    assert all(parameter.grad is None for parameter in policy.parameters())
    wide = training_cost(policy, random_inputs(SPEC, 2, CPU, torch.float32), torch.zeros(2), 4)
    assert wide.traffic == 2 * costs[0].traffic


def test_operations_are_those_of_the_layers_counted_by_hand() -> None:
    policy = small_policy(inputs=("road_map", "route_map"))
    cost = training_cost(policy, random_inputs(SPEC, 4, CPU, torch.float32), torch.zeros(4), 2)
    sides = [10, 5, 3, 2]  # of the convolutions' outputs, from maps of 20 px
    layers = [(2, 16, 5), (16, 32, 3), (32, 32, 3), (32, 32, 3)]
    products = [side**2 * a * b * k**2 for side, (a, b, k) in zip(sides, layers, strict=True)]
    dense = [(2 * 2 * 32, 16), (16, 64), (64, 9)]
    products += [a * b for a, b in dense]
    # Two operations for a product; forward, gradient of the weights, and gradient of the inputs but for the first.
    assert cost.operations == 2 * (3 * sum(products) - products[0])


def test_shares_of_the_ceilings() -> None:
    result = shares(1000.0, Cost(operations=2e6, traffic=5e6), Ceilings(bandwidth=1e10, arithmetic=1e10))
    assert result.bandwidth == pytest.approx(0.5)
    assert result.arithmetic == pytest.approx(0.2)


def test_made_up_frames_are_random_and_the_same_each_time() -> None:
    spec = ObservationSpec(3, 8, 10, 12)
    samples, again = (random_samples(spec, 5, CPU) for _ in range(2))
    assert samples.observations.spec == spec
    assert samples.fingerprint == again.fingerprint
    assert samples.observations.images.float().std() > 50
    assert float(samples.labels.abs().max()) <= 0.2


def test_the_networks_that_the_source_and_the_issue_name_are_measured() -> None:
    assert measured_networks() == [name for name in ("pilotnet", "compact", "amini2019") if name in NETWORKS]
    assert "compact" in measured_networks()
    assert WORKLOADS.keys() >= set(measured_networks())


@pytest.mark.parametrize("name", measured_networks())
def test_a_network_is_measured_on_a_device(tmp_path: Path, name: str) -> None:
    train = small_config(tmp_path, batch_size=4)
    train = replace(train, policy=replace(train.policy, hidden=None))
    ceilings = Ceilings(1e10, 1e11)
    speed = measure_network(name, train, frames=8, seconds=0.1, ceilings=ceilings)
    assert speed.samples_per_second > 0
    assert speed.peak_memory is None
    assert speed.cost.operations > 1e6
    assert speed.shares == shares(speed.samples_per_second, speed.cost, ceilings)
    assert len(devices_table([speed], ceilings, "a CPU").rows) == 1


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_is_measured_with_its_memory(tmp_path: Path) -> None:
    device = torch.device("cuda")
    ceilings = measure_ceilings(device, torch.bfloat16, copied=2**28, side=2048, repeats=3)
    train = replace(small_config(tmp_path, batch_size=256), device="cuda", precision="auto")
    train = replace(train, policy=replace(train.policy, hidden=None))
    speed = measure_network("pilotnet", train, frames=1024, seconds=1.0, ceilings=ceilings)
    assert speed.peak_memory is not None
    assert 0 < speed.shares.bandwidth < 2
    assert 0 < speed.shares.arithmetic < 1
