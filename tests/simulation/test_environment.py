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
from navsim.simulation.simulation import Simulation
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


def test_a_bad_action_is_refused() -> None:
    environment = TownEnvironment(towns=2, config=SMALL)
    environment.reset(seed=1)
    wrong = [np.array(action, np.float32) for action in ([np.nan], [1.5], [0.0, 0.0], [], [np.inf], [[0.0]], 0.0)]
    others: list[Any] = [None, "left", [None], {"steer": 0.0}]
    for action in (*wrong, *others):
        with pytest.raises(ActionError, match=r"one finite number in \[-1, 1\], of shape \(1,\), got"):
            environment.step(action)
    environment.step(np.array([0.0], np.float32))
    environment.step(np.array([1]))
    environment.close()


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"split": "holiday"}, "split = 'holiday': input should be 'train', 'validation' or 'test'"),
        ({"towns": 0}, "towns must be at least 1, got 0"),
        ({"towns": "three"}, "towns = 'three': input should be a valid integer"),
        ({"towns": 2.5}, "towns = 2.5: input should be a valid integer"),
        ({"render_mode": "ascii"}, "render_mode = 'ascii': input should be 'rgb_array' or 'human'"),
        ({"render_mode": 3}, "render_mode = 3: input should be"),
        ({"generators": ["hamlet"]}, "generators.0 = 'hamlet': input should be 'town', "),
        ({"generators": "town"}, "generators = 'town': input should be a valid"),
        ({"generators": []}, "generators must be one or more of town"),
        ({"appearance": "sunny"}, "appearance"),
        ({"appearance": 5}, "appearance = 5: input should be a valid string"),
        ({"config": {"cruise_sped": 5.0}}, "config: cruise_sped = 5.0: unknown key; perhaps you meant 'cruise_speed'"),
        ({"config": {"speed": 5.0}}, "config: speed = 5.0: unknown key; perhaps you meant 'cruise_speed'"),
        ({"config": {"gps": {"position_time": -1}}}, "config: gps.position_time must be above 0, got -1"),
        ({"config": {"cameras": [object()]}}, "config: not a plain value: .* is of type object"),
        ({"config": "fast"}, "config must be a SimulationConfig or a mapping of its settings, got 'fast'"),
    ],
)
def test_a_wrong_argument_is_one_line(wrong: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text) as error:
        TownEnvironment(**wrong)
    assert "\n" not in str(error.value)


def test_settings_may_be_a_mapping_as_in_a_file() -> None:
    camera = {"width": 32, "height": 16}
    environment = gymnasium.make(
        "navsim/Town-v0", towns=np.int64(1), config={"cruise_speed": np.float32(5), "cameras": [camera]}
    )
    observation, _ = environment.reset(seed=1)
    assert observation["front"].shape == (16, 32, 3)
    assert observation["speed"] == 5
    environment.close()


def test_wrong_options_and_seeds_are_refused_and_change_nothing() -> None:
    environment = TownEnvironment(towns=1, config=SMALL)
    environment.reset(seed=1)
    state = environment.np_random.bit_generator.state
    wrong: list[tuple[Any, str]] = [
        ({"town": "test-3"}, "options: town = 'test-3': unknown key; known keys: scenario"),
        ({"scenaro": 1}, "options: scenaro = 1: unknown key; perhaps you meant 'scenario'"),
        ({"scenario": "train-1"}, "must be a Scenario, got 'train-1'"),
        (["scenario"], "options must be a mapping"),
    ]
    for options, text in wrong:
        with pytest.raises(ConfigError, match=text):
            environment.reset(options=options)
    for seed in (-1, 0.5, "one"):
        with pytest.raises(gymnasium.error.Error, match="Seed must be"):
            environment.reset(seed=seed)  # type: ignore[arg-type]
    assert environment.np_random.bit_generator.state == state
    environment.step(np.array([0.0], np.float32))
    environment.close()


def test_a_closed_environment_says_so() -> None:
    simulation, camera = Simulation(SMALL), SMALL.cameras[0]
    environment: gymnasium.Env[Any, Any] = TownEnvironment(towns=1, config=SMALL, simulation=simulation)
    environment = gymnasium.wrappers.OrderEnforcing(gymnasium.wrappers.PassiveEnvChecker(environment))
    scenario = environment.reset(seed=1)[1]["scenario"]
    environment.close()
    environment.close()
    calls = (environment.reset, lambda: environment.step(np.zeros(1, np.float32)), environment.render)
    for call in calls:
        with pytest.raises(gymnasium.error.ClosedEnvironmentError, match="this environment is closed"):
            call()
    views = (lambda: simulation.chase_view(camera), lambda: simulation.measure(camera, simulation.state.state.pose))
    for again in (lambda: simulation.reset(scenario), lambda: simulation.step(0.0), *views):
        with pytest.raises(gymnasium.error.ClosedEnvironmentError, match="this simulation is closed"):
            again()


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
