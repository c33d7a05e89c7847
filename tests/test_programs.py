"""Real programs, run one after the other and side by side."""

import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from navsim.errors import NavsimError
from navsim.subprocesses import run, run_chains, run_in_background
from tests.imitated_windows import OtherSys
from tests.virtual_display import wait_until


def script(folder: Path, name: str, text: str) -> str:
    path = folder / f"{name}.py"
    path.write_text(textwrap.dedent(text))
    return str(path)


def test_a_script_gets_its_arguments_and_surroundings(tmp_path: Path) -> None:
    words = script(tmp_path, "a", "import os, sys; open(sys.argv[1], 'w').write(os.environ['GREETING'])")
    run([words, str(tmp_path / "out")], {"GREETING": "hello"})
    assert (tmp_path / "out").read_text() == "hello"


def test_a_failure_names_the_script_and_its_code(tmp_path: Path) -> None:
    words = script(tmp_path, "bad", "raise SystemExit(3)")
    with pytest.raises(NavsimError, match=r"bad.py ended with code 3"):
        run([words])
    with pytest.raises(KeyboardInterrupt, match="continues from here"):
        run([script(tmp_path, "stopped", "raise SystemExit(130)")])


def test_what_runs_beside_is_waited_for_and_its_failure_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slow = script(tmp_path, "slow", "import time; time.sleep(0.5); print('done')")
    with run_in_background([slow], tmp_path / "logs" / "slow.txt"):
        pass
    assert (tmp_path / "logs" / "slow.txt").read_text() == "done\n"
    with (
        pytest.raises(NavsimError, match="ended with code 2"),
        run_in_background([script(tmp_path, "bad", "print('my reason'); raise SystemExit(2)")], tmp_path / "bad.txt"),
    ):
        pass
    assert "my reason" in capsys.readouterr().err


SAVES_AT_CTRL_C = """
import sys, time
try:
    print("ready", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    print("saved", flush=True)
    sys.exit(130)
"""


def test_what_runs_beside_saves_its_state_when_the_block_fails(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"

    def wait_and_fail() -> None:
        wait_until(lambda: "ready" in log.read_text())
        raise ValueError("the block's own")

    with (
        pytest.raises(ValueError, match="the block's own"),
        run_in_background([script(tmp_path, "s", SAVES_AT_CTRL_C)], log),
    ):
        wait_and_fail()
    assert log.read_text() == "ready\nsaved\n"


@pytest.mark.parametrize(("error", "said"), [(ValueError, "ready\n"), (KeyboardInterrupt, "ready\nsaved\n")])
def test_on_windows_what_runs_beside_is_ended_but_saves_its_state_at_ctrl_c(
    error: type[BaseException], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log.txt"
    monkeypatch.setattr("navsim.subprocesses.sys", OtherSys("win32"))
    pause = 60 if error is ValueError else 1.5
    text = f"import time; print('ready', flush=True); time.sleep({pause}); print('saved', flush=True)"

    def wait_and_fail() -> None:
        wait_until(lambda: log.read_text() == "ready\n")
        raise error

    with pytest.raises(error), run_in_background([script(tmp_path, "s", text)], log):
        wait_and_fail()
    assert log.read_text() == said


def test_chains_keep_their_order_and_their_width(tmp_path: Path) -> None:
    stamp = script(
        tmp_path,
        "stamp",
        """
        import sys, time
        print(sys.argv[1], time.monotonic(), flush=True)
        time.sleep(0.5)
        print("end", time.monotonic())
        """,
    )
    ended: list[str] = []
    logs = [tmp_path / f"{name}.txt" for name in "abc"]
    run_chains(
        {log: [[stamp, "first"], [stamp, "second"]] for log in logs}, 2, on_end=lambda log: ended.append(log.stem)
    )
    assert sorted(ended) == ["a", "b", "c"]
    assert ended[-1] == "c"
    times = {}
    for log in logs:
        words = [line.split() for line in log.read_text().splitlines()]
        assert [line[0] for line in words] == ["first", "end", "second", "end"]
        times[log.stem] = [float(line[1]) for line in words]
        assert times[log.stem] == sorted(times[log.stem])
    assert times["a"][0] < times["b"][1], "two run at a time"
    assert times["c"][0] > min(times["a"][3], times["b"][3]), "the third waits for one of them"


def test_a_chain_that_fails_ends_those_beside_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    waits = script(tmp_path, "waits", SAVES_AT_CTRL_C)
    fails = script(tmp_path, "fails", "import time; time.sleep(1.5); print('my reason'); raise SystemExit(2)")
    begun = time.monotonic()
    with pytest.raises(NavsimError, match=r"fails.py ended with code 2"):
        run_chains({tmp_path / "a.txt": [[waits]], tmp_path / "b.txt": [[fails]], tmp_path / "c.txt": [[waits]]}, 2)
    assert time.monotonic() - begun < 30
    assert (tmp_path / "a.txt").read_text() == "ready\nsaved\n"
    assert not (tmp_path / "c.txt").exists()
    assert "my reason" in capsys.readouterr().err


@pytest.mark.linux
def test_ctrl_c_is_handed_on(tmp_path: Path) -> None:
    child = script(tmp_path, "child", SAVES_AT_CTRL_C)
    log = tmp_path / "log.txt"
    parent = script(
        tmp_path,
        "parent",
        f"""
        from pathlib import Path
        from navsim.subprocesses import run_chains
        from navsim import subprocesses
        from navsim.cli import run_command
        subprocesses._GRACE = 0.3  # here the child gets no Ctrl-C of the terminal
        run_command(lambda: run_chains({{Path({str(log)!r}): [[{child!r}]]}}, 1))
        """,
    )
    process = subprocess.Popen([sys.executable, parent], stderr=subprocess.PIPE, text=True)
    wait_until(lambda: log.exists() and "ready" in log.read_text())
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert log.read_text() == "ready\nsaved\n"
