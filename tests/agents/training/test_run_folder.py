from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from agents.training.config import TrainConfig
from agents.training.dataset import load_training_data
from agents.training.policy_task import policy_trainer, train
from agents.training.run_folder import RunFolder, begin_run, open_run
from navsim.config import load_config
from navsim.errors import CheckpointError, ConfigError, StorageError
from navsim.storage import write_json
from tests.agents.small_runs import small_config, small_folder


def begun(config: TrainConfig) -> RunFolder:
    """A run that has begun."""
    folder = open_run(config)
    begin_run(config, folder)
    return folder


def test_a_run_that_has_not_begun_writes_nothing(tmp_path: Path) -> None:
    config = small_config(tmp_path)
    open_run(config)
    assert not config.run_dir.exists()


def test_a_new_folder_holds_the_resolved_configuration(tmp_path: Path) -> None:
    config = small_config(tmp_path)
    folder = begun(config)
    assert folder.path == tmp_path / "run"
    assert not folder.finished
    assert load_config(type(config), folder.config) == config


def test_the_same_configuration_opens_it_again(tmp_path: Path) -> None:
    config = small_config(tmp_path)
    begun(config)
    leftover = tmp_path / "run" / ".last.safetensors.12345.partial"
    leftover.write_bytes(b"half")
    assert open_run(replace(config, resume=True)).path == config.run_dir
    assert not leftover.exists()


def test_another_configuration_is_refused_naming_the_difference(tmp_path: Path) -> None:
    config = small_config(tmp_path)
    begun(config)
    with pytest.raises(ConfigError, match=r"settings \(epochs is 3 there, 7 asked for\); choose another run_dir"):
        open_run(replace(config, epochs=7))
    with pytest.raises(ConfigError, match=r"policy.hidden is 16 there, 24 asked for"):
        open_run(replace(config, policy=replace(config.policy, hidden=24)))


def test_the_data_may_be_spelled_otherwise_or_have_been_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    one, other, third = (Path(name) for name in ("one", "other", "third"))
    config = small_config(tmp_path, data=(small_folder(one), small_folder(other)))
    begun(config)
    assert open_run(replace(config, data=(other.resolve(), Path("sub/../one")))).note == ""
    for changed in (one, (one,), (one, other, third), (one, third)):
        with pytest.raises(ConfigError, match=r"settings \(data(\.1)? is .* there, .* asked for\)"):
            open_run(replace(config, data=changed))
    other.rename(third)
    moved = replace(config, data=(third, one))
    folder = open_run(moved)
    text = "its data, other, is not there any more; third, one is used if it holds the same"
    assert folder.note == f"{folder.path}: {text}"
    begin_run(moved, folder)
    assert load_config(type(config), folder.config) == moved
    assert open_run(moved).note == ""


def test_a_run_goes_on_with_moved_data_and_refuses_other_data(tmp_path: Path) -> None:
    config = small_config(tmp_path, epochs=1, pictures=0)
    data = small_folder(tmp_path / "data")
    train(config, load_training_data(data, config.policy), open_run(config))
    RunFolder(config.run_dir).metrics.unlink()  # as if the run had been killed at its end
    data.rename(tmp_path / "moved")
    small_folder(tmp_path / "other", train=3)
    for name, refused in (("other", True), ("moved", False)):
        changed = replace(config, data=tmp_path / name, resume=True)
        loaded, folder = load_training_data(tmp_path / name, config.policy), open_run(changed)
        assert f"{data}, is not there any more; {tmp_path / name} is used" in folder.note
        expected = pytest.raises(CheckpointError, match=rf"was trained on other data than {tmp_path / name}")
        with expected if refused else nullcontext():
            policy_trainer(changed, loaded, folder)


def test_a_run_of_a_version_with_other_keys_is_opened_again(tmp_path: Path) -> None:
    config = small_config(tmp_path)
    folder = begun(config)
    text = folder.config.read_text()
    old = text.replace("lane_keeping_fraction:", "quiet_share:").replace("num_envs:", "worlds:")
    assert old.count("worlds:") == 2
    folder.config.write_text(old)
    assert open_run(config) == folder


def test_an_unfinished_run_is_not_overwritten(tmp_path: Path) -> None:
    config = small_config(tmp_path)
    folder = begun(config)
    folder.last.write_bytes(b"weights")
    with pytest.raises(StorageError, match="unfinished run; continue it with --resume"):
        open_run(config)
    open_run(replace(config, resume=True))
    assert folder.last.read_bytes() == b"weights"


def test_a_finished_run_says_so(tmp_path: Path) -> None:
    config = small_config(tmp_path)
    folder = begun(config)
    folder.last.write_bytes(b"weights")
    write_json(folder.metrics, {"finished": True})
    assert open_run(config).finished


def test_a_folder_of_other_files_is_left_alone(tmp_path: Path) -> None:
    config = small_config(tmp_path)
    config.run_dir.mkdir()
    (config.run_dir / "thesis.txt").write_text("precious")
    with pytest.raises(StorageError, match=r"holds other files \(thesis\.txt, \.\.\.\) but no run"):
        open_run(config)
    assert [path.name for path in config.run_dir.iterdir()] == ["thesis.txt"]


def test_names_lie_in_the_folder(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert {p.parent for p in (folder.config, folder.last, folder.best, folder.metrics, folder.tensorboard)} == {
        tmp_path
    }
    assert folder.read_metrics() == {}
