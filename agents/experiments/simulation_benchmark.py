"""How fast the simulator steps, how much memory it takes, and where the time goes.

Every case runs in fresh processes. The cases are measured in rounds, each case once a round, and the best round of
each counts: what else a machine does at the time then strikes all cases alike.
"""

import itertools
import multiprocessing
import resource
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from pathlib import Path

import cv2

from navsim.errors import ConfigError
from navsim.sensing.camera import Camera
from navsim.simulation.config import RendererName, SimulationConfig
from navsim.simulation.expert import LaneExpert
from navsim.simulation.scenario import Scenario
from navsim.simulation.simulation import SimState, Simulation, simulations

LEFT_AND_RIGHT = (60.0, -60.0)
"""Yaw of the second and third camera [deg]."""


@dataclass(frozen=True)
class SimulationBenchmark:
    """Which cases are measured: all combinations of the lists."""

    sizes: tuple[str, ...] = ("66x200", "80x200")
    """Heights and widths of the pictures, as HxW [px]."""
    renderers: tuple[RendererName, ...] = ("tiny", "opengl")
    """What draws."""
    cameras: tuple[int, ...] = (1, 3)
    """Cameras on a car, 1 to 3."""
    num_envs: tuple[int, ...] = (1, 8)
    """Worlds in a process, drawn in one pass."""
    processes: tuple[int, ...] = (1, 2)
    """Processes side by side."""
    towns: tuple[str, ...] = ("test-0", "test-1", "test-2")
    """Towns that the worlds drive in, in turn."""
    seconds: float = 2.0
    """How long each case is driven in a round [s]."""
    rounds: int = 2
    """How often each case is measured."""
    resets: int = 5
    """Resets of each kind whose time is taken."""
    singles: bool = True
    """Whether to measure what stands alone, too: the first picture, map patches, Gymnasium's ways of stepping."""
    out: Path = Path("runs/benchmark/simulation.json")
    """Where the figures are written."""

    def __post_init__(self) -> None:
        if not self.seconds > 0 or self.rounds < 1 or self.resets < 1:
            raise ConfigError(
                "a benchmark needs seconds > 0, rounds >= 1 and resets >= 1, "
                f"got {self.seconds}, {self.rounds} and {self.resets}"
            )
        _ = self.cases  # refuses impossible ones

    @property
    def cases(self) -> tuple["BenchmarkCase", ...]:
        """All combinations."""
        product = itertools.product(map(_size, self.sizes), self.cameras, self.renderers, self.num_envs, self.processes)
        return tuple(
            BenchmarkCase(height, width, cameras, renderer, num_envs, processes, self.towns)
            for (height, width), cameras, renderer, num_envs, processes in product
        )


@dataclass(frozen=True)
class BenchmarkCase:
    """One thing to measure."""

    height: int
    """Of the pictures [px]."""
    width: int
    """Of the pictures [px]."""
    cameras: int
    """On each car."""
    renderer: RendererName
    """What draws."""
    num_envs: int
    """In each process."""
    processes: int
    """Side by side."""
    towns: tuple[str, ...]
    """Where they drive."""

    def __post_init__(self) -> None:
        if not 1 <= self.cameras <= 3 or self.num_envs < 1 or self.processes < 1 or not self.towns:
            raise ConfigError(
                "a benchmark takes 1 to 3 cameras, at least 1 world, process and town, "
                f"got {self.cameras}, {self.num_envs}, {self.processes} and {len(self.towns)}"
            )
        _ = self.simulation  # refuses impossible sizes

    @property
    def simulation(self) -> SimulationConfig:
        """The cars."""
        yaws = (0.0, *LEFT_AND_RIGHT)[: self.cameras]
        cameras = tuple(Camera(f"camera{i}", self.width, self.height, 90.0, yaw_deg=yaw) for i, yaw in enumerate(yaws))
        return SimulationConfig(cameras=cameras, renderer=self.renderer)


@dataclass(frozen=True)
class Figures:
    """What was measured of a case. Times per step are means of one process, per world."""

    steps_per_second: float
    """Control steps of all worlds of all processes per second that is spent in them; the expert's time is not."""
    physics: float
    """Moving the car and judging the drive [s per step]."""
    render: float
    """Drawing the cameras [s per step]."""
    maps: float
    """Drawing both maps and taking the position fix [s per step]."""
    rest: float
    """The expert at the wheel [s per step]."""
    reset_new_town: float
    """Median time of a reset to a town not driven before, first picture included [s]."""
    reset_same_town: float
    """Median time of a reset in the same town, first picture included [s]."""
    memory: float
    """Largest resident memory of one process [bytes]."""


def measure(config: SimulationBenchmark, case: BenchmarkCase) -> Figures:
    """Measure a case once, in processes of its own."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(case.processes)
    with ProcessPoolExecutor(case.processes, context, _prepare, (barrier,)) as pool:
        runs = [pool.submit(_run, case, config.seconds, config.resets) for _ in range(case.processes)]
        return combined([run.result() for run in runs])


def best(rounds: Sequence[Figures]) -> Figures:
    """The round with the most steps per second."""
    return max(rounds, key=lambda figures: figures.steps_per_second)


def combined(processes: Sequence[Figures]) -> Figures:
    """Figures of processes side by side as those of one case: speeds add up, times are averaged, memory is the most."""
    means = {
        name: statistics.fmean(getattr(process, name) for process in processes)
        for name in ("physics", "render", "maps", "rest", "reset_new_town", "reset_same_town")
    }
    total = sum(process.steps_per_second for process in processes)
    return Figures(total, **means, memory=max(process.memory for process in processes))


_OF_THE_STEP = 3
"""How many of the measured parts belong to the simulator: physics, pictures, maps; the last is the expert's."""

_together: Barrier


def _prepare(barrier: Barrier) -> None:
    """Set up a process: one thread in OpenCV, and the barrier at which all wait for each other."""
    global _together
    _together = barrier
    cv2.setNumThreads(1)


def _run(case: BenchmarkCase, seconds: float, resets: int) -> Figures:
    """Measure one process of a case."""
    with simulations(case.simulation, case.num_envs) as cars:
        lap = _Lap(cars, case.towns)
        lap.drive(min(seconds / 4, 1.0))
        _together.wait()
        lap.clear()
        lap.drive(seconds)
        steps, parts = lap.steps, lap.parts
        _together.wait()
        new = [_timed_reset(cars[0], Scenario(f"validation-{i}")) for i in range(resets)]
        same = [_timed_reset(cars[0], Scenario(f"validation-{resets - 1}", route=i)) for i in range(1, resets + 1)]
    return Figures(
        steps_per_second=steps / sum(parts[:_OF_THE_STEP]),
        physics=parts[0] / steps,
        render=parts[1] / steps,
        maps=parts[2] / steps,
        rest=parts[3] / steps,
        reset_new_town=statistics.median(new),
        reset_same_town=statistics.median(same),
        memory=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0,
    )


class _Lap:
    """The expert drives every world, step by step; the time of each part is taken, that of resets is not."""

    def __init__(self, cars: Sequence[Simulation], towns: Sequence[str]) -> None:
        self._cars = cars
        self._towns = towns
        self._routes = itertools.count()
        self._experts = [LaneExpert(car.config.expert, car.config.vehicle) for car in cars]
        self._states: list[SimState] = [self._restart(i) for i in range(len(cars))]
        self.clear()

    def clear(self) -> None:
        """Forget what was measured."""
        self.steps = 0
        self.parts = [0.0, 0.0, 0.0, 0.0]

    def drive(self, seconds: float) -> None:
        """Drive for so long [s], resets not counted."""
        end = sum(self.parts) + seconds
        while sum(self.parts) < end:
            self._step()
            for i, state in enumerate(self._states):
                if state.outcome is not None:
                    self._states[i] = self._restart(i)

    def _step(self) -> None:
        cars, now = self._cars, time.perf_counter
        begin = now()
        commands = [e.command(s.state).curvature for e, s in zip(self._experts, self._states, strict=True)]
        decided = now()
        self._states = [car.advance(command) for car, command in zip(cars, commands, strict=True)]
        moved = now()
        images = cars[0].renderer.render([request for state in self._states for request in state.requests])
        drawn = now()
        count = len(self._states[0].requests)
        for i, car in enumerate(cars):
            car.observe(images[i * count : (i + 1) * count])
        sensed = now()
        for part, elapsed in enumerate((moved - decided, drawn - moved, sensed - drawn, decided - begin)):
            self.parts[part] += elapsed
        self.steps += len(cars)

    def _restart(self, index: int) -> SimState:
        """Begin the next route of a world, always in the same town."""
        car = self._cars[index]
        state = car.begin(Scenario(self._towns[index % len(self._towns)], next(self._routes)))
        self._experts[index].follow(car.route)
        return state


def _timed_reset(simulation: Simulation, scenario: Scenario) -> float:
    """Time of a reset with its first picture [s]."""
    begin = time.perf_counter()
    simulation.reset(scenario)
    return time.perf_counter() - begin


def _size(text: str) -> tuple[int, int]:
    """Height and width from words such as "66x200".

    Raises:
        ConfigError: If they are no such words.
    """
    height, separator, width = text.partition("x")
    if not (separator and height.isdecimal() and width.isdecimal()):
        raise ConfigError(f"sizes must be HEIGHTxWIDTH, such as 66x200, got {text!r}")
    return int(height), int(width)
