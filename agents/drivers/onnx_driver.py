"""An exported policy at the wheel, by onnxruntime: needs no torch."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agents.drivers.facts import INPUTS, ONNX_NAME, ExportFacts, facts_in
from agents.drivers.fit import check_fit
from agents.drivers.learned import LearnedDriver, blank_observation
from navsim.drivers.acting import ActingConfig, Outlook
from navsim.errors import CheckpointError, ConfigError
from navsim.sensing.camera import Camera
from navsim.sensing.observation import Observation
from navsim.sensing.roadmap import MapSpec


class OnnxDriver(LearnedDriver):
    """Drives by an exported policy; a `navsim.drivers.drivers.BatchDriver`."""

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

    def look(self, observations: Sequence[Observation]) -> list[Outlook]:
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
        return [Outlook(self._grid, *row) for row in rows]


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
