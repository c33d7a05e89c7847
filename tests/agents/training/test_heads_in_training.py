"""Every head, trained by the loop that trains policies."""

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]

from agents.policies.networks.config import PolicyConfig
from agents.policies.policy import HEADS
from agents.training.config import LossConfig
from agents.training.policy_task import train
from agents.training.run_folder import RunFolder, open_run
from tests.agents.small_runs import small_config, small_data


@pytest.mark.parametrize(
    "head", ["mixture", *(pytest.param(h, marks=pytest.mark.slow) for h in HEADS if h != "mixture")]
)
def test_every_head_learns_and_its_parts_are_logged(tmp_path: Path, head: str) -> None:
    loss = LossConfig(**dict.fromkeys(HEADS[head].regularisers, 1e-3))
    policy = PolicyConfig(hidden=16, head=head, bins=21, label_width=0.1)  # type: ignore[arg-type]
    config = small_config(tmp_path, epochs=8, pictures=0, batch_size=16, policy=policy, loss=loss)
    history = train(config, small_data(train=320, validation=64), open_run(config))
    first, last = history.epochs[0]["validation"], history.epochs[-1]["validation"]
    assert last["crps"] < 0.8 * first["crps"]
    assert len(last["coverage"]) == 4
    log = EventAccumulator(str(RunFolder(config.run_dir).tensorboard))
    log.Reload()
    wanted = {"nll", HEADS[head].loss_name, "total", "learning_rate", *HEADS[head].regularisers}
    assert {f"train/{name}" for name in wanted} <= set(log.Tags()["scalars"])
