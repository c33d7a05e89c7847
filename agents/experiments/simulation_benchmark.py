"""Speed and memory of the simulator, with the time of each part of a step.

Every case runs in fresh processes. The cases are measured in rounds, each case once a round, and the best round of
each counts: other load of the machine then affects all cases alike.
"""

import itertools
import multiprocessing
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Annotated

import cv2
from annotated_types import Ge, Gt, Le, MinLen

from navsim.config import Constrained
from navsim.errors import ConfigError
from navsim.number_formats import number
from navsim.sensing.camera import Camera
from navsim.simulation.config import RendererName, SimulationConfig
from navsim.simulation.expert import LaneExpert
from navsim.simulation.scenario import Scenario
from navsim.simulation.simulation import SimState, Simulation, simulations
from navsim.tables import Table

if sys.platform != "win32":
    import resource

_MILLISECONDS = 1e3
_MEGABYTES = 1e-6
LEFT_AND_RIGHT = (60.0, -60.0)
"""Yaw of the second and third camera [deg]."""


@dataclass(frozen=True)
class SimulationBenchmark(Constrained):
    """Cases that are measured: all combinations of the lists."""

    sizes: tuple[str, ...] = ("66x200", "80x200")
    """Heights and widths of the images, as HxW [px]."""
    renderers: tuple[RendererName, ...] = ("tiny", "opengl")
    """Renderers of the images."""
    cameras: tuple[int, ...] = (1, 3)
    """Numbers of cameras on a car, from 1 to 3."""
    num_envs: tuple[int, ...] = (1, 8)
    """Numbers of worlds in a process, rendered in one pass."""
    processes: tuple[int, ...] = (1, 2)
    """Numbers of processes that run at the same time."""
    towns: tuple[str, ...] = ("test-0", "test-1", "test-2")
    """Towns of the worlds, in turn."""
    seconds: Annotated[float, Gt(0)] = 2.0
    """Duration of each case in a round [s]."""
    rounds: Annotated[int, Ge(1)] = 2
    """Number of measurements of each case."""
    resets: Annotated[int, Ge(1)] = 5
    """Number of timed resets of each kind."""
    singles: bool = True
    """Whether to measure the single figures, too: first image, map patches, environments."""
    out: Path = Path("runs/benchmark/simulation.json")
    """File of the figures."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.cases  # refuses those that are not valid

    @property
    def cases(self) -> tuple["BenchmarkCase", ...]:
        """All combinations of the lists."""
        product = itertools.product(map(_size, self.sizes), self.cameras, self.renderers, self.num_envs, self.processes)
        return tuple(
            BenchmarkCase(height, width, cameras, renderer, num_envs, processes, self.towns)
            for (height, width), cameras, renderer, num_envs, processes in product
        )


@dataclass(frozen=True)
class BenchmarkCase(Constrained):
    """One case of a benchmark."""

    height: int
    """Height of the images [px]."""
    width: int
    """Width of the images [px]."""
    cameras: Annotated[int, Ge(1), Le(3)]
    """Number of cameras on each car."""
    renderer: RendererName
    """Renderer of the images."""
    num_envs: Annotated[int, Ge(1)]
    """Number of worlds in each process."""
    processes: Annotated[int, Ge(1)]
    """Number of processes that run at the same time."""
    towns: Annotated[tuple[str, ...], MinLen(1)]
    """Towns of the worlds, in turn."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.simulation  # refuses sizes that are not valid

    @property
    def simulation(self) -> SimulationConfig:
        """Simulation of the case."""
        yaws = (0.0, *LEFT_AND_RIGHT)[: self.cameras]
        cameras = tuple(Camera(f"camera{i}", self.width, self.height, 90.0, yaw_deg=yaw) for i, yaw in enumerate(yaws))
        return SimulationConfig(cameras=cameras, renderer=self.renderer)


@dataclass(frozen=True)
class Figures:
    """Figures of a case. Times per step are means of one process, per world."""

    steps_per_second: float
    """Control steps of all worlds and processes per second of simulation [1/s]; the expert's time does not count."""
    physics: float
    """Time of moving the car and checking the drive [s per step]."""
    render: float
    """Time of rendering the cameras [s per step]."""
    maps: float
    """Time of drawing both maps and of the position fix [s per step]."""
    rest: float
    """Time of the expert, which drives [s per step]."""
    reset_new_town: float
    """Median time of a reset to a new town, first image included [s]."""
    reset_same_town: float
    """Median time of a reset in the same town, first image included [s]."""
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
    """Return the round with the most steps per second."""
    return max(rounds, key=lambda figures: figures.steps_per_second)


def combined(processes: Sequence[Figures]) -> Figures:
    """Return the figures of several processes as those of one case: sum of speeds, means of times, largest memory."""
    means = {
        name: statistics.fmean(getattr(process, name) for process in processes)
        for name in ("physics", "render", "maps", "rest", "reset_new_town", "reset_same_town")
    }
    total = sum(process.steps_per_second for process in processes)
    return Figures(total, **means, memory=max(process.memory for process in processes))


_SIMULATOR_PARTS = 3
"""Number of the measured parts that belong to the simulator: physics, images, maps; the last is the expert's."""

_start_barrier: Barrier


def _prepare(barrier: Barrier) -> None:
    """Set up a process: one thread in OpenCV, and the barrier at which all processes wait for each other."""
    global _start_barrier
    _start_barrier = barrier
    cv2.setNumThreads(1)


def _run(case: BenchmarkCase, seconds: float, resets: int) -> Figures:
    """Measure one process of a case."""
    with simulations(case.simulation, case.num_envs) as cars:
        driving = _TimedDriving(cars, case.towns)
        driving.drive(min(seconds / 4, 1.0))
        _start_barrier.wait()
        driving.clear()
        driving.drive(seconds)
        steps, parts = driving.steps, driving.parts
        _start_barrier.wait()
        new = [_timed_reset(cars[0], Scenario(f"validation-{i}")) for i in range(resets)]
        same = [_timed_reset(cars[0], Scenario(f"validation-{resets - 1}", route=i)) for i in range(1, resets + 1)]
    return Figures(
        steps_per_second=steps / sum(parts[:_SIMULATOR_PARTS]),
        physics=parts[0] / steps,
        render=parts[1] / steps,
        maps=parts[2] / steps,
        rest=parts[3] / steps,
        reset_new_town=statistics.median(new),
        reset_same_town=statistics.median(same),
        memory=_peak_memory(),
    )


def _peak_memory() -> float:
    """Return the largest resident memory of this process [bytes]; 0 on Windows, where Python does not know it."""
    if sys.platform == "win32":
        return 0.0
    else:  # noqa: RET505 - mypy knows that Windows has no `resource`
        unit = 1 if sys.platform == "darwin" else 1024
        return float(unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


class _TimedDriving:
    """Driving of all worlds by the expert, with the time of each part of a step; resets are not timed."""

    def __init__(self, cars: Sequence[Simulation], towns: Sequence[str]) -> None:
        self._cars = cars
        self._towns = towns
        self._routes = itertools.count()
        self._experts = [LaneExpert(car.config.expert, car.config.vehicle) for car in cars]
        self._states: list[SimState] = [self._restart(i) for i in range(len(cars))]
        self.clear()

    def clear(self) -> None:
        """Reset all times."""
        self.steps = 0
        self.parts = [0.0, 0.0, 0.0, 0.0]

    def drive(self, seconds: float) -> None:
        """Drive for `seconds`, without the time of resets."""
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
        observed = now()
        for part, elapsed in enumerate((moved - decided, drawn - moved, observed - drawn, decided - begin)):
            self.parts[part] += elapsed
        self.steps += len(cars)

    def _restart(self, index: int) -> SimState:
        """Begin the next route of a world, in the same town."""
        car = self._cars[index]
        state = car.begin(Scenario(self._towns[index % len(self._towns)], next(self._routes)))
        self._experts[index].follow(car.route)
        return state


def _timed_reset(simulation: Simulation, scenario: Scenario) -> float:
    """Return the time of a reset with its first image [s]."""
    begin = time.perf_counter()
    simulation.reset(scenario)
    return time.perf_counter() - begin


def _size(text: str) -> tuple[int, int]:
    """Return height and width from a text such as "66x200".

    Raises:
        ConfigError: If the text has another form.
    """
    height, separator, width = text.partition("x")
    if not (separator and height.isdecimal() and width.isdecimal()):
        raise ConfigError(f"sizes must be HEIGHTxWIDTH, such as 66x200, got {text!r}")
    return int(height), int(width)


def cases_table(results: Mapping[BenchmarkCase, Figures]) -> Table:
    """Return one row for each case."""
    headers = ("cameras", "renderer", "worlds", "processes", "steps/s", "physics", "render", "maps", "rest")
    rows = [
        (
            f"{case.cameras} x {case.height}x{case.width}",
            case.renderer,
            str(case.num_envs),
            str(case.processes),
            number(figures.steps_per_second, 0),
            *(number(_MILLISECONDS * part) for part in (figures.physics, figures.render, figures.maps, figures.rest)),
            *(number(_MILLISECONDS * part, 0) for part in (figures.reset_new_town, figures.reset_same_town)),
            number(_MEGABYTES * figures.memory, 0),
        )
        for case, figures in results.items()
    ]
    title = "both maps; times per step of one world in ms; the rest is the expert, which drives and does not count"
    return Table((*headers, "reset new [ms]", "same [ms]", "MB/process"), rows, title=title, text_columns=2)
