import os
import subprocess
import sys

import pytest

from navsim.world.bullet import suppressed_output


def test_what_compiled_code_writes_is_dropped_inside_and_kept_outside(capfd: pytest.CaptureFixture[str]) -> None:
    print("before")
    with suppressed_output():
        os.write(1, b"out")
        os.write(2, b"err")
    print("after")
    assert capfd.readouterr() == ("before\nafter\n", "")


def test_an_error_inside_is_raised_and_the_output_comes_back(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="inside"), suppressed_output():
        raise ValueError("inside")
    print("back")
    assert capfd.readouterr().out == "back\n"


def test_importing_the_simulator_prints_nothing() -> None:
    code = "import navsim.simulation.simulation"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert done.stderr == ""
