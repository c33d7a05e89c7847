"""Where is the car: read a policy backwards, `python scripts/localize.py --config configs/localize/quick.yaml`."""

from navsim.cli import check_libraries, run_script

check_libraries()

from collections.abc import Sequence

from rich.console import Console

from agents.localization.config import LocalizeConfig
from agents.localization.live import watch_live
from agents.localization.pictures import write_gallery
from agents.localization.report import LocalizationScore, markdown, paired_scores, scores
from agents.localization.run import run_drives, scenarios
from agents.localization.tuning import Trial, UpdateTimes, fit_regions, time_updates, try_exponents, write_regions
from navsim.config import parse_config, to_mapping
from navsim.number_formats import number, percent
from navsim.provenance import git_revision, software_versions
from navsim.simulation.town_map import attribution_of
from navsim.storage import write_json, write_text
from navsim.tables import Table


def main() -> None:
    """Do what `--action` says, print a table and write the same as JSON."""
    config = parse_config(LocalizeConfig, "Localise recorded drives by what a policy would do at candidate poses.")
    console = Console()
    if config.gui or config.action == "film":
        watch_live(config, lambda line: console.print(line, highlight=False, soft_wrap=True, markup=False))
        return
    about = {"config": to_mapping(config), "versions": dict(software_versions()), "git_revision": git_revision()}
    if config.action == "benchmark":
        times = time_updates(config)
        write_json(config.out / "benchmark.json", {"times": [to_mapping(row) for row in times], **about})
        console.print(times_table(times).rich())
        return
    if config.action == "tune":
        trials = try_exponents(config)
        write_json(config.out / "tuning.json", {"trials": [to_mapping(row) for row in trials], **about})
        console.print(trials_table(trials).rich())
        return
    tracks = run_drives(config)
    if config.action == "calibrate":
        path = config.out / "levels.json"
        write_regions(path, fit_regions(tracks), about)
        console.print(f"{len(tracks)} drives; {path} says how large regions must be", highlight=False, soft_wrap=True)
        return
    table = scores(config, tracks)
    pairs = paired_scores(config, tracks)
    plain = {"scores": [to_mapping(row) for row in table], "pairs": [to_mapping(row) for row in pairs]}
    write_json(config.out / "results.json", plain | about)
    write_text(config.out / "table.md", markdown(config.title, table, pairs, attribution_of(config.town)))
    write_gallery(config, tracks)
    console.print(scores_table(config.title, table).rich())
    words = f"{len(scenarios(config))} drives; results, table and pictures are in {config.out}/"
    console.print(words, highlight=False, soft_wrap=True)


def scores_table(title: str, scores: Sequence[LocalizationScore]) -> Table:
    """The most important numbers, without their intervals."""
    headers = ("case", "method", "error m", "heading deg", "found", "after m", "in 50%", "in 90%")
    rows = [
        (
            row.case,
            row.method,
            number(row.error.value, 1),
            number(row.heading_error_deg.value, 1),
            percent(row.found.value),
            number(None if row.found_after is None else row.found_after.value, 0),
            percent(row.within_50.value),
            percent(row.within_90.value),
        )
        for row in scores
    ]
    return Table(headers, rows, title=title, text_columns=2)


def trials_table(trials: Sequence[Trial]) -> Table:
    """Exponents and their scores."""
    headers = ("method", "exponent", "miscalibration", "error m", "within 10 m", "log score")
    rows = [
        (
            row.method,
            f"{row.exponent:g}",
            number(row.miscalibration, 3),
            number(row.error, 1),
            percent(row.near),
            number(row.log_score, 3),
        )
        for row in sorted(trials, key=lambda trial: (trial.method, trial.exponent))
    ]
    return Table(headers, rows, title="validation towns")


def times_table(times: Sequence[UpdateTimes]) -> Table:
    """Speed of updates."""
    headers = ("maps", "candidates", "threads", "updates/s", "per CPU second")
    rows = [
        (
            row.maps,
            str(row.candidates),
            str(row.threads),
            number(row.updates_per_second, 1),
            number(row.updates_per_cpu_second, 1),
        )
        for row in times
    ]
    return Table(headers, rows, title="one update: move, draw, look, weigh")


if __name__ == "__main__":
    run_script(main)
