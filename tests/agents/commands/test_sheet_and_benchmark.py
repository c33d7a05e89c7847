import json
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

ROOT = Path(__file__).parents[3]


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False)


def test_pictures_are_written(tmp_path: Path) -> None:
    settings = tmp_path / "views.yaml"
    settings.write_text(
        "views: [{town: train-0}, {town: village-train-0, appearance: fog}]\ncamera: {width: 64, height: 32}\n"
        "renderer: tiny\ncolumns: 2\n"
    )
    done = run("scripts/contact_sheet.py", "--config", str(settings), "--out", str(tmp_path / "sheet.png"))
    assert done.returncode == 0, done.stderr
    sheet = cv2.imread(str(tmp_path / "sheet.png"))
    assert sheet is not None
    assert sheet.shape == (32, 64 + 6 + 64, 3)
    assert sheet.std() > 10


def test_an_unknown_look_is_one_line(tmp_path: Path) -> None:
    settings = tmp_path / "views.yaml"
    settings.write_text("views: [{town: train-0, appearance: foggy}]\n")
    done = run("scripts/contact_sheet.py", "--config", str(settings), "--out", str(tmp_path / "sheet.png"))
    assert done.returncode == 2
    assert "perhaps you meant 'fog'" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "sheet.png").exists()


@pytest.mark.torch
def test_a_wrong_size_is_one_line() -> None:
    done = run("scripts/benchmark.py", "simulation", "--sizes", "66")
    assert done.returncode == 2
    assert "HEIGHTxWIDTH" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_benchmark_prints_a_table_and_writes_the_same_as_json(tmp_path: Path) -> None:
    words = "--sizes 8x16 --renderers tiny --cameras 1 --num-envs 1 --processes 1 --seconds 0.1 --rounds 2 --resets 1"
    out = tmp_path / "figures.json"
    done = run("scripts/benchmark.py", "simulation", *words.split(), "--no-singles", "--out", str(out))
    assert done.returncode == 0, done.stderr
    written = json.loads(out.read_text())
    (case,) = written["cases"]
    assert f"{case['best']['steps_per_second']:.0f}" in done.stdout
    assert case["best"] in written["rounds"][0]
    assert len(written["rounds"][0]) == 2
