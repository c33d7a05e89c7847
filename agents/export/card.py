"""Model card of an exported policy: what it is, its sensors, its scores and its use, as Markdown."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from agents.drivers.onnx_driver import ONNX_NAME, ExportMetadata
from agents.policies import WEIGHTS_NAME
from navsim.number_formats import km, metres, percent_interval, share, thousands
from navsim.tables import Table

SOURCE = "https://arxiv.org/abs/1811.10119"
"""Source of the method: Amini, Rosman, Karaman, Rus, ICRA 2019."""
LICENCE = "mit"

_OUTPUT_TEXTS = {
    "steering": "curvature to drive, without memory of the last step [1/m]",
    "mode": "highest mode of the distribution [1/m]",
    "mean": "mean of the distribution, which lies between two roads at a fork [1/m]",
    "density": "density of the distribution [m] at evenly spaced curvatures, see below",
    "outputs": "raw outputs of the network",
    "command": "command of the network's branch; `steering` is the same, clipped to the vehicle's range [1/m]",
    "weights": "weights of the mixture's components",
    "means": "means of the components [1/m]",
    "scales": "standard deviations of the components [1/m]",
}


@dataclass(frozen=True)
class CardContents:
    """Facts about a policy that the card states."""

    metadata: ExportMetadata
    """Metadata of the ONNX file."""
    outputs: tuple[str, ...]
    """Names of the graph's outputs."""
    parameters: int
    """Number of trained values."""
    difference: float
    """Largest difference between graph and policy in the check."""
    checkpoint: str
    """Path of the exported checkpoint."""
    run: Mapping[str, Any] = field(default_factory=dict)
    """Configuration of the training run."""
    scores: Mapping[str, float] = field(default_factory=dict)
    """Scores of the checkpoint's epoch."""
    closed_loop: Mapping[str, Any] = field(default_factory=dict)
    """Results of an evaluation: `arrived`, `routes`, `interval`, `km`, ..., and its `title`."""


def model_card(contents: CardContents) -> str:
    """Write the card, with a header in the format of model hubs."""
    parts = [
        "---\n" + yaml.safe_dump(_header(contents), sort_keys=False) + "---",
        f"# {_title(contents)}\n\n{_summary(contents)}",
        "## Sensors\n\n" + _sensors(contents.metadata),
        "## Outputs\n\n" + _outputs(contents),
        "## Network\n\n" + _network(contents),
        "## Training\n\n" + _training(contents),
        "## Scores\n\n" + _scores(contents),
        "## Use\n\n" + _usage(contents),
        "## Limits\n\n" + _LIMITS,
        "## Versions\n\n" + _versions(contents.metadata),
        f"## Licence\n\n{LICENCE.upper()}.",
    ]
    return "\n\n".join(parts) + "\n"


_LIMITS = """\
The policy has driven in simulated towns only: it is for research and teaching, and not for real roads. It ignores other
traffic, traffic lights and signs. It only steers, and needs a separate speed control. It was not trained for other
cameras or other mounts than those above. Where the map is wrong, it may follow the map."""


def _header(contents: CardContents) -> dict[str, Any]:
    """Return the header for model hubs."""
    policy, closed_loop = contents.metadata.policy, contents.closed_loop
    header: dict[str, Any] = {
        "license": LICENCE,
        "library_name": "navsim-steering",
        "pipeline_tag": "robotics",
        "tags": ["autonomous-driving", "imitation-learning", "end-to-end", policy.network, policy.head, "onnx"],
    }
    if closed_loop:
        arrivals = {
            "type": "arrival_rate",
            "name": "arrived",
            "value": round(closed_loop["arrived"] / closed_loop["routes"], 4),
        }
        result = {
            "task": {"type": "robotics", "name": "closed-loop driving"},
            "dataset": {"type": "navsim", "name": closed_loop["title"]},
            "metrics": [arrivals],
        }
        header["model-index"] = [{"name": _title(contents), "results": [result]}]
    return header


def _title(contents: CardContents) -> str:
    policy = contents.metadata.policy
    return f"navsim {policy.network}, {policy.head}{', blind' if policy.blind else ''}"


def _summary(contents: CardContents) -> str:
    policy = contents.metadata.policy
    inputs = ", ".join(name.replace("_", " ") for name in policy.inputs)
    blind = " Its images are black: it is the control that must fail." if policy.blind else ""
    return (
        f"Steers a car from {inputs}: a distribution over the curvature of the path [1/m], positive to the\n"
        f"left, learned by imitation in simulated towns, after [Amini et al., ICRA 2019]({SOURCE}).{blind}"
    )


def _sensors(metadata: ExportMetadata) -> str:
    """Describe cameras and map."""
    rows = []
    for c in metadata.cameras:
        place = ", ".join(f"{value:g}" for value in c.position)
        rows.append((c.name, f"{c.width}x{c.height}", f"{c.fov_deg:g}", place, f"{c.yaw_deg:g}", f"{c.pitch_deg:g}"))
    headers = ("camera", "size [px]", "field of view [deg]", "forward, left, up [m]", "yaw [deg]", "pitch [deg]")
    spec = metadata.map
    return (
        f"{_table(headers, rows)}\n\n"
        f"Maps: patches of {spec.size_px}x{spec.size_px} px at {spec.metres_per_pixel:g} m/px, heading-up at the car's "
        f"noisy pose, with the car in\nrow {spec.ego_row}, roads drawn {spec.road_width:g} m wide in white. Images are "
        "RGB, row 0 at the top. All inputs are uint8, the\nspeed is float32 [m/s]."
    )


def _outputs(contents: CardContents) -> str:
    """Describe the graph's outputs."""
    metadata = contents.metadata
    limit = metadata.policy.max_curvature
    rows = [(f"`{name}`", _OUTPUT_TEXTS[name]) for name in contents.outputs]
    return (
        f"{_table(('output', 'holds'), rows)}\n\n"
        f"The density's {metadata.grid_points} curvatures run evenly from -{limit:g} to {limit:g} 1/m, both included."
    )


def _network(contents: CardContents) -> str:
    policy = contents.metadata.policy
    rows = [
        ("network", policy.network),
        ("head", policy.head),
        ("inputs", ", ".join(policy.inputs)),
        ("parameters", thousands(contents.parameters)),
        ("largest curvature", f"{policy.max_curvature:g} 1/m"),
    ]
    return _table(("what", "value"), rows)


def _training(contents: CardContents) -> str:
    """Describe data and settings of the training."""
    keys = ("data", "epochs", "batch_size", "seed", "lane_keeping_fraction")
    known = [(key.replace("_", " "), str(contents.run[key])) for key in keys if key in contents.run]
    return _table(("what", "value"), [("checkpoint", f"`{contents.checkpoint}`"), *known])


def _scores(contents: CardContents) -> str:
    """Describe the scores in prediction and driving."""
    parts = []
    if contents.scores:
        rows = [(name.replace("_", " "), f"{value:.4g}") for name, value in contents.scores.items()]
        parts.append("After its last epoch of training:\n\n" + _table(("score", "value"), rows))
    closed_loop = contents.closed_loop
    if closed_loop:
        arrived = share(closed_loop["arrived"], closed_loop["routes"])
        rows = [
            ("arrived", f"{arrived} (95% interval {percent_interval(closed_loop['interval'])})"),
            ("driven", km(closed_loop["km"])),
        ]
        offset = closed_loop.get("lane_offset_mean")
        rows += [] if offset is None else [("mean lane offset", metres(offset))]
        parts.append(f"In closed loop ({closed_loop['title']}):\n\n" + _table(("measure", "value"), rows))
    return "\n\n".join(parts) or "The scores of this checkpoint are unknown."


def _usage(contents: CardContents) -> str:
    """Describe how to drive with the policy, in this project and elsewhere."""
    metadata = contents.metadata
    shape, size = metadata.cameras[0], metadata.map.size_px
    return f"""\
With this project (`pip install navsim-steering`), in this folder:

```sh
python scripts/evaluate.py --driver onnx:{ONNX_NAME}
```

Anywhere else, with onnxruntime and numpy alone:

```python
import numpy as np
import onnxruntime

policy = onnxruntime.InferenceSession("{ONNX_NAME}")
inputs = {{
    "images": np.zeros((1, {len(metadata.cameras)}, {shape.height}, {shape.width}, 3), np.uint8),
    "road_map": np.zeros((1, {size}, {size}), np.uint8),
    "route_map": np.zeros((1, {size}, {size}), np.uint8),
    "speed": np.array([8.0], np.float32),
}}
(steering,) = policy.run(["steering"], inputs)  # (1,) curvature [1/m], positive to the left
```

The first axis of all inputs is the batch, of any size. `{WEIGHTS_NAME}` holds the weights alone for
`agents.policies.checkpoint.load_policy`. The outputs of {ONNX_NAME} agree with the weights within
{contents.difference:.1g}, in curvatures as shares of the vehicle's range and in densities as shares of the highest."""


def _versions(metadata: ExportMetadata) -> str:
    names = sorted(metadata.versions.keys() | metadata.exporters.keys())
    rows = [(name, metadata.versions.get(name, "-"), metadata.exporters.get(name, "-")) for name in names]
    return _table(("package", "trained with", "exported with"), rows)


def _table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    return Table(headers, [[*map(str, row)] for row in rows], text_columns=len(headers)).markdown()
