"""Validation by driving: the policy drives a few routes in validation towns, never in test towns."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Annotated, Self

from annotated_types import Ge, Gt, Le

from agents.drivers.policy_driver import PolicyDriver
from navsim.config import Constrained
from navsim.drivers.protocol import BatchDriverHandle
from navsim.evaluation.metrics.drives import arrivals
from navsim.evaluation.routes import RouteSuite
from navsim.roads.generators.towns import DEFAULT_GENERATORS, Generator, Split
from navsim.simulation.config import SimulationConfig
from navsim.simulation.episode import Episode
from navsim.simulation.rollout import RolloutSlot, drive_batch
from navsim.simulation.simulation import Simulation, simulations


@dataclass(frozen=True)
class ClosedLoopConfig(Constrained):
    """Drives that validate a policy; the epoch that drives best is kept as the best."""

    every: Annotated[int, Ge(0)] = 0
    """Number of epochs between drives; the last epoch drives too. 0 never drives: then the best epoch is that of the
    smallest validation NLL, which says little about driving. About 500 steps a route, 200 steps a second and core."""
    routes: int = 12
    """Number of routes through junctions, the same for all epochs."""
    towns: int = 4
    """Number of validation towns over which the routes are spread."""
    num_envs: Annotated[int, Ge(1), Le(256)] = 4
    """Number of cars that drive side by side and are rendered in one pass."""
    seed: int = 0
    """Seed of towns, routes and everything random in the drives."""
    generators: tuple[Generator, ...] = DEFAULT_GENERATORS
    """Generators of the towns, in turn."""
    real_towns: tuple[str, ...] = ()
    """Towns from OpenStreetMap extracts, each `osm:FILE`, that take turns with the validation towns."""
    time_limit: Annotated[float, Gt(0)] = 300.0
    """Wall time for all drives of one validation [s]. Routes not finished by then count as failed, so on a slow machine
    a short limit may make another epoch the best. It never changes the training."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.suite  # refuses impossible numbers

    @property
    def suite(self) -> RouteSuite:
        """Routes of the validation."""
        drawn = self.routes, 0, self.towns, Split.VALIDATION, self.seed, self.generators
        return RouteSuite(*drawn, real_towns=self.real_towns)

    def due(self, epoch: int, epochs: int) -> bool:
        """Whether to drive after epoch `epoch` of `epochs`, counted from 1."""
        return self.every > 0 and (epoch % self.every == 0 or epoch == epochs)


@dataclass(frozen=True)
class DriveScores:
    """Scores of a policy's drives."""

    arrived: int
    """Number of routes on which the policy arrived."""
    routes: int
    """Number of routes."""
    completion: float
    """Mean share of the routes driven; a route not finished in time counts as 0."""
    unfinished: int
    """Number of routes that were not finished before the time limit."""


class ClosedLoop:
    """Simulations for the drives, kept from one validation to the next; use it in a `with` block."""

    def __init__(self, config: ClosedLoopConfig, simulation: SimulationConfig) -> None:
        """Note the routes.

        Args:
            config: Routes and limits.
            simulation: Car, sensors and rules.
        """
        self._config, self._simulation = config, simulation
        # A car that stays in its town need not load another.
        self._scenarios = sorted(config.suite.scenarios(), key=lambda scenario: scenario.town)
        self._stack = ExitStack()
        self._cars: tuple[Simulation, ...] = ()

    def __enter__(self) -> Self:
        """Start the simulations and build the towns, if the settings ask for drives.

        Raises:
            ConfigError: If the renderer is not available.
            TownError: If a town or a route does not exist.
        """
        if self._config.every > 0:
            count = min(self._config.num_envs, self._config.routes)
            with ExitStack() as stack:
                self._cars = stack.enter_context(simulations(self._simulation, count))
                for scenario in self._scenarios:  # finds impossible routes before hours are spent
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
            Scores of the drives; None if they were stopped.

        Raises:
            CheckpointError: If the file is unusable.
        """
        deadline = time.monotonic() + self._config.time_limit

        def check_time(_: object) -> None:
            if stop() or time.monotonic() > deadline:
                raise _OutOfTimeError

        cameras, map_spec = self._simulation.cameras, self._simulation.map
        driver = PolicyDriver(checkpoint, cameras, map_spec, cars=len(self._cars))
        slots = [RolloutSlot(car, BatchDriverHandle(driver, number)) for number, car in enumerate(self._cars)]
        episodes: list[Episode] = []
        try:
            for episode in drive_batch(slots, self._scenarios, record_images=False, on_step=check_time):
                episodes.append(episode)
                on_drive(len(episodes))
        except _OutOfTimeError:
            if stop():
                return None
        return drive_scores(episodes, len(self._scenarios))


def drive_scores(episodes: list[Episode], routes: int) -> DriveScores:
    """Score the finished drives of `routes` routes."""
    completion = sum(episode.completion for episode in episodes) / routes
    return DriveScores(arrivals(episodes).count, routes, completion, routes - len(episodes))


class _OutOfTimeError(Exception):
    """The drives stop: on request, or at the time limit."""
