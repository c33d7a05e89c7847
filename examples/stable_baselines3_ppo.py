"""Reinforcement learning with Stable-Baselines3: PPO steers `navsim/Town-v0` by a tiny camera, both maps and the speed.

Run `python examples/stable_baselines3_ppo.py` after `pip install 'navsim-steering[examples]'`. A few hundred steps show
that everything fits together. To drive well, PPO needs millions of steps: raise `STEPS` and the number of environments.
"""

from typing import Any

import gymnasium
from gymnasium.wrappers import FilterObservation
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy

import navsim  # noqa: F401 - registers the environment
from navsim.sensing.camera import Camera
from navsim.sensing.roadmap import MapSpec
from navsim.simulation.config import SimulationConfig

STEPS = 512
SIMULATION = SimulationConfig(
    cameras=(Camera(width=64, height=36),),  # Stable-Baselines3's image network needs at least 36x36 pixels
    map=MapSpec(size_px=36, metres_per_pixel=1.4, ego_row=26),
)
INPUTS = ("front", "road_map", "route_map", "speed")  # not `gps`: coordinates of one town mean nothing in another


def make_environment(split: str = "train", towns: int = 4) -> gymnasium.Env[Any, Any]:
    """Return the environment with the observations that the policy uses."""
    return FilterObservation(gymnasium.make("navsim/Town-v0", split=split, towns=towns, config=SIMULATION), INPUTS)


def train(environment: gymnasium.Env[Any, Any], steps: int = STEPS, rollout: int = 128) -> PPO:
    """Train PPO for `steps` control steps of 0.1 s, with an update after each `rollout` steps."""
    model = PPO(
        "MultiInputPolicy", environment, n_steps=rollout, batch_size=min(64, rollout), n_epochs=4, seed=0, verbose=1
    )
    return model.learn(steps)


def main() -> None:
    """Train, then print the mean reward on routes of towns that were never trained on."""
    environment = make_environment()
    model = train(environment)
    environment.close()
    unseen = make_environment("test")
    mean, deviation = evaluate_policy(model, unseen, n_eval_episodes=3, warn=False)
    print(f"{STEPS} steps of training; reward in unseen towns: {mean:.1f} +- {deviation:.1f}")
    unseen.close()


if __name__ == "__main__":
    main()
