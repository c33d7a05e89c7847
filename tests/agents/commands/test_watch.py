"""`navsim watch` as a user calls it: films without a display, drivers by their names, one line for a mistake."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image as Picture

from agents.commands.evaluate import watch
from agents.drivers.registry import PolicyWatchConfig, watchable_drivers
from navsim.errors import DisplayError, NavsimError
from tests.commands import run_command

REPOSITORY = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (("expert",), ("expert", "constant", "keyboard")),
        (("keyboard",), ("keyboard", "expert", "constant")),
        (("constant", "keyboard", "mine=expert"), ("constant", "keyboard", "mine", "expert")),
    ],
)
def test_drivers_come_in_the_order_asked_for_and_the_built_in_ones_follow(
    words: tuple[str, ...], names: tuple[str, ...]
) -> None:
    assert tuple(driver_spec.name for driver_spec in watchable_drivers(PolicyWatchConfig(driver=words))) == names


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--driver", "exprt"], "unknown driver 'exprt'"),
        (["--town", "nowhere"], "nowhere"),
        (["--appearance", "moonlight"], "moonlight"),
        (["--route", "-3"], "route must be at least 0, got -3"),
        (["--driver", "none.safetensors"], "none.safetensors: no such checkpoint file"),
        (["--replay", "none.parquet"], "none.parquet: no such episode file"),
        (["--replay", "torn.parquet"], "torn.parquet: is damaged or not a Parquet file"),
    ],
)
def test_mistakes_are_said(arguments: list[str], error: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "torn.parquet").write_text("torn")
    monkeypatch.setattr(sys, "argv", ["navsim watch", "--headless", *arguments])
    with pytest.raises(NavsimError, match=error):
        watch()


def test_without_a_display_the_reference_policy_is_filmed(tmp_path: Path) -> None:
    command = [sys.executable, str(REPOSITORY / "scripts" / "watch.py"), "--length", "0.5"]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "DISPLAY": ""}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, cwd=tmp_path)
    first, start, *_, last = [line for line in done.stdout.splitlines() if not line.startswith("renderer")]
    assert first == "a window needs a display, but DISPLAY is not set; writing a film instead"
    out = Path("runs", "films", "drive.mp4")
    assert start.startswith(f"{out}: reference on test-3-route0-seed0, from 0 to 0.5 s")
    assert last == f"{out}: 6 pictures"
    assert (tmp_path / out).stat().st_size > 10_000


def test_a_person_at_the_keyboard_needs_a_display(tmp_path: Path) -> None:
    for arguments in (["--driver", "keyboard"], ["--record", str(tmp_path / "data")]):
        done = run_command("watch", *arguments, folder=tmp_path, env={"DISPLAY": ""})
        line = "error: a window needs a display, but DISPLAY is not set; the keyboard needs one, films do not\n"
        assert (done.returncode, done.stderr) == (2, line)
    assert list(tmp_path.iterdir()) == []


def test_where_the_window_does_not_open_a_picture_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(*_: object) -> None:
        raise DisplayError("no window on display ':5': it closed at once")

    monkeypatch.setattr("agents.commands.evaluate.require_display", lambda _: None)
    monkeypatch.setattr("navsim.viewer.viewer.Window", closed)
    arguments = ["--driver", "expert", "--town", "test-3", "--viewer.view", "top", "--begin", "0.5"]
    done = run_command("watch", *arguments, "--out", "picture.png", folder=tmp_path)
    assert done.returncode == 0
    assert "no window on display ':5': it closed at once; writing a film instead\n" in done.stdout
    assert done.stdout.endswith("picture.png: 1 picture\n")
    with Picture.open(tmp_path / "picture.png") as picture:
        assert picture.size == (1920, 540)
