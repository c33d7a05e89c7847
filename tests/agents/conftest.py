"""An exported policy for all tests that look at one: exporting takes seconds."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from agents.export.card import CardContents


@pytest.fixture(scope="session")
def checkpoint_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of an untrained policy, with some state of an optimiser."""
    import torch  # in the fixtures, since some of these tests run where torch is not installed
    from safetensors import safe_open
    from safetensors.torch import save_file

    from agents.policies.checkpoint import save_checkpoint
    from tests.agents.small_runs import small_info, small_policy

    policy = small_policy(seed=4)
    path = tmp_path_factory.mktemp("run") / "best.safetensors"
    save_checkpoint(path, small_info(policy), policy)
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no dict
        header = file.metadata()
    save_file(tensors | {"optimizer.0.step": torch.zeros(1)}, path, header)
    return path


@pytest.fixture(scope="session")
def export_contents(checkpoint_file: Path) -> "CardContents":
    """What was found when it was exported to `exported` beside it."""
    from agents.export.bundle import ExportConfig, export

    return export(ExportConfig(checkpoint_file, checkpoint_file.parent / "exported"))


@pytest.fixture(scope="session")
def exported(checkpoint_file: Path, export_contents: "CardContents") -> Path:
    """The folder that it was exported to."""
    return checkpoint_file.parent / "exported"
