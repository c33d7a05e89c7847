"""Many environments in one process, stepped together and rendered in one pass."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from navsim.config import Constrained, from_mapping
from navsim.errors import ConfigError
from navsim.simulation.config import SimulationConfig, simulation_config
from navsim.simulation.environment import Observations, TownEnvironment, action_values
from navsim.simulation.rollout import observe_batch
from navsim.simulation.simulation import SimState, Simulation, simulations

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class VectorArguments(Constrained):
    """Arguments of the vector environment that are plain values."""

    num_envs: Annotated[int, Ge(1)] = 8
    """Number of environments."""


class TownVectorEnvironment(VectorEnv[Observations, NDArray[np.float32], NDArray[Any]]):
    """N environments `TownEnvironment`, with all cameras rendered in one pass of one renderer.

    Environment i behaves as `TownEnvironment` alone with the seed `seed + i`. After the end of a drive the next step
    resets the environment, as in Gymnasium's own vector environments (`AutoresetMode.NEXT_STEP`).
    """

    metadata: dict[str, Any] = {"autoreset_mode": AutoresetMode.NEXT_STEP, "render_modes": []}  # noqa: RUF012 - as in VectorEnv

    def __init__(
        self, num_envs: int = 8, config: SimulationConfig | Mapping[str, Any] | None = None, **options: Any
    ) -> None:
        """Make the environments.

        Args:
            num_envs: Number of environments.
            config: The cars, their sensors and the rules, or those of their settings that differ from the defaults.
            options: Other arguments of `TownEnvironment`, such as `split` and `towns`.

        Raises:
            ConfigError: If an argument has a value that is not valid.
            TypeError: If an argument is unknown.
        """
        num_envs = from_mapping(VectorArguments, {"num_envs": num_envs}, "TownVectorEnvironment").num_envs
        settings = simulation_config(config)
        self._stack = ExitStack()
        self._cars: tuple[Simulation, ...] = self._stack.enter_context(simulations(settings, num_envs))
        try:
            self._members = [TownEnvironment(config=settings, simulation=car, **options) for car in self._cars]
        except (ConfigError, TypeError):
            self._stack.close()
            raise
        self.num_envs = num_envs
        self.single_observation_space = self._members[0].observation_space
        self.single_action_space = self._members[0].action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._ended: Flags = np.zeros(num_envs, bool)

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, dict[str, Any]]:
        """Begin a drive in each environment.

        Args:
            seed: Seed of the first environment, which increases by one for each of the others; or one seed for each.
            options: Options for each environment.
        """
        numbers = range(self.num_envs)
        # The environments refuse seeds of other types.
        seeds = seed if isinstance(seed, list) else [seed + i if isinstance(seed, int) else seed for i in numbers]
        if len(seeds) != self.num_envs:
            raise ConfigError(f"{self.num_envs} environments need as many seeds, got {len(seeds)}")
        members = zip(self._members, seeds, strict=True)
        states = [member.begin(seed=one, options=options) for member, one in members]
        self._ended = np.zeros(self.num_envs, bool)
        results = [m.finish_reset(step) for m, step in zip(self._members, self._see(states), strict=True)]
        infos: dict[str, Any] = {}
        for i, (_, info) in enumerate(results):
            infos = self._add_info(infos, info, i)
        return _joined([observation for observation, _ in results]), infos

    def step(self, actions: NDArray[np.float32]) -> tuple[Observations, NDArray[Any], Flags, Flags, dict[str, Any]]:
        """Steer every car for 0.1 s; environments whose drive has ended begin a new one instead.

        Raises:
            ActionError: If `actions` are not N finite numbers in [-1, 1], of shape (N, 1).
        """
        values = action_values(actions, (self.num_envs, 1))  # before any car moves
        restarted = self._ended
        states = [
            member.begin() if new else member.advance(action)
            for member, action, new in zip(self._members, values, restarted, strict=True)
        ]
        rewards, terminated, truncated = np.zeros(self.num_envs), np.zeros_like(restarted), np.zeros_like(restarted)
        observations, infos = [], dict[str, Any]()
        for i, step in enumerate(self._see(states)):
            if restarted[i]:
                observation, info = self._members[i].finish_reset(step)
            else:
                observation, rewards[i], terminated[i], truncated[i], info = self._members[i].finish_step(step)
            observations.append(observation)
            infos = self._add_info(infos, info, i)
        self._ended = terminated | truncated
        return _joined(observations), rewards, terminated, truncated, infos

    def close_extras(self, **kwargs: Any) -> None:  # noqa: ARG002 - the library's signature
        """Free the worlds and the renderer."""
        self._stack.close()

    def _see(self, states: list[SimState]) -> list[Any]:
        """Render and sense for all cars."""
        return observe_batch(list(zip(self._cars, states, strict=True)))


def _joined(observations: list[Observations]) -> Observations:
    """Stack observations to one array for each sensor (N, ...)."""
    return {key: np.stack([observation[key] for observation in observations]) for key in observations[0]}
