"""Driver by an exported policy, run by onnxruntime, and the metadata of the ONNX file. No torch."""

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agents.policies.networks.config import PolicyConfig, check_sensors
from navsim.config import from_mapping, to_mapping
from navsim.drivers.action_selection import ActingConfig, ActionDistribution, LearnedDriver
from navsim.errors import CheckpointError, ConfigError
from navsim.sensing.camera import Camera
from navsim.sensing.observation import Observation, blank_observation
from navsim.sensing.roadmap import MapSpec

FORMAT = "navsim-onnx"
FORMAT_VERSION = 1
ONNX_NAME, CARD_NAME = "policy.onnx", "README.md"
"""Files of an exported policy."""
INPUTS = ("images", "road_map", "route_map", "speed")
"""Names of the graph's inputs, see `agents.export.graph`; each holds a batch."""
_KEY = "facts"


@dataclasses.dataclass(frozen=True)
class ExportMetadata:
    """Metadata needed to drive by an exported policy, with its origin."""

    policy: PolicyConfig
    """Inputs, network and head of the policy."""
    cameras: tuple[Camera, ...]
    """Cameras of the training data."""
    map: MapSpec
    """Map patches of the training data."""
    grid_points: int
    """Number of curvatures at which the graph gives the density, evenly over the vehicle's range, its ends included."""
    commands: bool
    """Whether the graph has a command beside the distribution."""
    versions: dict[str, str]
    """Versions of the packages that trained the policy, the git revision, the renderer of the data."""
    exporters: dict[str, str]
    """Versions of the packages that exported the policy."""


def to_metadata(metadata: ExportMetadata) -> dict[str, str]:
    """Convert to the metadata entries of an ONNX file."""
    header = {"format": FORMAT, "format_version": str(FORMAT_VERSION)}
    return header | {_KEY: json.dumps(to_mapping(metadata))}


def from_metadata(metadata: Mapping[str, str], path: Path) -> ExportMetadata:
    """Read the metadata entries of an ONNX file.

    Raises:
        CheckpointError: If the file at `path` was not exported by this project, or by a later version.
    """
    if metadata.get("format") != FORMAT:
        raise CheckpointError(f"{path}: an ONNX file, but not exported by this project")
    if metadata.get("format_version") != str(FORMAT_VERSION):
        raise CheckpointError(f"{path}: format {metadata.get('format_version')}, this version reads {FORMAT_VERSION}")
    try:
        return from_mapping(ExportMetadata, json.loads(metadata.get(_KEY, "{}")), str(path))
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
            cameras: Cameras of the car.
            map_spec: Map patches of the car.
            name: Name in tables and files.
            acting: How commands are chosen from distributions; None takes the defaults.

        Raises:
            ConfigError: If onnxruntime is not installed.
            CheckpointError: If the file is missing, damaged, foreign, or made for other cameras or another map.
        """
        super().__init__(name, acting or ActingConfig())
        path = path / ONNX_NAME if path.is_dir() else path
        self._session = open_session(_read(path), path)
        self.metadata: ExportMetadata = from_metadata(self._session.get_modelmeta().custom_metadata_map, path)
        """Metadata of the ONNX file."""
        check_sensors(path, (self.metadata.cameras, self.metadata.map), (cameras, map_spec))
        limit = self.metadata.policy.max_curvature
        self._grid = np.linspace(-limit, limit, self.metadata.grid_points)
        self._names = ["density", "mode", "mean", *(["command"] if self.metadata.commands else [])]
        self.predict([blank_observation(cameras, map_spec.size_px)])  # the first pass is slow

    def predict(self, observations: Sequence[Observation]) -> list[ActionDistribution]:
        """Return the policy's distribution for each observation."""
        values = (
            np.stack([observation.images for observation in observations]),
            np.stack([observation.road_map for observation in observations]),
            np.stack([observation.route_map for observation in observations]),
            np.array([observation.speed for observation in observations], np.float32),
        )
        outputs = self._session.run(self._names, dict(zip(INPUTS, values, strict=True)))
        densities, *numbers = (output.astype(np.float64) for output in outputs)
        rows = zip(densities, *(values.tolist() for values in numbers), strict=True)
        return [ActionDistribution(self._grid, *row) for row in rows]


def read_metadata(path: Path) -> ExportMetadata:
    """Read the metadata of an exported policy at `path`, an ONNX file or its folder.

    Raises:
        ConfigError: If onnxruntime is not installed.
        CheckpointError: If it is missing, damaged or foreign.
    """
    path = path / ONNX_NAME if path.is_dir() else path
    return from_metadata(open_session(_read(path), path).get_modelmeta().custom_metadata_map, path)


def open_session(data: bytes, path: Path) -> Any:
    """Open an ONNX file's content for the CPU, on as many threads as OMP_NUM_THREADS says.

    Args:
        data: Content of the file.
        path: Path of the file, for errors.

    Raises:
        ConfigError: If onnxruntime is not installed.
        CheckpointError: If the content cannot be run.
    """
    try:
        import onnxruntime  # slow to import, and not every driver needs it
    except ImportError as error:
        raise ConfigError(f"{path}: an exported policy needs onnxruntime: pip install onnxruntime ({error})") from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only; they are raised, too
    # onnxruntime ignores the variable by itself, and workers rely on it to share the cores.
    options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", "").split(",")[0] or "0")
    # Its threads wait for the next pass by spinning: a decision took 3.7 ms of CPU time instead of 1.0 ms.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    errors = onnxruntime.capi.onnxruntime_pybind11_state
    unusable = (errors.Fail, errors.InvalidArgument, errors.InvalidGraph, errors.InvalidProtobuf, errors.NotImplemented)
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except unusable as error:
        raise CheckpointError(
            f"{path}: not an ONNX file that onnxruntime can run: {' '.join(str(error).split())}"
        ) from None


def _read(path: Path) -> bytes:
    """The content of a file."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such exported policy") from None
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from None
