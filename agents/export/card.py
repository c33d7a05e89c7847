"""The card of an exported policy: Markdown that says what it is, what it saw, how well it drives and how to use it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from agents.drivers.onnx_driver import ONNX_NAME, WEIGHTS_NAME, ExportMetadata
from navsim.number_formats import km, metres, percent_interval, share, thousands
from navsim.tables import Table

SOURCE = "https://arxiv.org/abs/1811.10119"
"""Where the idea comes from: Amini, Rosman, Karaman, Rus, ICRA 2019."""
LICENCE = "mit"

_MEANINGS = {
    "steering": "what to drive by, if nothing is known of the last step [1/m]",
    "mode": "the highest mode of the distribution [1/m]",
    "mean": "its mean, which lies between two roads at a fork [1/m]",
    "density": "its density [m] at evenly spaced curvatures, see below",
    "outputs": "the network's last numbers",
    "command": "the network's own command, which `steering` then is, within the vehicle's range [1/m]",
    "weights": "weights of the mixture's components",
    "means": "their means [1/m]",
    "scales": "their standard deviations [1/m]",
}


@dataclass(frozen=True)
class CardContents:
    """What is known of a policy beyond the facts in its file."""

    facts: ExportMetadata
    """The file's own facts."""
    outputs: tuple[str, ...]
    """Names of the graph's outputs."""
    parameters: int
    """Number of trained values."""
    difference: float
    """Largest difference between the graph and the policy that was found."""
    checkpoint: str
    """Where it was exported from."""
    run: Mapping[str, Any] = field(default_factory=dict)
    """Configuration of the training run."""
    scores: Mapping[str, float] = field(default_factory=dict)
    """Scores of its epoch of training."""
    closed_loop: Mapping[str, Any] = field(default_factory=dict)
    """An evaluation's numbers of this policy: `arrived`, `routes`, `interval`, `km`, ..., and its `title`."""


def model_card(contents: CardContents) -> str:
    """Write the card, with a header as model hubs read it."""
    parts = [
        "---\n" + yaml.safe_dump(_header(contents), sort_keys=False) + "---",
        f"# {_title(contents)}\n\n{_summary(contents)}",
        "## Senses\n\n" + _senses(contents.facts),
        "## Answers\n\n" + _answers(contents),
        "## Network\n\n" + _network(contents),
        "## Training\n\n" + _training(contents),
        "## Scores\n\n" + _scores(contents),
        "## Driving by it\n\n" + _usage(contents),
        "## Limits\n\n" + _LIMITS,
        "## Versions\n\n" + _versions(contents.facts),
        f"## Licence\n\n{LICENCE.upper()}.",
    ]
    return "\n\n".join(parts) + "\n"


_LIMITS = """\
It has only ever driven in simulated towns: it is for research and teaching, and not for real roads. It knows no other
traffic, traffic lights or signs, and steers only: something else holds the speed. Other cameras than those above, or
mounted elsewhere, are not what it was trained for. Where the map is wrong, it may follow the map."""


def _header(contents: CardContents) -> dict[str, Any]:
    """What model hubs read."""
    policy, loop = contents.facts.policy, contents.closed_loop
    header: dict[str, Any] = {
        "license": LICENCE,
        "library_name": "navsim-steering",
        "pipeline_tag": "robotics",
        "tags": ["autonomous-driving", "imitation-learning", "end-to-end", policy.network, policy.head, "onnx"],
    }
    if loop:
        arrivals = {"type": "arrival_rate", "name": "arrived", "value": round(loop["arrived"] / loop["routes"], 4)}
        result = {
            "task": {"type": "robotics", "name": "closed-loop driving"},
            "dataset": {"type": "navsim", "name": loop["title"]},
            "metrics": [arrivals],
        }
        header["model-index"] = [{"name": _title(contents), "results": [result]}]
    return header


def _title(contents: CardContents) -> str:
    policy = contents.facts.policy
    return f"navsim {policy.network}, {policy.head}{', blind' if policy.blind else ''}"


def _summary(contents: CardContents) -> str:
    policy = contents.facts.policy
    seen = ", ".join(name.replace("_", " ") for name in policy.inputs)
    blind = " Its images are blacked out: it is the control that must fail." if policy.blind else ""
    return (
        f"Steers a car from its senses ({seen}): a distribution over the curvature of the path [1/m], positive to the\n"
        f"left, learned by imitation in simulated towns, after [Amini et al., ICRA 2019]({SOURCE}).{blind}"
    )


def _senses(facts: ExportMetadata) -> str:
    """Cameras and map."""
    rows = []
    for c in facts.cameras:
        place = ", ".join(f"{value:g}" for value in c.position)
        rows.append((c.name, f"{c.width}x{c.height}", f"{c.fov_deg:g}", place, f"{c.yaw_deg:g}", f"{c.pitch_deg:g}"))
    head = ("camera", "size [px]", "field of view [deg]", "forward, left, up [m]", "yaw [deg]", "pitch [deg]")
    spec = facts.map
    return (
        f"{_table(head, rows)}\n\n"
        f"Maps: patches of {spec.size_px}x{spec.size_px} px at {spec.metres_per_pixel:g} m/px, heading-up at the car's "
        f"noisy pose, with the car in\nrow {spec.ego_row}, roads drawn {spec.road_width:g} m wide in white. Images are "
        "RGB, row 0 at the top. All senses are uint8, the\nspeed is float32 [m/s]."
    )


def _answers(contents: CardContents) -> str:
    """The graph's outputs."""
    facts = contents.facts
    limit = facts.policy.max_curvature
    rows = [(f"`{name}`", _MEANINGS[name]) for name in contents.outputs]
    return (
        f"{_table(('output', 'holds'), rows)}\n\n"
        f"The density's {facts.grid_points} curvatures run evenly from -{limit:g} to {limit:g} 1/m, both included."
    )


def _network(contents: CardContents) -> str:
    policy = contents.facts.policy
    rows = [
        ("network", policy.network),
        ("head", policy.head),
        ("inputs", ", ".join(policy.inputs)),
        ("parameters", thousands(contents.parameters)),
        ("largest curvature", f"{policy.max_curvature:g} 1/m"),
    ]
    return _table(("what", "value"), rows)


def _training(contents: CardContents) -> str:
    """Data and settings."""
    keys = ("data", "epochs", "batch_size", "seed", "lane_keeping_fraction")
    known = [(key.replace("_", " "), str(contents.run[key])) for key in keys if key in contents.run]
    return _table(("what", "value"), [("checkpoint", f"`{contents.checkpoint}`"), *known])


def _scores(contents: CardContents) -> str:
    """What is known of how well it predicts and drives."""
    parts = []
    if contents.scores:
        rows = [(name.replace("_", " "), f"{value:.4g}") for name, value in contents.scores.items()]
        parts.append("After its last epoch of training:\n\n" + _table(("score", "value"), rows))
    loop = contents.closed_loop
    if loop:
        arrived = share(loop["arrived"], loop["routes"])
        rows = [
            ("arrived", f"{arrived} (95% interval {percent_interval(loop['interval'])})"),
            ("driven", km(loop["km"])),
        ]
        offset = loop.get("lane_offset_mean")
        rows += [] if offset is None else [("mean lane offset", metres(offset))]
        parts.append(f"In closed loop ({loop['title']}):\n\n" + _table(("measure", "value"), rows))
    return "\n\n".join(parts) or "None are known of this checkpoint."


def _usage(contents: CardContents) -> str:
    """How to drive by it, here and elsewhere."""
    facts = contents.facts
    shape, size = facts.cameras[0], facts.map.size_px
    return f"""\
With this project (`pip install 'navsim-steering[export]'`), in this folder:

```sh
python scripts/evaluate.py --driver onnx:{ONNX_NAME}
```

Anywhere else, with onnxruntime and numpy alone:

```python
import numpy as np
import onnxruntime

policy = onnxruntime.InferenceSession("{ONNX_NAME}")
senses = {{
    "images": np.zeros((1, {len(facts.cameras)}, {shape.height}, {shape.width}, 3), np.uint8),
    "road_map": np.zeros((1, {size}, {size}), np.uint8),
    "route_map": np.zeros((1, {size}, {size}), np.uint8),
    "speed": np.array([8.0], np.float32),
}}
(steering,) = policy.run(["steering"], senses)  # (1,) curvature [1/m], positive to the left
```

The first axis of all senses is the batch, of any size. `{WEIGHTS_NAME}` holds the weights alone for
`agents.policies.checkpoint.load_policy`. {ONNX_NAME} answered as the weights do within {contents.difference:.1g}, in
curvatures as shares of the vehicle's range and in densities as shares of their highest."""


def _versions(facts: ExportMetadata) -> str:
    names = sorted(facts.versions.keys() | facts.exporters.keys())
    rows = [(name, facts.versions.get(name, "-"), facts.exporters.get(name, "-")) for name in names]
    return _table(("package", "trained with", "exported with"), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    return Table(head, [[*map(str, row)] for row in rows], text_columns=len(head)).markdown()
