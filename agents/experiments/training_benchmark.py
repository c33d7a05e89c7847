"""Speed of training: our trainer compared with a plain loop, and networks on one device compared with its ceilings.

Trainer and plain loop learn the same network from the same frames, each in a fresh process, in turns. The best round of
each counts: other load of the machine then affects both alike.
"""

import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Gt

from agents.experiments.hardware_limits import Ceilings, Cost, Shares, random_inputs, shares, training_cost
from agents.experiments.plain_loop import EpisodeDataset, PlainLoop, decode
from agents.policies.networks.config import PolicyConfig
from agents.policies.networks.observation_batch import ObservationBatch, ObservationSpec, observation_spec
from agents.policies.policy import NETWORKS, Policy, build_policy
from agents.training.config import TrainConfig, choose_device, choose_dtype
from agents.training.dataset import Samples, TrainingData, load_training_data
from agents.training.logger import Stopwatch
from agents.training.policy_task import policy_trainer
from agents.training.run_folder import RunFolder
from agents.training.runtime import keep_freed_memory
from agents.training.trainer import Trainer
from navsim.config import Constrained, from_mapping, to_mapping
from navsim.datasets.collection import collect
from navsim.datasets.collection_config import CollectConfig
from navsim.datasets.dataset import DESCRIPTION_NAME, open_dataset
from navsim.number_formats import MISSING, number, percent
from navsim.parallel import available_cores
from navsim.roads.generators.towns import Split
from navsim.sensing.camera import RIGS, Rig
from navsim.sensing.roadmap import MapSpec
from navsim.simulation.config import SimulationConfig
from navsim.tables import Table

WORKLOADS: dict[str, Rig] = {"pilotnet": Rig.PILOTNET, "compact": Rig.DEMO, "amini2019": Rig.AMINI2019}
"""Networks that are measured, each with its cameras."""


@dataclass(frozen=True)
class DeviceSpeed:
    """Speed and cost of a network on a device."""

    network: str
    """Name of the network."""
    cameras: str
    """Number and size of its cameras, such as "3 x 80x200"."""
    batch_size: int
    """Number of frames per step."""
    samples_per_second: float
    """Training speed [frames/s]."""
    parts: dict[str, float]
    """Time of each part of a step [s]."""
    peak_memory: int | None
    """Largest allocated memory, data included [bytes]; None on a CPU."""
    cost: Cost
    """Cost of a sample."""
    shares: Shares
    """Shares of the device's ceilings."""


def measured_networks() -> list[str]:
    """Return the networks of `WORKLOADS` that exist."""
    return [name for name in WORKLOADS if name in NETWORKS]


def measure_network(name: str, config: TrainConfig, frames: int, seconds: float, ceilings: Ceilings) -> DeviceSpeed:
    """Train a network on random frames in the device's memory.

    Args:
        name: Name of the network.
        config: Batch size, precision and device.
        frames: Number of frames.
        seconds: Duration of the measurement [s].
        ceilings: Highest rates of the device.
    """
    device, cameras, map_spec = choose_device(config), RIGS[WORKLOADS[name]], MapSpec()
    dtype, spec = choose_dtype(config, device), observation_spec(cameras, map_spec)
    policy = from_mapping(PolicyConfig, to_mapping(config.policy) | {"network": name}, "policy")
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    samples = random_samples(spec, frames, device)
    data = TrainingData(samples, samples[slice(0, 1)], cameras, map_spec)
    speed = speed_of_training(replace(config, policy=policy), data, seconds)
    few = 8
    cost = training_cost(
        build_policy(policy, spec, seed=0).to(device),
        random_inputs(spec, few, device, torch.float32),
        samples.labels[:few],
        dtype.itemsize,
    )
    return DeviceSpeed(
        network=name,
        cameras=f"{spec.cameras} x {spec.height}x{spec.width}",
        batch_size=config.batch_size,
        samples_per_second=speed.images_per_second,
        parts=speed.parts,
        peak_memory=torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None,
        cost=cost,
        shares=shares(speed.images_per_second, cost, ceilings),
    )


def random_samples(spec: ObservationSpec, count: int, device: torch.device) -> Samples:
    """Return random frames; the speed of training does not depend on their content."""
    generator = torch.Generator(device).manual_seed(0)

    def pictures(*shape: int) -> torch.Tensor:
        return torch.randint(256, (count, *shape), generator=generator, device=device, dtype=torch.uint8)

    road_map, route_map = (pictures(spec.map_size, spec.map_size) for _ in range(2))
    images = pictures(spec.cameras, spec.height, spec.width, 3)
    labels = 0.4 * torch.rand(count, generator=generator, device=device) - 0.2
    is_informative = torch.ones(count, dtype=torch.bool, device=device)
    return Samples(
        ObservationBatch(images, road_map, route_map, torch.ones(count, device=device)), labels, is_informative
    )


Loop = Literal["ours", "plain"]
LOOPS: tuple[Loop, ...] = ("ours", "plain")
"""Training loops that are compared."""
_WARM_UP = 5  # steps that are not measured


def _no_wait() -> None:
    """Return at once: work on a CPU is synchronous."""


@dataclass(frozen=True)
class TrainingBenchmark(Constrained):
    """Data, networks and durations of the benchmark."""

    data: Path = Path("runs/benchmark/training-data")
    """Folder with recorded drives; recorded if it is missing."""
    rig: Rig = Rig.DEMO
    """Cameras of the recorded drives."""
    towns: Annotated[int, Ge(1)] = 6
    """Number of training towns, with about 1,000 frames each."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """Network, batch size, precision and augmentation; data, run_dir, epochs and device are ignored."""
    seconds: Annotated[float, Gt(0)] = 15.0
    """Duration of each loop in a round [s]."""
    rounds: Annotated[int, Ge(1)] = 3
    """Number of measurements of each loop."""
    gpu_seconds: Annotated[float, Ge(0)] = 10.0
    """Duration for each network on the GPU, if there is one [s]; 0 leaves it out."""
    gpu_batch: Annotated[int, Ge(2)] = 2048
    """Number of frames per step on the GPU."""
    gpu_frames: Annotated[int, Ge(2)] = 65536
    """Number of random frames on the GPU."""
    out: Path = Path("runs/benchmark/training.json")
    """File of the figures."""


@dataclass(frozen=True)
class Speed:
    """Speed of a training loop."""

    images_per_second: float
    """Training speed [frames/s]; a frame has the images of all cameras."""
    step: float
    """Time of a step [s]."""
    parts: dict[str, float]
    """Time of each part of a step [s]; empty for the plain loop, which reads during its steps."""


def record_drives(config: TrainingBenchmark) -> None:
    """Record the drives, unless they exist."""
    if not (config.data / DESCRIPTION_NAME).exists():
        simulation = SimulationConfig(rig=config.rig)
        collect(CollectConfig(config.data, simulation, config.towns, 1, resume=True))


def fastest(rounds: Sequence[Mapping[Loop, Speed]]) -> dict[Loop, Speed]:
    """Return the best round of each loop."""
    return {loop: max((each[loop] for each in rounds), key=lambda speed: speed.images_per_second) for loop in LOOPS}


def measure_loop(config: TrainingBenchmark, loop: Loop) -> Speed:
    """Measure a loop once, in a process of its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_measured, config, loop).result()


def _measured(config: TrainingBenchmark, loop: Loop) -> Speed:
    return {"ours": measure_ours, "plain": measure_plain}[loop](config)


def measure_ours(config: TrainingBenchmark) -> Speed:
    """Measure the trainer on data in memory, in this process."""
    keep_freed_memory()
    data = load_training_data(config.data, config.train.policy, "device")
    return speed_of_training(replace(config.train, device="cpu"), data, config.seconds)


def measure_plain(config: TrainingBenchmark) -> Speed:
    """Measure the plain loop, in this process."""
    dataset = open_dataset(config.data, Split.TRAIN)
    simulation = dataset.description.simulation
    with tempfile.TemporaryDirectory() as folder:
        frames = EpisodeDataset(decode(dataset, Path(folder)), config.train.augmentation, simulation.map)
        spec = observation_spec(simulation.cameras, simulation.map)
        loop = PlainLoop(config.train, frames, spec, available_cores())
        count, seconds = timed(loop.steps(), config.seconds)
    return Speed(config.train.batch_size * count / seconds, seconds / count, {})


def speed_of_training(config: TrainConfig, data: TrainingData, seconds: float) -> Speed:
    """Measure a trainer's steps for `seconds` [s], without validation and run folder."""
    with tempfile.TemporaryDirectory() as folder:
        trainer = policy_trainer(replace(config, epochs=10**6), data, RunFolder(Path(folder) / "run"))
    steps, device = steps_of(trainer), trainer.task.device
    wait = partial(torch.cuda.synchronize, device) if device.type == "cuda" else _no_wait
    for _ in range(_WARM_UP):
        next(steps)
    trainer.step_watch = Stopwatch(device)
    count, elapsed = timed(steps, seconds, wait)
    step = elapsed / count
    parts = {name: share * step for name, share in trainer.step_watch.shares().items()}
    return Speed(trainer.batch_size / step, step, parts)


def steps_of(trainer: Trainer[Policy]) -> Iterator[None]:
    """Take the steps of one epoch after another, without end."""
    size, epoch = trainer.batch_size, 0
    while True:
        draw = trainer.task.draw(epoch)
        index, weights = (torch.from_numpy(values).to(trainer.task.device) for values in (draw.index, draw.weights))
        end = trainer.steps_per_epoch * size
        trainer.prefetch(index[:end])
        for first in range(0, end, size):
            trainer.step(index[first : first + size], weights[first : first + size])
            yield
        epoch += 1


def timed(steps: Iterator[object], seconds: float, wait: Callable[[], None] = _no_wait) -> tuple[int, float]:
    """Take steps for at least `seconds` [s], after a few for warming up.

    Returns:
        Number of steps and their time [s].
    """
    for _ in range(_WARM_UP):
        next(steps)
    wait()
    begin, count = time.perf_counter(), 0
    while time.perf_counter() - begin < seconds:
        next(steps)
        count += 1
    wait()
    return count, time.perf_counter() - begin


def loops_table(best: Mapping[Loop, Speed], rounds: Sequence[Mapping[Loop, Speed]]) -> Table:
    """Return our trainer and the plain loop, best of all rounds, with the ratio of their speeds."""
    ratio = best["ours"].images_per_second / best["plain"].images_per_second
    each = ", ".join(f"{r['ours'].images_per_second / r['plain'].images_per_second:.1f}" for r in rounds)
    parts = list(best["ours"].parts)
    rows = [
        (loop, number(speed.images_per_second, 0), *map(_milliseconds, (speed.step, *map(speed.parts.get, parts))))
        for loop, speed in best.items()
    ]
    title = f"training: ours is {ratio:.1f} times as fast (round by round {each}); times per step in ms"
    return Table(("loop", "frames/s", "step", *parts), rows, title=title)


def _milliseconds(seconds: float | None) -> str:
    """Return a time [s] in milliseconds; missing for None."""
    return MISSING if seconds is None else number(1e3 * seconds, 1)


def devices_table(speeds: Sequence[DeviceSpeed], ceilings: Ceilings, device: str) -> Table:
    """Return one row for each network on a device."""
    headers = ("network", "cameras", "batch", "samples/s", "peak memory", "MFLOP", "MB moved")
    rows = [
        (
            speed.network,
            speed.cameras,
            str(speed.batch_size),
            number(speed.samples_per_second, 0),
            number(None if speed.peak_memory is None else speed.peak_memory / 1e9, 1, "GB"),
            number(speed.cost.operations / 1e6, 0),
            number(speed.cost.traffic / 1e6, 1),
            percent(speed.shares.arithmetic),
            percent(speed.shares.bandwidth),
        )
        for speed in speeds
    ]
    rates = f"copies {ceilings.bandwidth / 1e9:.0f} GB/s, multiplies {ceilings.arithmetic / 1e12:.1f} TFLOP/s"
    title = f"{device}: {rates}; data on the device"
    return Table((*headers, "of arithmetic", "of memory"), rows, title=title, text_columns=2)
