from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from agents.policies.checkpoint import (
    POLICY_FORMAT,
    load_policy,
    read_info,
    restore_training,
    save_checkpoint,
    write_calibration,
)
from agents.policies.networks.observation_batch import scale_observations
from agents.policies.policy import Policy
from agents.training.optimization import TrainState
from navsim.errors import CheckpointError, ConfigError, StorageError
from navsim.sensing.camera import Camera
from navsim.sensing.roadmap import MapSpec
from tests.agents.small_runs import (
    CAMERAS,
    MAP,
    SPEC,
    policy_losses,
    small_info,
    small_policy,
    small_samples,
    small_train_state,
)


def saved(path: Path, seed: int = 0, **changes: object) -> Path:
    """Write a checkpoint of an untrained network."""
    policy = small_policy(seed, **changes)
    save_checkpoint(path, small_info(policy), policy)
    return path


def test_a_checkpoint_restores_the_network_bit_for_bit(tmp_path: Path) -> None:
    policy, batch = small_policy(seed=3), small_samples(4).observations
    loaded = load_policy(saved(tmp_path / "a.safetensors", seed=3), CAMERAS, MAP)
    assert not loaded.training
    for name, value in policy.state_dict().items():
        assert torch.equal(value, loaded.state_dict()[name]), name
    with torch.no_grad():
        assert torch.equal(policy.steer(batch).mode, loaded.steer(batch).mode)


def test_the_header_describes_the_network(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.safetensors", inputs=("camera",), components=5)
    info = read_info(path)
    assert info == small_info(small_policy(inputs=("camera",), components=5))
    assert info.observation_spec == SPEC
    assert info.run == {"epochs": 3}


def test_other_cameras_are_refused_naming_both(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.safetensors")
    other = (replace(CAMERAS[0], pitch_deg=-3.0),)
    with pytest.raises(CheckpointError, match=r"a.safetensors: made for cameras .*pitch -8.*given .*pitch -3"):
        load_policy(path, other, MAP)
    with pytest.raises(CheckpointError, match=r"given are \[front 32x32.*; left 32x32"):
        load_policy(path, (*CAMERAS, Camera(name="left", width=32, height=32)), MAP)


def test_another_map_is_refused_naming_both(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match=r"map MapSpec\(size_px=20.*given is MapSpec\(size_px=50"):
        load_policy(path, CAMERAS, MapSpec())


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"nowhere.safetensors: no such checkpoint"):
        load_policy(tmp_path / "nowhere.safetensors", CAMERAS, MAP)
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        read_info(tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_a_truncated_file_is_refused(tmp_path: Path, share: float) -> None:
    path = saved(tmp_path / "a.safetensors")
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(CheckpointError, match=r"a.safetensors: damaged, or not a checkpoint"):
        load_policy(path, CAMERAS, MAP)


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(np.random.default_rng(0).bytes(1000))
    with pytest.raises(CheckpointError, match="damaged, or not a checkpoint"):
        load_policy(path, CAMERAS, MAP)
    save_file({"weight": torch.zeros(3)}, path)
    with pytest.raises(CheckpointError, match="not a checkpoint of this project"):
        load_policy(path, CAMERAS, MAP)
    save_file({"weight": torch.zeros(3)}, path, {"format": "navsim-policy", "format_version": "99"})
    with pytest.raises(CheckpointError, match="format 99, this version reads 1"):
        load_policy(path, CAMERAS, MAP)
    save_file({"weight": torch.zeros(3)}, path, {"format": "navsim-policy", "format_version": "1", "policy": "{}"})
    with pytest.raises(CheckpointError, match="damaged header"):
        load_policy(path, CAMERAS, MAP)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    wider = small_policy(hidden=32)
    save_checkpoint(path, small_info(small_policy()), wider)
    text = r"holds another network: network.fuse.0.bias has shape \(32,\), expected \(16,\)"
    with pytest.raises(CheckpointError, match=text):
        load_policy(path, CAMERAS, MAP)
    save_checkpoint(path, small_info(small_policy()), small_policy(inputs=("camera",)))
    with pytest.raises(CheckpointError, match="holds another network"):
        load_policy(path, CAMERAS, MAP)


def step(train_state: TrainState[Policy]) -> None:
    """Take one training step."""
    policy_losses(train_state.network, small_samples(4))["total"].backward()  # type: ignore[no-untyped-call]
    train_state.update(100, 1e-3)


def test_restored_tensors_keep_their_memory_format(tmp_path: Path) -> None:
    old, new = small_train_state(), small_train_state(seed=9)
    step(old)
    path = tmp_path / "last.safetensors"
    save_checkpoint(path, small_info(old.network), old.average.network, old)
    restore_training(path, new)
    for was, now in zip(old.average.network.parameters(), new.average.network.parameters(), strict=True):
        assert torch.equal(was, now)
    for was, now in zip(old.network.parameters(), new.network.parameters(), strict=True):
        assert torch.equal(was, now)
        for name, value in old.optimizer.state[was].items():
            assert torch.equal(value, new.optimizer.state[now][name])
            assert value.stride() == new.optimizer.state[now][name].stride()
    step(old)
    step(new)
    assert all(map(torch.equal, old.average.network.parameters(), new.average.network.parameters()))


def test_driving_uses_the_averaged_weights(tmp_path: Path) -> None:
    train_state = small_train_state()
    step(train_state)
    path = tmp_path / "last.safetensors"
    save_checkpoint(path, small_info(train_state.network), train_state.average.network, train_state)
    loaded = dict(load_policy(path, CAMERAS, MAP).named_parameters())
    for name, weight in train_state.network.named_parameters():
        assert torch.equal(loaded[name], dict(train_state.average.network.named_parameters())[name])
        assert not torch.equal(loaded[name], weight)


def test_the_temperature_is_stored_in_the_header_and_used(tmp_path: Path) -> None:
    train_state, batch = small_train_state(), small_samples(4).observations
    step(train_state)
    path = tmp_path / "last.safetensors"
    save_checkpoint(path, small_info(train_state.network), train_state.average.network, train_state)
    before, info = load_file(path), read_info(path)
    assert info.temperature == 1.0
    write_calibration(path, 2.5)
    after = load_file(path)
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert read_info(path) == replace(info, temperature=2.5)
    with torch.no_grad():
        cold, warm = train_state.average.network.steer(batch), load_policy(path, CAMERAS, MAP).steer(batch)
        torch.testing.assert_close(warm.quantile(0.9), cold.tempered(2.5).quantile(0.9))
    assert bool((warm.quantile(0.9) > cold.quantile(0.9)).all())
    restore_training(path, train_state)
    assert (
        train_state.network.temperature == train_state.average.network.temperature == 1.0
    )  # training goes on without it


def test_levels_are_stored_and_change_probabilities_but_not_steering(tmp_path: Path) -> None:
    path, batch = saved(tmp_path / "a.safetensors"), small_samples(4).observations
    levels = (0.0, 0.1, 0.9, 1.0)
    write_calibration(path, 1.0, levels)
    assert read_info(path).levels == levels
    policy = load_policy(path, CAMERAS, MAP)
    with torch.no_grad():
        believed, driven = policy.steer(batch), policy.predict(scale_observations(batch, torch.float32)).distribution
    torch.testing.assert_close(believed.cdf(driven.quantile(0.9)), torch.full((4,), 2 / 3), atol=1e-4, rtol=0.0)
    torch.testing.assert_close(driven.cdf(driven.quantile(0.9)), torch.full((4,), 0.9), atol=1e-4, rtol=0.0)
    assert torch.equal(believed.mode, driven.mode)
    before = path.read_bytes()
    for wrong in ((0.0, 0.5), (0.5,), (0.0, 0.6, 0.5, 1.0), (0.0, float("nan"), 1.0)):
        with pytest.raises(ConfigError, match="levels must be empty, or rise from 0 to 1"):
            write_calibration(path, 1.0, wrong)
    assert path.read_bytes() == before


def test_impossible_temperatures_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.safetensors")
    before = path.read_bytes()
    for temperature in (0.0, float("nan"), 1000.0):
        with pytest.raises(ConfigError, match=r"temperature must be 0.01 to 100"):
            write_calibration(path, temperature)
    assert path.read_bytes() == before
    with safe_open(path, framework="pt") as file:
        header = file.metadata()
    save_file(load_file(path), path, header | {"temperature": "-1.0"})
    with pytest.raises(CheckpointError, match=r"damaged header.*temperature must be"):
        read_info(path)
    del header["temperature"]  # as in files of older versions
    save_file(load_file(path), path, header)
    assert read_info(path).temperature == 1.0


def test_training_cannot_continue_from_weights_alone(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no optimiser state"):
        restore_training(saved(tmp_path / "a.safetensors"), small_train_state())


@pytest.mark.linux
def test_what_was_read_does_not_hold_the_file(tmp_path: Path) -> None:
    path = saved(tmp_path / "last.safetensors")
    _, tensors = POLICY_FORMAT.read(path)
    assert tensors
    assert str(path) not in Path("/proc/self/maps").read_text(encoding="utf-8")


@pytest.mark.linux
def test_a_failed_write_leaves_the_old_checkpoint(tmp_path: Path) -> None:
    path = saved(tmp_path / "last.safetensors", inputs=("speed",))
    before = path.read_bytes()
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))  # as if the disk were full after 50 kB
    try:
        with pytest.raises(StorageError, match=r"last.safetensors: cannot be written: File too large"):
            saved(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
