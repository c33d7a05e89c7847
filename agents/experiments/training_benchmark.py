"""How fast networks train on one device with all data on it, and how much of the device that uses.

How fast a policy trains on this machine: our trainer beside the plain loop, and where our time goes.

Both learn the same network from the same frames, each in a fresh process, in turns; the best round of each counts: what
else a machine does at the time then strikes both alike.
"""

import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal

import torch

from agents.experiments.hardware_limits import Ceilings, Cost, Shares, made_up_inputs, shares, training_cost
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
from navsim.config import from_mapping, to_mapping
from navsim.datasets.collection import collect
from navsim.datasets.collection_config import CollectConfig
from navsim.datasets.dataset import DESCRIPTION_NAME, open_dataset
from navsim.errors import ConfigError
from navsim.parallel import available_cores
from navsim.roads.generators.towns import Split
from navsim.sensing.camera import RIGS, Rig
from navsim.sensing.roadmap import MapSpec
from navsim.simulation.config import SimulationConfig

WORKLOADS: dict[str, Rig] = {"pilotnet": Rig.PILOTNET, "compact": Rig.DEMO, "amini2019": Rig.AMINI2019}
"""Networks that are measured, each with the cameras that it is meant for."""


@dataclass(frozen=True)
class DeviceSpeed:
    """What was measured of a network."""

    network: str
    """Its name."""
    cameras: str
    """What it sees, such as "3 x 80x200"."""
    batch_size: int
    """Frames per step."""
    samples_per_second: float
    """Frames trained on per second."""
    parts: dict[str, float]
    """Time of each part of a step [s]."""
    peak_memory: int | None
    """Most memory taken [bytes], the data included; None where it is not counted."""
    cost: Cost
    """What a sample takes."""
    shares: Shares
    """How much of the device that uses."""


def measured_networks() -> list[str]:
    """Those of the networks to be measured that there are."""
    return [name for name in WORKLOADS if name in NETWORKS]


def measure_network(name: str, config: TrainConfig, frames: int, seconds: float, ceilings: Ceilings) -> DeviceSpeed:
    """Train a network on made-up frames that lie on the device.

    Args:
        name: Of the network.
        config: Batch size, precision and device.
        frames: How many frames there are.
        seconds: How long to measure [s].
        ceilings: Rates of the device.
    """
    device, cameras, map_spec = choose_device(config), RIGS[WORKLOADS[name]], MapSpec()
    dtype, spec = choose_dtype(config, device), observation_spec(cameras, map_spec)
    policy = from_mapping(PolicyConfig, to_mapping(config.policy) | {"network": name}, "policy")
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    samples = made_up_samples(spec, frames, device)
    data = TrainingData(samples, samples[slice(0, 1)], cameras, map_spec)
    speed = speed_of_training(replace(config, policy=policy), data, seconds)
    few = 8
    cost = training_cost(
        build_policy(policy, spec, seed=0).to(device),
        made_up_inputs(spec, few, device, torch.float32),
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


def made_up_samples(spec: ObservationSpec, count: int, device: torch.device) -> Samples:
    """Random frames; how fast a network trains does not depend on what they show."""
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
"""What is compared."""
_WARM_UP = 5  # steps that are not measured


def _go_on() -> None:
    """Wait for nothing: what was asked of a CPU is done."""


@dataclass(frozen=True)
class TrainingBenchmark:
    """What is measured."""

    data: Path = Path("runs/benchmark/training-data")
    """Folder with recorded drives; made if it is missing."""
    rig: Rig = Rig.DEMO
    """Cameras of drives that are recorded for it."""
    towns: int = 6
    """Towns to learn from in them; about 1,000 frames each."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """Network, batch size, precision and augmentation; its data, run_dir, epochs and device are not looked at."""
    seconds: float = 15.0
    """How long each loop is measured in a round [s]."""
    rounds: int = 3
    """How often each loop is measured."""
    gpu_seconds: float = 10.0
    """How long each network is measured on the GPU, if there is one [s]; 0 leaves it out."""
    gpu_batch: int = 2048
    """Frames per step there."""
    gpu_frames: int = 65536
    """Made-up frames that lie on it."""
    out: Path = Path("runs/benchmark/training.json")
    """Where the figures are written."""

    def __post_init__(self) -> None:
        for name, least in {"rounds": 1, "towns": 1, "gpu_seconds": 0, "gpu_batch": 2, "gpu_frames": 2}.items():
            if not getattr(self, name) >= least:
                raise ConfigError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if not self.seconds > 0:
            raise ConfigError(f"seconds must be above 0, got {self.seconds}")


@dataclass(frozen=True)
class Speed:
    """What was measured of a loop."""

    images_per_second: float
    """Frames trained on per second; a frame has the images of all cameras."""
    step: float
    """Time of a step [s]."""
    parts: dict[str, float]
    """Time of each part of a step [s]; none of the plain loop, whose reading goes on beside its steps."""


def record_drives(config: TrainingBenchmark) -> None:
    """Record the drives to learn from, unless they are there."""
    if not (config.data / DESCRIPTION_NAME).exists():
        simulation = SimulationConfig(rig=config.rig)
        collect(CollectConfig(config.data, simulation, config.towns, 1, resume=True))


def fastest(rounds: Sequence[Mapping[Loop, Speed]]) -> dict[Loop, Speed]:
    """The best round of each loop."""
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
    """Let a trainer take steps for so long [s], without validation, and without a run folder."""
    with tempfile.TemporaryDirectory() as folder:
        trainer = policy_trainer(replace(config, epochs=10**6), data, RunFolder(Path(folder) / "run"))
    steps, device = steps_of(trainer), trainer.task.device
    wait = partial(torch.cuda.synchronize, device) if device.type == "cuda" else _go_on
    for _ in range(_WARM_UP):
        next(steps)
    trainer.parts = Stopwatch(device)
    count, elapsed = timed(steps, seconds, wait)
    step = elapsed / count
    return Speed(
        trainer.batch_size / step, step, {name: share * step for name, share in trainer.parts.shares().items()}
    )


def steps_of(trainer: Trainer[Policy]) -> Iterator[None]:
    """Take the steps of one epoch after another, for ever."""
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


def timed(steps: Iterator[object], seconds: float, wait: Callable[[], None] = _go_on) -> tuple[int, float]:
    """Take steps for at least so long [s], after a few that warm up.

    Returns:
        How many steps were taken, and the time that they took [s].
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
