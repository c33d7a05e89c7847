import math
from itertools import pairwise

import pytest
import torch

from agents.policies.distributions.mixture import SteeringMixture, TruncatedMixture
from agents.policies.networks.config import PolicyConfig
from agents.policies.policy import HEADS
from agents.training.config import REGULARISERS, LossConfig, TrainConfig
from agents.training.optimization import OptimizerConfig, learning_rate, make_optimizer, set_learning_rate
from agents.training.policy_task import LossParts, steering_loss
from navsim.errors import ConfigError
from tests.agents.small_runs import small_policy


def gaussians(means: list[float], scale: float) -> SteeringMixture:
    """One Gaussian per situation, in units of a range of 0.2 1/m."""
    count = len(means)
    return SteeringMixture(torch.zeros(count, 1), torch.tensor(means)[:, None], torch.full((count, 1), scale), 0.2)


def loss_of(distribution: SteeringMixture, labels: torch.Tensor, **weights: float) -> LossParts:
    return steering_loss(distribution, labels, PolicyConfig(), LossConfig(**weights))


def test_the_loss_of_a_perfect_gaussian_is_its_log_peak() -> None:
    # sigma = 0.02 1/m: -log(1 / (0.02 sqrt(2 pi))) = log(0.02) + 0.919
    parts = loss_of(gaussians([0.5, -0.5], 0.1), torch.tensor([0.1, -0.1]))
    assert parts.nll.item() == pytest.approx(math.log(0.02) + math.log(2 * math.pi) / 2, abs=1e-5)
    assert parts.total.item() == parts.nll.item()
    assert set(parts.named()) == {"nll", "total"}


def test_one_sigma_costs_half_a_nat() -> None:
    distribution = gaussians([0.0], 0.1)
    at_mean, off = (loss_of(distribution, torch.tensor([x])).nll.item() for x in (0.0, 0.02))
    assert off - at_mean == pytest.approx(0.5, abs=1e-5)


def fork() -> SteeringMixture:
    """Weights 0.6 and 0.4, scales 0.1 and 0.05 of the range, for two situations."""
    weights, means, scales = ([[0.6, 0.4]] * 2, [[-0.5, 0.5]] * 2, [[0.1, 0.05]] * 2)
    return SteeringMixture(torch.tensor(weights).log(), torch.tensor(means), torch.tensor(scales), 0.2)


def test_the_commands_error_counts_in_units_of_the_range_and_is_weighed() -> None:
    command = torch.tensor([0.05, 0.0], requires_grad=True)
    labels, policy = torch.tensor([0.1, -0.02]), PolicyConfig(network="amini2019")
    distribution = gaussians([0.5, -0.5], 0.1)
    parts = steering_loss(distribution, labels, policy, LossConfig(command=4.0), command=command)
    expected = ((0.05 / 0.2) ** 2 + (0.02 / 0.2) ** 2) / 2
    named = parts.named()
    assert named["command"].item() == pytest.approx(expected)
    assert named["total"].item() == pytest.approx(named["nll"].item() + 4.0 * expected)
    parts.total.backward()  # type: ignore[no-untyped-call]
    assert command.grad is not None
    assert command.grad.tolist() == pytest.approx([4.0 * -0.05 / 0.2**2, 4.0 * 0.02 / 0.2**2])
    alone = steering_loss(distribution, labels, policy, LossConfig(command=4.0))
    assert alone.total.item() == pytest.approx(named["nll"].item())


@pytest.mark.parametrize("weight", [0.0, -1.0, math.nan, math.inf])
def test_an_impossible_weight_of_the_command_is_refused(weight: float) -> None:
    with pytest.raises(ConfigError, match=r"^command must be above 0 and at most 1e\+06, got"):
        LossConfig(command=weight)


def test_regularisers_are_terms_of_their_own_with_their_weights() -> None:
    labels = torch.tensor([0.1, -0.1])
    parts = loss_of(fork(), labels, weight_norm=0.5, log_scale=2.0, log_scale_target=-2.0)
    named = {name: value.item() for name, value in parts.named().items()}
    assert named["nll"] == loss_of(fork(), labels).nll.item()
    assert named["weight_norm"] == pytest.approx(math.sqrt(0.36 + 0.16))
    target = ((math.log(0.1) + 2) ** 2 + (math.log(0.05) + 2) ** 2) / 2
    assert named["log_scale"] == pytest.approx(target)
    assert named["total"] == pytest.approx(named["nll"] + 0.5 * named["weight_norm"] + 2.0 * named["log_scale"])


def test_the_norms_power_decides_what_it_asks_for() -> None:
    # p = 0.5: (sqrt(0.6) + sqrt(0.4))^2; below 1 one component alone has the least norm, above 1 equal weights have.
    half = loss_of(fork(), torch.zeros(2), weight_norm=1.0, weight_norm_power=0.5).terms["weight_norm"]
    assert half.item() == pytest.approx((math.sqrt(0.6) + math.sqrt(0.4)) ** 2)
    for power, sign in ((0.5, -1), (3.0, 1)):
        outputs = torch.tensor([[1.0, 0.0, 0.0, 0.0, 0.0, 0.0]], requires_grad=True)
        mixture = SteeringMixture.from_outputs(outputs, 0.2, 0.01)
        term = loss_of(mixture, torch.zeros(1), weight_norm=1.0, weight_norm_power=power).terms["weight_norm"]
        term.backward()  # type: ignore[no-untyped-call]
        assert outputs.grad is not None
        assert sign * float(outputs.grad[0, 0]) > 0


def test_regularisers_are_finite_for_a_weight_that_vanishes() -> None:
    for power in (0.1, 0.5, 10.0):
        outputs = torch.tensor([[1e30, -1e30, 0.0, 0.0, -1e30, 1e30]], requires_grad=True)
        mixture = TruncatedMixture.from_outputs(outputs, 0.2, 0.01)
        loss = LossConfig(weight_norm=1.0, weight_norm_power=power, log_scale=1.0)
        parts = steering_loss(mixture, torch.zeros(1), PolicyConfig(head="truncated_mixture"), loss)
        parts.total.backward()  # type: ignore[no-untyped-call]
        assert math.isfinite(parts.total.item())
        assert outputs.grad is not None
        assert bool(outputs.grad.isfinite().all())


@pytest.mark.parametrize("kind", HEADS)
def test_every_head_has_its_loss_by_name_and_a_likelihood_to_compare(kind: str) -> None:
    policy = PolicyConfig(head=kind)  # type: ignore[arg-type]  # the names are those of HEADS
    outputs = HEADS[kind].initial_bias(policy)[None].expand(3, -1).clone().requires_grad_()
    distribution = HEADS[kind].distribution(outputs, policy)
    labels = torch.tensor([0.1, 0.0, -0.05])
    parts = steering_loss(distribution, labels, policy, LossConfig())
    assert set(parts.named()) == {"nll", HEADS[kind].loss_name, "total"}
    assert parts.nll.item() == pytest.approx(-distribution.log_prob(labels).mean().item(), rel=1e-5)
    assert torch.equal(parts.total, parts.terms[HEADS[kind].loss_name])
    parts.total.backward()  # type: ignore[no-untyped-call]
    assert outputs.grad is not None
    assert float(outputs.grad.abs().max()) > 0


def test_regularisers_are_off_unless_asked_for_and_known_to_a_head_by_the_same_names() -> None:
    assert LossConfig().weights == {}
    assert LossConfig(log_scale=0.1).weights == {"log_scale": 0.1}
    assert {name for head in HEADS.values() for name in head.regularisers} == set(REGULARISERS)


@pytest.mark.parametrize(
    ("head", "weights"),
    [
        ("bins", {"log_scale": 0.1}),
        ("point", {"log_scale": 0.1}),
        ("gaussian", {"weight_norm": 0.1}),
        ("bins", {"weight_norm": 0.1}),
    ],
)
def test_a_term_that_the_head_lacks_is_refused(head: str, weights: dict[str, float]) -> None:
    name = next(iter(weights))
    policy = PolicyConfig(head=head)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=rf"loss.{name} = 0.1 needs a head .*mixture.*; policy.head is {head}"):
        TrainConfig(policy=policy, loss=LossConfig(**weights))


@pytest.mark.parametrize(
    "changes", [{"weight_norm": -1.0}, {"log_scale": math.nan}, {"weight_norm_power": 1.0}, {"log_scale_target": 1.0}]
)
def test_impossible_losses_are_refused_by_name(changes: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(changes))} must"):
        LossConfig(**changes)


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
