import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from agents.policies.policy import Policy
from agents.training.config import TrainConfig
from agents.training.optimization import OptimizerConfig
from agents.training.policy_task import policy_trainer
from agents.training.run_folder import RunFolder
from agents.training.runtime import oom_as_config_error
from navsim.errors import ConfigError
from tests.agents.small_runs import (
    policy_losses,
    small_config,
    small_data,
    small_policy,
    small_samples,
    small_train_state,
)


def gradients(policy: Policy, cuts: list[int], weights: torch.Tensor) -> list[torch.Tensor]:
    """Gradients of a batch of 12 computed in parts that end at `cuts`."""
    samples = small_samples(12)
    for first, last in zip([0, *cuts[:-1]], cuts, strict=True):
        losses = policy_losses(policy, samples[slice(first, last)], weights[first:last])
        (losses["total"] * ((last - first) / 12)).backward()  # type: ignore[no-untyped-call]
    return [parameter.grad.clone() for parameter in policy.parameters() if parameter.grad is not None]


def test_parts_of_unequal_length_add_up_to_the_gradient_of_the_batch() -> None:
    weights = torch.linspace(0.5, 1.5, 12)
    whole = gradients(small_policy(), [12], weights)
    assert len(whole) == len(list(small_policy().parameters()))
    for part, all_at_once in zip(gradients(small_policy(), [5, 7, 12], weights), whole, strict=True):
        torch.testing.assert_close(part, all_at_once, rtol=1e-4, atol=1e-6)


def test_a_weight_of_two_counts_like_two_frames() -> None:
    policy, samples = small_policy(), small_samples(3)
    alone = [policy_losses(policy, samples[slice(i, i + 1)]) for i in range(3)]
    weighted = policy_losses(policy, samples, torch.tensor([2.0, 0.0, 1.0]))["nll"]
    expected = (2 * alone[0]["nll"] + alone[2]["nll"]) / 3
    torch.testing.assert_close(weighted, expected)


def test_a_step_returns_the_norm_before_clipping_and_clears_the_gradients() -> None:
    state = small_train_state(optimizer=OptimizerConfig(max_gradient_norm=1e-3))
    whole = gradients(state.network, [12], torch.ones(12))
    norm = state.update(0, 1e-3)
    expected = torch.stack([gradient.norm() for gradient in whole]).norm()
    assert norm.item() == pytest.approx(expected.item(), rel=1e-5)
    assert norm.item() > 1e-3
    assert all(parameter.grad is None for parameter in state.network.parameters())
    assert {group["lr"] for group in state.optimizer.param_groups} == {1e-3}


def final_weights(config: TrainConfig, steps: int) -> dict[str, torch.Tensor]:
    """Weights after some steps of a run."""
    trainer = policy_trainer(config, small_data(), RunFolder(config.run_dir))
    draw = trainer.task.draw(0)
    for position in range(steps):
        batch = slice(16 * position, 16 * (position + 1))
        trainer.step(torch.from_numpy(draw.index[batch]), torch.from_numpy(draw.weights[batch]))
    trainer.save()
    return load_file(trainer.folder.last)


@pytest.mark.parametrize("accumulate", [2, 5])
def test_accumulated_parts_give_the_step_of_the_whole_batch(tmp_path: Path, accumulate: int) -> None:
    """Augmentation included: a part is changed as it would be within the whole."""
    config = small_config(tmp_path, batch_size=16)
    whole = final_weights(replace(config, run_dir=tmp_path / "whole"), steps=3)
    cut = final_weights(replace(config, run_dir=tmp_path / "cut", accumulate=accumulate), steps=3)
    for name, value in whole.items():
        torch.testing.assert_close(cut[name], value, rtol=1e-3, atol=1e-5, msg=name)


def test_a_shortage_of_memory_is_one_line_that_says_what_helps() -> None:
    text = r"out of memory at batch_size 64 with accumulate 2: raise accumulate.*or lower batch_size"
    with pytest.raises(ConfigError, match=text), oom_as_config_error(64, 2):
        torch.empty(1 << 48, dtype=torch.float64)
    with pytest.raises(ConfigError, match="out of GPU memory at batch_size 64"), oom_as_config_error(64, 1):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9000.00 GiB")


def test_other_errors_are_left_as_they_are() -> None:
    with pytest.raises(RuntimeError, match="shapes"), oom_as_config_error(64, 1):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")  # of torch's own parts, when they are imported
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
def test_compiled_layers_learn_the_same(tmp_path: Path) -> None:
    config = small_config(tmp_path)
    plain = final_weights(replace(config, run_dir=tmp_path / "plain"), steps=2)
    compiled = final_weights(replace(config, run_dir=tmp_path / "compiled", compile=True), steps=2)
    assert plain.keys() == compiled.keys()
    for name, value in plain.items():
        torch.testing.assert_close(compiled[name], value, rtol=1e-3, atol=1e-4, msg=name)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
def test_without_a_compiler_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch._dynamo.reset()
    monkeypatch.setenv("CXX", str(tmp_path / "nowhere"))
    monkeypatch.setattr("torch._inductor.config.cpp.cxx", (str(tmp_path / "nowhere"),))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    with pytest.raises(ConfigError, match=r"compile = true: cannot be done here .*; leave it off"):
        final_weights(small_config(tmp_path, compile=True), steps=1)
