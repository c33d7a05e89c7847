"""Small data and training runs for tests: images that tell their label, networks that learn it in seconds."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from agents.policies.checkpoint import CheckpointInfo
from agents.policies.distributions.base import SteeringDistribution
from agents.policies.networks.config import PolicyConfig
from agents.policies.networks.observation_batch import (
    ObservationBatch,
    ObservationSpec,
    observation_spec,
    scale_observations,
)
from agents.policies.policy import HEADS, Policy, build_policy
from agents.training.config import LossConfig, TrainConfig
from agents.training.dataset import Samples, TrainingData, informative_frames
from agents.training.optimization import EmaConfig, OptimizerConfig, TrainState
from agents.training.policy_task import PolicyLoss
from navsim.datasets.dataset import DatasetDescription, episode_path, write_description
from navsim.datasets.episode_files import write_episode
from navsim.sensing.camera import Camera
from navsim.sensing.roadmap import MapSpec
from navsim.simulation.config import SimulationConfig
from navsim.simulation.episode import Episode
from navsim.simulation.scenario import Outcome, Scenario

torch.set_num_threads(1)  # two threads that wait for each other on a busy machine are slower than one

CAMERAS = (Camera(width=32, height=32),)
MAP = MapSpec(size_px=20, ego_row=14)
SPEC: ObservationSpec = observation_spec(CAMERAS, MAP)
SIMULATION = SimulationConfig(cameras=CAMERAS, map=MAP)


def small_episode(town: str = "train-0", steps: int = 12, seed: int = 0, images: bool = True) -> Episode:
    """A drive whose images are brighter on the side to which the label steers."""
    rng = np.random.default_rng(seed)
    labels = rng.uniform(-0.2, 0.2, steps)
    pictures = rng.integers(100, 120, (steps, 1, 32, 32, 3)).astype(np.uint8)
    pictures[:, 0, :, :16] += (200 * np.maximum(labels, 0) / 0.4).astype(np.uint8)[:, None, None, None]
    pictures[:, 0, :, 16:] += (200 * np.maximum(-labels, 0) / 0.4).astype(np.uint8)[:, None, None, None]
    maps = rng.integers(0, 256, (2, steps, 20, 20)).astype(np.uint8)
    kept = slice(None) if images else slice(0)
    return Episode(
        scenario=Scenario(town),
        driver="expert",
        outcome=Outcome.ARRIVED,
        route_length=100.0,
        passages=(),
        images=pictures[kept],
        road_maps=maps[0][kept],
        route_maps=maps[1][kept],
        gps=np.zeros((steps, 3)),
        commands=labels,
        labels=labels,
        times=np.linspace(0, steps * 0.1, steps + 1),
        poses=np.zeros((steps + 1, 3)),
        speeds=np.linspace(0, 8, steps + 1),
        stations=np.linspace(0, 100, steps + 1),
        offsets=np.zeros(steps + 1),
        heading_errors=np.zeros(steps + 1),
    )


def small_samples(count: int, seed: int = 0) -> Samples:
    """Frames as of `small_episode`."""
    episode = small_episode(steps=count, seed=seed)
    return Samples(
        ObservationBatch(
            torch.tensor(episode.images),
            torch.tensor(episode.road_maps),
            torch.tensor(episode.route_maps),
            torch.tensor(episode.speeds[:-1], dtype=torch.float32),
        ),
        torch.tensor(episode.labels, dtype=torch.float32),
        torch.tensor(informative_frames(episode)),
    )


def small_data(train: int = 48, validation: int = 16) -> TrainingData:
    """Data of a training run."""
    return TrainingData(small_samples(train, 1), small_samples(validation, 2), CAMERAS, MAP, {"torch": "test"})


def small_folder(
    folder: Path,
    train: int = 2,
    validation: int = 1,
    episode: Callable[..., Episode] = small_episode,
    simulation: SimulationConfig = SIMULATION,
) -> Path:
    """Write a data folder with one episode per town."""
    write_description(folder, DatasetDescription(simulation, {"seed": 0}, {"numpy": "2"}, "unknown"))
    towns = [f"train-{i}" for i in range(train)] + [f"validation-{i}" for i in range(validation)]
    for seed, town in enumerate(towns):
        add_episode(folder, episode(town, seed=seed))
    return folder


def add_episode(folder: Path, episode: Episode) -> None:
    """Write one more episode into a data folder."""
    write_episode(episode, episode_path(folder, episode.scenario), {"renderer": "made up"})


def small_config(folder: Path, **changes: Any) -> TrainConfig:
    """A run of three epochs of three steps in float32."""
    config = TrainConfig(
        data=folder / "data",
        run_dir=folder / "run",
        epochs=3,
        batch_size=16,
        policy=PolicyConfig(hidden=16),
        optimizer=OptimizerConfig(learning_rate=3e-3),
        device="cpu",
        precision="float32",
        pictures=2,
    )
    return replace(config, **changes)


def small_policy(seed: int = 0, **changes: Any) -> Policy:
    """An untrained network in evaluation mode."""
    config = replace(PolicyConfig(hidden=16), **changes)
    return build_policy(config, SPEC, seed).eval()


def small_train_state(seed: int = 0, optimizer: OptimizerConfig | None = None) -> TrainState[Policy]:
    """An untrained network with its optimiser."""
    return TrainState(small_policy(seed), optimizer or OptimizerConfig(), EmaConfig())


def policy_losses(policy: Policy, samples: Samples, weights: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
    """The terms of a policy's loss on some frames, all of weight 1 unless `weights` are given."""
    inputs = scale_observations(samples.observations, torch.float32)
    weights = torch.ones(len(samples)) if weights is None else weights
    losses: dict[str, torch.Tensor] = PolicyLoss(policy, LossConfig(), torch.float32)(inputs, samples.labels, weights)
    return losses


def small_info(policy: Policy) -> CheckpointInfo:
    """A header for a checkpoint of `policy`."""
    return CheckpointInfo(policy.config, CAMERAS, MAP, {"epochs": 3}, {"epoch": 1}, {"torch": "test"})


def random_distribution(kind: str, batch: int, seed: int = 0) -> SteeringDistribution:
    """What a head makes of random outputs."""
    config = PolicyConfig(head=kind)  # type: ignore[arg-type]  # one of the names of HEADS
    count = len(HEADS[kind].initial_bias(config))
    outputs = torch.randn(batch, count, generator=torch.Generator().manual_seed(seed))
    answer: SteeringDistribution = HEADS[kind].distribution(outputs, config)
    return answer
