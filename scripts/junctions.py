"""What a policy makes of junctions: `python scripts/junctions.py --checkpoint FILE --data FOLDER`."""

from navsim.cli import check_libraries, run_script

check_libraries()

from dataclasses import dataclass, field
from pathlib import Path

import torch
from rich.console import Console

from agents.policies.checkpoint import load_policy
from agents.scoring.junctions import DecisionRules, JunctionMeasures, RangeRecall
from agents.scoring.policy_scores import PolicyScores, score_policy
from navsim.config import parse_config, to_mapping
from navsim.datasets.dataset import open_dataset
from navsim.evaluation.statistics.intervals import Estimate
from navsim.number_formats import MISSING, interval, number, percent
from navsim.progress import progress
from navsim.roads.generators.towns import Split
from navsim.storage import write_json
from navsim.tables import Table


@dataclass(frozen=True)
class JunctionsConfig:
    """Which policy to judge, on what, and by which rules."""

    checkpoint: Path = Path("runs/demo/policy/best.safetensors")
    """The policy."""
    data: Path = Path("runs/demo/data")
    """Folder with recorded drives, made with the policy's cameras and map."""
    split: Split = Split.VALIDATION
    """Which towns' drives to take."""
    out: Path = Path("runs/demo/junctions.json")
    """Where the numbers are written."""
    rules: DecisionRules = field(default_factory=DecisionRules)
    """What counts at junctions."""


def main() -> None:
    """Score the policy, print the tables, write the numbers."""
    config = parse_config(JunctionsConfig, "Score a policy by manoeuvre, and by what it makes of junctions.")
    dataset = open_dataset(config.data, config.split)
    simulation = dataset.description.simulation
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    policy = load_policy(config.checkpoint, simulation.cameras, simulation.map).to(device)
    with progress("scoring", dataset.frames, "frames") as advance:
        scores = score_policy(policy, dataset, config.rules, device, advance)
    inputs = list(policy.config.inputs)
    write_json(config.out, {"config": to_mapping(config), "inputs": inputs, "scores": to_mapping(scores)})
    console = Console()
    console.print(manoeuvre_table(scores).rich())
    console.print(junction_table(scores.junctions, config.rules).rich())
    if "route_map" in inputs:
        console.print("this policy sees the route: it has no reason to give exits off the route any mass")
    console.print(f"the numbers are in {config.out}", highlight=False, soft_wrap=True)


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
            (f"mode recall (at least {percent(rules.least_mass)})", *_cells(measures.recall), *every),
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


if __name__ == "__main__":
    run_script(main)
