"""Training runs of any task of perception."""

from typing import Any

from agents.perception.run import PerceptionTask
from agents.perception.training import train_network
from agents.training.run_folder import RunFolder

SomeTask = PerceptionTask[Any, Any, Any, Any]


def learn(task: SomeTask) -> RunFolder:
    """Train without judging."""
    folder = RunFolder(task.config.run_dir)
    train_network(task.config, task.objective, task.load(), folder)
    return folder
