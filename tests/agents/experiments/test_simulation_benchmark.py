import math
import platform
from pathlib import Path

import pytest

from agents.experiments.simulation_benchmark import (
    BenchmarkCase,
    Figures,
    SimulationBenchmark,
    _peak_memory,
    best,
    combined,
    measure,
)
from agents.experiments.single_benchmarks import measure_singles
from navsim.errors import ConfigError
from navsim.provenance import machine, processor
from tests.imitated_windows import OtherSys

SMALL = SimulationBenchmark(
    sizes=("8x16",), renderers=("tiny",), cameras=(2,), num_envs=(2,), processes=(2,), towns=("test-0",), seconds=0.2,
    rounds=1, resets=1,
)  # fmt: skip


def figures(speed: float, render: float, memory: float) -> Figures:
    return Figures(speed, 0.001, render, 0.0001, 0.0002, 0.5, 0.02, memory)


def test_cases_are_all_combinations() -> None:
    cases = SimulationBenchmark(sizes=("66x200", "80x200"), cameras=(1, 3), num_envs=(1, 8), processes=(1, 2)).cases
    assert len(cases) == len(set(cases)) == 2 * 2 * 2 * 2 * 2
    assert cases[0] == BenchmarkCase(66, 200, 1, "tiny", 1, 1, ("test-0", "test-1", "test-2"))
    three = next(case for case in cases if case.cameras == 3)
    assert [camera.yaw_deg for camera in three.simulation.cameras] == [0.0, 60.0, -60.0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sizes": ("66",)}, "HEIGHTxWIDTH, such as 66x200, got '66'"),
        ({"sizes": ("4x200",)}, "height must be at least 8"),
        ({"cameras": (4,)}, "cameras must be at least 1 and at most 3, got 4"),
        ({"seconds": 0.0}, "seconds must be above 0, got 0.0"),
        ({"towns": ()}, "town"),
    ],
)
def test_impossible_cases_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SimulationBenchmark(**settings)  # type: ignore[arg-type]


def test_processes_add_up_and_the_best_round_counts() -> None:
    both = combined([figures(100.0, 0.004, 2e8), figures(140.0, 0.006, 1e8)])
    assert both.steps_per_second == 240.0
    assert both.render == pytest.approx(0.005)
    assert both.memory == 2e8
    assert best([figures(90.0, 0.1, 1.0), both, figures(100.0, 0.1, 1.0)]) is both


def test_a_measurement_adds_up() -> None:
    case = SMALL.cases[0]
    measured = measure(SMALL, case)
    parts = measured.physics + measured.render + measured.maps
    # Two processes side by side: together they step twice as often as one of them does.
    assert measured.steps_per_second == pytest.approx(2 / parts, rel=0.3)
    assert 0 < measured.reset_same_town < measured.reset_new_town < 30
    assert 5e7 < measured.memory < 4e9  # a worker shares the pages of torch, whose CUDA build is large


@pytest.mark.slow
def test_single_figures() -> None:
    singles = measure_singles("tiny", seconds=0.5, repeats=1)
    assert all(math.isfinite(value) and value > 0 for value in vars(singles).values())


def test_the_machine_is_named(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("processor : 0\nmodel name\t: Some CPU 9000\nmodel name\t: Some CPU 9000\n")
    assert processor(tmp_path / "cpuinfo") == "Some CPU 9000"
    assert processor(tmp_path / "missing") == platform.processor()
    assert int(machine()["cores"]) >= 1


def test_peak_memory_is_in_bytes_on_all_systems_and_unknown_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = {}
    for system in ("linux", "darwin", "win32"):
        monkeypatch.setattr("agents.experiments.simulation_benchmark.sys", OtherSys(system))
        memory[system] = _peak_memory()
    assert memory["linux"] > 50e6
    assert memory["darwin"] == pytest.approx(memory["linux"] / 1024, rel=0.05)  # macOS says bytes, Linux kilobytes
    assert memory["win32"] == 0.0
