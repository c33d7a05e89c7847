"""Commands that analyse a policy off the road: scores on recorded drives, inspection, localisation, export."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import torch

from agents.export.bundle import ExportConfig
from agents.export.bundle import export as export_policy
from agents.interpretability.inspection import InspectConfig
from agents.interpretability.inspection import inspect_policy as inspect_checkpoint
from agents.interpretability.page import headlines
from agents.interpretability.sections import write_inspection
from agents.localization.config import LocalizeConfig
from agents.localization.live import watch_live
from agents.localization.pictures import write_gallery
from agents.localization.report import LocalizationScore, markdown, paired_scores, scores
from agents.localization.run import run_drives, scenarios
from agents.localization.tuning import Trial, UpdateTimes, fit_regions, time_updates, try_exponents, write_regions
from agents.policies.checkpoint import checkpoint_input, load_policy, read_info
from agents.scoring.junctions import DecisionRules, JunctionMeasures, RangeRecall
from agents.scoring.policy_scores import PolicyScores, score_policy
from agents.scoring.predictions import ScoreConfig, score_checkpoint
from navsim.cli import say
from navsim.config import parse_config, to_mapping
from navsim.datasets.dataset import open_dataset
from navsim.evaluation.reports.charts import save_figure
from navsim.evaluation.statistics.intervals import Estimate
from navsim.number_formats import MISSING, interval, number, percent
from navsim.progress import progress
from navsim.provenance import git_revision, software_versions
from navsim.run_folder import locked_folder
from navsim.simulation.town import attribution_of
from navsim.storage import write_json, write_text
from navsim.tables import Table, show


@dataclass(frozen=True)
class OfflineConfig(ScoreConfig):
    """Policy, recorded drives and measures."""

    junctions: bool | None = None
    """Whether to measure junctions, too; None measures them for policies that do not see the route."""
    rules: DecisionRules = field(default_factory=DecisionRules)
    """Rules for decisions at junctions."""


def evaluate_offline() -> None:
    """Score a checkpoint, print tables and write the same as JSON and PNG."""
    config = parse_config(OfflineConfig, "Score a policy's distributions on recorded drives; calibrate it if wanted.")
    folder = config.checkpoint.parent if config.out is None else config.out
    with locked_folder(config.checkpoint.parent) if config.calibrate else nullcontext():
        _score_and_write(config, folder)


def _score_and_write(config: OfflineConfig, folder: Path) -> None:
    """Score a checkpoint, print tables and write the same into a folder."""
    name = f"{config.checkpoint.stem}-{config.split}"
    report = score_checkpoint(config)
    file = checkpoint_input(config.checkpoint)  # as it is after its calibration
    write_json(folder / f"{name}-scores.json", report.mapping())
    save_figure(report.figure(), folder / f"{name}-scores.png")
    show(report.table())
    if config.calibrate:
        fitted = f"temperature is now {report.fitted_temperature:.3f}, probabilities are recalibrated"
        say(f"{config.checkpoint}: {fitted}")
    say(f"written: {folder / name}-scores.json and .png")
    with file.unchanged():
        sees_route = "route_map" in read_info(config.checkpoint).policy.inputs
        if config.junctions or (config.junctions is None and not sees_route):
            measure_junctions(config, folder / f"{name}-junctions.json")


def measure_junctions(config: OfflineConfig, out: Path) -> None:
    """Measure a policy by manoeuvre and at junctions, print the tables and write the numbers."""
    dataset = open_dataset(config.data, config.split)
    simulation = dataset.description.simulation
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    policy = load_policy(config.checkpoint, simulation.cameras, simulation.map).to(device)
    with progress("scoring", dataset.frames, "frames") as advance:
        scores = score_policy(policy, dataset, config.rules, device, advance)
    inputs = list(policy.config.inputs)
    write_json(out, {"config": to_mapping(config), "inputs": inputs, "scores": to_mapping(scores)})
    show(manoeuvre_table(scores))
    show(junction_table(scores.junctions, config.rules))
    if "route_map" in inputs:
        say("this policy sees the route: it has no reason to give exits off the route any mass")
    say(f"written: {out}")


def manoeuvre_table(scores: PolicyScores) -> Table:
    """Scores by manoeuvre."""
    rows = [
        (
            manoeuvre.replace("_", " "),
            str(row.frames),
            percent(row.share, 1),
            number(row.nll, 3),
            number(row.curvature_error, 5),
        )
        for manoeuvre, row in scores.manoeuvres.items()
    ]
    return Table(("manoeuvre", "frames", "share", "nll", "mode error 1/m"), rows, title=f"{scores.frames} frames")


def junction_table(measures: JunctionMeasures, rules: DecisionRules) -> Table:
    """What the policy makes of junctions."""
    every = str(measures.frames), str(measures.passages)
    missing = str(measures.missing_frames), str(measures.missing_passages)
    ranges = [
        (f"  {distance_range(part)} past the mouth", *_cells(part.recall), str(part.frames), str(part.passages))
        for part in measures.recall_by_distance
    ]
    return Table(
        headers=("measure", "value", "95% interval", "decisions", "passages"),
        rows=[
            (f"mode recall (at least {percent(rules.min_mass)})", *_cells(measures.recall), *every),
            *ranges,
            ("mass on lawful exits", *_cells(measures.lawful_mass), *every),
            ("mass on missing exits", *_cells(measures.missing_mass), *missing),
        ],
        title=f"decisions at junctions, each exit within {rules.tolerance:g} 1/m",
        note=f"in {measures.towns} towns; each passage counts once",
    )


def distance_range(part: RangeRecall) -> str:
    """A range of distances in words."""
    if part.up_to is None:
        return f"more than {part.above:g} m"
    return f"up to {part.up_to:g} m" if part.above is None else f"{part.above:g} to {part.up_to:g} m"


def _cells(estimate: Estimate | None) -> tuple[str, str]:
    """A value and its interval."""
    if estimate is None:
        return MISSING, MISSING
    return number(estimate.value, 3), interval((estimate.low, estimate.high), 3)


def inspect_policy() -> None:
    """Inspect, write the page, print the main numbers."""
    config = parse_config(
        InspectConfig, "Look into a policy: filters, feature maps, saliency, what decisions depend on."
    )
    with locked_folder(config.folder):
        seen = inspect_checkpoint(config)
        page = write_inspection(seen, config.folder)
    rows = [(line.text, line.value, line.interval) for line in headlines(seen)]
    show(Table(("what", "value", "95% interval"), rows, title=f"{seen.numbers.frames} frames"))
    for note in seen.numbers.notes:
        say(f"note: {note}")
    say(f"written: {page}, with its pictures and numbers beside it")


def localize() -> None:
    """Do what `--action` says, print a table and write the same as JSON."""
    config = parse_config(LocalizeConfig, "Localise recorded drives by what a policy would do at candidate poses.")
    if config.gui or config.action == "film":
        watch_live(config, say)
        return
    with locked_folder(config.out), checkpoint_input(config.checkpoint).unchanged():
        _localize(config)


def _localize(config: LocalizeConfig) -> None:
    """Do what `--action` says, but for `film`."""
    about = {"config": to_mapping(config), "versions": dict(software_versions()), "git_revision": git_revision()}
    if config.action == "benchmark":
        times = time_updates(config)
        write_json(config.out / "benchmark.json", {"times": [to_mapping(row) for row in times], **about})
        show(times_table(times))
        return
    if config.action == "tune":
        trials = try_exponents(config)
        write_json(config.out / "tuning.json", {"trials": [to_mapping(row) for row in trials], **about})
        show(trials_table(trials))
        return
    tracks = run_drives(config)
    if config.action == "calibrate":
        path = config.out / "levels.json"
        write_regions(path, fit_regions(tracks), about)
        say(f"{len(tracks)} drives; {path} says how large regions must be")
        return
    table = scores(config, tracks)
    pairs = paired_scores(config, tracks)
    plain = {"scores": [to_mapping(row) for row in table], "pairs": [to_mapping(row) for row in pairs]}
    write_json(config.out / "results.json", plain | about)
    write_text(config.out / "table.md", markdown(config.title, table, pairs, attribution_of(config.town)))
    write_gallery(config, tracks)
    show(scores_table(config.title, table))
    say(f"{len(scenarios(config))} drives; results, table and pictures are in {config.out}/")


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


def export() -> None:
    """Export, then say what was written."""
    config = parse_config(ExportConfig, "Export a policy as ONNX, with its weights alone and a card.")
    contents = export_policy(config)
    rows = [(path.name, f"{path.stat().st_size / 1e6:.2f} MB") for path in sorted(config.out.iterdir())]
    show(Table(("file", "size"), rows, title=str(config.out)))
    say(f"the ONNX file answers as the checkpoint does, within {contents.difference:.1g}")
