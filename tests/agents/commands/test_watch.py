"""`navsim watch` as a user calls it: films without a display, drivers by their words, one line for a mistake."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image as Picture

from agents.commands.evaluate import watch
from agents.drivers.registry import PolicyWatchConfig, watchable_drivers
from navsim.errors import NavsimError

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


def test_without_a_display_one_line_says_what_can_be_done() -> None:
    command = [sys.executable, str(REPOSITORY / "scripts" / "watch.py")]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "DISPLAY": ""}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if not line.startswith("pybullet build time")]
    assert line == (
        "error: a window needs a display, but DISPLAY is not set; give --headless --out drive.mp4 for a film instead"
    )


def test_a_picture_without_a_display(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "picture.png"
    arguments = ["--headless", "--out", str(out), "--town", "test-3", "--viewer.view", "top", "--begin", "0.5"]
    monkeypatch.setattr(sys, "argv", ["watch.py", *arguments])
    monkeypatch.delenv("DISPLAY", raising=False)
    watch()
    with Picture.open(out) as picture:
        assert picture.size == (1920, 540)
