"""`navsim export` as a user calls it: a folder and a few words, or one line for a mistake."""

from pathlib import Path

from agents.policies.checkpoint import CheckpointInfo, save_checkpoint
from agents.policies.networks.config import PolicyConfig
from agents.policies.networks.observation_batch import observation_spec
from agents.policies.policy import build_policy
from navsim.sensing.camera import Camera
from navsim.sensing.roadmap import MapSpec
from tests.commands import Finished, run_command

REPOSITORY = Path(__file__).parents[3]
CAMERAS, MAP = (Camera(width=32, height=32),), MapSpec(size_px=20, ego_row=14)


def run(*arguments: str | Path) -> Finished:
    """Run the command."""
    return run_command("export", *map(str, arguments), env={"COLUMNS": "100"})


def test_a_folder_is_written_and_described_and_then_left_alone(tmp_path: Path) -> None:
    config = PolicyConfig(hidden=16)
    policy = build_policy(config, observation_spec(CAMERAS, MAP), seed=0)
    save_checkpoint(tmp_path / "best.safetensors", CheckpointInfo(config, CAMERAS, MAP), policy)
    words = ("--checkpoint", tmp_path / "best.safetensors", "--out", tmp_path / "out")
    done = run(*words)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"policy.onnx", "model.safetensors", "README.md"}
    assert "policy.onnx" in done.stdout
    assert "answers as the checkpoint does, within " in done.stdout
    again = run(*words)
    assert again.returncode == 2
    assert again.stderr == f"error: {tmp_path / 'out'}: already exists; choose another folder or remove it\n"


def test_a_missing_checkpoint_is_one_line(tmp_path: Path) -> None:
    done = run("--checkpoint", tmp_path / "none.safetensors", "--out", tmp_path / "out")
    assert done.returncode == 2
    assert done.stderr == f"error: {tmp_path / 'none.safetensors'}: no such checkpoint file\n"
    assert list(tmp_path.iterdir()) == []
