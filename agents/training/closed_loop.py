"""Validation by driving: the policy drives a few routes in validation towns, never in test towns."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from agents.drivers.policy_driver import PolicyDriver
from navsim.drivers.protocol import BatchDriverHandle
from navsim.errors import ConfigError
from navsim.evaluation.metrics.drives import arrivals
from navsim.evaluation.routes import RouteSuite
from navsim.roads.generators.towns import DEFAULT_GENERATORS, Generator, Split
from navsim.simulation.config import SimulationConfig
from navsim.simulation.episode import Episode
from navsim.simulation.rollout import RolloutSlot, drive_batch
from navsim.simulation.simulation import Simulation, simulations


@dataclass(frozen=True)
class ClosedLoopConfig:
    """Whether and what the policy drives to be validated; the epoch that drives best is kept as the best."""

    every: int = 0
    """Drive after every so many epochs, and after the last one; 0 drives never: the best epoch is that of least
    validation NLL, which says little about driving. About 500 steps a route, 200 steps a second and core."""
    routes: int = 12
    """Routes through junctions; the same for all epochs."""
    towns: int = 4
    """Validation towns over which they are spread."""
    num_envs: int = 4
    """Cars that drive at a time, their pictures drawn in one pass."""
    seed: int = 0
    """Decides towns, routes and everything random in the drives."""
    generators: tuple[Generator, ...] = DEFAULT_GENERATORS
    """Who draws the towns, in turn."""
    time_limit: float = 300.0
    """Wall time for all drives of one validation [s]. Routes not finished by then count as failed, so that on a slow
    machine too short a limit makes another epoch the best; it never changes what the policy learns."""

    def __post_init__(self) -> None:
        if self.every < 0 or not 1 <= self.num_envs <= 256 or not self.time_limit > 0:
            raise ConfigError(
                "closed_loop.every must be at least 0, worlds 1 to 256 and time_limit above 0, got "
                f"{self.every}, {self.num_envs} and {self.time_limit}"
            )
        _ = self.suite  # refuses impossible numbers

    @property
    def suite(self) -> RouteSuite:
        """The routes."""
        return RouteSuite(self.routes, 0, self.towns, Split.VALIDATION, self.seed, self.generators)

    def due(self, epoch: int, epochs: int) -> bool:
        """Whether to drive after epoch `epoch` of `epochs`, counted from 1."""
        return self.every > 0 and (epoch % self.every == 0 or epoch == epochs)


@dataclass(frozen=True)
class DriveScores:
    """How a policy drove."""

    arrived: int
    """Routes on which it arrived ..."""
    routes: int
    """... of so many."""
    completion: float
    """Mean share of the routes driven; a route not finished in time counts as 0."""
    unfinished: int
    """Routes that were not driven to an end before the time was up."""


class ClosedLoop:
    """The worlds to drive in, kept from one validation to the next; use it in a `with` block."""

    def __init__(self, config: ClosedLoopConfig, simulation: SimulationConfig) -> None:
        """Note what to drive.

        Args:
            config: The routes.
            simulation: The car, its senses and the rules.
        """
        self._config, self._simulation = config, simulation
        # A car that stays in its town need not load another.
        self._scenarios = sorted(config.suite.scenarios(), key=lambda scenario: scenario.town)
        self._stack = ExitStack()
        self._cars: tuple[Simulation, ...] = ()

    def __enter__(self) -> Self:
        """Start the worlds and build the towns, unless nothing is to be driven.

        Raises:
            ConfigError: If the renderer cannot be had.
            TownError: If there is no such town or route.
        """
        if self._config.every > 0:
            count = min(self._config.num_envs, self._config.routes)
            with ExitStack() as stack:
                self._cars = stack.enter_context(simulations(self._simulation, count))
                for scenario in self._scenarios:  # what cannot be driven is found before hours are spent
                    self._cars[0].begin(scenario, sense=False)
                self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def drive(
        self, checkpoint: Path, stop: Callable[[], bool], on_drive: Callable[[int], None] = lambda _: None
    ) -> DriveScores | None:
        """Let a policy drive all routes.

        Args:
            checkpoint: The policy's file.
            stop: Called at every step; True stops the drives.
            on_drive: Called after each drive with the number of routes driven.

        Returns:
            How it drove; None if it was broken off.

        Raises:
            CheckpointError: If the file is unusable.
        """
        deadline = time.monotonic() + self._config.time_limit

        def hurry(_: object) -> None:
            if stop() or time.monotonic() > deadline:
                raise _OutOfTimeError

        cameras, map_spec = self._simulation.cameras, self._simulation.map
        driver = PolicyDriver(checkpoint, cameras, map_spec, cars=len(self._cars))
        crews = [RolloutSlot(car, BatchDriverHandle(driver, number)) for number, car in enumerate(self._cars)]
        episodes: list[Episode] = []
        try:
            for episode in drive_batch(crews, self._scenarios, record_images=False, on_step=hurry):
                episodes.append(episode)
                on_drive(len(episodes))
        except _OutOfTimeError:
            if stop():
                return None
        return drive_scores(episodes, len(self._scenarios))


def drive_scores(episodes: list[Episode], routes: int) -> DriveScores:
    """Score the drives that came to an end of `routes` that were asked for."""
    completion = sum(episode.completion for episode in episodes) / routes
    return DriveScores(arrivals(episodes).count, routes, completion, routes - len(episodes))


class _OutOfTimeError(Exception):
    """The drives are to be broken off."""
