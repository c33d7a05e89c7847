"""Rollouts: scenarios driven from start to end, by one car or by several side by side, and kept as episodes.

Cars side by side share a renderer, which draws the images of all of them in one pass.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from navsim.drivers.protocol import (
    AnyDriver,
    BatchDriverHandle,
    Decision,
    Expert,
    ExpertMixtureDriver,
    decide_batch,
)
from navsim.geometry import Array
from navsim.seeding import derived_seed, generator
from navsim.sensing.observation import Image
from navsim.simulation.episode import Episode
from navsim.simulation.expert import LaneExpert, SteeringNoise, noisy_command, steering_noise
from navsim.simulation.scenario import Scenario
from navsim.simulation.simulation import SimState, Simulation, TimeStep

_MIN_DENSITY = 1e-3  # of the highest: episodes keep distributions to show them, and zeros compress well


@dataclass(frozen=True, eq=False)
class RolloutStep:
    """One control step, between decision and execution."""

    time_step: TimeStep
    """State of the drive, with what was sensed."""
    decision: Decision
    """Decision of the driver."""
    command: float
    """Curvature that is commanded, noise included [1/m]."""
    label: float
    """Curvature that the expert commands here [1/m]."""


RolloutGenerator = Generator[SimState, TimeStep, Episode]
"""A drive that waits in every control step for what its car senses."""


@dataclass(frozen=True, eq=False)
class RolloutSlot:
    """A simulation with its driver."""

    simulation: Simulation
    """World of this slot alone; slots share the renderer."""
    driver: AnyDriver
    """Driver of this slot alone, since drivers have a memory; or a `BatchDriverHandle` of a driver for several cars."""


@dataclass(frozen=True, eq=False)
class _ActiveRollout:
    """A drive under way."""

    slot: RolloutSlot
    steps: RolloutGenerator
    state: SimState


@dataclass
class _Log:
    """What a drive has gathered so far."""

    steps: list[TimeStep] = field(default_factory=list)
    commands: list[float] = field(default_factory=list)
    labels: list[float] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)


def observe_batch(states: Sequence[tuple[Simulation, SimState]]) -> list[TimeStep]:
    """Draw the images of all cars in one pass and let each car sense.

    Args:
        states: Simulations that share a renderer, each with its current state.
    """
    requests = [request for _, state in states for request in state.requests]
    images: Image = states[0][0].renderer.render(requests) if requests else np.zeros((0, 0, 0, 3), np.uint8)
    steps, first = [], 0
    for simulation, state in states:
        last = first + len(state.requests)
        steps.append(simulation.observe(images[first:last].copy()))  # a view would keep all images alive
        first = last
    return steps


def drive(
    simulation: Simulation,
    driver: AnyDriver,
    scenario: Scenario,
    noise: SteeringNoise | None = None,
    sense: bool = True,
    record_images: bool = True,
    on_step: Callable[[RolloutStep], None] | None = None,
) -> Episode:
    """Drive a scenario to its end.

    Args:
        simulation: World to drive in.
        driver: An `Expert` is given the true state, a `Driver` the observation, an `ExpertMixtureDriver` both.
        scenario: Drive to be made.
        noise: Noise added to the steering; the label stays the expert's command.
        sense: Whether to render images and draw maps; a `Driver` needs them.
        record_images: Whether the episode keeps images and maps; needs `sense`.
        on_step: Called in every control step before its command is carried out.

    Raises:
        ActionError: If the driver's command is not finite or out of range.
    """
    steps = rollout_steps(simulation, driver, scenario, noise, sense, record_images, on_step)
    state = next(steps)
    while True:
        try:
            state = steps.send(simulation.see(state))
        except StopIteration as end:
            episode: Episode = end.value
            return episode


def drive_batch(
    slots: Sequence[RolloutSlot],
    scenarios: Iterable[Scenario],
    noise: SteeringNoise | None = None,
    sense: bool = True,
    record_images: bool = True,
    on_step: Callable[[Sequence[tuple[RolloutSlot, TimeStep]]], None] | None = None,
) -> Iterator[Episode]:
    """Drive scenarios, as many at a time as there are slots, all cars in step.

    Each episode equals that of `drive` for its scenario alone, if the driver decides alike for one car and for several.

    Args:
        slots: Simulations and drivers; a slot whose drive has ended starts the next scenario.
        scenarios: Drives to be made.
        noise: Noise added to the steering, see `drive`.
        sense: Whether to render images and draw maps, see `drive`.
        record_images: Whether episodes keep images and maps, see `drive`.
        on_step: Called in each control step with the busy slots and their steps, before the drivers decide.

    Yields:
        The episodes in the order of their ends.
    """
    waiting, idle = iter(scenarios), list(slots)
    active: list[_ActiveRollout] = []
    while True:
        for scenario in list(islice(waiting, len(idle))):
            slot = idle.pop(0)
            steps = rollout_steps(slot.simulation, slot.driver, scenario, noise, sense, record_images)
            active.append(_ActiveRollout(slot, steps, next(steps)))
        if not active:
            return
        sensed = observe_batch([(rollout.slot.simulation, rollout.state) for rollout in active])
        pairs = [(rollout.slot, step) for rollout, step in zip(active, sensed, strict=True)]
        if on_step is not None:
            on_step(pairs)
        _prefetch_decisions(pairs)
        going = []
        for rollout, step in zip(active, sensed, strict=True):
            try:
                going.append(replace(rollout, state=rollout.steps.send(step)))
            except StopIteration as end:
                idle.append(rollout.slot)
                yield end.value
        active = going


def rollout_steps(
    simulation: Simulation,
    driver: AnyDriver,
    scenario: Scenario,
    noise: SteeringNoise | None = None,
    sense: bool = True,
    record_images: bool = True,
    on_step: Callable[[RolloutStep], None] | None = None,
) -> RolloutGenerator:
    """Drive as `drive` does, but leave rendering to the caller, which may render for several drives at once.

    Yields:
        The state after the start and after each control step; the caller sends back the step that was sensed.

    Returns:
        The episode.
    """
    config = simulation.config
    labeller = LaneExpert(config.expert, config.vehicle)
    state = simulation.begin(scenario, sense=sense)
    labeller.follow(simulation.route)
    if isinstance(driver, Expert):
        driver.follow(simulation.route)
    else:
        driver.begin(derived_seed(scenario.seed, scenario.name, "driver"))
    added = _noise_of_drive(simulation, noise)
    log = _Log()
    while True:
        step = yield state
        if step.outcome is not None:
            return _episode(simulation, driver.name, log, step, sense and record_images)
        label = labeller.command(step.state)
        decision = _decide(driver, step, label)
        acceleration = added[len(log.steps)] if len(log.steps) < len(added) else 0.0
        command = decision.curvature
        if acceleration:
            command = noisy_command(command, acceleration, step.state.speed, config.vehicle.max_curvature)
        if on_step is not None:
            on_step(RolloutStep(step, decision, command, label.curvature))
        log.steps.append(step)
        log.commands.append(command)
        log.labels.append(label.curvature)
        log.decisions.append(decision)
        state = simulation.advance(command)


def _prefetch_decisions(pairs: Sequence[tuple[RolloutSlot, TimeStep]]) -> None:
    """Let drivers of several cars decide for all of their cars whose drives go on."""
    decide_batch(
        [
            (slot.driver, step.observation)
            for slot, step in pairs
            if isinstance(slot.driver, BatchDriverHandle) and step.observation is not None and step.outcome is None
        ]
    )


def _decide(driver: AnyDriver, step: TimeStep, label: Decision) -> Decision:
    """Ask the driver, given what its kind may know; `label` is the decision of the labelling expert."""
    if isinstance(driver, Expert):
        return driver.command(step.state)
    if step.observation is None:
        raise ValueError(f"driver {driver.name!r} needs observations, but the drive was begun with sense=False")
    if isinstance(driver, ExpertMixtureDriver):
        return driver.choose(step.observation, label)
    return driver.drive(step.observation)


def _noise_of_drive(simulation: Simulation, noise: SteeringNoise | None) -> Array:
    """Draw the noise of a whole drive (steps,) as lateral acceleration [m/s^2]; empty without noise."""
    if noise is None:
        return np.zeros(0)
    scenario, control_step = simulation.scenario, simulation.config.control_step
    steps = int(np.ceil(simulation.time_limit / control_step)) + 1
    return steering_noise(noise, steps, control_step, generator(scenario.seed, scenario.name, "steering noise"))


def _episode(simulation: Simulation, name: str, log: _Log, last: TimeStep, with_images: bool) -> Episode:
    """Turn the log of a drive into arrays."""
    states = [*(step.state for step in log.steps), last.state]
    progress = [*(step.progress for step in log.steps), last.progress]
    observations = [step.observation for step in log.steps if step.observation is not None]
    kept = observations if with_images else []
    images = [step.images for step in log.steps] if with_images else []
    camera, size = simulation.config.cameras[0], simulation.config.map.size_px
    fixes = [view.gps for view in observations] or [state.pose for state in states[:-1]]
    grid, densities = _distributions(log.decisions)
    if last.outcome is None:
        raise RuntimeError("an episode is made when its drive has ended")
    return Episode(
        scenario=simulation.scenario,
        driver=name,
        outcome=last.outcome,
        route_length=simulation.route.length,
        passages=simulation.route.passages,
        images=_stacked(images, (len(simulation.config.cameras), camera.height, camera.width, 3)),
        road_maps=_stacked([v.road_map for v in kept], (size, size)),
        route_maps=_stacked([v.route_map for v in kept], (size, size)),
        gps=np.array([(fix.x, fix.y, fix.heading) for fix in fixes]),
        commands=np.array(log.commands),
        labels=np.array(log.labels),
        times=np.array([state.time for state in states]),
        poses=np.array([(s.pose.x, s.pose.y, s.pose.heading) for s in states]),
        speeds=np.array([state.speed for state in states]),
        stations=np.array([p.station for p in progress]),
        offsets=np.array([p.offset for p in progress]),
        route_offsets=np.array([p.route_offset for p in progress]),
        heading_errors=np.array([p.heading_error for p in progress]),
        struck=simulation.struck,
        grid=grid,
        densities=densities,
        side=simulation.town.network.side,
    )


def _distributions(decisions: list[Decision]) -> tuple[Array, NDArray[np.floating]]:
    """Grid (B,) and densities (T, B) if every decision has a density over one grid; else (0,) and (0, 0)."""
    grid = decisions[0].grid if decisions else None
    found = [each.density for each in decisions if each.density is not None and each.grid is not None]
    same = grid is not None and all(
        each.grid is grid or (each.grid is not None and np.array_equal(each.grid, grid)) for each in decisions
    )
    if grid is None or not same or len(found) < len(decisions):
        return np.zeros(0), np.zeros((0, 0), np.float16)
    densities = np.stack(found)
    shown = densities >= _MIN_DENSITY * densities.max(axis=1, keepdims=True)
    return np.asarray(grid, float), np.where(shown, densities, 0.0).astype(np.float16)


def _stacked(frames: list[Image], shape: tuple[int, ...]) -> Image:
    """Frames of one shape as one array (T, *shape); (0, *shape) when there are none."""
    return np.stack(frames) if frames else np.zeros((0, *shape), np.uint8)
