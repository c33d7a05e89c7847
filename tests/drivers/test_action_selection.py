"""Acting at a fork: one way is chosen and kept, by rules whose answers can be worked out by hand."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from agents.policies.distributions.mixture import SteeringMixture
from navsim.drivers.action_selection import (
    GRID_POINTS,
    SHOWN_EVERY,
    ActingConfig,
    ActionDistribution,
    ActionMemory,
    Rule,
    decision,
    find_modes,
    follow,
    quantile,
    select_action,
)
from navsim.errors import ConfigError
from navsim.geometry import Array

GRID = np.linspace(-0.2, 0.2, GRID_POINTS)
LEFT, RIGHT = 0.08, -0.06


def mixture(*parts: tuple[float, float, float], command: float | None = None) -> ActionDistribution:
    """A mixture of Gaussians given as (weight, mean, scale) in 1/m."""
    density = sum((w * norm.pdf(GRID, m, s) for w, m, s in parts), np.zeros(GRID_POINTS))
    mode = max(parts, key=lambda part: part[0] / part[2])[1]
    return ActionDistribution(GRID, density, mode, sum(w * m for w, m, _ in parts), command)


def fork(left: float, left_at: float = LEFT, right_at: float = RIGHT) -> ActionDistribution:
    """Two ways, the left one with probability `left`."""
    return mixture((left, left_at, 0.01), (1 - left, right_at, 0.01))


def driven(config: ActingConfig, action_distributions: list[ActionDistribution], seed: int = 0) -> Array:
    """The commands (T,) of a drive [1/m]."""
    memory, commands = ActionMemory(seed), []
    for seen in action_distributions:
        chosen, memory = select_action(config, seen, memory)
        commands.append(chosen)
    return np.array(commands)


def changes(commands: Array) -> int:
    """How often the car changes its way between left and right."""
    return int((np.diff(np.sign(commands)) != 0).sum())


def crossing(seed: int, steps: int = 100, noise: float = 0.15) -> list[ActionDistribution]:
    """The left way slowly gives way to the right one, with noise in the weights; around 50/50 for most of the time."""
    rng = np.random.default_rng(seed)
    trend = np.linspace(0.6, 0.4, steps) + rng.normal(0.0, noise / 2, steps)
    return [fork(float(np.clip(left, 0.5 - noise, 0.5 + noise))) for left in trend]


@pytest.mark.parametrize("seed", range(5))
def test_follow_mode_stays_on_one_way_where_the_highest_mode_sways(seed: int) -> None:
    drive = crossing(seed)
    assert changes(driven(ActingConfig("mode"), drive)) > 10
    assert changes(driven(ActingConfig("follow_mode"), drive)) == 0  # 0.35 / 0.65 is above the share of 0.5


@pytest.mark.parametrize("seed", range(5))
def test_follow_mode_gives_way_once_when_the_weights_have_crossed_for_good(seed: int) -> None:
    rng = np.random.default_rng(seed)
    drive = [fork(float(left)) for left in np.linspace(0.9, 0.1, 200) + rng.normal(0.0, 0.04, 200)]
    commands = driven(ActingConfig("follow_mode"), drive)
    assert changes(driven(ActingConfig("mode"), drive)) > 1
    assert changes(commands) == 1
    assert (commands[0], commands[-1]) == pytest.approx((LEFT, RIGHT), abs=1e-3)


def test_a_way_is_given_up_at_the_stated_share() -> None:
    config = ActingConfig(keep=0.5)
    assert follow(config, fork(0.34), LEFT) == pytest.approx(LEFT, abs=1e-4)  # 0.34 / 0.66 > 0.5
    assert follow(config, fork(0.33), LEFT) == RIGHT  # 0.33 / 0.67 < 0.5
    assert follow(replace(config, keep=1.0), fork(0.49), LEFT) == RIGHT
    assert follow(replace(config, keep=0.1), fork(0.1), LEFT) == pytest.approx(LEFT, abs=1e-4)


def test_a_way_that_vanishes_is_left_at_once() -> None:
    drive = [fork(0.6)] * 5 + [mixture((1.0, RIGHT, 0.01))]
    assert driven(ActingConfig("follow_mode"), drive)[-2:] == pytest.approx([LEFT, RIGHT])


def test_a_way_that_vanishes_among_others_is_left_for_the_highest() -> None:
    rest = mixture((0.6, -0.1, 0.01), (0.4, 0.0, 0.01))
    assert follow(ActingConfig(), rest, LEFT) == -0.1  # 0.0 is 0.08 away, which is out of reach


def test_the_followed_way_may_wander_as_the_car_comes_closer() -> None:
    drive = [fork(0.45, left_at=float(at)) for at in np.linspace(0.03, 0.15, 40)]
    drive[0] = fork(0.6, left_at=0.03)
    assert driven(ActingConfig("follow_mode"), drive) == pytest.approx(np.linspace(0.03, 0.15, 40), abs=2e-4)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(-0.19, 0.19), min_size=2, max_size=10), st.floats(0.003, 0.05))
def test_one_way_alone_is_followed_without_delay(means: list[float], scale: float) -> None:
    drive = [mixture((1.0, mean, scale)) for mean in means]
    assert driven(ActingConfig("follow_mode"), drive).tolist() == means


def test_a_drive_begins_with_the_highest_mode_whatever_was_driven_before() -> None:
    _, memory = select_action(ActingConfig(), fork(0.9), ActionMemory(0))
    assert memory.followed == LEFT
    assert select_action(ActingConfig(), fork(0.4), memory)[0] == pytest.approx(LEFT, abs=1e-4)
    assert select_action(ActingConfig(), fork(0.4), ActionMemory(0))[0] == RIGHT


def test_the_mean_drives_between_two_ways() -> None:
    assert select_action(ActingConfig("mean"), fork(0.5), ActionMemory(0))[0] == pytest.approx((LEFT + RIGHT) / 2)


def test_sample_and_hold_steers_by_one_quantile_for_the_stated_time() -> None:
    config = ActingConfig("sample_hold", hold_steps=10)
    commands = driven(config, [mixture((1.0, 0.0, 0.02))] * 40)
    assert [len(set(commands[i : i + 10])) for i in range(0, 40, 10)] == [1, 1, 1, 1]
    assert len(set(commands)) == 4
    np.testing.assert_array_equal(commands, driven(config, [mixture((1.0, 0.0, 0.02))] * 40))
    assert set(commands).isdisjoint(driven(config, [mixture((1.0, 0.0, 0.02))] * 40, seed=1))


def test_a_held_quantile_moves_with_the_road() -> None:
    drive = [mixture((1.0, at, 0.01)) for at in np.linspace(0.0, 0.05, 10)]
    commands = driven(ActingConfig("sample_hold", hold_steps=10), drive)
    assert commands - commands[0] == pytest.approx(np.linspace(0.0, 0.05, 10), abs=1e-4)


def test_samples_have_the_distributions_probabilities() -> None:
    commands = driven(ActingConfig("sample_hold", hold_steps=1), [fork(0.7)] * 2000)
    assert (commands > 0).mean() == pytest.approx(0.7, abs=0.03)
    assert commands[commands > 0].mean() == pytest.approx(LEFT, abs=0.001)
    assert commands[commands > 0].std() == pytest.approx(0.01, abs=0.001)


@pytest.mark.parametrize("rule", ["mode", "follow_mode", "sample_hold", "mean"])
def test_a_command_that_the_policy_gives_is_driven(rule: Rule) -> None:
    seen = replace(fork(0.5), command=0.03)
    assert select_action(ActingConfig(rule), seen, ActionMemory(0))[0] == 0.03


@pytest.mark.parametrize("rule", ["mode", "follow_mode", "sample_hold", "mean"])
def test_commands_stay_within_the_range_also_where_nothing_lies_in_it(rule: Rule) -> None:
    outside = ActionDistribution(GRID, np.zeros(GRID_POINTS), 0.2 + 1e-9, 0.25)
    memory = ActionMemory(0, followed=0.1)
    assert select_action(ActingConfig(rule), outside, memory)[0] == 0.2


def test_quantiles_are_those_of_a_gaussian() -> None:
    seen = mixture((1.0, 0.02, 0.03))
    for share in (0.05, 0.5, 0.9):
        assert quantile(seen, share) == pytest.approx(norm.ppf(share, 0.02, 0.03), abs=1e-4)


def test_modes_are_found_with_their_probabilities() -> None:
    seen = mixture((0.5, 0.1, 0.01), (0.2, -0.1, 0.005), (0.3, 0.0, 0.02))
    modes = find_modes(seen.grid, seen.density, 0.8)
    assert [mode.curvature for mode in modes] == pytest.approx([-0.1, 0.0, 0.1], abs=2e-4)
    assert [mode.mass for mode in modes] == pytest.approx([0.2, 0.3, 0.5], abs=0.01)


def test_modes_between_the_grids_points_are_placed_exactly() -> None:
    step = GRID[1] - GRID[0]
    for shift in (0.0, 0.3, 0.5, 0.9):
        at = GRID[200] + shift * step
        (mode,) = find_modes(GRID, norm.pdf(GRID, at, 0.002), 0.8)
        assert mode.curvature == pytest.approx(at, abs=1e-9)
        assert mode.mass == pytest.approx(1.0, abs=1e-6)


def test_a_ripple_is_no_way_of_its_own() -> None:
    rippled = norm.pdf(GRID, 0.0, 0.03) * (1 + 0.05 * np.cos(GRID / 0.001))
    assert len(find_modes(GRID, rippled, 1.0)) > 5
    (mode,) = find_modes(GRID, rippled, 0.8)
    assert mode.mass == pytest.approx(1.0, abs=1e-3)


def test_modes_at_the_ends_and_on_plateaus_are_found() -> None:
    ends = norm.pdf(GRID, -0.21, 0.01) + norm.pdf(GRID, 0.21, 0.01)
    assert [mode.curvature for mode in find_modes(GRID, ends, 0.8)] == [-0.2, 0.2]
    steps = np.where(np.abs(GRID - 0.1) < 0.0201, 10.0, 1.0)
    (mode,) = find_modes(GRID, steps, 0.8)
    assert mode.curvature == pytest.approx(0.1)
    assert find_modes(GRID, np.zeros(GRID_POINTS), 0.8) == ()


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10_000), st.integers(1, 6), st.floats(0.1, 1.0))
def test_modes_of_any_mixture_share_out_its_probability(seed: int, components: int, valley: float) -> None:
    outputs = 2 * torch.randn(1, 3 * components, generator=torch.Generator().manual_seed(seed))
    mixture = SteeringMixture.from_outputs(outputs, 0.2, 0.01)
    density = mixture.density(torch.tensor(GRID, dtype=torch.float32))[0].double().numpy()
    modes = find_modes(GRID, density, valley)
    assert sum(mode.mass for mode in modes) == pytest.approx(np.trapezoid(density, GRID), rel=1e-6)
    highest = max(modes, key=lambda mode: np.interp(mode.curvature, GRID, density))
    assert np.interp(highest.curvature, GRID, density) >= 0.99 * density.max()


def test_a_decision_carries_every_fourth_point_of_the_density() -> None:
    seen = fork(0.5)
    shown = decision(seen, 0.01)
    assert shown.curvature == 0.01
    assert shown.grid is not None
    assert shown.density is not None
    np.testing.assert_array_equal(shown.grid, GRID[::SHOWN_EVERY])
    np.testing.assert_array_equal(shown.density, seen.density[::SHOWN_EVERY])
    assert (shown.grid[0], shown.grid[-1]) == (-0.2, 0.2)


@pytest.mark.parametrize(
    "values",
    [{"keep": 0.0}, {"keep": 1.1}, {"valley": 0.0}, {"reach": 0.0}, {"hold_steps": 0}, {"reach": float("nan")}],
)
def test_impossible_settings_are_refused_by_name(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"acting.{next(iter(values))}"):
        ActingConfig(**values)
