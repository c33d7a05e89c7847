"""`navsim run-suites` as a user calls it: one page over all suites, nothing driven twice, mistakes in one line."""

from pathlib import Path

import pytest

from tests.commands import Finished, run_command
from tests.roads.osm.osm_documents import cross

REPOSITORY = Path(__file__).parents[3]
SUITE = """
title: a small one
routes: {routes: 1, lane_routes: 1, towns: 1}
parts: [{name: right}, {name: none, simulation: {map_fault: {blank: true}}}]
"""
PAGE = """
title: A small page
out: run
page: page.md
drivers: {straight: {driver: constant, label: straight on}, own: {driver: "mine:Curve"}}
suites: [small.yaml, streets]
towns: {streets: "osm:nowhere.osm"}
repeat_suite: small.yaml
repeat: [straight, own]
other_renderer: [own]
workers: 1
simulation:
  renderer: tiny
  cameras: [{width: 16, height: 8}]
  rules: {slowest_mean_speed: 400.0, spare_time: 1.0}
"""
MINE = """
from navsim.drivers.protocol import Decision
class Curve:
    name = "curve"
    def begin(self, seed):
        pass
    def drive(self, observation):
        return Decision(0.01)
"""


def run(folder: Path, *arguments: str) -> Finished:
    """Run the command in a folder."""
    return run_command("run-suites", "--config", "page.yaml", *arguments, folder=folder, env={"COLUMNS": "100"})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in {"small.yaml": SUITE, "page.yaml": PAGE, "mine.py": MINE}.items():
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.slow
def test_one_command_writes_one_page_and_drives_nothing_twice(folder: Path) -> None:
    done = run(folder)
    assert done.returncode == 0, done.stderr
    page = (folder / "page.md").read_text()
    assert page.startswith("# A small page\n\nSeed 0, on ")
    assert "## small.yaml: a small one" in page
    assert "|  | straight | own |" in page
    assert "| none: arrived | 0 of 2 (0% to 66%) | 0 of 2 (0% to 66%) |" in page
    assert "Not driven: there is no map file nowhere.osm (set towns.streets)." in page
    assert "| straight | 4 | 0 | 0 |\n| own | 4 | 0 | 0 |" in page
    assert "drawn with tiny and with opengl" in page
    assert "| own | 2 | 0 | 0 | 0 |" in page
    drives = {path: path.stat().st_mtime_ns for path in folder.rglob("*.parquet")}
    assert len(drives) == 4 * 5
    (folder / "page.md").unlink()
    again = run(folder)
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("all drives are done") == 5
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.parquet")} == drives
    assert (folder / "page.md").read_text() == page


@pytest.mark.slow
def test_a_driver_that_fails_is_on_the_page_and_makes_the_exit_code_one(folder: Path) -> None:
    (folder / "mine.py").write_text(MINE.replace("return Decision(0.01)", "return 1 / 0"))
    (folder / "page.yaml").write_text(
        PAGE.replace("suites: [small.yaml, streets]", "suites: [small.yaml]").replace("towns:", "# ")
    )
    done = run(folder, "--repeat", "--other-renderer", "--seed", "1")
    assert done.returncode == 1, done.stderr
    assert "error: own: 4 drives broke off" in done.stderr
    assert "ZeroDivisionError" in done.stderr
    assert "| ... broke off | 0.00 (0.00 to " in (folder / "page.md").read_text()


def test_a_town_without_routes_is_named_before_anything_is_driven(folder: Path) -> None:
    cross().write(folder / "nowhere.osm")
    done = run(folder)
    assert done.returncode == 2
    assert "nowhere.osm: found no route of 300 to 600 m" in done.stderr
    assert "(wanted 60 routes through junctions, found 0)" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (folder / "run").exists()


@pytest.mark.parametrize(
    ("wrong", "right", "words"),
    [
        ("suites: [small.yaml, streets]", "suites: [small.yaml, streats]", "unknown suite 'streats'"),
        ("mine:Curve", "mine:Curv", "driver 'mine:Curv': module mine has no 'Curv'; perhaps you meant 'Curve'"),
        ("workers: 1", "worker: 1", "unknown key; perhaps you meant 'workers'"),
    ],
)
def test_mistakes_are_one_line_before_anything_is_driven(folder: Path, wrong: str, right: str, words: str) -> None:
    kept = PAGE.replace("towns:", "# ") if "streats" in right else PAGE
    (folder / "page.yaml").write_text(kept.replace(wrong, right))
    done = run(folder)
    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (folder / "run").exists()
