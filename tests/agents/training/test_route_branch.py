"""The source's network in training: its command is learned beside the distribution."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]
from torch.nn.functional import pad

from agents.policies.checkpoint import load_policy
from agents.policies.networks.config import PolicyConfig
from agents.policies.networks.observation_batch import ObservationBatch
from agents.training.dataset import Samples, TrainingData
from agents.training.policy_task import train
from agents.training.run_folder import open_run
from navsim.sensing.camera import Camera
from navsim.sensing.roadmap import MapSpec
from tests.agents.small_runs import small_config, small_data


def with_borders(samples: Samples) -> Samples:
    """The same situations on larger pictures: the source's network takes no smaller ones."""
    small = samples.observations
    road, route = (pad(picture, (2, 2, 2, 2)) for picture in (small.road_map, small.route_map))
    larger = ObservationBatch(pad(small.images, (0, 0, 4, 4, 4, 4)), road, route, small.speed)
    return replace(samples, observations=larger)


def larger_data() -> TrainingData:
    data = small_data(train=320, validation=64)
    return replace(
        data,
        train=with_borders(data.train),
        validation=with_borders(data.validation),
        cameras=(Camera(width=40, height=40),),
        map=MapSpec(size_px=24, ego_row=17),
    )


@pytest.mark.slow
def test_command_and_distribution_are_learned_jointly(tmp_path: Path) -> None:
    policy = PolicyConfig(network="amini2019", inputs=("camera", "route_map"))
    config = small_config(tmp_path, epochs=8, batch_size=32, pictures=1, policy=policy)
    data, folder = larger_data(), open_run(config)
    history = train(config, data, folder)
    first, last = history.epochs[0]["validation"], history.epochs[-1]["validation"]
    assert last["nll"] < first["nll"] - 0.3
    assert last["curvature_error"] < 0.05  # of the command, by which it drives; guessing zero is wrong by 0.1

    log = EventAccumulator(str(folder.tensorboard))
    log.Reload()
    errors, nll, total = ([event.value for event in log.Scalars(f"train/{k}")] for k in ("command", "nll", "total"))
    assert errors[-1] < 0.5 * errors[0]
    assert total == pytest.approx([n + config.loss.command * e for n, e in zip(nll, errors, strict=True)], abs=1e-4)

    learned = load_policy(folder.best, data.cameras, data.map)
    route = data.validation.observations
    other = replace(route, route_map=255 - route.route_map)
    with torch.no_grad():
        assert torch.equal(learned.steer(route).mode, learned.steer(other).mode)
