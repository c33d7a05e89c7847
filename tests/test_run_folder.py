import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from navsim.datasets.collection_config import CollectConfig, data_settings
from navsim.errors import ConfigError, StorageError
from navsim.run_folder import (
    check_resume,
    check_settings,
    check_unused,
    claim_folder,
    current_settings,
    differences,
    locked_folder,
)
from navsim.simulation.expert import SteeringNoise

NAME = "settings.json"
SETTINGS = {"suite": {"routes": 40, "seed": 0}, "drivers": {"policy": "abc"}}


def claim(folder: Path, settings: dict[str, object]) -> None:
    claim_folder(folder, NAME, settings, "an evaluation", "give another --out")


def test_differences_name_the_key_and_both_values() -> None:
    a = data_settings(CollectConfig(noise=SteeringNoise(duration=(0.5, 2.0))))
    b = data_settings(CollectConfig(seed=3, noise=SteeringNoise(duration=(0.5, 4.0))))
    texts = [*map(str, differences(a, b))]
    assert texts == ["seed is 0 there, 3 asked for", "noise.duration.1 is 2.0 there, 4.0 asked for"]
    texts = [*map(str, differences({"a": 1}, {"b": [1]}))]
    assert texts == ["b is None there, [1] asked for", "a is 1 there, None asked for"]
    assert [*map(str, differences({"a": [1]}, {"a": [1, 2]}))] == ["a is [1] there, [1, 2] asked for"]
    assert differences(a, a) == []


def test_long_values_and_long_lists_of_differences_are_cut() -> None:
    stored, wanted = dict.fromkeys("abcde", 0), dict.fromkeys("abcde", "x" * 100)
    with pytest.raises(ConfigError) as caught:
        check_settings(Path("run"), stored, wanted, "data", "give another --out")
    text = str(caught.value)
    assert "a is 0 there, 'xxxx" in text
    assert "; and 2 more); give another --out" in text
    assert len(text) < 400


def test_a_folder_is_claimed_once_and_found_again(tmp_path: Path) -> None:
    claim(tmp_path / "run", SETTINGS)
    before = (tmp_path / "run" / NAME).read_bytes()
    claim(tmp_path / "run", SETTINGS)
    assert (tmp_path / "run" / NAME).read_bytes() == before


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"suite": {"routes": 40, "seed": 1}, "drivers": {"policy": "abc"}}, "suite.seed is 0 there, 1 asked for"),
        (
            {"suite": {"routes": 40, "seed": 0}, "drivers": {"policy": "x"}},
            "drivers.policy is 'abc' there, 'x' asked for",
        ),
        ({"suite": {"routes": 40, "seed": 0}, "drivers": {}}, "drivers.policy is 'abc' there, None asked for"),
    ],
)
def test_a_folder_of_other_settings_is_refused(tmp_path: Path, other: dict[str, object], words: str) -> None:
    claim(tmp_path, SETTINGS)
    with pytest.raises(ConfigError, match=words) as caught:
        claim(tmp_path, other)
    assert "give another --out" in str(caught.value)


def test_unreadable_settings_are_refused(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("{")
    with pytest.raises(ConfigError, match="cannot be read"):
        claim(tmp_path, SETTINGS)


def test_settings_of_earlier_versions_are_read_with_todays_keys_and_defaults() -> None:
    today = current_settings(CollectConfig, {"worlds": 3, "seed": 5}, Path("old.yaml"))
    assert (today["num_envs"], today["seed"], today["routes_per_town"]) == (3, 5, CollectConfig().routes_per_town)
    assert "worlds" not in today
    with pytest.raises(ConfigError, match=r"old\.yaml: seeds = 5: unknown key"):
        current_settings(CollectConfig, {"seeds": 5}, Path("old.yaml"))


def test_folders_with_other_content_are_not_used(tmp_path: Path) -> None:
    check_unused(tmp_path / "missing", "data", "give another --out")
    (tmp_path / ".settings.json.12.partial").write_text("left by a killed process")
    check_unused(tmp_path, "data", "give another --out")
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(StorageError, match=r"other files \(thesis\.tex, \.\.\.\) but no data; give another --out"):
        check_unused(tmp_path, "data", "give another --out")
    with pytest.raises(StorageError, match="is a file, not a folder"):
        check_unused(tmp_path / "thesis.tex", "data", "give another --out")


def test_unfinished_runs_are_continued_on_request(tmp_path: Path) -> None:
    check_resume(tmp_path, resume=True)
    with pytest.raises(StorageError, match="holds an unfinished run; continue it with --resume"):
        check_resume(tmp_path, resume=False)


@contextmanager
def holder(folder: Path, part: tuple[int, int] = (0, 1)) -> Iterator["subprocess.Popen[str]"]:
    """A process that holds a folder until it is killed."""
    code = (
        "import sys, time; from pathlib import Path; from navsim.run_folder import locked_folder\n"
        f"with locked_folder(Path({str(folder)!r}), part={part}):\n"
        "    print('held', flush=True); time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def test_a_folder_in_use_names_the_process_that_holds_it_and_is_free_when_that_is_killed(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with holder(folder) as process:
        words = rf"run: is in use by process {process.pid} on {platform.node()} since \d{{4}}-.*; wait, or choose"
        with pytest.raises(StorageError, match=words), locked_folder(folder):
            pass
        with locked_folder(folder, "demo"):  # another task
            check_unused(folder, "data", "give another --out")
    left = sorted(path.name for path in folder.iterdir())
    assert left == [".run-0-of-1.lock", ".run-0-of-1.lock.holder"]
    check_unused(folder, "data", "give another --out")
    with locked_folder(folder):
        (folder / "data").touch()
    assert [path.name for path in folder.iterdir()] == ["data"]


def test_parts_without_a_common_unit_may_run_at_the_same_time(tmp_path: Path) -> None:
    with holder(tmp_path, (0, 2)):
        for free in ((1, 2), (3, 4)):
            with locked_folder(tmp_path, part=free):
                pass
        for taken in ((0, 2), (0, 1), (2, 4), (1, 3)):
            with pytest.raises(StorageError, match="is in use by process"), locked_folder(tmp_path, part=taken):
                pass


def test_a_new_folder_stays_only_with_content(tmp_path: Path) -> None:
    with pytest.raises(ConfigError), locked_folder(tmp_path / "a" / "b"):
        raise ConfigError("refused")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with locked_folder(tmp_path / "file" / "run"):  # it cannot be created: what is written there says so
        pass
