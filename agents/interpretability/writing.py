"""Write an inspection: one HTML page, its pictures as files, its numbers as JSON."""

from pathlib import Path

from agents.interpretability.inspection import Inspection
from agents.interpretability.page import Headline, Page, page_html
from agents.interpretability.regions import JUNCTION_EDGES, LANE_EDGES
from agents.interpretability.sections import sections_of
from navsim.config import to_mapping
from navsim.evaluation.statistics.intervals import Estimate
from navsim.storage import write_bytes, write_json, write_text

PAGE, NUMBERS, PICTURES = "index.html", "numbers.json", "pictures"
LEADING = ("VisualBackProp", "integrated gradients")
"""The method whose numbers stand above: the first of these that the network has; chosen beforehand, not by result."""


def write_inspection(seen: Inspection, folder: Path) -> Path:
    """Write all of it into a folder; files of an earlier inspection there are replaced.

    Returns:
        The page.

    Raises:
        StorageError: If it cannot be written.
    """
    page = page_of(seen)
    for picture in page.pictures:
        write_bytes(folder / PICTURES / f"{picture.name}.png", picture.png)
    write_json(folder / NUMBERS, {"config": to_mapping(seen.config), "numbers": to_mapping(seen.numbers)})
    write_text(folder / PAGE, page_html(page))
    return folder / PAGE


def page_of(seen: Inspection) -> Page:
    """Compose the page."""
    numbers, policy = seen.numbers, seen.numbers.policy
    size = f"{seen.cameras[0].width}x{seen.cameras[0].height} px"
    facts = {
        "checkpoint": numbers.checkpoint,
        "policy": f"{policy.network} with {policy.head} head, {numbers.layers.parameters:,} parameters",
        "sees": ", ".join(policy.inputs).replace("_", " "),
        "cameras": f"{', '.join(camera.name for camera in seen.cameras)}, {size}",
        "frames": f"{numbers.frames} of {numbers.drives} drives in {', '.join(numbers.towns)}",
    }
    if leading := next((method for method in LEADING if method in seen.found), None):
        facts["numbers below by"] = leading
    if numbers.overlay_ms is not None:
        facts["live overlay"] = f"{numbers.overlay_ms:.1f} ms on this machine"
    return Page("What a policy looks at", facts, tuple(headlines(seen)), numbers.notes, sections_of(seen))


def headlines(seen: Inspection) -> list[Headline]:
    """The main numbers: what one method finds, chosen beforehand, and what the policy leans on most."""
    numbers, found = seen.numbers, list[Headline]()
    leading = next((method for method in LEADING if method in seen.found), None)
    for row in numbers.removal:
        if row.method == leading:
            words = f"of the probability moves, beyond chance, when the most salient {row.sense} pixels go first"
            found.append(_headline(row.deletion_gain, "+.3f", words))
    wanted = {LANE_EDGES: "on lane edges and lines", JUNCTION_EDGES: "on those at junctions"}
    for part in numbers.regions.get("camera", []):
        if part.method == leading and part.region in wanted:
            found.append(_headline(part.density, ".2f", f"times the picture's mean saliency {wanted[part.region]}"))
    for check in numbers.sanity:
        if check.method == leading and check.forgotten == "all":
            words = f"rank correlation of {check.sense} saliency with that of an untrained network"
            found.append(_headline(check.correlation, "+.2f", words))
    most = max(numbers.dependence, key=lambda each: each.distance.value, default=None)
    if most is not None:
        words = f"of the probability moves without {most.removed} ({most.how}), more than without anything else"
        found.append(_headline(most.distance, ".2f", words))
    return found


def _headline(estimate: Estimate, form: str, words: str) -> Headline:
    return Headline(f"{estimate.value:{form}}", f"{estimate.low:{form}} to {estimate.high:{form}}", words)
