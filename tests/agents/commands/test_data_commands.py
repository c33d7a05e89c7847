"""The commands for data as a user calls them: one line for a mistake, exit code 2, no traceback."""

import json
from pathlib import Path

import pytest

from tests.commands import Finished, run_command

REPOSITORY = Path(__file__).parents[3]
SHORT = """
simulation:
  renderer: tiny
  cameras: [{width: 16, height: 8}]
  map: {size_px: 10, ego_row: 7}
  rules: {slowest_mean_speed: 200.0, spare_time: 1.0}
train_towns: 1
validation_towns: 1
routes_per_town: 1
workers: 1
"""


def run(script: str, *arguments: str | Path) -> Finished:
    """Run the command of a script."""
    name = script.removesuffix(".py").replace("_", "-")
    return run_command(name, *map(str, arguments), env={"COLUMNS": "160"})


def mistake(done: Finished) -> str:
    """The error line of a script that refused to work."""
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, done.stderr
    return lines[0]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder made by the script."""
    folder = tmp_path_factory.mktemp("collected")
    (folder / "short.yaml").write_text(SHORT)
    done = run("collect.py", "--config", folder / "short.yaml", "--out", folder / "data")
    assert done.returncode == 0, done.stderr
    assert "collecting: 2/2 drives (100%)" in done.stdout
    assert "steering" in done.stdout
    assert "recorded 2 drives, " in done.stdout
    assert "steps/s by 1 processes" in done.stdout
    return folder / "data"


def test_second_run_says_that_it_is_done(data: Path) -> None:
    done = run("collect.py", "--config", data.parent / "short.yaml", "--out", data, "--resume")
    assert done.returncode == 0, done.stderr
    assert "done before: no drive is missing" in done.stdout


def test_other_settings_for_the_same_folder(data: Path) -> None:
    done = run("collect.py", "--config", data.parent / "short.yaml", "--out", data, "--seed", "4")
    assert "seed is 0 there, 4 asked for" in mistake(done)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("train_town: 3", "train_town = 3: unknown key; perhaps you meant 'train_towns'"),
        ("seed: many", "seed = 'many'"),
        ("simulation: {gps: {position_sigma: -1.0}}", "gps.position_sigma must be at least 0, got -1.0"),
        ("shard: 2/2", "shard must be i/n"),
    ],
)
def test_mistakes_in_the_configuration(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    done = run("collect.py", "--config", tmp_path / "bad.yaml", "--out", tmp_path / "data")
    line = mistake(done)
    assert words in line
    assert "bad.yaml" in line
    assert not (tmp_path / "data").exists()


def test_mistyped_option(tmp_path: Path) -> None:
    done = run("collect.py", "--out", tmp_path / "data", "--train-town", "3")
    assert done.returncode == 2
    assert "--train-towns" in done.stderr + done.stdout
    assert not (tmp_path / "data").exists()


def test_wrong_shard_on_the_command_line(tmp_path: Path) -> None:
    done = run("collect.py", "--out", tmp_path / "data", "--shard", "2/2")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "shard must be i/n" in " ".join((done.stderr + done.stdout).split())


def test_info_and_statistics_tell_what_is_there(data: Path) -> None:
    info, statistics = run("dataset.py", "info", data), run("dataset.py", "statistics", data)
    assert (info.returncode, statistics.returncode) == (0, 0), info.stderr + statistics.stderr
    for words in ("2 in 2 towns", "front 16x8", "2 expert", "2 tiny", "2 timed_out", "kB per frame"):
        assert words in info.stdout
    frames = sum(json.loads((data / "statistics.json").read_text())["frames"].values())
    assert str(frames) in info.stdout
    assert str(frames) in statistics.stdout


def test_verify_passes_whole_data_and_names_what_is_damaged(data: Path) -> None:
    done = run("dataset.py", "verify", data)
    assert done.returncode == 0, done.stderr
    assert "all 2 episodes are whole" in done.stdout
    path = next(data.glob("train/*.parquet"))
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    try:
        line = mistake(run("dataset.py", "verify", data))
    finally:
        path.write_bytes(whole)
    assert "1 of 2 episodes are damaged" in line
    assert str(path) in line


def test_empty_folder(tmp_path: Path) -> None:
    assert "is not a data folder" in mistake(run("dataset.py", "info", tmp_path))


def test_help_names_every_option() -> None:
    done = run("collect.py", "--help")
    assert done.returncode == 0
    for option in ("--config", "--out", "--train-towns", "--noise.bursts-per-minute", "--shard", "--resume"):
        assert option in done.stdout


def test_drives_are_rendered_anew_with_cameras_from_a_file(data: Path, tmp_path: Path) -> None:
    (tmp_path / "new.yaml").write_text("cameras: [{width: 32, height: 16}]\nmap: {size_px: 12, ego_row: 8}\n")
    words = ("--config", tmp_path / "new.yaml", "--source", data, "--out", tmp_path / "new", "--workers", "1")
    done = run("rerender.py", *words, "--appearance", "rain")
    assert done.returncode == 0, done.stderr
    assert "rendering: 2/2 drives (100%)" in done.stdout
    assert "rendered 2 drives, " in done.stdout
    info = run("dataset.py", "info", tmp_path / "new").stdout
    for text in ("front 32x16", "12 px", "2 tiny", "appearance rain", f"rendered from  {data}"[:40]):
        assert text in info
    assert "done before: no drive is missing" in run("rerender.py", *words, "--appearance", "rain").stdout
    assert "give another --out" in mistake(run("rerender.py", "--source", data, "--out", data))
    assert "appearance is 'rain' there" in mistake(run("rerender.py", *words, "--appearance", "night"))
