"""Several simulations in one process, their pictures drawn in one pass of a renderer that they share."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np

from navsim.drivers.protocol import AnyDriver, BatchDriverHandle, decide_batch
from navsim.sensing.observation import Image
from navsim.simulation.config import SimulationConfig, make_renderer
from navsim.simulation.episode import Episode
from navsim.simulation.expert import SteeringNoise
from navsim.simulation.rollout import RolloutGenerator, rollout_steps
from navsim.simulation.scenario import Scenario
from navsim.simulation.simulation import SimState, Simulation, TimeStep
from navsim.simulation.town import TownCache


@dataclass(frozen=True, eq=False)
class RolloutSlot:
    """A simulation and who drives in it."""

    simulation: Simulation
    """A world of its own; its renderer is everyone's."""
    driver: AnyDriver
    """A driver of its own, since drivers remember; or a `BatchDriverHandle` with one that decides for several cars in
    one go."""


@contextmanager
def simulations(config: SimulationConfig, count: int) -> Iterator[tuple[Simulation, ...]]:
    """Start simulations that share one renderer and the towns that they drive in; leaving the block closes all.

    Args:
        config: Of all of them.
        count: How many.

    Raises:
        ConfigError: If the renderer cannot be had.
    """
    renderer, shelf = make_renderer(config.renderer), TownCache(config.map, room=count)
    cars = tuple(Simulation(config, renderer, shelf) for _ in range(count))
    try:
        yield cars
    finally:
        for car in cars:
            car.close()
        renderer.close()


def observe_batch(situations: Sequence[tuple[Simulation, SimState]]) -> list[TimeStep]:
    """Draw what all cars see in one pass and let each of them sense.

    Args:
        situations: Simulations that share a renderer, with the moment each is in.
    """
    shots = [shot for _, situation in situations for shot in situation.shots]
    images: Image = situations[0][0].renderer.render(shots) if shots else np.zeros((0, 0, 0, 3), np.uint8)
    steps, first = [], 0
    for simulation, situation in situations:
        last = first + len(situation.shots)
        steps.append(simulation.observe(images[first:last].copy()))  # a view would keep all pictures alive
        first = last
    return steps


def drive_batch(
    crews: Sequence[RolloutSlot],
    scenarios: Iterable[Scenario],
    noise: SteeringNoise | None = None,
    sense: bool = True,
    record_images: bool = True,
    on_step: Callable[[Sequence[tuple[RolloutSlot, TimeStep]]], None] | None = None,
) -> Iterator[Episode]:
    """Drive scenarios, as many at a time as there are crews, all cars in step.

    Each drive is the same as `navsim.simulation.rollout.drive` alone would give, if the driver decides alike for one
    car and for several.

    Args:
        crews: Cars and drivers; a crew whose drive has ended takes up the next scenario.
        scenarios: What to drive.
        noise: Pulls at the steering, see `drive`.
        sense: Whether to render and draw maps, see `drive`.
        record_images: Whether episodes keep images and maps, see `drive`.
        on_step: Called in each control step with all crews and what they sense, before they decide.

    Yields:
        The episodes in the order of their ends.
    """
    waiting, idle = iter(scenarios), list(crews)
    underway: list[_Ride] = []
    while True:
        for scenario in _next(waiting, len(idle)):
            crew = idle.pop(0)
            drive = rollout_steps(crew.simulation, crew.driver, scenario, noise, sense, record_images)
            underway.append(_Ride(crew, drive, next(drive)))
        if not underway:
            return
        steps = observe_batch([(ride.crew.simulation, ride.situation) for ride in underway])
        seen = [(ride.crew, step) for ride, step in zip(underway, steps, strict=True)]
        if on_step is not None:
            on_step(seen)
        _decide(seen)
        going = []
        for ride, step in zip(underway, steps, strict=True):
            try:
                going.append(replace(ride, situation=ride.rollout_steps.send(step)))
            except StopIteration as end:
                idle.append(ride.crew)
                yield end.value
        underway = going


@dataclass(frozen=True, eq=False)
class _Ride:
    """A drive under way."""

    crew: RolloutSlot
    rollout_steps: RolloutGenerator
    situation: SimState


def _decide(seen: Sequence[tuple[RolloutSlot, TimeStep]]) -> None:
    """Let drivers of several cars decide for all of theirs that drive on."""
    decide_batch(
        [
            (crew.driver, step.observation)
            for crew, step in seen
            if isinstance(crew.driver, BatchDriverHandle) and step.observation is not None and step.outcome is None
        ]
    )


def _next(waiting: Iterator[Scenario], count: int) -> list[Scenario]:
    """Up to `count` more scenarios."""
    return [scenario for _, scenario in zip(range(count), waiting, strict=False)]
