from functools import partial
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import navsim  # noqa: F401 - registers the environment
from navsim.errors import ActionError, ConfigError, DisplayError
from navsim.simulation.environment import TownEnvironment
from navsim.simulation.scenario import Outcome, Scenario
from tests.simulation.conftest import SMALL
from tests.virtual_display import VirtualDisplay, wait_until


def make(**options: Any) -> gymnasium.Env[Any, Any]:
    return gymnasium.make("navsim/Town-v0", config=SMALL, towns=2, **options)


def test_it_passes_gymnasiums_own_checks() -> None:
    environment = make(render_mode="rgb_array").unwrapped
    check_env(environment, skip_render_check=True)  # that check would open the window of mode "human", too
    environment.close()


def test_the_seed_decides_everything() -> None:
    environment = make()
    first, info = environment.reset(seed=7)
    steps = [environment.step(np.array([0.1], np.float32)) for _ in range(3)]
    again, info_again = environment.reset(seed=7)
    assert info["scenario"] == info_again["scenario"]
    assert all((first[key] == again[key]).all() for key in first)
    for observation, reward, *_ in steps:
        seen, gained, *_ = environment.step(np.array([0.1], np.float32))
        assert gained == reward
        assert all((seen[key] == observation[key]).all() for key in seen)
    assert environment.reset(seed=8)[1]["scenario"] != info["scenario"]
    environment.close()


def test_resets_without_a_seed_go_on_to_other_drives() -> None:
    environment = make()
    scenarios = [environment.reset(seed=1)[1]["scenario"]] + [environment.reset()[1]["scenario"] for _ in range(3)]
    assert len(set(scenarios)) == 4
    environment.close()


def test_a_given_scenario_is_driven_and_shifts_no_later_draw() -> None:
    environment = make()
    wanted = Scenario("train-1", 3, 5)
    _, info = environment.reset(seed=1, options={"scenario": wanted})
    assert info["scenario"] == wanted
    after = environment.reset()[1]["scenario"]
    environment.reset(seed=1)
    assert environment.reset()[1]["scenario"] == after
    with pytest.raises(ConfigError, match="must be a Scenario"):
        environment.reset(options={"scenario": "train-1"})
    environment.close()


def test_an_episode_ends_with_a_penalty_and_an_outcome() -> None:
    environment = make()
    environment.reset(seed=3)
    rewards, terminated = list[float](), False
    info: dict[str, Any] = {}
    while not terminated:
        _, reward, terminated, truncated, info = environment.step(np.array([1.0], np.float32))
        rewards.append(float(reward))
        assert not truncated
    assert info["outcome"] in (Outcome.LEFT_ROAD, Outcome.COLLIDED, Outcome.WRONG_TURN)
    assert rewards[-1] < -8
    assert max(rewards) < 1.0
    environment.close()


@pytest.mark.parametrize("kind", [gymnasium.vector.SyncVectorEnv, gymnasium.vector.AsyncVectorEnv])
def test_it_works_in_vectors(kind: Any) -> None:
    vector = kind([partial(TownEnvironment, towns=2, config=SMALL) for _ in range(2)])
    observations, _ = vector.reset(seed=5)
    assert observations["front"].shape == (2, 16, 32, 3)
    assert (observations["front"][0] != observations["front"][1]).any()
    observations, rewards, *_ = vector.step(np.zeros((2, 1), np.float32))
    assert rewards.shape == (2,)
    vector.close()


def test_no_element_of_an_observation_stays_constant() -> None:
    environment = make()
    seen = [environment.reset(seed=1)[0]]
    seen += [environment.step(np.array([0.3], np.float32))[0] for _ in range(8)]
    for key in seen[0]:
        assert any((view[key] != seen[0][key]).any() for view in seen), key
    environment.close()


def test_the_chase_view_is_a_picture() -> None:
    environment = make(render_mode="rgb_array")
    environment.reset(seed=1)
    picture = environment.render()
    assert isinstance(picture, np.ndarray)
    assert picture.shape == (360, 640, 3)
    assert picture.std() > 10
    environment.close()


@pytest.mark.parametrize("action", [[np.nan], [1.5], [0.0, 0.0], [], [np.inf]])
def test_a_bad_action_is_refused(action: list[float]) -> None:
    environment = TownEnvironment(towns=2, config=SMALL)
    environment.reset(seed=1)
    with pytest.raises(ActionError, match=r"\[-1, 1\]"):
        environment.step(np.array(action, np.float32))
    environment.step(np.array([0.0], np.float32))
    environment.close()


@pytest.mark.parametrize(
    "wrong", [{"split": "holiday"}, {"towns": 0}, {"render_mode": "ascii"}, {"generators": ["hamlet"]}]
)
def test_bad_arguments_are_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        TownEnvironment(**wrong)


def test_towns_are_drawn_from_the_generators_asked_for() -> None:
    environment = TownEnvironment(towns=4, config=SMALL, generators=("village", "grid"))
    names = {environment.reset(seed=seed)[1]["scenario"].town for seed in range(6)}
    assert names <= {"village-train-0", "grid-train-1", "village-train-2", "grid-train-3"}
    assert len({name.split("-")[0] for name in names}) == 2
    environment.close()


def test_stepping_before_a_reset_says_so() -> None:
    environment = TownEnvironment(towns=1, config=SMALL)
    with pytest.raises(gymnasium.error.ResetNeeded):
        environment.step(np.array([0.0], np.float32))
    environment.close()
    environment.close()


def test_the_window_shows_the_drive(display: VirtualDisplay) -> None:
    environment = make(render_mode="human")
    environment.reset(seed=1)
    environment.step(np.array([0.0], np.float32))
    wait_until(lambda: bool(display.picture().std() > 20))
    environment.close()


def test_without_a_display_the_window_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(DisplayError) as error:
        TownEnvironment(towns=1, config=SMALL, render_mode="human")
    assert "\n" not in str(error.value)
