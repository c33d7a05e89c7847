import pytest
import torch

from agents.training.optimization import EmaConfig, WeightAverage
from navsim.errors import ConfigError
from tests.agents.small_runs import small_policy


def test_young_averages_forget_faster() -> None:
    config = EmaConfig(decay=0.9, warmup=10.0)
    # (1 + t) / (10 + t): 1/10, 2/11, 3/12, ... until it passes 0.9 at t = 80
    assert [config.decay_at(t) for t in (0, 1, 2)] == pytest.approx([0.1, 2 / 11, 0.25])
    assert config.decay_at(79) == pytest.approx(80 / 89)
    assert config.decay_at(80) == config.decay_at(10**6) == 0.9


def test_the_average_is_the_one_computed_by_hand() -> None:
    policy = small_policy()
    average = WeightAverage(policy, EmaConfig(decay=0.5, warmup=10.0))
    weight, mean = policy.head.bias, average.network.head.bias
    with torch.no_grad():
        weight.fill_(0.0)
    average.update(10**6)
    expected = mean.clone()  # half of what the network began with
    for value in (1.0, 2.0, -4.0):
        with torch.no_grad():
            weight.fill_(value)
        average.update(10**6)
        expected = 0.5 * expected + 0.5 * value
    torch.testing.assert_close(mean, expected)
    start = small_policy().head.bias
    # a / 2, then + 0.5, / 2 + 1, / 2 - 2, over four updates: a / 16 + 1 / 8 + 2 / 4 - 4 / 2
    torch.testing.assert_close(mean, start / 16 - 1.375)


def test_the_first_steps_hardly_look_back() -> None:
    policy = small_policy()
    average = WeightAverage(policy, EmaConfig(decay=0.999))
    before = average.network.head.bias.clone()
    with torch.no_grad():
        policy.head.bias.add_(1.0)
    average.update(0)
    torch.testing.assert_close(average.network.head.bias, before + 0.9)


def test_without_decay_it_is_the_network_itself_bit_for_bit() -> None:
    policy = small_policy()
    average = WeightAverage(policy, EmaConfig(decay=0.0))
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.mul_(1.1).add_(1e-3)
    average.update(5)
    assert all(map(torch.equal, policy.state_dict().values(), average.network.state_dict().values()))


def test_it_is_a_copy_that_neither_learns_nor_is_changed_by_the_network() -> None:
    policy = small_policy().train()
    average = WeightAverage(policy, EmaConfig())
    before = average.network.head.weight.clone()
    with torch.no_grad():
        policy.head.weight.add_(1.0)
    assert torch.equal(average.network.head.weight, before)
    assert not average.network.training
    assert policy.training
    assert not any(parameter.requires_grad for parameter in average.network.parameters())
    strides = [parameter.stride() for parameter in policy.parameters()]
    assert [parameter.stride() for parameter in average.network.parameters()] == strides


def test_impossible_averages_are_refused() -> None:
    for decay in (1.0, -0.1, float("nan")):
        with pytest.raises(ConfigError, match=f"decay must be at least 0 and below 1, got {decay}"):
            EmaConfig(decay)
    with pytest.raises(ConfigError, match=r"warmup must be at least 1, got 0\.5"):
        EmaConfig(0.9, 0.5)
