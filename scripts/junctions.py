"""What a policy makes of junctions: `python scripts/junctions.py --checkpoint FILE --data FOLDER`."""

from navsim.cli import check_libraries, run_script

check_libraries()

from dataclasses import dataclass, field
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from agents.policies.checkpoint import load_policy
from agents.scoring.junctions import DecisionRules, JunctionMeasures, RangeRecall
from agents.scoring.policy_scores import PolicyScores, score_policy
from navsim.config import parse_config, to_mapping
from navsim.datasets.dataset import open_dataset
from navsim.evaluation.statistics.intervals import Estimate
from navsim.progress import progress
from navsim.roads.generators.towns import Split
from navsim.storage import write_json


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
    console.print(manoeuvre_table(scores))
    console.print(junction_table(scores.junctions, config.rules))
    if "route_map" in inputs:
        console.print("this policy sees the route: it has no reason to give exits off the route any mass")
    console.print(f"the numbers are in {config.out}", highlight=False, soft_wrap=True)


def manoeuvre_table(scores: PolicyScores) -> Table:
    """Scores by manoeuvre."""
    table = Table("manoeuvre", "frames", "share", "nll", "mode error 1/m", title=f"{scores.frames} frames")
    for manoeuvre, row in scores.manoeuvres.items():
        numbers = f"{row.nll:.3f}", f"{row.curvature_error:.5f}"
        table.add_row(manoeuvre.replace("_", " "), str(row.frames), f"{row.share:.1%}", *numbers)
    return table


def junction_table(measures: JunctionMeasures, rules: DecisionRules) -> Table:
    """What the policy makes of junctions."""
    title = f"decisions at junctions, each exit within {rules.tolerance:g} 1/m"
    table = Table("measure", "value", "95% interval", "decisions", "passages", title=title)
    all_of_them = str(measures.frames), str(measures.passages)
    some = str(measures.missing_frames), str(measures.missing_passages)
    table.add_row(f"mode recall (at least {rules.least_mass:.0%})", *_shown(measures.recall), *all_of_them)
    for part in measures.recall_by_distance:
        words = f"  {distance_range(part)} past the mouth"
        table.add_row(words, *_shown(part.recall), str(part.frames), str(part.passages))
    table.add_row("mass on lawful exits", *_shown(measures.lawful_mass), *all_of_them)
    table.add_row("mass on missing exits", *_shown(measures.missing_mass), *some)
    table.caption = f"in {measures.towns} towns; each passage counts once"
    return table


def distance_range(part: RangeRecall) -> str:
    """A range of distances in words."""
    if part.up_to is None:
        return f"more than {part.above:g} m"
    return f"up to {part.up_to:g} m" if part.above is None else f"{part.above:g} to {part.up_to:g} m"


def _shown(estimate: Estimate | None) -> tuple[str, str]:
    """A value and its interval."""
    if estimate is None:
        return "-", "-"
    return f"{estimate.value:.3f}", f"{estimate.low:.3f} to {estimate.high:.3f}"


if __name__ == "__main__":
    run_script(main)
