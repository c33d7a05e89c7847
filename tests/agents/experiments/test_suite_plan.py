"""What the page of all suites drives: every driver in its own senses, suites without a map left out, mistakes named."""

from pathlib import Path

import pytest

from agents.experiments.suites_config import PageDriver, SuitesPageConfig
from navsim.config import load_config
from navsim.errors import ConfigError
from navsim.evaluation.suites import SUITES, fingerprint

DRIVERS = {
    "straight": PageDriver("constant"),
    "wide": PageDriver("mine:make", simulation={"map": {"size_px": 64}, "renderer": "tiny"}),
}


def test_each_driver_has_its_senses_and_all_the_same_conditions() -> None:
    config = SuitesPageConfig(drivers=DRIVERS, seed=3)
    straight, wide = (config.evaluation("quick", name) for name in DRIVERS)
    assert straight.driver == ("straight=constant",)
    assert wide.out == Path("runs/suites/quick/wide")
    assert (wide.simulation.map.size_px, wide.simulation.map.ego_row) == (64, straight.simulation.map.ego_row)
    assert fingerprint(straight.stages) == fingerprint(wide.stages)
    assert straight.seed == wide.seed == 3


def test_further_runs_lie_beside_the_first_and_keep_the_suite() -> None:
    config = SuitesPageConfig(drivers=DRIVERS)
    first, other = (config.evaluation("standard", "straight", *more) for more in ((), ("tiny", "tiny")))
    assert other.out == Path("runs/suites/tiny/standard/straight")
    assert (first.simulation.renderer, other.simulation.renderer) == ("auto", "tiny")
    assert fingerprint(first.stages) == fingerprint(other.stages)


def test_a_suite_whose_map_is_not_there_is_left_out(tmp_path: Path) -> None:
    missing, there = tmp_path / "no.osm", tmp_path / "yes.osm"
    there.touch()
    config = SuitesPageConfig(drivers=DRIVERS, towns={"streets": f"osm:{missing}"})
    assert config.left_out("streets") == f"there is no map file {missing} (set towns.streets)"
    assert config.left_out("standard") == ""
    assert SuitesPageConfig(drivers=DRIVERS, towns={"streets": f"osm:{there}"}).left_out("streets") == ""


def test_a_driver_may_take_some_of_the_suites() -> None:
    drivers = {"all": PageDriver("constant"), "some": PageDriver("constant", suites=("quick",))}
    config = SuitesPageConfig(drivers=drivers)
    assert [config.drives("some", suite) for suite in ("quick", "standard")] == [True, False]
    assert all(config.drives("all", suite) for suite in config.suites)
    alone = SuitesPageConfig(drivers={"some": drivers["some"]})
    assert alone.left_out("standard") == "it has no driver"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ("drivers: {a: {driver: constant}}\nrepeat: [b]", "repeat names 'b', which is not in drivers: a"),
        ("drivers: {a: {driver: constant}}\nother_renderer: [b]", "other_renderer names 'b'"),
        ("drivers: {a b: {driver: constant}}", "'a b' must be a name of letters"),
        ("drivers: {a: {driver: constant, simulation: {mapp: {}}}}", "mapp"),
        ("drivers: {a: {driver: constant}}\ntowns: {roads: 'osm:x'}", "towns names 'roads', which is not in suites"),
        ("drivers: {a: {driver: constant}}\nrepeat: [a]\nsuites: [quick]", "repeat_suite must be one of suites"),
        ("drivers: {a: {driver: constant, suites: [fast]}}", "drivers.a.suites names 'fast', not in suites: quick"),
        ("drivers: {a: {driver: constant, suites: [quick]}}\nrepeat: [a]", "drivers.a.suites lacks 'standard'"),
        ("drivers: {a: {label: nobody}}", "drivers.a.driver"),
        ("drivers: {a: {driver: constant}}\nsuite: [quick]", "unknown key; perhaps you meant 'suites'"),
    ],
)
def test_impossible_settings_are_refused(values: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "page.yaml").write_text(values)
    with pytest.raises(ConfigError, match=message):
        load_config(SuitesPageConfig, tmp_path / "page.yaml")


def test_the_projects_page_drives_all_suites() -> None:
    config = load_config(SuitesPageConfig, SUITES.parent / "suites-page.yaml")
    assert sorted(config.suites) == sorted(path.stem for path in SUITES.glob("*.yaml"))
    assert config.page == Path("docs/suites.md")
    assert config.repeat
    assert config.other_renderer
