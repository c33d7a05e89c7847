import math
from typing import Any, get_args

import pytest
import torch

from agents.policies.distributions.mixture import SteeringMixture
from agents.policies.networks.config import PolicyConfig
from agents.policies.policy import HEADS
from navsim.errors import ConfigError
from tests.agents.small_runs import small_policy, small_samples

KINDS = tuple(HEADS)


def config(kind: str, **changes: Any) -> PolicyConfig:
    return PolicyConfig(head=kind, **changes)  # type: ignore[arg-type]  # the names are those of HEADS


def fitted(kind: str, labels: torch.Tensor, **changes: Any) -> Any:
    """The head's distribution for one situation, learned by gradient steps on its own loss."""
    settings, head = config(kind, **changes), HEADS[kind]
    outputs = head.initial_bias(settings)[None].clone().requires_grad_()
    optimizer = torch.optim.Adam([outputs], lr=0.05)
    for _ in range(400):
        distribution = head.distribution(outputs.expand(len(labels), -1), settings)
        optimizer.zero_grad()
        head.loss(distribution, labels, settings).mean().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return head.distribution(outputs.detach().expand(len(labels), -1), settings)


def test_heads_have_the_names_of_the_settings() -> None:
    assert set(HEADS) == set(get_args(PolicyConfig.__dataclass_fields__["head"].type))


@pytest.mark.parametrize("kind", KINDS)
def test_an_untrained_policy_spreads_over_the_range(kind: str) -> None:
    with torch.no_grad():
        distribution = small_policy(head=kind).steer(small_samples(8).observations)
    width = distribution.quantile(0.95) - distribution.quantile(0.05)
    assert float(width.max()) < 0.8
    assert float(width.min()) > (0.03 if kind == "point" else 0.1)
    assert float(distribution.mean.abs().max()) < 0.1
    assert distribution.mode.shape == (8,)


@pytest.mark.parametrize("kind", KINDS)
def test_multimodal_heads_learn_a_fork(kind: str) -> None:
    rng = torch.Generator().manual_seed(0)
    sides = torch.where(torch.rand(400, generator=rng) < 0.6, 0.12, -0.1)
    labels = sides + 0.01 * torch.randn(400, generator=rng)
    distribution = fitted(kind, labels)
    mode, nll = float(distribution.mode[0]), -float(distribution.log_prob(labels).mean())
    truth = -(0.6 * math.log(0.6) + 0.4 * math.log(0.4)) + math.log(0.01 * math.sqrt(2 * math.pi * math.e))
    if kind in ("gaussian", "point"):
        assert abs(mode) < 0.08  # the wall between the roads
        assert nll > truth + 0.5
    else:
        assert mode == pytest.approx(0.12, abs=0.006)
        assert nll < truth + 0.1


def test_a_gaussian_head_is_a_mixture_of_one_and_has_two_outputs() -> None:
    distribution = HEADS["gaussian"].distribution(torch.tensor([[0.5, -2.2]]), config("gaussian"))
    same = SteeringMixture.from_outputs(torch.tensor([[7.0, 0.5, -2.2]]), 0.2, 0.01)
    assert torch.equal(distribution.means, same.means)
    assert torch.equal(distribution.scales, same.scales)
    assert float(distribution.log_weights) == 0.0


def test_a_point_has_the_width_that_is_stated_and_the_error_as_its_loss() -> None:
    settings = config("point", point_width=0.1)
    distribution = HEADS["point"].distribution(torch.tensor([[0.0], [0.0]]), settings)
    assert distribution.components[2].tolist() == [[pytest.approx(0.02)]] * 2
    losses = HEADS["point"].loss(distribution, torch.tensor([0.1, -0.02]), settings)
    assert losses.tolist() == pytest.approx([0.25, 0.01])  # (0.1 / 0.2)^2 and (0.02 / 0.2)^2


def test_likelihood_is_the_loss_of_the_densities() -> None:
    for kind in ("mixture", "gaussian", "truncated_mixture"):
        settings = config(kind)
        distribution = HEADS[kind].distribution(HEADS[kind].initial_bias(settings)[None], settings)
        label = torch.tensor([0.03])
        assert torch.equal(HEADS[kind].loss(distribution, label, settings), -distribution.log_prob(label))
        assert HEADS[kind].loss_name == "nll"


def test_bins_of_a_blurred_label_fit_its_blur() -> None:
    # Learned from one repeated label, the bins must end at a Gaussian of the label's width, not at one bin.
    distribution = fitted("bins", torch.zeros(1), label_width=0.1)
    one_sigma = (distribution.quantile(0.8413) - distribution.quantile(0.1587)) / 2
    assert float(one_sigma) == pytest.approx(0.1 * 0.2, rel=0.05)


@pytest.mark.parametrize(
    "changes",
    [{"bins": 1}, {"label_width": 0.0}, {"point_width": 2.0}, {"scale_floor": 0.0}, {"max_curvature": 1.5}],
)
def test_impossible_settings_are_refused_by_name(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(changes))} must be"):
        PolicyConfig(**changes)
