from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
import pytest

import navsim  # noqa: F401 - registers the environment
from navsim.errors import ActionError, ConfigError
from navsim.sensing.observation import DeploymentFaults
from navsim.simulation.config import SimulationConfig
from navsim.simulation.environment import TownEnvironment
from navsim.simulation.vector import TownVectorEnvironment
from tests.simulation.conftest import SMALL

FAULTY = replace(SMALL, faults=DeploymentFaults(2, 0.3, 0.3, "any", 0.1, 0.5))


@pytest.fixture
def vector() -> Iterator[TownVectorEnvironment]:
    made = TownVectorEnvironment(3, towns=2, config=SMALL)
    yield made
    made.close()


def same(one: dict[str, Any], other: dict[str, Any], index: int) -> bool:
    return all((one[key][index] == other[key]).all() for key in other)


@pytest.mark.parametrize("config", [SMALL, FAULTY])
def test_each_of_them_is_what_it_would_be_alone(config: SimulationConfig) -> None:
    vector = TownVectorEnvironment(3, towns=2, config=config)
    alone = [TownEnvironment(towns=2, config=config) for _ in range(3)]
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
    vector.close()
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


def test_bad_actions_move_no_car(vector: TownVectorEnvironment) -> None:
    vector.reset(seed=1)
    wrong = [np.array(actions, np.float32) for actions in ([[0.0]], [[0.0], [np.nan], [0.0]], [[0.0], [0.0], [1.5]])]
    for actions in (*wrong, [[0.0], [0.0]], [[0.0], [], [0.0]], [["left"], ["left"], ["left"]], None):
        with pytest.raises(ActionError, match="actions must be") as error:
            vector.step(actions)  # type: ignore[arg-type]
        assert "\n" not in str(error.value)
    observations, *_ = vector.step(np.zeros((3, 1), np.float32))
    fresh = TownVectorEnvironment(3, towns=2, config=SMALL)
    fresh.reset(seed=1)
    expected, *_ = fresh.step(np.zeros((3, 1), np.float32))
    assert all((observations[key] == expected[key]).all() for key in expected)
    fresh.close()


def test_wrong_numbers_are_refused(vector: TownVectorEnvironment) -> None:
    with pytest.raises(ConfigError, match="num_envs must be at least 1, got 0"):
        TownVectorEnvironment(0)
    with pytest.raises(ConfigError, match=r"num_envs = 2\.5: input should be a valid integer"):
        TownVectorEnvironment(2.5)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="split = 'nowhere': input should be 'train', 'validation' or 'test'"):
        TownVectorEnvironment(1, split="nowhere")
    with pytest.raises(ConfigError, match=r"cruise_sped = 5\.0: unknown key; perhaps you meant 'cruise_speed'"):
        TownVectorEnvironment(1, config={"cruise_sped": 5.0})
    with pytest.raises(ConfigError, match="3 environments need as many seeds, got 2"):
        vector.reset(seed=[1, 2])
    for wrong in (-1, 0.5, "one"):
        with pytest.raises(gymnasium.error.Error, match="Seed must be"):
            vector.reset(seed=wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"options: town = 'test-3': unknown key; known keys: scenario"):
        vector.reset(options={"town": "test-3"})


def test_a_closed_one_says_so() -> None:
    closed = TownVectorEnvironment(1, towns=1, config=SMALL)
    closed.reset(seed=1)
    closed.close()
    closed.close()
    for call in (closed.reset, lambda: closed.step(np.zeros((1, 1), np.float32))):
        with pytest.raises(gymnasium.error.ClosedEnvironmentError, match="environment is closed"):
            call()
