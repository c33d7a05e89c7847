"""The report of an evaluation: one HTML file with scores, failures, maps and the configuration.

It is made from the evaluation's folder alone: `results.json`, the kept drives and the clips.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from navsim.evaluation.metrics.drives import Drive
from navsim.evaluation.metrics.manoeuvre_scores import ManoeuvreScores, label_drives, manoeuvre_scores
from navsim.evaluation.reports.charts import Bar, calibration_chart, main_shares, render, share_bar
from navsim.evaluation.reports.failures import CLIP_SECONDS, driver_failures
from navsim.evaluation.reports.maps import FAILURE_MARKS, TownMaps, failures_shown, offset_labels, town_maps
from navsim.evaluation.reports.score_tables import Results, calibration_rows, driver_label, footnote, scores_table
from navsim.evaluation.statistics.intervals import Rate, Share
from navsim.number_formats import MISSING, interval, km, metres, number, percent
from navsim.simulation.episode import FrameManoeuvre
from navsim.simulation.scenario import Outcome
from navsim.simulation.town import load_town_map
from navsim.tables import Table, TableSection
from navsim.visualization.palette import driver_colours

TOWNS_SHOWN = 3
"""Largest number of towns with maps on a page."""


def report_page(title: str, folder: Path, results: Results, drives: Sequence[Drive], clips: int) -> str:
    """Make the page.

    Args:
        title: What was driven, in a few words.
        folder: Folder of the evaluation, with its clips.
        results: Results of the evaluation.
        drives: Drives of the evaluation, in the order of the results.
        clips: Largest number of clips for each driver.

    Raises:
        TownError: If a town cannot be built.
    """
    colours = driver_colours(results["drivers"])
    failures = driver_failures(folder, results, clips)
    towns, maps_text = _towns(drives)
    about = {name: value for name, value in results.items() if name not in ("drivers", "drives", "parts")}
    return render(
        "report.html",
        title=title,
        about=about,
        footnote=footnote(results),
        scores=_score_bars(results, colours),
        table=scores_table(results, "").html(),
        failures=failures,
        clips_shown=any(driver.shown for driver in failures),
        clips_limit=clips,
        clip_seconds=CLIP_SECONDS,
        by_part=_part_bars(results, colours),
        manoeuvres=manoeuvre_table(drives, list(colours)).html(),
        calibration=_calibration(results, colours),
        towns=towns,
        maps_text=maps_text,
        offset_labels=offset_labels(),
        failure_marks=[(FAILURE_MARKS[kind][1], text) for kind, text in failures_shown(drives).items()],
        facts=Table(("", ""), _facts(title, about), text_columns=2).html(),
        configuration=yaml.safe_dump(about, sort_keys=False, width=100),
    )


def _score_bars(results: Results, colours: Mapping[str, int]) -> list[tuple[str, list[Bar]]]:
    """Return the main scores, each with a bar per driver."""
    return [
        (label, [share_bar(driver_label(name), colours[name], share) for name, share in shares.items()])
        for label, shares in main_shares(results).items()
    ]


def _part_bars(results: Results, colours: Mapping[str, int]) -> list[tuple[str, list[Bar]]]:
    """Return for each driver a bar per part; none where a suite has no parts."""
    parts = results.get("parts", {})
    return [
        (driver_label(name), [_part_bar(part, colour, found["drivers"][name]) for part, found in parts.items()])
        for name, colour in colours.items()
        if parts
    ]


def _part_bar(part: str, colour: int, numbers: Mapping[str, Any]) -> Bar:
    """Return the bar of a part: arrivals, or recoveries where the part counts them."""
    found = numbers.get("recovered", numbers["arrived"])
    label = f"{part}: recovered" if "recovered" in numbers else part
    return share_bar(label, colour, Share(found["count"], found["total"], found.get("independent")))


def manoeuvre_table(drives: Sequence[Drive], names: Sequence[str]) -> Table:
    """Return a section for each kind of driving that occurs, with a column per driver."""
    labelled = label_drives(drives)
    scores = [manoeuvre_scores([item for item in labelled if item.drive.driver == name]) for name in names]
    sections = []
    for kind in FrameManoeuvre:
        own = [score[kind] for score in scores]
        if any(score.failures.km > 0 for score in own):
            sections.append(TableSection(_measures(own), _MANOEUVRES[kind]))
    return Table(("", *map(driver_label, names)), sections=sections)


_MANOEUVRES = {
    FrameManoeuvre.STRAIGHT: "straight road",
    FrameManoeuvre.CURVE: "curve",
    FrameManoeuvre.LEFT: "turning left at a junction",
    FrameManoeuvre.RIGHT: "turning right at a junction",
    FrameManoeuvre.STRAIGHT_ON: "straight on at a junction",
    FrameManoeuvre.ROUNDABOUT: "roundabout",
}


def _measures(columns: Sequence[ManoeuvreScores]) -> list[tuple[str, ...]]:
    """Return the rows of one kind of driving."""
    return [
        ("driven", *(km(column.failures.km) for column in columns)),
        ("failures", *(str(column.failures.count) for column in columns)),
        ("... per km", *(_rate(column.failures) for column in columns)),
        ("mean lane offset", *(metres(column.lane_offset_mean) for column in columns)),
        ("over 1 m off, of the way", *(percent(column.beyond_metre, 1) for column in columns)),
    ]


def _rate(rate: Rate) -> str:
    """Return a rate with its interval; short distances leave wide ones, so that a digit is enough."""
    return MISSING if rate.value is None else f"{number(rate.value, 1)} ({interval(rate.interval, 1)})"


def _calibration(results: Results, colours: Mapping[str, int]) -> dict[str, Any] | None:
    """Return chart, legend and table; None if no driver has a distribution."""
    through = any(numbers["routes"] for numbers in results["drivers"].values())
    main = {name: n if through else n["lane_following"] for name, n in results["drivers"].items()}
    every = {name: numbers["calibration"] for name, numbers in main.items()}
    known = {name: found for name, found in every.items() if found is not None}
    if not known:
        return None
    return {
        "legend": [(name, colours[name]) for name in known],
        "chart": calibration_chart(known, colours),
        "table": Table(("", *map(driver_label, every)), calibration_rows(list(every.values()))).html(),
    }


def _towns(drives: Sequence[Drive]) -> tuple[tuple[TownMaps, ...], str]:
    """Return maps of the towns of the first part where most drives failed, and a text on the choice."""
    part = drives[0].part
    own = [drive for drive in drives if drive.part == part]
    failed = dict.fromkeys((drive.scenario.town for drive in own), 0)
    for drive in own:
        failed[drive.scenario.town] += drive.outcome is not Outcome.ARRIVED
    chosen = sorted(failed, key=lambda town: -failed[town])[:TOWNS_SHOWN]
    maps = tuple(
        town_maps(load_town_map(town).network, [drive for drive in own if drive.scenario.town == town])
        for town in chosen
    )
    of = f" of part {part}" if part else ""
    if len(chosen) == len(failed):
        return maps, f"All {len(failed)} towns{of}." if len(failed) > 1 else f"The one town{of}."
    return maps, f"The {len(chosen)} of {len(failed)} towns{of} where most drives failed."


def _facts(title: str, about: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the facts that identify an evaluation."""
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    origins = [(f"driver {name}", origin) for name, origin in about["origins"].items() if origin]
    return [
        ("suite", title),
        ("fingerprint", about["fingerprint"]),
        ("renderer", about["renderer"]),
        *origins,
        ("revision", about["git_revision"]),
        ("versions", versions),
        ("machine", ", ".join(f"{name} {value}" for name, value in about["machine"].items())),
    ]
