"""The number of files that a reader of one step opens: a step is profiled, and the project's files are counted."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from agents.drivers.registry import PolicyEvaluationConfig, policy_driver_spec
from agents.training.policy_task import policy_trainer
from agents.training.run_folder import open_run
from agents.training.trainer import Trainer, run_training
from navsim.evaluation.runner import DriveUnit, EvaluationJob, make_worker
from navsim.simulation.config import RendererName, SimulationConfig
from navsim.simulation.scenario import Scenario
from navsim.simulation.simulation import Simulation
from navsim.simulation.termination import Rules
from tests.agents.small_runs import small_config, small_data

ROOT = Path(__file__).parents[1]
MAX_TRAINING_FILES = 12
MAX_EVALUATION_FILES = 25


def files_of_step(work: Callable[[], object], owner: type, method: str, number: int) -> list[str]:
    """The project's files with functions that run in one step, in the order of their first calls.

    Args:
        work: Takes more than `number` steps.
        owner: Class of the method with which a step begins.
        method: Name of that method.
        number: Number of the step that is profiled, late enough that all is in a steady state.
    """
    folders = tuple(f"{ROOT / top}/" for top in ("navsim", "agents", "scripts"))
    files: dict[str, None] = {}
    original, steps = getattr(owner, method), 0

    def profile(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(folders):
            files.setdefault(str(Path(frame.f_code.co_filename).relative_to(ROOT)))

    def counted(*args: Any, **options: Any) -> Any:
        nonlocal steps
        steps += 1
        sys.setprofile(profile if steps == number else None)
        return original(*args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, method, counted)
        work()
    assert steps > number
    return list(files)


def test_a_training_step_is_read_in_few_files(tmp_path: Path) -> None:
    config = small_config(tmp_path, epochs=1, pictures=0)
    trainer = policy_trainer(config, small_data(train=80), open_run(config))
    files = files_of_step(lambda: run_training(trainer), Trainer, "step", number=3)
    print(*files, sep="\n")
    for expected in ("training/trainer.py", "training/policy_task.py", "networks/network.py"):
        assert any(file.endswith(expected) for file in files)
    assert len(files) <= MAX_TRAINING_FILES, files


@pytest.mark.parametrize("renderer", ["auto", "tiny"])
def test_an_evaluated_step_of_a_network_is_read_in_few_files(renderer: RendererName, tmp_path: Path) -> None:
    simulation = SimulationConfig(renderer=renderer, rules=Rules(time_limit=5.0))
    policy = ROOT / "policies" / "reference" / "model.safetensors"
    spec = policy_driver_spec(policy, PolicyEvaluationConfig(simulation=simulation), "policy")
    drive = make_worker(EvaluationJob(simulation, (spec,), tmp_path))
    unit = DriveUnit("policy", (Scenario("test-0", junctions=False),))
    files = files_of_step(lambda: drive(unit), Simulation, "advance", number=40)
    print(*files, sep="\n")
    for expected in ("evaluation/runner.py", "simulation/rollout.py", "world/world.py", "policies/policy.py"):
        assert any(file.endswith(expected) for file in files)
    assert len(files) <= MAX_EVALUATION_FILES, files
