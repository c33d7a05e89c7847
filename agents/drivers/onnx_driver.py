"""What an exported policy says about itself, in the ONNX file's metadata. No torch, so that it drives without.

An exported policy at the wheel, by onnxruntime: needs no torch.
"""

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agents.drivers.learned_driver import LearnedDriver, blank_observation, check_fit
from agents.policies.networks.config import PolicyConfig
from navsim.config import from_mapping, to_mapping
from navsim.drivers.action_selection import ActingConfig, ActionDistribution
from navsim.errors import CheckpointError, ConfigError
from navsim.sensing.camera import Camera
from navsim.sensing.observation import Observation
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


class OnnxDriver(LearnedDriver):
    """Drives by an exported policy; a `navsim.drivers.protocol.BatchDriver`."""

    def __init__(
        self,
        path: Path,
        cameras: Sequence[Camera],
        map_spec: MapSpec,
        name: str = "onnx",
        acting: ActingConfig | None = None,
    ) -> None:
        """Load the policy.

        Args:
            path: The ONNX file, or the folder that `scripts/export.py` wrote.
            cameras: Cameras of the car to be driven.
            map_spec: Map patches that it will be shown.
            name: Name in tables and files.
            acting: How commands are taken from distributions; None takes the defaults.

        Raises:
            ConfigError: If onnxruntime is not installed.
            CheckpointError: If the file is missing, damaged, foreign, or made for other cameras or another map.
        """
        super().__init__(name, acting or ActingConfig())
        path = path / ONNX_NAME if path.is_dir() else path
        self._session = open_session(_read(path), path)
        self.facts: ExportFacts = facts_in(self._session.get_modelmeta().custom_metadata_map, path)
        """What the policy says about itself."""
        check_fit(path, (self.facts.cameras, self.facts.map), (cameras, map_spec))
        limit = self.facts.policy.max_curvature
        self._grid = np.linspace(-limit, limit, self.facts.grid_points)
        self._names = ["density", "mode", "mean", *(["command"] if self.facts.commands else [])]
        self.look([blank_observation(cameras, map_spec)])  # the first pass is slow

    def look(self, observations: Sequence[Observation]) -> list[ActionDistribution]:
        """What the policy answers to each observation."""
        values = (
            np.stack([seen.images for seen in observations]),
            np.stack([seen.road_map for seen in observations]),
            np.stack([seen.route_map for seen in observations]),
            np.array([seen.speed for seen in observations], np.float32),
        )
        answers = self._session.run(self._names, dict(zip(INPUTS, values, strict=True)))
        densities, *numbers = (answer.astype(np.float64) for answer in answers)
        rows = zip(densities, *(values.tolist() for values in numbers), strict=True)
        return [ActionDistribution(self._grid, *row) for row in rows]


def read_facts(path: Path) -> ExportFacts:
    """What an exported policy at `path`, a file or the folder around it, says about itself.

    Raises:
        ConfigError: If onnxruntime is not installed.
        CheckpointError: If it is missing, damaged or foreign.
    """
    path = path / ONNX_NAME if path.is_dir() else path
    return facts_in(open_session(_read(path), path).get_modelmeta().custom_metadata_map, path)


def open_session(data: bytes, path: Path) -> Any:
    """Make an ONNX file's content ready to run on the CPU, on as many threads as OMP_NUM_THREADS says, if it does.

    Args:
        data: The content.
        path: Where it comes from, for errors.

    Raises:
        ConfigError: If onnxruntime is not installed.
        CheckpointError: If it cannot be run.
    """
    try:
        import onnxruntime  # an extra, which only those who drive exported policies install
    except ImportError as error:
        raise ConfigError(
            f"{path}: driving by it needs onnxruntime: pip install 'navsim-steering[export]' ({error})"
        ) from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only; they are raised, too
    # onnxruntime heeds no such variable by itself, and workers rely on it to share the cores.
    options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", "").split(",")[0] or "0")
    errors = onnxruntime.capi.onnxruntime_pybind11_state
    unusable = (errors.Fail, errors.InvalidArgument, errors.InvalidGraph, errors.InvalidProtobuf, errors.NotImplemented)
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except unusable as error:
        raise CheckpointError(
            f"{path}: no ONNX file that onnxruntime can run: {' '.join(str(error).split())}"
        ) from None


def _read(path: Path) -> bytes:
    """The content of a file."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such exported policy") from None
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from None
