"""Layers and parameter counts that the sources state."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from agents.drivers.policy_driver import decide
from agents.policies.networks.config import PolicyConfig, Sense
from agents.policies.networks.observation_batch import (
    Inputs,
    ObservationBatch,
    ObservationSpec,
    observation_spec,
    scale_observations,
)
from agents.policies.networks.published_networks import Amini2019, PilotNet
from agents.policies.policy import OutputLayer, Policy, build_policy, parameter_count
from navsim.errors import ConfigError
from navsim.sensing.camera import RIGS, Rig
from navsim.sensing.roadmap import MapSpec

torch.set_num_threads(1)

AMINI = observation_spec(RIGS[Rig.AMINI2019], MapSpec())
PILOT = observation_spec(RIGS[Rig.PILOTNET], MapSpec())
SMALL = ObservationSpec(1, 37, 41, 21)  # the smallest size for the source's network


def convolutions_of(module: nn.Module) -> list[tuple[int, tuple[int, ...], tuple[int, ...]]]:
    """Channels, kernel and stride of each convolution."""
    return [(m.out_channels, m.kernel_size, m.stride) for m in module.modules() if isinstance(m, nn.Conv2d)]


def linear_widths(module: nn.Module) -> list[int]:
    return [m.out_features for m in module.modules() if isinstance(m, nn.Linear)]


def counted(module: nn.Module, kind: type[nn.Module]) -> int:
    """Parameters in all layers of a kind."""
    return sum(parameter_count(m) for m in module.modules() if isinstance(m, kind))


@pytest.fixture(scope="module")
def source() -> Policy:
    """The source's network with all that it has."""
    return build_policy(PolicyConfig(network="amini2019", components=3), AMINI, 0)


def test_the_sources_network_has_its_25_7_million_parameters(source: Policy) -> None:
    network = source.network
    assert isinstance(network, Amini2019)
    assert network.branch is not None
    total = parameter_count(source)
    # Columns end in 64 of 6x21 and 48 of 4x4, the branch in 36 of 10x10.
    columns = 3 * (1_824 + 21_636 + 15_600 + 27_712) + (624 + 21_636 + 15_600)
    fully_connected = (3 * 8064 + 768) * 1000 + 1000 + 100 * 1000 + 100
    branch = (624 + 21_636) + (3600 + 100) * 100 + 100 + 101
    assert total == columns + fully_connected + branch + 9 * 100 + 9 == 25_692_646
    assert parameter_count(network.fuse) == fully_connected
    assert fully_connected / total == pytest.approx(0.975, abs=0.0005)
    assert counted(network.camera_columns, nn.Conv2d) + counted(network.road_map_column, nn.Conv2d) == columns
    assert round(columns / 1e6, 2) == 0.24


def test_the_sources_layers(source: Policy) -> None:
    network = source.network
    assert isinstance(network, Amini2019)
    five, two = (5, 5), (2, 2)
    three = [(24, five, two), (36, five, two), (48, (3, 3), two)]
    assert len(network.camera_columns) == 3
    for column in network.camera_columns:
        assert convolutions_of(column) == [*three, (64, (3, 3), (1, 1))]
    assert convolutions_of(network.road_map_column) == three
    assert linear_widths(network.fuse) == [1000, 100]
    assert network.branch is not None
    assert convolutions_of(network.branch) == three[:2]
    assert linear_widths(network.branch) == [100]
    assert source.head.out_features == 9
    assert source.command is not None
    assert source.command.out_features == 1
    first, other = (network.camera_columns[i].state_dict()["0.weight"] for i in (0, 1))
    assert not torch.equal(first, other)  # weights of their own


def small(*inputs: Sense, seed: int = 0) -> Policy:
    return build_policy(PolicyConfig(network="amini2019", inputs=inputs), SMALL, seed).eval()


def small_inputs(count: int = 4) -> Inputs:
    rng = torch.Generator().manual_seed(3)
    images = torch.rand(count, 1, SMALL.height, SMALL.width, 3, generator=rng)
    return Inputs(images, torch.rand(count, 2, 21, 21, generator=rng), torch.rand(count, 1, generator=rng))


def test_the_route_moves_the_command_and_never_the_distribution() -> None:
    policy, inputs = small("camera", "road_map", "route_map"), small_inputs()
    maps = inputs.maps.clone()
    maps[:, 1] = 1 - maps[:, 1]
    grid = torch.linspace(-0.2, 0.2, 7)
    with torch.no_grad():
        before, after = policy.predict(inputs), policy.predict(replace(inputs, maps=maps))
    assert torch.equal(before.distribution.density(grid), after.distribution.density(grid))
    assert before.command is not None
    assert after.command is not None
    assert not torch.equal(before.command, after.command)


def test_without_the_routed_map_there_is_no_command() -> None:
    policy, inputs = small("camera", "road_map"), small_inputs()
    with torch.no_grad():
        output = policy.predict(inputs)
    assert output.command is None
    assert torch.equal(output.steering, output.distribution.mode)
    assert not [key for key in policy.state_dict() if "branch" in key or "command" in key]


def test_steering_is_the_command_within_the_vehicles_range() -> None:
    policy, inputs = small("camera", "route_map"), small_inputs(1)
    assert policy.command is not None
    with torch.no_grad():
        policy.command.weight.zero_()
        for value, expected in ((0.25, 0.05), (3.0, 0.2), (-3.0, -0.2)):
            policy.command.bias.fill_(value)
            output = policy.predict(inputs)
            assert output.command is not None
            assert output.command.item() == pytest.approx(0.2 * value)
            assert output.steering.item() == pytest.approx(expected)


def test_decisions_take_the_command_and_include_the_density() -> None:
    policy = small("camera", "road_map", "route_map")
    assert policy.command is not None
    pictures = torch.arange(2 * 37 * 41 * 3).remainder(255).to(torch.uint8).reshape(2, 1, 37, 41, 3)
    maps = torch.zeros(2, 21, 21, dtype=torch.uint8)
    batch = ObservationBatch(pictures, maps, maps, torch.ones(2))
    with torch.inference_mode():
        policy.command.bias.fill_(0.5)
        output = policy.predict(scale_observations(batch, torch.float32))
        decisions = decide(policy, batch)
    assert output.command is not None
    assert [decision.curvature for decision in decisions] == pytest.approx(output.command.tolist())
    assert min(decision.curvature for decision in decisions) > 0.05
    assert float((output.distribution.mode - output.command).abs().min()) > 0.005  # two different answers here
    for i, decision in enumerate(decisions):
        assert decision.grid is not None
        expected = output.distribution.density(torch.tensor(decision.grid, dtype=torch.float32))[i]
        assert decision.density == pytest.approx(expected.numpy(), rel=1e-4)


def test_the_commands_gradient_reaches_the_columns() -> None:
    policy = small("camera", "road_map", "route_map")
    command = policy.predict(small_inputs()).command
    assert command is not None
    command.sum().backward()  # type: ignore[no-untyped-call]
    network = policy.network
    assert isinstance(network, Amini2019)
    kernel = network.camera_columns[0].get_parameter("0.weight")
    assert kernel.grad is not None
    assert float(kernel.grad.abs().max()) > 0


def test_the_source_network_needs_more_than_the_route() -> None:
    with pytest.raises(ConfigError, match=r"\['route_map'\].*never sees the route; it needs the camera"):
        small("route_map")


def test_pilotnet_has_its_252_thousand_parameters() -> None:
    network = PilotNet(PolicyConfig(network="pilotnet", inputs=("camera",)), PILOT)
    one_output = OutputLayer(network.features, torch.zeros(1))
    assert parameter_count(network) + parameter_count(one_output) == 252_219


def test_pilotnets_layers() -> None:
    network = PilotNet(PolicyConfig(network="pilotnet", inputs=("camera",)), PILOT)
    five, three = ((5, 5), (2, 2)), ((3, 3), (1, 1))
    assert convolutions_of(network) == [(24, *five), (36, *five), (48, *five), (64, *three), (64, *three)]
    assert network.camera_trunk.features == 64 * 1 * 18
    assert linear_widths(network) == [100, 50, 10]


def test_pilotnets_map_column_is_small_beside_it() -> None:
    config = PolicyConfig(network="pilotnet")
    routed, plain = (PilotNet(replace(config, inputs=inputs), PILOT) for inputs in (config.inputs, ("camera",)))
    assert counted(routed.map_trunk, nn.Conv2d) < 15_000
    assert parameter_count(routed) < 2 * parameter_count(plain)
