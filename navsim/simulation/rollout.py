"""Drive one scenario from start to end with any driver, and keep what happened."""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from navsim.drivers.protocol import AnyDriver, Decision, Expert, ExpertMixtureDriver
from navsim.geometry import Array
from navsim.seeding import derived_seed, generator
from navsim.sensing.observation import Image
from navsim.simulation.episode import Episode
from navsim.simulation.expert import LaneExpert, SteeringNoise, noisy_command, steering_noise
from navsim.simulation.scenario import Scenario
from navsim.simulation.simulation import SimState, Simulation, TimeStep


@dataclass(frozen=True, eq=False)
class RolloutStep:
    """One control step while it is being decided."""

    step: TimeStep
    """Where things stand."""
    decision: Decision
    """What the driver wants."""
    command: float
    """What is carried out, noise included [1/m]."""
    label: float
    """What the expert would do here [1/m]."""


RolloutGenerator = Generator[SimState, TimeStep, Episode]
"""A drive that waits at every control step for what its car sees."""


_LEAST_DENSITY = 1e-3  # of the highest: what is less is kept as 0, for distributions are kept to be looked at


@dataclass
class _Log:
    """What a drive has gathered so far."""

    steps: list[TimeStep] = field(default_factory=list)
    commands: list[float] = field(default_factory=list)
    labels: list[float] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)


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
        simulation: The world to drive in.
        driver: Who steers; an `Expert` is given the truth, a `Driver` the observation, a `ExpertMixtureDriver` both.
        scenario: What to drive.
        noise: Pulls at the steering; the label stays the expert's command.
        sense: Whether to render and draw maps; a `Driver` that looks needs them.
        record_images: Whether the episode keeps images and maps; needs `sense`.
        on_step: Called at every control step before its command is carried out.

    Raises:
        ActionError: If the driver's command is not finite or out of range.
    """
    ahead = rollout_steps(simulation, driver, scenario, noise, sense, record_images, on_step)
    situation = next(ahead)
    while True:
        try:
            situation = ahead.send(simulation.see(situation))
        except StopIteration as end:
            episode: Episode = end.value
            return episode


def rollout_steps(
    simulation: Simulation,
    driver: AnyDriver,
    scenario: Scenario,
    noise: SteeringNoise | None = None,
    sense: bool = True,
    record_images: bool = True,
    on_step: Callable[[RolloutStep], None] | None = None,
) -> RolloutGenerator:
    """Drive as `drive` does, but leave the drawing to the caller, who may draw for several courses at once.

    Yields:
        The situation after the start and after each control step, to be answered by the step that was sensed.

    Returns:
        The episode.
    """
    config = simulation.config
    labeller = LaneExpert(config.expert, config.vehicle)
    situation = simulation.begin(scenario, sense=sense)
    labeller.follow(simulation.route)
    if isinstance(driver, Expert):
        driver.follow(simulation.route)
    else:
        driver.begin(derived_seed(scenario.seed, scenario.name, "driver"))
    pulls = _pulls(simulation, noise)
    log = _Log()
    while True:
        step = yield situation
        if step.outcome is not None:
            return _episode(simulation, driver.name, log, step, sense and record_images)
        wanted = labeller.command(step.state)
        decision = _decide(driver, step, wanted)
        pull = pulls[len(log.steps)] if len(log.steps) < len(pulls) else 0.0
        command = decision.curvature
        if pull:
            command = noisy_command(command, pull, step.state.speed, config.vehicle.max_curvature)
        if on_step is not None:
            on_step(RolloutStep(step, decision, command, wanted.curvature))
        log.steps.append(step)
        log.commands.append(command)
        log.labels.append(wanted.curvature)
        log.decisions.append(decision)
        situation = simulation.advance(command)


def _decide(driver: AnyDriver, step: TimeStep, wanted: Decision) -> Decision:
    """Ask the driver, giving it what its kind may know; `wanted` is what the labelling expert would do."""
    if isinstance(driver, Expert):
        return driver.command(step.state)
    if step.observation is None:
        raise ValueError(f"driver {driver.name!r} looks, but the drive was begun with sense=False")
    if isinstance(driver, ExpertMixtureDriver):
        return driver.choose(step.observation, wanted)
    return driver.drive(step.observation)


def _pulls(simulation: Simulation, noise: SteeringNoise | None) -> Array:
    """The noise of a whole drive (steps,), as lateral acceleration [m/s^2]; empty without noise."""
    if noise is None:
        return np.zeros(0)
    scenario, control_step = simulation.scenario, simulation.config.control_step
    steps = int(np.ceil(simulation.time_limit / control_step)) + 1
    return steering_noise(noise, steps, control_step, generator(scenario.seed, scenario.name, "steering noise"))


def _episode(simulation: Simulation, name: str, log: _Log, last: TimeStep, with_images: bool) -> Episode:
    """Turn what was gathered into arrays."""
    states = [*(step.state for step in log.steps), last.state]
    progress = [*(step.progress for step in log.steps), last.progress]
    seen = [step.observation for step in log.steps if step.observation is not None]
    kept = seen if with_images else []
    images = [step.images for step in log.steps] if with_images else []
    camera, size = simulation.config.cameras[0], simulation.config.map.size_px
    fixes = [view.gps for view in seen] or [state.pose for state in states[:-1]]
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
        heading_errors=np.array([p.heading_error for p in progress]),
        struck=simulation.struck,
        grid=grid,
        densities=densities,
    )


def _distributions(decisions: list[Decision]) -> tuple[Array, NDArray[np.floating]]:
    """Grid (B,) and densities (T, B) where every decision comes with a density over one grid, else (0,) and (0, 0)."""
    grid = decisions[0].grid if decisions else None
    found = [each.density for each in decisions if each.density is not None and each.grid is not None]
    same = grid is not None and all(
        each.grid is grid or (each.grid is not None and np.array_equal(each.grid, grid)) for each in decisions
    )
    if grid is None or not same or len(found) < len(decisions):
        return np.zeros(0), np.zeros((0, 0), np.float16)
    densities = np.stack(found)
    seen = densities >= _LEAST_DENSITY * densities.max(axis=1, keepdims=True)
    return np.asarray(grid, float), np.where(seen, densities, 0.0).astype(np.float16)


def _stacked(frames: list[Image], shape: tuple[int, ...]) -> Image:
    """Frames of one shape as one array (T, *shape); (0, *shape) when there are none."""
    return np.stack(frames) if frames else np.zeros((0, *shape), np.uint8)
