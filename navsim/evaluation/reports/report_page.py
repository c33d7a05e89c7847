"""The report of an evaluation: one HTML file with scores, failures, maps and all that is needed to drive it again."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from navsim.evaluation.metrics.calibration import (
    COVERAGE_Z,
    NOMINAL_COVERAGE,
    Calibration,
    calibration,
    calibration_rows,
)
from navsim.evaluation.metrics.drives import Drive
from navsim.evaluation.metrics.manoeuvre_scores import ManoeuvreScores, label_drives, manoeuvre_scores
from navsim.evaluation.reports.charts import COLOURS, Bar, ChartAxis, Point, Series, chart, percent_axis, share_bar
from navsim.evaluation.reports.failures import CLIP_SECONDS, ReportConfig, driver_failures, heading
from navsim.evaluation.reports.maps import OFFSET_STEPS, TownMaps, town_maps
from navsim.evaluation.reports.page import render
from navsim.evaluation.reports.parts import has_parts, part_share
from navsim.evaluation.reports.results import DriverScores, driver_scores, footnote, table_rows
from navsim.evaluation.statistics.intervals import Rate, Share
from navsim.evaluation.suites import SuiteStage
from navsim.simulation.episode import FrameManoeuvre
from navsim.simulation.scenario import Outcome
from navsim.simulation.town import load_town_map

TOWNS_SHOWN = 3
"""Towns with maps on a page."""


def report_page(drives: Sequence[Drive], settings: ReportConfig) -> str:
    """Make the page.

    Args:
        drives: All drives of all drivers, at least one.
        settings: What it is of.

    Raises:
        EpisodeError: If a kept drive is missing or damaged.
        TownError: If a town cannot be built.
        ConfigError: If the renderer that draws the clips cannot be had.
    """
    scores = driver_scores(drives)
    colours = {name: i % COLOURS for i, name in enumerate(scores)}
    failures = driver_failures(drives, colours, settings)
    towns, words = _towns(drives)
    return render(
        "report.html",
        title=settings.title,
        about=settings.about,
        footnote=footnote(scores),
        heads=[heading(name) for name in scores],
        scores=_score_bars(scores, colours),
        table=table_rows(scores),
        failures=failures,
        clips_shown=any(driver.shown for driver in failures),
        clips_limit=settings.clips,
        clip_seconds=CLIP_SECONDS,
        by_part=_part_bars(drives, settings.stages, colours) if has_parts(settings.stages) else [],
        manoeuvres=_manoeuvre_rows(drives, list(scores)),
        calibration=_calibration(drives, colours),
        towns=towns,
        maps_words=words,
        offset_words=_offset_words(),
        facts=_facts(settings),
        configuration=yaml.safe_dump(dict(settings.about), sort_keys=False, width=100),
    )


def _score_bars(scores: Mapping[str, DriverScores], colours: Mapping[str, int]) -> list[tuple[str, list[Bar]]]:
    """The main scores, each with a bar per driver; those of nothing are left out."""
    columns: list[tuple[str, dict[str, Share]]] = [
        ("Routes through junctions: arrived", {name: score.routes.arrivals for name, score in scores.items()}),
        ("Junctions passed of those entered", {name: score.routes.junctions for name, score in scores.items()}),
        ("Lane following: arrived", {name: score.lanes.arrivals for name, score in scores.items()}),
    ]
    return [
        (words, [share_bar(heading(name), colours[name], share) for name, share in shares.items()])
        for words, shares in columns
        if any(share.total for share in shares.values())
    ]


def _part_bars(
    drives: Sequence[Drive], stages: Sequence[SuiteStage], colours: Mapping[str, int]
) -> list[tuple[str, list[Bar]]]:
    """For each driver a bar per part."""
    return [
        (
            heading(name),
            [
                share_bar(stage.name + (": recovered" if stage.recovery else ""), colour, part_share(own, stage))
                for stage in stages
            ],
        )
        for name, colour in colours.items()
        for own in [[drive for drive in drives if drive.driver == name]]
    ]


def _manoeuvre_rows(drives: Sequence[Drive], names: Sequence[str]) -> list[tuple[str, list[tuple[str, list[str]]]]]:
    """For each kind of driving that occurs the rows of its measures."""
    labelled = label_drives(drives)
    scores = [manoeuvre_scores([item for item in labelled if item.drive.driver == name]) for name in names]
    sections = []
    for kind in FrameManoeuvre:
        own = [score[kind] for score in scores]
        if any(score.failures.km > 0 for score in own):
            sections.append((_MANOEUVRES[kind], _measures(own)))
    return sections


_MANOEUVRES = {
    FrameManoeuvre.STRAIGHT: "straight road",
    FrameManoeuvre.CURVE: "curve",
    FrameManoeuvre.LEFT: "turning left at a junction",
    FrameManoeuvre.RIGHT: "turning right at a junction",
    FrameManoeuvre.STRAIGHT_ON: "straight on at a junction",
    FrameManoeuvre.ROUNDABOUT: "roundabout",
}


def _measures(columns: Sequence[ManoeuvreScores]) -> list[tuple[str, list[str]]]:
    """The rows of one kind of driving."""
    return [
        ("driven", [f"{column.failures.km:.2f} km" for column in columns]),
        ("failures", [str(column.failures.count) for column in columns]),
        ("... per km", [_rate_words(column.failures) for column in columns]),
        ("mean lane offset", [_number(column.lane_offset_mean, "{:.2f} m") for column in columns]),
        ("over 1 m off, of the way", [_number(column.beyond_metre, "{:.1%}") for column in columns]),
    ]


def _rate_words(rate: Rate) -> str:
    """A rate with its interval."""
    if rate.value is None or rate.interval is None:
        return "-"
    value, low, high = (f"{number:.1f}" if number < 10 else f"{number:.0f}" for number in (rate.value, *rate.interval))
    return f"{value} ({low} to {high})"


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


def _calibration(drives: Sequence[Drive], colours: Mapping[str, int]) -> dict[str, Any] | None:
    """Chart, legend and rows; None if no driver has a distribution."""
    found = {name: calibration([d.transforms for d in drives if d.driver == name]) for name in colours}
    known = {name: one for name, one in found.items() if one is not None}
    if not known:
        return None
    return {
        "legend": [*((name, colours[name]) for name in known)],
        "chart": calibration_chart(known, colours),
        "rows": calibration_rows(list(found.values())),
    }


def calibration_chart(found: Mapping[str, Calibration], colours: Mapping[str, int]) -> Any:
    """Coverage over z for each driver, with the line of those that may be trusted.

    Args:
        found: What was measured, by driver.
        colours: Number of each driver's colour.
    """
    ticks = ((0.0, "0"), *((z, f"{z:g}") for z in COVERAGE_Z))
    ideal = tuple(Point(z, nominal) for z, nominal in zip((0.0, *COVERAGE_Z), (0.0, *NOMINAL_COVERAGE), strict=True))
    series = [Series("right", -1, ideal)]
    for i, (name, one) in enumerate(found.items()):
        beside = [z + 0.03 * (i - (len(found) - 1) / 2) for z in COVERAGE_Z]  # intervals must not hide each other
        points = zip(beside, one.coverage, one.intervals, strict=True)
        series.append(
            Series(name, colours[name], tuple(Point(z, y, ends, f"{name}: {y:.1%}") for z, y, ends in points))
        )
    across = ChartAxis("z", 0.0, 2.15, ticks)
    return chart(across, percent_axis("expert's commands inside"), series, "coverage over z")


def _towns(drives: Sequence[Drive]) -> tuple[tuple[TownMaps, ...], str]:
    """Maps of the towns of the first part where most drives failed, and words on what is shown."""
    part = drives[0].part
    there = [drive for drive in drives if drive.part == part]
    failed = dict.fromkeys((drive.scenario.town for drive in there), 0)
    for drive in there:
        failed[drive.scenario.town] += drive.outcome is not Outcome.ARRIVED
    chosen = sorted(failed, key=lambda town: -failed[town])[:TOWNS_SHOWN]
    maps = tuple(
        town_maps(load_town_map(town).network, [drive for drive in there if drive.scenario.town == town], i)
        for i, town in enumerate(chosen)
    )
    of = f" of part {part}" if part else ""
    if len(chosen) == len(failed):
        return maps, f"All {len(failed)} towns{of}." if len(failed) > 1 else f"The one town{of}."
    return maps, f"The {len(chosen)} of {len(failed)} towns{of} where most drives failed."


def _offset_words() -> list[str]:
    """What the colours of the paths mean."""
    first, *others = OFFSET_STEPS
    ranges = [f"{low:g} to {high:g} m" for low, high in zip(OFFSET_STEPS, others, strict=False)]
    return [f"within {first:g} m of the lane's middle", *ranges, f"beyond {OFFSET_STEPS[-1]:g} m"]


def _facts(settings: ReportConfig) -> list[tuple[str, str]]:
    """What tells this evaluation from others."""
    about = settings.about
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    origins = [(f"driver {name}", words) for name, words in about["origins"].items() if words]
    return [
        ("suite", settings.title),
        ("fingerprint", about["fingerprint"]),
        ("renderer", about["renderer"]),
        *origins,
        ("revision", about["git_revision"]),
        ("versions", versions),
        ("machine", ", ".join(f"{name} {value}" for name, value in about["machine"].items())),
    ]
