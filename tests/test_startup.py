import io
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from navsim.cli import check_libraries, explain_import_error, run_command, say
from navsim.errors import ConfigError

ROOT = Path(__file__).parents[1]


def raiser(error: BaseException) -> Callable[[], None]:
    def main() -> None:
        raise error

    return main


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (ConfigError("count = 3: too few"), 2, "error: count = 3: too few\n"),
        (PermissionError(13, "Permission denied", "a.yaml"), 2, "error: a.yaml: cannot be used: Permission denied\n"),
        (KeyboardInterrupt("saved"), 130, "saved\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)
def test_a_mistake_is_one_line_on_stderr(
    error: BaseException, code: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        run_command(raiser(error))
    assert exit_.value.code == code
    assert capsys.readouterr().err == line


def test_characters_that_a_stream_lacks_are_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    stream = io.TextIOWrapper(written, encoding="cp1252")
    monkeypatch.setattr(sys, "stdout", stream)
    run_command(lambda: say("\u2588 \u00e4 \u2264 1 m"))
    assert written.getvalue().splitlines() == [b"? \xe4 ? 1 m"]


def test_a_defect_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        run_command(raiser(ZeroDivisionError()))
    with pytest.raises(OSError, match="no file is known"):
        run_command(raiser(OSError("no file is known")))


def test_a_missing_system_library_is_named_with_its_package() -> None:
    error = ImportError("libGL.so.1: cannot open shared object file: No such file or directory")
    assert "apt-get install libgl1" in explain_import_error("cv2", error)


def test_an_unknown_system_library_is_named() -> None:
    assert "libodd-3.so.7" in explain_import_error("cv2", ImportError("libodd-3.so.7: cannot open shared object file"))


def test_a_missing_python_package_says_how_to_install() -> None:
    assert "pip install -e ." in explain_import_error("cv2", ImportError("No module named 'cv2'"))


def test_a_missing_pybullet_says_where_it_has_builds() -> None:
    line = explain_import_error("pybullet", ImportError("No module named 'pybullet'", name="pybullet"))
    assert f"this is Python {platform.python_version()} on {platform.system()}" in line
    assert "for Python 3.11 to 3.13 on Linux x86-64, macOS arm64 and Windows x86-64" in line
    assert "compile PyBullet for this machine: pip install pybullet-arm64" in line
    assert "\n" not in line


def test_a_command_without_pybullet_is_one_line() -> None:
    start = "import sys; sys.modules['pybullet'] = None; from agents.commands.main import run_named; run_named('watch')"
    done = subprocess.run([sys.executable, "-c", start], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("navsim: cannot import pybullet")
    assert len(done.stderr.splitlines()) == 1


def test_all_libraries_are_here() -> None:
    check_libraries()


@pytest.mark.parametrize("script", sorted(path.name for path in (ROOT / "scripts").glob("*.py")))
def test_every_script_explains_a_missing_library_without_a_traceback(script: str, tmp_path: Path) -> None:
    broken = tmp_path / "cv2.py"
    broken.write_text("raise ImportError('libGL.so.1: cannot open shared object file: No such file or directory')\n")
    start = f"import sys, runpy; sys.path.insert(0, {str(tmp_path)!r}); sys.argv = [{script!r}]; "
    start += f"runpy.run_path({str(ROOT / 'scripts' / script)!r}, run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", start], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "apt-get install libgl1" in done.stderr
    assert "Traceback" not in done.stderr
