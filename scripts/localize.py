"""Where is the car: read a policy backwards, `python scripts/localize.py --config configs/localize/quick.yaml`."""

from navsim.cli import check_libraries, run_script

check_libraries()

from rich.console import Console
from rich.table import Table

from agents.localization.config import LocalizeConfig
from agents.localization.live import watch_live
from agents.localization.pictures import write_gallery
from agents.localization.report import Score, markdown, paired_scores, scores
from agents.localization.run import run_drives, scenarios
from agents.localization.tuning import Trial, UpdateTimes, fit_regions, time_updates, try_exponents, write_regions
from navsim.config import parse_config, to_mapping
from navsim.provenance import git_revision, software_versions
from navsim.simulation.town_map import attribution_of
from navsim.storage import write_json, write_text


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
        console.print(times_table(times))
        return
    if config.action == "tune":
        trials = try_exponents(config)
        write_json(config.out / "tuning.json", {"trials": [to_mapping(row) for row in trials], **about})
        console.print(trials_table(trials))
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
    console.print(scores_table(config.title, table))
    words = f"{len(scenarios(config))} drives; results, table and pictures are in {config.out}/"
    console.print(words, highlight=False, soft_wrap=True)


def scores_table(title: str, table: list[Score]) -> Table:
    """The most important numbers."""
    shown = Table("case", "method", "error m", "heading deg", "found", "after m", "in 50%", "in 90%", title=title)
    for row in table:
        after = "-" if row.found_after is None else f"{row.found_after.value:.0f}"
        numbers = f"{row.error.value:.1f}", f"{row.heading_error_deg.value:.1f}", f"{row.found.value:.0%}", after
        shown.add_row(row.case, row.method, *numbers, f"{row.within_50.value:.0%}", f"{row.within_90.value:.0%}")
    return shown


def trials_table(trials: list[Trial]) -> Table:
    """Exponents and what came of them."""
    shown = Table(
        "method", "exponent", "miscalibration", "error m", "within 10 m", "log score", title="validation towns"
    )
    for row in sorted(trials, key=lambda trial: (trial.method, trial.exponent)):
        numbers = f"{row.miscalibration:.3f}", f"{row.error:.1f}", f"{row.near:.0%}", f"{row.log_score:.3f}"
        shown.add_row(row.method, f"{row.exponent:g}", *numbers)
    return shown


def times_table(times: list[UpdateTimes]) -> Table:
    """How fast updates are."""
    shown = Table(
        "candidates", "threads", "maps", "updates/s", "per CPU second", title="one update: move, draw, look, weigh"
    )
    for row in times:
        rates = f"{row.updates_per_second:.1f}", f"{row.updates_per_cpu_second:.1f}"
        shown.add_row(str(row.candidates), str(row.threads), row.maps, *rates)
    return shown


if __name__ == "__main__":
    run_script(main)
