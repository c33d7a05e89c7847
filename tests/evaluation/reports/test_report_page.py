"""The page of an evaluation: all that was measured is on it, and it fits a phone."""

import json
import re
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from navsim.drivers.protocol import DriverSpec, constant_driver_spec
from navsim.errors import ConfigError
from navsim.evaluation.config import EvaluationConfig
from navsim.evaluation.metrics.drives import Drive
from navsim.evaluation.reports.failures import ROWS_SHOWN
from navsim.evaluation.reports.report_page import TOWNS_SHOWN, report_page
from navsim.evaluation.reports.results import results_mapping
from navsim.evaluation.reports.run import run_evaluation
from navsim.sensing.camera import Camera
from navsim.simulation.config import SimulationConfig
from navsim.simulation.scenario import Outcome, Scenario
from tests.chromium import CHROMIUM, page_widths
from tests.drivers.faulty_drivers import make_failing, make_sure
from tests.evaluation.drives import make_drive

SIMULATION = SimulationConfig(cameras=(Camera(width=32, height=16),), renderer="tiny")
SUITE = """
title: two <parts>
routes: {routes: 2, lane_routes: 1, towns: 1}
parts: [{name: right}, {name: no-map, simulation: {map_fault: {blank: true}}}]
"""
ABOUT = {
    "fingerprint": "0123456789abcdef",
    "renderer": "tiny",
    "git_revision": "f" * 40,
    "map_attribution": "",
    "versions": {"navsim": "0"},
    "origins": {},
    "machine": {"cores": 2},
}


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an evaluation of three drivers, one of which fails to decide."""
    folder = tmp_path_factory.mktemp("report")
    suite = folder / "suite.yaml"
    suite.write_text(SUITE)
    out = folder / "a run"
    config = EvaluationConfig(
        driver=("x",), suite=str(suite), out=out, workers=1, film=False, clips=2, simulation=SIMULATION
    )
    driver_specs = [
        DriverSpec("sure", make_sure, 0.1),
        DriverSpec("broken", make_failing, ("raise", -1)),
        constant_driver_spec(),
    ]
    run_evaluation(config, driver_specs, Console(file=StringIO()))
    return out


def test_the_page_stands_alone_and_holds_every_section(evaluated: Path) -> None:
    page = (evaluated / "report.html").read_text()
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    assert "http://" not in page
    assert "https://" not in page
    assert "<title>two &lt;parts&gt;, seed 0</title>" in page
    for section in ("scores", "failures", "parts", "manoeuvres", "calibration", "maps", "setup"):
        assert f'id="{section}"' in page
    results = json.loads((evaluated / "results.json").read_text())
    assert results["fingerprint"] in page
    assert "map_fault" in page  # of the configuration
    assert "turning left at a junction" in page or "turning right at a junction" in page or "straight road" in page


def test_failures_have_clips_up_to_the_limit_and_commands_that_name_their_files(evaluated: Path) -> None:
    page = (evaluated / "report.html").read_text()
    results = json.loads((evaluated / "results.json").read_text())
    failed = {
        driver: [row for row in results["drives"] if row["driver"] == driver and row["outcome"] != "arrived"]
        for driver in ("sure", "broken", "constant")
    }
    assert len(failed["sure"]) >= 3
    assert page.count("data:image/webp;base64,") == 4  # two of each driver that has drives
    for row in failed["sure"]:
        file = evaluated / "drives" / row["part"] / "sure" / f"{row['name']}.parquet"
        assert file.is_file()
        assert f"navsim watch --replay &#39;{file}&#39;" in page  # quoted, for there is a space in it
    assert page.count("ZeroDivisionError") == len(failed["broken"]) == 6


def test_calibration_is_in_results_table_and_page(evaluated: Path) -> None:
    results = json.loads((evaluated / "results.json").read_text())
    found = results["drivers"]["sure"]["calibration"]
    assert found["drives"] == 4
    assert [point["z"] for point in found["coverage"]] == [0.5, 1.0, 1.5, 2.0]
    shares = [point["value"] for point in found["coverage"]]
    assert shares == sorted(shares)
    assert 0 < shares[-1] <= 1
    assert results["drivers"]["constant"]["calibration"] is None
    assert "within z = 1 (68%)" in (evaluated / "table.md").read_text()
    page = (evaluated / "report.html").read_text()
    assert 'aria-label="coverage over z"' in page


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here")
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_fits_the_screen(evaluated: Path, width: int, tmp_path: Path) -> None:
    needed, window = page_widths(evaluated / "report.html", width, tmp_path)
    assert window == width
    assert needed <= width


def drives(count: int, outcome: Outcome | None = Outcome.ARRIVED, town: str = "test-1") -> list[Drive]:
    found = []
    for route in range(count):
        scenario = Scenario(town, route)
        episode = None if outcome is None else make_drive(outcome, offsets=[0.0, 0.1, 0.2], scenario=scenario)
        found.append(Drive("policy", scenario, episode, 0.1, "" if episode else "no <decision>"))
    return found


def page_of(shown: list[Drive]) -> str:
    return report_page("by hand", Path("run"), results_mapping(shown, ABOUT), shown, 0)


def test_arrivals_alone_have_no_clips_parts_or_calibration() -> None:
    page = page_of(drives(2))
    assert "all 2 drives arrived" in page
    assert "image/webp" not in page
    assert 'id="parts"' not in page
    assert 'id="calibration"' not in page
    assert "The one town." in page


def test_what_is_left_out_is_said_and_words_are_escaped() -> None:
    page = page_of(drives(ROWS_SHOWN + 5, None))
    assert "5 more are in results.json alone" in page
    assert page.count("no &lt;decision&gt;") == ROWS_SHOWN
    assert "no <decision>" not in page


def test_the_towns_where_most_failed_are_shown() -> None:
    towns = ["test-1", "test-2", "test-3", "test-4"]
    shown = [drive for town in towns[:-1] for drive in drives(1, town=town)]
    page = page_of([*shown, *drives(1, Outcome.COLLIDED, "test-4")])
    assert f"The {TOWNS_SHOWN} of 4 towns where most drives failed." in page
    captions = re.findall(r"<figcaption>(test-\d)", page)
    assert captions == ["test-4", "test-1", "test-2"]


def test_a_negative_number_of_clips_is_refused() -> None:
    with pytest.raises(ConfigError, match="clips must be at least 0, got -1"):
        replace(EvaluationConfig(), clips=-1)
