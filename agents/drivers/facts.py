"""What an exported policy says about itself, in the ONNX file's metadata. No torch, so that it drives without."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

from agents.policies.networks.config import PolicyConfig
from navsim.config import from_mapping, to_mapping
from navsim.errors import CheckpointError, ConfigError
from navsim.sensing.camera import Camera
from navsim.sensing.roadmap import MapSpec

FORMAT = "navsim-onnx"
FORMAT_VERSION = 1
ONNX_NAME, WEIGHTS_NAME, CARD_NAME = "policy.onnx", "model.safetensors", "README.md"
"""Files of an exported policy."""

INPUTS = ("images", "road_map", "route_map", "speed")
"""Names of the graph's inputs, all for a batch: see `agents.export.graph`."""

_KEY = "facts"


@dataclasses.dataclass(frozen=True)
class ExportFacts:
    """What is needed to drive by an exported policy, and where it comes from."""

    policy: PolicyConfig
    """The network."""
    cameras: tuple[Camera, ...]
    """Cameras that it was trained with."""
    map: MapSpec
    """Map patches that it was trained with."""
    grid_points: int
    """Curvatures at which the graph gives the density, evenly over the vehicle's range, its ends included."""
    commands: bool
    """Whether it gives a command of its own beside the distribution."""
    versions: dict[str, str]
    """Versions of the packages that trained it, the git revision, the renderer of the data."""
    exporters: dict[str, str]
    """Versions of the packages that exported it."""


def metadata_of(facts: ExportFacts) -> dict[str, str]:
    """Facts as an ONNX file's metadata."""
    words = {"format": FORMAT, "format_version": str(FORMAT_VERSION)}
    return words | {_KEY: json.dumps(to_mapping(facts))}


def facts_in(metadata: Mapping[str, str], path: Path) -> ExportFacts:
    """The facts in an ONNX file's metadata.

    Raises:
        CheckpointError: If the file at `path` was not exported by this project, or by a later version.
    """
    if metadata.get("format") != FORMAT:
        raise CheckpointError(f"{path}: an ONNX file, but none that this project exported")
    if metadata.get("format_version") != str(FORMAT_VERSION):
        raise CheckpointError(f"{path}: format {metadata.get('format_version')}, this version reads {FORMAT_VERSION}")
    try:
        return from_mapping(ExportFacts, json.loads(metadata.get(_KEY, "{}")), str(path))
    except (ConfigError, ValueError) as error:
        raise CheckpointError(f"damaged metadata: {error}") from None
