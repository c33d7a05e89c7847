"""Single figures of speed: first image of a new process, map patches, and Gymnasium's three kinds of environments."""

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from gymnasium.vector import AsyncVectorEnv, VectorEnv

from navsim.geometry import Pose
from navsim.number_formats import number, seconds
from navsim.sensing.camera import Rig
from navsim.sensing.roadmap import MapSpec, draw_map
from navsim.simulation.config import RendererName, SimulationConfig
from navsim.simulation.environment import TownEnvironment
from navsim.simulation.town import build_town_for_driving
from navsim.simulation.vector import TownVectorEnvironment
from navsim.tables import Table

ENVIRONMENTS = 8
"""Number of environments in a vector."""

_FIRST_IMAGE = """
from navsim.simulation.scenario import Scenario
from navsim.simulation.simulation import Simulation, SimulationConfig
from navsim.sensing.camera import Rig
with Simulation(SimulationConfig(rig=Rig.PILOTNET, renderer={renderer!r})) as simulation:
    assert simulation.reset(Scenario("test-0")).observation is not None
    print("seen", flush=True)
"""


@dataclass(frozen=True)
class Singles:
    """Single figures of speed; the environments have one camera of 66x200 and both maps, in one town."""

    first_image: float
    """Time from the start of a Python process to its first image of a town, imports included [s]."""
    map_patches: float
    """Road-map patches of 50x50 drawn per second for arbitrary poses [1/s]."""
    environment: float
    """Speed of `TownEnvironment` with random actions [steps/s], resets included."""
    vector: float
    """Speed of `TownVectorEnvironment` with eight environments in one process [steps/s], resets included."""
    asynchronous: float
    """Speed of Gymnasium's `AsyncVectorEnv` with eight environments in eight processes [steps/s], resets included."""


def measure_singles(renderer: RendererName, seconds: float = 4.0, repeats: int = 3) -> Singles:
    """Measure the figures.

    Args:
        renderer: Renderer of the images.
        seconds: Duration for each kind of environment [s].
        repeats: Number of measurements of the other figures; the best counts.
    """
    config = SimulationConfig(rig=Rig.PILOTNET, renderer=renderer)
    make = partial(TownEnvironment, towns=1, config=config)
    return Singles(
        first_image=min(_first_image(renderer) for _ in range(repeats)),
        map_patches=max(_map_patches() for _ in range(repeats)),
        environment=_environment_steps(make(), seconds),
        vector=_vector_steps(TownVectorEnvironment(ENVIRONMENTS, towns=1, config=config), seconds),
        asynchronous=_vector_steps(AsyncVectorEnv([make] * ENVIRONMENTS), seconds),
    )


def _first_image(renderer: RendererName) -> float:
    """Return the time from the start of a process to its first image [s]."""
    begin = time.perf_counter()
    command = [sys.executable, "-c", _FIRST_IMAGE.format(renderer=renderer)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8") as process:
        if process.stdout is None or process.stdout.readline() != "seen\n":
            raise RuntimeError("the process that draws a first image failed, see its output above")
        return time.perf_counter() - begin


def _map_patches(count: int = 5000) -> float:
    """Return road-map patches per second."""
    spec = MapSpec()
    town = build_town_for_driving("test-0", spec)
    x0, y0, x1, y1 = town.network.bounds
    draws = np.random.default_rng(0).uniform((x0, y0, -np.pi), (x1, y1, np.pi), (count, 3))
    poses = [Pose(*pose) for pose in draws.tolist()]
    begin = time.perf_counter()
    for pose in poses:
        draw_map(town.raster, spec, pose)
    return count / (time.perf_counter() - begin)


def _environment_steps(environment: TownEnvironment, seconds: float) -> float:
    """Return steps per second of one environment with small random actions."""
    environment.reset(seed=0)

    def step(actions: np.ndarray[Any, np.dtype[np.float32]]) -> None:
        _, _, terminated, truncated, _ = environment.step(actions[0])
        if terminated or truncated:
            environment.reset()

    return _rate(step, 1, seconds, environment.close)


def _vector_steps(vector: VectorEnv[Any, Any, Any], seconds: float) -> float:
    """Return steps per second of all environments of a vector."""
    vector.reset(seed=0)
    return _rate(lambda actions: vector.step(actions), vector.num_envs, seconds, vector.close)


def _rate(
    step: Callable[[np.ndarray[Any, np.dtype[np.float32]]], Any],
    count: int,
    seconds: float,
    close: Callable[[], None],
) -> float:
    """Return steps per second over at least `seconds` [s], after a warm-up of a quarter of that."""
    draws = np.random.default_rng(0)

    def run(duration: float) -> float:
        begin, steps = time.perf_counter(), 0
        while time.perf_counter() - begin < duration:
            step(draws.uniform(-0.05, 0.05, (count, 1)).astype(np.float32))
            steps += count
        return steps / (time.perf_counter() - begin)

    run(seconds / 4)
    try:
        return run(seconds)
    finally:
        close()


def singles_table(singles: Singles) -> Table:
    """Return one row for each figure."""
    rows = (
        ("start of Python to first picture", seconds(singles.first_image, 2)),
        ("road-map patches of 50x50", f"{number(singles.map_patches, 0)} per s"),
        ("TownEnvironment", f"{number(singles.environment, 0)} steps/s"),
        (f"TownVectorEnvironment, {ENVIRONMENTS} in one process", f"{number(singles.vector, 0)} steps/s"),
        (f"AsyncVectorEnv, {ENVIRONMENTS} in as many processes", f"{number(singles.asynchronous, 0)} steps/s"),
    )
    return Table(("", ""), rows, title="one camera of 66x200 and both maps")
