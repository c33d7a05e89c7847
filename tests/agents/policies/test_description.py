import json
from dataclasses import replace
from typing import Any

import pytest
import torch
from rich.console import Console
from torch import Tensor, nn

from agents.policies.description import (
    LayerDescription,
    PolicyDescription,
    describe_policy,
    description_title,
    layer_table,
)
from agents.policies.networks.config import PolicyConfig
from agents.policies.networks.observation_batch import Inputs, ObservationSpec, observation_spec
from agents.policies.networks.own_networks import Sum
from agents.policies.policy import NETWORKS, Policy, build_policy, parameter_count
from navsim.config import from_mapping, to_mapping
from navsim.sensing.camera import RIGS, Rig
from navsim.sensing.roadmap import MapSpec

torch.set_num_threads(1)

ALL = pytest.mark.parametrize("name", list(NETWORKS))


def policy_of(name: str, rig: Rig = Rig.AMINI2019, **changes: Any) -> Policy:
    config = PolicyConfig(network=name, **changes)
    return build_policy(config, observation_spec(RIGS[rig], MapSpec()), 0)


def by_name(description: PolicyDescription) -> dict[str, LayerDescription]:
    return {layer.name: layer for layer in description.layers}


def test_the_sources_columns_as_in_its_figure() -> None:
    layers = by_name(describe_policy(policy_of("amini2019")))
    column = [layers[f"network.camera_columns.1.{i}"] for i in (0, 2, 4, 6)]
    assert [layer.output for layer in column] == [(38, 98, 24), (17, 47, 36), (8, 23, 48), (6, 21, 64)]
    assert [layer.stride for layer in column] == [(2, 2), (2, 2), (2, 2), (1, 1)]
    # 5; 5 + 4 x 2; 13 + 2 x 4; 21 + 2 x 8
    assert [layer.field for layer in column] == [(5, 5), (13, 13), (21, 21), (37, 37)]
    assert [layer.step for layer in column] == [(2, 2), (4, 4), (8, 8), (8, 8)]
    # A multiplication and an addition for each output and weight, the bias apart.
    assert column[0].flops == 2 * (38 * 98) * 24 * (5 * 5 * 3)
    assert column[3].flops == 2 * (6 * 21) * 64 * (3 * 3 * 48)
    assert column[3].parameters == 64 * (3 * 3 * 48) + 64
    first = layers["network.fuse.0"]
    assert (first.kind, first.output, first.parameters) == ("fc", (1000,), 24_961_000)
    assert first.flops == 2 * 24_960 * 1000
    assert (first.kernel, first.stride, first.field, first.step) == (None, None, None, None)
    assert list(layers)[-1] == "command"


def test_a_shared_trunk_counts_once_and_costs_for_each_camera() -> None:
    one, three = (describe_policy(policy_of("pilotnet", rig)) for rig in (Rig.PILOTNET, Rig.AMINI2019))
    name = "network.camera_trunk.0"
    first, shared = by_name(one)[name], by_name(three)[name]
    assert (first.pictures, shared.pictures) == (1, 3)
    assert first.parameters == shared.parameters
    assert shared.flops == 3 * 2 * (38 * 98) * 24 * 75
    assert first.flops == 2 * (31 * 98) * 24 * 75
    assert by_name(one)["network.camera_trunk.8"].output == (1, 18, 64)


def test_pools_and_norms_are_layers_too() -> None:
    layers = by_name(describe_policy(policy_of("compact")))
    pool, norm = layers["network.camera_trunk.8"], layers["network.norm"]
    assert (pool.kind, pool.kernel, pool.stride, pool.output) == ("pool", (2, 2), (2, 2), (3, 7, 64))
    assert pool.field == (37 + 16, 37 + 16)
    assert (pool.parameters, pool.flops) == (0, 0)
    assert (norm.kind, norm.parameters, norm.field) == ("norm", 2 * 4544, None)


@ALL
def test_totals_are_sums_over_layers(name: str) -> None:
    policy = policy_of(name, inputs=("camera", "road_map", "route_map", "speed"))
    before = {key: value.clone() for key, value in policy.state_dict().items()}
    description = describe_policy(policy)
    assert sum(layer.parameters for layer in description.layers) == description.parameters == parameter_count(policy)
    assert sum(layer.flops for layer in description.layers) == description.flops > 0
    kinds = {layer.kind for layer in description.layers}
    assert sum(description.parameters_of(kind) for kind in kinds) == description.parameters
    # The policy has no hooks left.
    assert all(torch.equal(value, before[key]) for key, value in policy.state_dict().items())
    assert not any(module._forward_hooks for module in policy.modules())
    assert policy.training


@ALL
def test_outputs_are_those_of_the_layers(name: str) -> None:
    """Seen by hooks of our own, in another situation."""
    policy = policy_of(name)
    shapes: dict[str, tuple[int, ...]] = {}
    for key, module in policy.named_modules():
        module.register_forward_hook(lambda _m, _i, out, key=key: shapes.__setitem__(key, tuple(out.shape)))
    policy(Inputs(torch.rand(2, 3, 80, 200, 3), torch.rand(2, 2, 50, 50), torch.rand(2, 1)))
    for layer in describe_policy(replaced := policy_of(name)).layers:
        batch, *rest = shapes[layer.name]
        assert batch == 2 * layer.pictures
        assert tuple(rest) == ((layer.output[-1], *layer.output[:-1]) if len(layer.output) == 3 else layer.output)
    assert replaced.spec == policy.spec


def seen_part(trunk: nn.Module, layer: nn.Module, size: tuple[int, int], channels: int) -> tuple[int, int]:
    """Height and width of what one pixel in the middle of a layer's output depends on, by its gradient."""
    picture = torch.rand(1, channels, *size, requires_grad=True)
    kept: list[Tensor] = []
    handle = layer.register_forward_hook(lambda _m, _i, out: kept.append(out.clone()))
    trunk(picture)
    handle.remove()
    _, _, height, width = kept[0].shape
    (gradient,) = torch.autograd.grad(kept[0][0, :, height // 2, width // 2].sum(), picture)
    rows, columns = (gradient[0].abs().sum(dim=(0, axis)).nonzero()[:, 0] for axis in (2, 1))
    return int(rows.max() - rows.min()) + 1, int(columns.max() - columns.min()) + 1


@pytest.mark.parametrize("name", ["compact", "pilotnet", "residual"])
def test_receptive_fields_agree_with_gradients(name: str) -> None:
    """On pictures so large that the middle does not see the border, without what sees the whole picture."""
    policy = build_policy(PolicyConfig(network=name, inputs=("camera",)), ObservationSpec(1, 320, 320, 50), 0)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.abs_()  # no rectifier is shut
    described = by_name(describe_policy(policy))
    trunk = policy.network.get_submodule("camera_trunk")
    for key, module in list(trunk.named_modules()):
        if isinstance(module, nn.GroupNorm):
            trunk.set_submodule(key, nn.Identity())
    for key, module in trunk.named_modules():
        if isinstance(module, nn.Conv2d | nn.AvgPool2d):
            expected = described[f"network.camera_trunk.{key}"].field
            assert seen_part(trunk, module, (320, 320), 3) == expected, key


def test_a_sum_has_the_wider_receptive_field() -> None:
    policy = policy_of("residual")
    sums = [name for name, module in policy.named_modules() if isinstance(module, Sum)]
    assert len(sums) == 6 + 2
    layers = by_name(describe_policy(policy))
    assert not set(sums) & set(layers)  # sums have no row of their own
    block = "network.camera_trunk.3"
    assert layers[f"{block}.skip.0"].field == (5, 5)
    # The wider side decides what the next block starts from: 17 + 2 x 4.
    assert layers[f"{block}.main.3"].field == (17, 17)
    assert layers["network.camera_trunk.4.main.0"].field == (25, 25)


def test_it_is_plain_data() -> None:
    description = describe_policy(policy_of("residual", Rig.DEMO, inputs=("camera",), blind=True))
    values = json.loads(json.dumps(to_mapping(description)))
    assert from_mapping(PolicyDescription, values, "here") == description
    assert description.inputs == ("camera",)
    assert (description.cameras, description.camera_size, description.map_size) == (1, (48, 128), 50)


@ALL
def test_the_table_fits_a_plain_terminal(name: str) -> None:
    description = describe_policy(policy_of(name))
    console = Console(width=80)
    with console.capture() as capture:
        console.print(layer_table(description).rich())
    lines = [line.split() for line in capture.get().splitlines()]
    rows = {words[0]: words for words in lines if words}
    for layer in description.layers:
        row = rows[layer.name.removeprefix("network.")]  # on one line, not folded
        if layer.parameters:
            assert f"{layer.parameters:,}" in row
        if layer.kind == "conv":
            assert layer.stride is not None
            assert f"s{layer.stride[0]}" in row
    assert rows["all"] == ["all", f"{description.parameters:,}", f"{description.flops / 1e6:,.3f}"]


def test_the_title_states_how_costs_are_counted() -> None:
    description = describe_policy(policy_of("compact", Rig.PILOTNET))
    assert "compact with mixture head, sees camera, road_map, route_map: 1 x 66x200x3, maps 50x50" in description_title(
        description
    )
    assert "a multiply-add counts as 2" in description_title(description)
    uneven = replace(description.layers[0], kernel=(2, 1), stride=(2, 1))
    console = Console(width=80)
    with console.capture() as capture:
        console.print(layer_table(replace(description, layers=(uneven,))).rich())
    assert "conv 2x1 s2x1" in capture.get()
