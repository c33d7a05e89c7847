"""Results side by side: the same routes only, differences with what can be said of them."""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from navsim.errors import ConfigError
from navsim.evaluation.metrics.drives import Drive
from navsim.evaluation.reports.compare_page import Checkpoint, compare_page, offline_correlations
from navsim.evaluation.reports.comparison import (
    MEASURES,
    arrivals_text,
    columns,
    compare,
    comparison_markdown,
    differences_table,
    ordered,
    parts_table,
    read_results,
    summary_table,
)
from navsim.evaluation.reports.results import results_mapping
from navsim.simulation.scenario import Outcome, Scenario
from tests.chromium import CHROMIUM, page_widths
from tests.evaluation.drives import make_drive

A, L, N = Outcome.ARRIVED, Outcome.LEFT_ROAD, None


def results(
    outcomes: dict[str, list[Outcome | None]], parts: int = 1, mark: str = "f1", lanes: Collection[int] = ()
) -> dict[str, Any]:
    """Results of drivers by how their drives ended; each second drive is of the second part, `lanes` are on lanes."""
    drives = []
    for driver, ends in outcomes.items():
        for number, outcome in enumerate(ends):
            scenario = Scenario("test-1", number // parts, junctions=number not in lanes)
            offset = 0.1 if driver == "policy" else 0.3
            episode = None
            if outcome is not None:
                stations = [0, 50, 100] if outcome is A else [0, 25, 50]
                episode = make_drive(outcome, stations=stations, offsets=[offset] * 3, scenario=scenario, driver=driver)
            part = ["clean", "no-map"][number % parts] if parts > 1 else ""
            drives.append(Drive(driver, scenario, episode, 0.1, "" if episode else "failed", part=part))
    origins = {driver: f"runs/{driver}/best.safetensors" for driver in outcomes}
    return json.loads(json.dumps(results_mapping(drives, {"fingerprint": mark, "origins": origins})))  # type: ignore[no-any-return]


def written(folder: Path, values: dict[str, Any]) -> Path:
    folder.mkdir()
    (folder / "results.json").write_text(json.dumps(values))
    return folder


def test_differences_are_taken_route_by_route() -> None:
    first, second = columns({"a": results({"policy": [A, A, L, A], "blind": [A, L, L, N]})})
    found = compare(first, second)
    pair = found.arrivals
    assert (pair.both, pair.first_only, pair.second_only, pair.neither) == (1, 2, 0, 1)
    # Completions 1, 1, 0.5, 1 and 1, 0.5, 0.5, 0.
    assert found.means["completion"].difference == pytest.approx(-1.5 / 4)
    # The drive that broke off has no offset: three pairs, 0.2 m apart each.
    offsets = found.means["lane_offset_mean"]
    assert offsets.total == 3
    assert offsets.difference == pytest.approx(0.2)
    assert offsets.interval == pytest.approx((0.2, 0.2))
    assert found.parts == {}
    assert first.mean(MEASURES[0]) == pytest.approx(3.5 / 4)
    assert second.mean(MEASURES[2]) == pytest.approx(0.3)


def test_words_say_whether_a_difference_can_be_told() -> None:
    few = compare(*columns({"a": results({"policy": [A] * 4, "blind": [L] * 4})}))
    assert arrivals_text(few.arrivals).endswith("p = 0.12: not significant")
    both = columns({"a": results({"policy": [A] * 8, "blind": [L] * 8})})
    many = compare(*both)
    assert arrivals_text(many.arrivals).startswith("-100.0% (")
    assert arrivals_text(many.arrivals).endswith("p = 0.0078: significant")
    rows = differences_table(both[0], [many]).rows
    assert ("only the first arrived", "8") in rows
    assert ("route completion", "-50.0% (-50.0% to -50.0%): worse") in rows
    assert ("mean lane offset", "+0.200 m (+0.200 m to +0.200 m): worse") in rows
    pair = columns({"a": results({"policy": [A], "blind": [N]})})
    assert ("mean lane offset", "too few routes (0)") in differences_table(pair[0], [compare(*pair)]).rows


def test_the_summary_has_the_difference_of_each_driver_and_fits_80_columns() -> None:
    found = columns({"a": results({"policy": [A] * 8, "blind": [L] * 8, "constant": [A] * 8})})
    table = summary_table("three drivers", found, [compare(found[0], other) for other in found[1:]])
    assert table.rows[0] == ("policy", "8 of 8", "68% to 100%", "", "")
    assert table.rows[1] == ("blind", "0 of 8", "0% to 32%", "-100% (-100% to -54%)", "0.0078")
    assert table.rows[2][-1] == "1"
    console = Console(width=80)
    with console.capture() as captured:
        console.print(table.rich())
    assert len(captured.get().splitlines()) == 6


def test_parts_are_compared_apart() -> None:
    both = columns({"a": results({"policy": [A, A, A, A], "blind": [A, L, A, L]}, parts=2)})
    found = compare(*both)
    assert found.parts["clean"].difference == 0.0
    assert found.parts["no-map"].difference == -1.0
    table = parts_table(both[0], [found])
    assert table is not None
    assert [part for part, _ in table.rows] == ["clean", "no-map"]


def test_drivers_of_one_name_bear_their_results_name() -> None:
    found = columns({"runs/a": results({"policy": [A], "expert": [A]}), "runs/b": results({"policy": [L]})})
    assert [column.name for column in found] == ["policy (runs/a)", "expert", "policy (runs/b)"]
    assert found[0].origin == "runs/policy/best.safetensors"
    assert [column.name for column in ordered(found, "expert")] == ["expert", "policy (runs/a)", "policy (runs/b)"]
    assert [column.name for column in ordered(found, None)] == [column.name for column in found]
    with pytest.raises(ConfigError, match="baseline 'blind' is none of policy"):
        ordered(found, "blind")
    with pytest.raises(ConfigError, match="at least two drivers, got expert"):
        ordered(found[1:2], None)


def test_only_routes_through_junctions_are_compared_where_there_are_any() -> None:
    (column,) = columns({"a": results({"policy": [A, L]}, lanes=(1,))})
    assert (column.arrived.count, column.arrived.total) == (1, 1)
    (column,) = columns({"a": results({"policy": [A, L]}, lanes=(0, 1))})
    assert column.arrived.total == 2


def test_results_are_read_from_folders_and_files(tmp_path: Path) -> None:
    one = written(tmp_path / "one", results({"policy": [A]}))
    two = written(tmp_path / "two", results({"policy": [L]}))
    assert list(read_results([one, two / "results.json"])) == [str(one), str(two / "results.json")]


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    one = written(tmp_path / "one", results({"policy": [A]}))
    other = written(tmp_path / "other", results({"policy": [A]}, mark="f2"))
    with pytest.raises(ConfigError, match=r"different suites cannot stand in one table: .*one is of f1, .*other is of"):
        read_results([one, other])
    with pytest.raises(ConfigError, match="is given twice"):
        read_results([one, one])
    with pytest.raises(ConfigError, match=r"none/*.*cannot be read"):
        read_results([tmp_path / "none"])
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(ConfigError, match="holds no results of an evaluation"):
        read_results([tmp_path / "list.json"])
    with pytest.raises(ConfigError, match="did not drive the same routes"):
        compare(*columns({"a": results({"policy": [A, A]}), "b": results({"blind": [A]})}))


def test_markdown_holds_both_tables_and_the_notes() -> None:
    found = columns({"a": results({"policy": [A] * 6, "blind": [L] * 6}, parts=2)})
    lines = comparison_markdown("two", found, [compare(*found)], "The end.").splitlines()
    assert lines[0] == "# two"
    assert "| policy | 6 of 6 | 61% to 100% |" in lines
    assert "| compared with policy | blind |" in lines
    assert "## Arrivals by part" in lines
    assert lines[-1] == "The end."


def checkpoints(count: int) -> list[Checkpoint]:
    return [Checkpoint(f"c{i}", -4.0 + i, 0.01 * i, 1 - i / 10, (0.0, 1.0), 1 - i / 20) for i in range(count)]


def test_correlations_are_between_offline_and_closed_loop_scores() -> None:
    found = offline_correlations(checkpoints(6))
    assert len(found) == 4
    assert found["validation NLL and arrivals"].value == pytest.approx(-1.0)
    assert "too few" in offline_correlations(checkpoints(2))["validation NLL and arrivals"].text


def page(count: int) -> str:
    found = columns({"a": results({"policy": [A] * 6, "<blind>": [L] * 6}, parts=2)})
    return compare_page("two drivers", "f1", found, [compare(*found)], checkpoints(count))


def test_the_page_shows_differences_and_correlations() -> None:
    text = page(6)
    assert "&lt;blind&gt;" in text
    assert "<blind>" not in text
    # -100% lies at the left end of the track, its interval within it.
    assert '<s style="left:0.0%"></s>' in text
    assert text.count('<svg class="chart"') == 4
    assert "rank correlation -1.00" in text
    assert "No driver here comes from a training run" in page(0)


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here")
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_fits_the_screen(width: int, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(page(6))
    needed, window = page_widths(tmp_path / "page.html", width, tmp_path)
    assert window == width
    assert needed <= width


def test_old_and_new_results_of_one_map_are_compared_by_its_content(tmp_path: Path) -> None:
    """Earlier versions named the drives in a real town after the path of its map."""
    path = tmp_path / "map.osm"
    old, new = results({"old": [A, L]}), results({"new": [A, A]})
    for row in old["drives"]:
        row["scenario"]["town"] = f"osm:{path}"
        row["name"] = f"osm-map-01234567-route{row['scenario']['route']}-seed0"
    path.write_text("a map")
    for row in new["drives"]:
        scenario = Scenario(f"osm:{path}", row["scenario"]["route"])
        row["scenario"]["town"], row["name"] = str(scenario.town), scenario.name
    found = compare(*columns({"a": old, "b": new}))
    assert (found.arrivals.both, found.arrivals.second_only) == (1, 1)
    path.rename(tmp_path / "elsewhere.osm")
    with pytest.raises(ConfigError, match=r"old: its results are of an earlier version .*map\.osm, where no file"):
        compare(*columns({"a": old, "b": new}))
