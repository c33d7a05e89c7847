import math
from itertools import pairwise

import pytest
import torch

from agents.policies.distributions.mixture import SteeringMixture
from agents.policies.settings import PolicyConfig
from agents.training.losses import LossConfig, score, steering_loss
from agents.training.optimization import OptimizerConfig, learning_rate, make_optimizer, set_learning_rate
from navsim.errors import ConfigError
from tests.agents.small_runs import small_policy


def gaussians(means: list[float], scale: float) -> SteeringMixture:
    """One Gaussian per situation, in units of a range of 0.2 1/m."""
    count = len(means)
    return SteeringMixture(torch.zeros(count, 1), torch.tensor(means)[:, None], torch.full((count, 1), scale), 0.2)


def test_the_loss_of_a_perfect_gaussian_is_its_log_peak() -> None:
    # sigma = 0.02 1/m: -log(1 / (0.02 sqrt(2 pi))) = log(0.02) + 0.919
    parts = steering_loss(gaussians([0.5, -0.5], 0.1), torch.tensor([0.1, -0.1]), PolicyConfig(), LossConfig())
    assert parts.nll.item() == pytest.approx(math.log(0.02) + math.log(2 * math.pi) / 2, abs=1e-5)
    assert parts.total.item() == parts.nll.item()
    assert set(parts.named()) == {"nll", "total"}


def test_one_sigma_costs_half_a_nat() -> None:
    distribution = gaussians([0.0], 0.1)
    at_mean, off = (
        steering_loss(distribution, torch.tensor([x]), PolicyConfig(), LossConfig()).nll.item() for x in (0.0, 0.02)
    )
    assert off - at_mean == pytest.approx(0.5, abs=1e-5)


def test_the_commands_error_counts_in_units_of_the_range_and_is_weighed() -> None:
    command = torch.tensor([0.05, 0.0], requires_grad=True)
    labels, policy = torch.tensor([0.1, -0.02]), PolicyConfig(network="amini2019")
    distribution = gaussians([0.5, -0.5], 0.1)
    parts = steering_loss(distribution, labels, policy, LossConfig(command=4.0), command)
    expected = ((0.05 / 0.2) ** 2 + (0.02 / 0.2) ** 2) / 2
    named = parts.named()
    assert named["command"].item() == pytest.approx(expected)
    assert named["total"].item() == pytest.approx(named["nll"].item() + 4.0 * expected)
    assert not any(value.requires_grad for value in named.values())
    parts.total.backward()  # type: ignore[no-untyped-call]
    assert command.grad is not None
    assert command.grad.tolist() == pytest.approx([4.0 * -0.05 / 0.2**2, 4.0 * 0.02 / 0.2**2])
    alone = steering_loss(distribution, labels, policy, LossConfig(command=4.0))
    assert alone.total.item() == pytest.approx(named["nll"].item())


@pytest.mark.parametrize("weight", [0.0, -1.0, math.nan, math.inf])
def test_an_impossible_weight_of_the_command_is_refused(weight: float) -> None:
    with pytest.raises(ConfigError, match=r"loss\.command"):
        LossConfig(command=weight)


def test_scores_with_and_without_the_spike() -> None:
    labels = torch.tensor([0.0, 0.00005, 0.1, -0.1])
    scores = score(torch.tensor([5.0, 5.0, 1.0, 2.0]), torch.tensor([0.0, 0.0, 0.08, -0.11]), labels)
    assert scores.nll == pytest.approx(-3.25)
    assert scores.nll_without_spike == pytest.approx(-1.5)
    assert scores.curvature_error == pytest.approx((0.00005 + 0.02 + 0.01) / 4, rel=1e-4)
    assert scores.curvature_error_without_spike == pytest.approx(0.015, rel=1e-4)
    assert scores.spike_share == pytest.approx(0.5)


def test_scores_of_nothing_but_spike() -> None:
    scores = score(torch.ones(3), torch.zeros(3), torch.zeros(3))
    assert scores.nll_without_spike is None
    assert scores.curvature_error_without_spike is None
    assert scores.spike_share == 1.0


def test_the_learning_rate_warms_up_and_falls_to_its_share() -> None:
    config = OptimizerConfig(learning_rate=1e-3, warmup_steps=10, final_share=0.1)
    rates = [learning_rate(step, 1000, config) for step in range(1001)]
    assert rates[0] == pytest.approx(1e-3 / 11)
    assert max(rates) == rates[10] == pytest.approx(1e-3)
    assert rates[505] == pytest.approx(0.55e-3, rel=1e-3)
    assert rates[1000] == pytest.approx(1e-4)
    assert all(a < b for a, b in pairwise(rates[:11]))
    assert all(a >= b for a, b in pairwise(rates[10:]))


def test_short_runs_warm_up_for_a_tenth_at_most() -> None:
    config = OptimizerConfig(learning_rate=1e-3, warmup_steps=100)
    assert max(range(20), key=lambda step: learning_rate(step, 20, config)) == 2
    assert learning_rate(0, 1, config) == pytest.approx(1e-3)


def test_biases_and_norms_do_not_decay() -> None:
    policy = small_policy()
    optimizer = make_optimizer(policy, OptimizerConfig(weight_decay=0.1))
    decayed, spared = optimizer.param_groups
    assert decayed["weight_decay"] == 0.1
    assert spared["weight_decay"] == 0.0
    assert all(parameter.ndim > 1 for parameter in decayed["params"])
    named = dict(policy.named_parameters())
    assert any(parameter is named["network.norm.weight"] for parameter in spared["params"])
    set_learning_rate(optimizer, 0.5)
    assert {group["lr"] for group in optimizer.param_groups} == {0.5}


@pytest.mark.parametrize(
    "changes",
    [{"learning_rate": 0.0}, {"weight_decay": -1.0}, {"final_share": 2.0}, {"max_gradient_norm": 0.0}],
)
def test_impossible_settings_are_refused_by_name(changes: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(changes))):
        OptimizerConfig(**changes)  # type: ignore[arg-type]  # names differ by case
