"""PPO of Stable-Baselines3 learns on the environment for a few steps and steers with what it learned."""

from pathlib import Path

import numpy as np
import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.env_checker import check_env

from examples.stable_baselines3_ppo import INPUTS, make_environment, train


@pytest.mark.filterwarnings("default:It seems that your observation:UserWarning", "default:.*render_mode:UserWarning")
def test_ppo_trains_and_steers(tmp_path: Path) -> None:
    environment = make_environment(towns=1)
    check_env(environment)
    model = train(environment, steps=16, rollout=8)
    assert model.num_timesteps == 16

    model.save(tmp_path / "model")
    loaded = PPO.load(tmp_path / "model")
    observation, _ = environment.reset(seed=1)
    assert set(observation) == set(INPUTS)
    action, _ = loaded.predict(observation, deterministic=True)
    np.testing.assert_array_equal(action, model.predict(observation, deterministic=True)[0])
    environment.step(action)
    environment.close()
