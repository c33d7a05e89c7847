from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
import pytest

import navsim  # noqa: F401 - registers the environment
from navsim.errors import ActionError, ConfigError
from navsim.simulation.environment import TownEnvironment
from navsim.simulation.vector import TownVectorEnvironment
from tests.simulation.conftest import SMALL


@pytest.fixture
def vector() -> Iterator[TownVectorEnvironment]:
    made = TownVectorEnvironment(3, towns=2, config=SMALL)
    yield made
    made.close()


def same(one: dict[str, Any], other: dict[str, Any], index: int) -> bool:
    return all((one[key][index] == other[key]).all() for key in other)


def test_each_of_them_is_what_it_would_be_alone(vector: TownVectorEnvironment) -> None:
    alone = [TownEnvironment(towns=2, config=SMALL) for _ in range(3)]
    observations, infos = vector.reset(seed=11)
    for i, environment in enumerate(alone):
        seen, info = environment.reset(seed=11 + i)
        assert same(observations, seen, i)
        assert infos["scenario"][i] == info["scenario"]
    rng = np.random.default_rng(0)
    ended = np.zeros(3, bool)
    resets = 0
    for _ in range(60):
        actions = rng.uniform(-0.6, 1.0, (3, 1)).astype(np.float32)
        observations, rewards, terminated, truncated, infos = vector.step(actions)
        for i, environment in enumerate(alone):
            if ended[i]:
                resets += 1
                seen, info = environment.reset()
                assert (rewards[i], terminated[i], truncated[i]) == (0.0, False, False)
            else:
                seen, reward, end, cut, info = environment.step(actions[i])
                assert (rewards[i], terminated[i], truncated[i]) == (reward, end, cut)
            assert same(observations, seen, i)
            assert infos["outcome"][i] == info["outcome"]
        ended = terminated | truncated
    assert resets > 1
    for environment in alone:
        environment.close()


def test_gymnasium_makes_it(vector: TownVectorEnvironment) -> None:
    made = gymnasium.make_vec("navsim/Town-v0", num_envs=2, vectorization_mode="vector_entry_point", config=SMALL)
    observations, infos = made.reset(seed=1)
    assert made.observation_space.contains(observations)
    assert made.action_space.shape == (2, 1)
    assert infos["cameras"]["front"]["intrinsics"].shape == (2, 3, 3)
    made.close()
    made.close()


@pytest.mark.parametrize("actions", [[[0.0]], [[0.0], [np.nan], [0.0]], [[0.0], [0.0], [1.5]]])
def test_bad_actions_move_no_car(vector: TownVectorEnvironment, actions: Any) -> None:
    vector.reset(seed=1)
    with pytest.raises(ActionError, match="actions must be"):
        vector.step(np.array(actions, np.float32))
    observations, *_ = vector.step(np.zeros((3, 1), np.float32))
    fresh = TownVectorEnvironment(3, towns=2, config=SMALL)
    fresh.reset(seed=1)
    expected, *_ = fresh.step(np.zeros((3, 1), np.float32))
    assert all((observations[key] == expected[key]).all() for key in expected)
    fresh.close()


def test_wrong_numbers_are_refused(vector: TownVectorEnvironment) -> None:
    with pytest.raises(ConfigError, match="num_envs must be at least 1, got 0"):
        TownVectorEnvironment(0)
    with pytest.raises(ConfigError, match="split must be one of"):
        TownVectorEnvironment(1, split="nowhere")
    with pytest.raises(ConfigError, match="3 environments need as many seeds, got 2"):
        vector.reset(seed=[1, 2])
