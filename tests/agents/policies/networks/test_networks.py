"""Properties of every network, whatever its inputs."""

import shutil
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from agents.policies.networks.config import PolicyConfig, Sense
from agents.policies.networks.observation_batch import Inputs, ObservationSpec, observation_spec
from agents.policies.networks.own_networks import CompactNetwork
from agents.policies.policy import HEADS, NETWORKS, Policy, build_policy, parameter_count
from agents.training.config import LossConfig
from agents.training.policy_task import steering_loss
from navsim.errors import ConfigError
from navsim.sensing.camera import RIGS, Camera, Rig
from navsim.sensing.roadmap import MapSpec

torch.set_num_threads(1)  # two threads that wait for each other on a busy machine are slower than one

NAMES = tuple(NETWORKS)
SEEN: tuple[tuple[Sense, ...], ...] = (
    ("camera", "road_map", "route_map"),
    ("camera", "road_map"),
    ("camera", "route_map", "speed"),
    ("camera",),
    ("road_map",),
    ("road_map", "route_map", "speed"),
    ("speed",),
)
FIELDS = {"camera": "images", "road_map": "maps", "route_map": "maps", "speed": "speed"}
ALL_SEEN = pytest.mark.parametrize(("name", "seen"), list(product(NAMES, SEEN)))
ALL = pytest.mark.parametrize("name", NAMES)


def policy_of(name: str, cameras: int = 1, seed: int = 0, **changes: Any) -> Policy:
    height, width = (61, 64) if name == "pilotnet" else (37, 41)  # the smallest size for it and the source's network
    config = PolicyConfig(network=name, **changes)
    return build_policy(config, ObservationSpec(cameras, height, width, 21), seed)


def made_inputs(policy: Policy, count: int, seed: int = 0) -> Inputs:
    """Random inputs in the range of real ones."""
    rng, spec, cameras = torch.Generator().manual_seed(seed), policy.spec, policy.spec.cameras
    images = torch.rand(count, cameras, spec.height, spec.width, 3, generator=rng) * 2 - 1
    maps = torch.rand(count, 2, spec.map_size, spec.map_size, generator=rng)
    return Inputs(images, maps, torch.rand(count, 1, generator=rng))


def changed(inputs: Inputs, sense: Sense) -> Inputs:
    """The same inputs, one of the senses negated."""
    parts = {field: getattr(inputs, field).clone() for field in ("images", "maps", "speed")}
    if sense in ("road_map", "route_map"):
        parts["maps"][:, int(sense == "route_map")] *= -1
    else:
        parts[FIELDS[sense]] *= -1
    return Inputs(**parts)


def outputs(policy: Policy, inputs: Inputs) -> Tensor:
    with torch.no_grad():
        result: Tensor = policy(inputs)
    return result


def assert_near(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@ALL_SEEN
def test_the_loss_reaches_every_parameter(name: str, seen: tuple[Sense, ...]) -> None:
    policy = policy_of(name, cameras=3, inputs=seen).train()
    output = policy.predict(made_inputs(policy, 16))
    labels = torch.linspace(-0.2, 0.2, 16)
    loss = -output.distribution.log_prob(labels).mean()
    if output.command is not None:
        loss = loss + (output.command - labels).square().mean()
    loss.backward()  # type: ignore[no-untyped-call]
    idle = [
        key for key, value in policy.named_parameters() if value.grad is None or not value.grad.abs().max().item() > 0
    ]
    assert idle == []


@ALL_SEEN
def test_only_inputs_change_the_output(name: str, seen: tuple[Sense, ...]) -> None:
    policy = policy_of(name, inputs=seen)
    inputs = made_inputs(policy, 3)
    before = outputs(policy, inputs)
    for sense in FIELDS:
        same = torch.equal(before, outputs(policy, changed(inputs, sense)))  # type: ignore[arg-type]
        assert same == (sense not in seen), sense


@ALL
def test_any_head_reads_it(name: str) -> None:
    labels, blank = torch.linspace(-0.19, 0.19, 6), LossConfig()
    for head in HEADS:
        policy = policy_of(name, head=head)
        output = policy.predict(made_inputs(policy, 6))
        assert output.steering.shape == (6,)
        assert float(output.steering.detach().abs().max()) <= 0.2 + 1e-6
        total = steering_loss(output.distribution, labels, policy.config, blank, command=output.command).total
        total.backward()  # type: ignore[no-untyped-call]
        assert torch.isfinite(total), head
        assert all(value.grad is not None for value in policy.parameters()), head


@ALL
def test_every_camera_changes_the_output(name: str) -> None:
    policy = policy_of(name, cameras=3)
    inputs = made_inputs(policy, 2)
    before = outputs(policy, inputs)
    for camera in range(3):
        images = inputs.images.clone()
        images[:, camera] *= -1
        assert not torch.equal(before, outputs(policy, Inputs(images, inputs.maps, inputs.speed)))
    swapped = outputs(policy, Inputs(inputs.images.flip(1), inputs.maps, inputs.speed))
    assert not torch.allclose(before, swapped, atol=1e-6)  # the place of a camera matters, too


@pytest.mark.parametrize("mode", [True, False])
@ALL
def test_situations_of_a_batch_are_independent_in_training_too(name: str, mode: bool) -> None:
    policy = policy_of(name, cameras=3, inputs=("camera", "road_map", "route_map", "speed")).train(mode)
    inputs = made_inputs(policy, 5)
    together = outputs(policy, inputs)
    for i in range(5):
        one = Inputs(*(getattr(inputs, field)[i : i + 1] for field in ("images", "maps", "speed")))
        assert_near(outputs(policy, one)[0], together[i])


@ALL
def test_the_seed_decides_the_weights(name: str) -> None:
    first, again, other = (policy_of(name, seed=seed).state_dict() for seed in (1, 1, 2))
    for key, value in first.items():
        assert torch.equal(value, again[key]), key
    kernels = [key for key, value in first.items() if value.ndim > 1]
    assert kernels
    for key in kernels:
        assert not torch.equal(first[key], other[key]), key


@ALL
def test_a_blind_network_has_the_same_layers_and_sees_black(name: str) -> None:
    blind, seeing = policy_of(name, cameras=3, blind=True), policy_of(name, cameras=3)
    assert [(k, v.shape) for k, v in blind.state_dict().items()] == [
        (k, v.shape) for k, v in seeing.state_dict().items()
    ]
    inputs = made_inputs(blind, 4)
    black = Inputs(torch.zeros_like(inputs.images), inputs.maps, inputs.speed)
    assert_near(outputs(blind, inputs), outputs(seeing, black))
    assert torch.equal(outputs(blind, inputs), outputs(blind, changed(inputs, "camera")))


@ALL
def test_weights_lie_channels_last(name: str) -> None:
    kernels = [value for value in policy_of(name).parameters() if value.ndim == 4]
    assert all(kernel.is_contiguous(memory_format=torch.channels_last) for kernel in kernels)
    assert bool(kernels) == (name != "fully_connected")


@ALL
def test_bfloat16_gives_nearly_the_same_in_float32(name: str) -> None:
    policy = policy_of(name, cameras=3)
    inputs = made_inputs(policy, 4)
    exact = outputs(policy, inputs)
    half = Inputs(*(getattr(inputs, field).bfloat16() for field in ("images", "maps", "speed")))
    with torch.autocast("cpu", torch.bfloat16):
        rough = outputs(policy, half)
    assert rough.dtype is torch.float32
    assert not torch.equal(rough, exact)
    assert float((rough - exact).abs().max()) < 0.1 * float(exact.std() + 1)
    # The last layer is no bfloat16: its values would all be multiples of 2^-8 of their power of two.
    assert not torch.equal(rough, rough.bfloat16().float())


@ALL
def test_it_is_traced_as_one_graph(name: str) -> None:
    policy = policy_of(name, cameras=3)
    inputs = made_inputs(policy, 2)
    traced = torch.compile(policy, backend="eager", fullgraph=True)
    result = traced(inputs)
    assert_near(result.detach(), outputs(policy, inputs))
    result.square().sum().backward()
    assert all(value.grad is not None for value in policy.parameters())


class OnTensors(torch.nn.Module):
    """A policy that takes its inputs one by one."""

    def __init__(self, policy: Policy) -> None:
        super().__init__()
        self.policy = policy

    def forward(self, images: Tensor, maps: Tensor, speed: Tensor) -> Tensor:
        result: Tensor = self.policy(Inputs(images, maps, speed))
        return result


@pytest.mark.parametrize(("name", "blind"), [*((name, False) for name in NAMES), *((name, True) for name in NAMES[:3])])
def test_one_exported_graph_serves_any_number_of_situations(name: str, blind: bool) -> None:
    policy = policy_of(name, cameras=3, inputs=("camera", "road_map", "route_map", "speed"), blind=blind).eval()
    two, five = made_inputs(policy, 2), made_inputs(policy, 5, seed=7)
    batch = {0: torch.export.Dim("batch", min=1, max=64)}
    graph = torch.export.export(
        OnTensors(policy), (two.images, two.maps, two.speed), dynamic_shapes=(batch, batch, batch)
    ).module()
    with torch.no_grad():
        assert_near(graph(five.images, five.maps, five.speed), outputs(policy, five))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # torch's compiler uses what torch deprecates
@ALL
def test_it_can_be_compiled(name: str) -> None:
    policy = policy_of(name)
    inputs = made_inputs(policy, 2)
    compiled = torch.compile(policy, fullgraph=True)
    with torch.no_grad():
        assert_near(compiled(inputs), outputs(policy, inputs))


@pytest.mark.gpu
@ALL
def test_the_gpu_agrees_with_the_cpu(name: str) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    policy = policy_of(name, cameras=3)
    inputs = made_inputs(policy, 4)
    expected = outputs(policy, inputs)
    there = Inputs(*(getattr(inputs, field).cuda() for field in ("images", "maps", "speed")))
    torch.testing.assert_close(outputs(policy.cuda(), there).cpu(), expected, rtol=1e-2, atol=1e-2)


@ALL
def test_it_learns_a_few_situations_by_heart(name: str) -> None:
    policy = policy_of(name)
    inputs = made_inputs(policy, 8)
    labels = torch.linspace(-0.15, 0.15, 8)
    slow = name == "pilotnet"  # its last layer has ten features for eight labels
    optimizer = torch.optim.Adam(policy.parameters(), lr=3e-3 if slow else 1e-3)
    errors = []
    for _ in range(60 if slow else 30):
        distribution = policy.distribution(inputs)
        loss = -distribution.log_prob(labels).mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        errors.append(float((distribution.mode - labels).abs().mean().detach()))
    assert errors[0] > 0.05
    assert np.median(errors[-5:]) < 0.04


@ALL
def test_images_that_are_too_small_are_refused_with_the_minimum(name: str) -> None:
    if name == "fully_connected":
        return  # it accepts any size
    with pytest.raises(ConfigError, match=r"images of 64x12 px are too small .*minimum is (\d+)x\1 px"):
        build_policy(PolicyConfig(network=name), ObservationSpec(1, 12, 64, 50), 0)
    with pytest.raises(ConfigError, match=r"images of 8x8 px are too small"):
        build_policy(PolicyConfig(network=name), ObservationSpec(1, 80, 200, 8), 0)


@pytest.mark.parametrize("name", ["amini2019", "pilotnet", "fully_connected"])
def test_images_that_are_too_large_are_refused_before_memory_ends(name: str) -> None:
    huge = ObservationSpec(3, 40_000, 40_000, 50)
    with pytest.raises(ConfigError, match=r"3 images of 40000x40000 px .* too large .* weights"):
        build_policy(PolicyConfig(network=name), huge, 0)


@pytest.mark.parametrize("name", ["amini2019", "pilotnet"])
def test_published_layers_take_no_width(name: str) -> None:
    with pytest.raises(ConfigError, match=f"policy.hidden = 64: the layers of {name} are the published ones"):
        PolicyConfig(network=name, hidden=64)


@pytest.mark.parametrize("name", ["compact", "fully_connected", "residual"])
def test_hidden_is_the_width_of_the_first_fully_connected_layer(name: str) -> None:
    layers = [
        v for k, v in policy_of(name, hidden=24).named_parameters() if k.startswith("network.fuse") and v.ndim > 1
    ]
    assert [len(layer) for layer in layers] == [24, NETWORKS[name].features]
    assert next(iter(v for k, v in policy_of(name).named_parameters() if "fuse.0.bias" in k)).shape == (
        256 if name == "residual" else 128,
    )


def test_cameras_share_a_trunk_except_in_the_source() -> None:
    one, three = (
        {name: trunk_size(policy_of(name, cameras, inputs=("camera",))) for name in NAMES} for cameras in (1, 3)
    )
    for name in ("compact", "pilotnet", "residual"):
        assert three[name] == one[name] > 0
    assert three["amini2019"] == 3 * one["amini2019"] == 200_316


def trunk_size(policy: Policy) -> int:
    """Number of weights and biases in the convolutions."""
    return sum(parameter_count(module) for module in policy.modules() if isinstance(module, torch.nn.Conv2d))


@pytest.mark.parametrize("rig", [Rig.DEMO, Rig.PILOTNET, Rig.AMINI2019])
def test_compact_stays_below_a_million_parameters(rig: Rig) -> None:
    spec = observation_spec(RIGS[rig], MapSpec())
    policy = build_policy(PolicyConfig(inputs=("camera", "road_map", "route_map", "speed")), spec, 0)
    assert parameter_count(policy) < 700_000
    large = build_policy(PolicyConfig(), ObservationSpec(3, 480, 640, 200), 0)
    assert parameter_count(large) < 1_000_000


def test_the_demos_pictures_are_not_pooled() -> None:
    network = CompactNetwork(PolicyConfig(), observation_spec([Camera()], MapSpec()))
    assert not [module for module in network.modules() if isinstance(module, torch.nn.AvgPool2d)]
    assert network.camera_trunk.features == 3 * 8 * 64


@pytest.mark.parametrize(("rig", "low", "high"), [(Rig.DEMO, 3.0, 4.5), (Rig.AMINI2019, 3.5, 5.0)])
def test_residual_has_a_few_million_parameters_in_channels_for_tensor_cores(rig: Rig, low: float, high: float) -> None:
    policy = build_policy(PolicyConfig(network="residual"), observation_spec(RIGS[rig], MapSpec()), 0)
    assert low < parameter_count(policy) / 1e6 < high
    channels = {module.out_channels for module in policy.modules() if isinstance(module, torch.nn.Conv2d)}
    assert all(width % 8 == 0 for width in channels)
