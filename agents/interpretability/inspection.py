"""Inspection of a checkpoint on recorded frames: saliency, checks and regions. N: frames."""

import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import torch
import tyro
from annotated_types import Ge, Le

from agents.interpretability.checks import DependenceRow, dependence_rows
from agents.interpretability.frames import (
    InspectedFrames,
    RecordedDrives,
    choose_frames,
    drives_of_files,
    drives_of_folder,
)
from agents.interpretability.layers import Sense, sees, streams_of
from agents.interpretability.measurements import (
    NUM_DRAWS,
    RemovalCurves,
    RemovalRow,
    SaliencyMaps,
    SanityRow,
    all_region_rows,
    compute_saliency,
    measure_removal,
    randomized_saliency,
    sanity_rows,
    select_rows,
)
from agents.interpretability.regions import Masks, RegionRow, map_regions
from agents.interpretability.saliency import METHODS, integrated_gradients, saliency_overlay
from agents.policies.checkpoint import load_policy, read_info
from agents.policies.description import PolicyDescription, describe_policy
from agents.policies.networks.config import PolicyConfig
from agents.policies.networks.network import MAPS
from agents.policies.networks.observation_batch import Inputs, scale_observations
from agents.policies.policy import Policy, build_policy
from navsim.config import Constrained
from navsim.errors import ConfigError
from navsim.progress import progress
from navsim.roads.generators.towns import Split
from navsim.seeding import generator
from navsim.sensing.camera import Camera

_NUM_TIMED = 20  # number of timed overlays


@dataclass(frozen=True)
class InspectConfig(Constrained):
    """Checkpoint and frames of an inspection."""

    checkpoint: Annotated[Path, tyro.conf.Positional] = Path("runs/demo/policy/best.safetensors")
    """Checkpoint of the policy."""
    data: Path = Path("runs/demo/data")
    """Folder with recorded drives, made with the policy's cameras and map."""
    split: Split = Split.VALIDATION
    """Split of the folder's drives."""
    episode: tuple[Path, ...] = ()
    """Files of single drives, in place of the folder."""
    frames: Annotated[int, Ge(2), Le(5000)] = 48
    """Number of frames for the measurements, evenly over the drives."""
    shown: Annotated[int, Ge(1), Le(12)] = 4
    """Number of frames on the page."""
    seed: Annotated[int, Ge(0), Le(2**32)] = 0
    """Seed of random weights, random orders and intervals."""
    out: Path | None = None
    """Folder of the page; None takes a folder beside the checkpoint."""

    @property
    def folder(self) -> Path:
        """Folder of the page."""
        return self.checkpoint.parent / f"{self.checkpoint.stem}-inspection" if self.out is None else self.out


@dataclass(frozen=True)
class InspectionNumbers:
    """Results of the measurements, as plain values."""

    checkpoint: str
    """Path of the policy's checkpoint."""
    policy: PolicyConfig
    """Inputs, network and head of the policy."""
    frames: int
    """Number of measured frames."""
    drives: int
    """Number of drives with these frames."""
    towns: tuple[str, ...]
    """Towns of the drives."""
    notes: tuple[str, ...]
    """Messages about results that are missing."""
    overlay_ms: float | None
    """Median time of one live overlay on this machine [ms]; None without cameras."""
    integral_error: float
    """Mean error of the integrated gradients' sum, as a share of the change that they explain."""
    sanity: tuple[SanityRow, ...]
    """Comparison with networks with random weights."""
    removal: tuple[RemovalRow, ...]
    """Deletion and insertion."""
    regions: dict[Sense, list[RegionRow]]
    """Saliency by region."""
    dependence: tuple[DependenceRow, ...]
    """Effect of removing each input."""
    layers: PolicyDescription
    """Layers of the policy."""
    contrast: PolicyDescription | None
    """Layers of a fully connected network for the same inputs; None if the policy is one, or it would be too large."""


@dataclass(frozen=True, eq=False)
class Inspection:
    """Inputs and results of an inspection."""

    config: InspectConfig
    """Settings of the inspection."""
    policy: Policy
    """The policy, in evaluation mode."""
    cameras: tuple[Camera, ...]
    """Cameras of the policy."""
    frames: InspectedFrames
    """Inspected frames, as recorded."""
    inputs: Inputs
    """Scaled frames, with maps that the policy ignores empty."""
    saliency: SaliencyMaps
    """Saliency of the frames."""
    removals: dict[Sense, RemovalCurves] = field(repr=False)
    """Deletion and insertion by kind of input."""
    numbers: InspectionNumbers
    """Results of the measurements."""


def inspect_policy(config: InspectConfig) -> Inspection:
    """Run all measurements.

    Raises:
        CheckpointError: If the checkpoint is unusable or was made for other cameras or another map than the drives.
        EpisodeError: If the drives are missing, damaged, foreign, too short or without images.
        TownError: If a town cannot be built.
        ConfigError: If the renderer does not work here.
    """
    read_info(config.checkpoint)  # report a wrong name before reading the drives
    drives = drives_of_files(config.episode) if config.episode else drives_of_folder(config.data, config.split)
    simulation = drives.simulation
    policy = load_policy(config.checkpoint, simulation.cameras, simulation.map)
    frames = choose_frames(drives, config.frames)
    if len(frames) < 2:
        raise ConfigError(f"at least 2 frames are needed, {len(frames)} were found")
    inputs = without_unused_maps(policy, scale_observations(frames.observations, torch.float32))
    rng = generator(config.seed, "inspection")
    with progress("inspecting", _steps(policy) * len(frames), "steps") as advance:
        saliency = compute_saliency(policy, inputs, advance)
        randomized = randomized_saliency(policy, inputs, config.seed, advance)
        curves: dict[Sense, RemovalCurves] = {}
        for sense in _senses(policy):
            removal = measure_removal(policy, inputs, saliency, sense, rng, advance)
            if removal is not None:
                curves[sense] = removal
    numbers = InspectionNumbers(
        checkpoint=str(config.checkpoint),
        policy=policy.config,
        frames=len(frames),
        drives=len(drives.headers),
        towns=tuple(sorted({header.scenario.town for header in drives.headers.values()})),
        notes=(*drives.notes, *frames.notes, *_notes(policy)),
        overlay_ms=_overlay_time(policy, inputs),
        integral_error=integrated_gradients(policy, select_rows(inputs, slice(0, 16))).error,
        sanity=tuple(sanity_rows(saliency, randomized, inputs, rng)),
        removal=tuple(row for curve in curves.values() for row in curve.rows),
        regions=all_region_rows(saliency, randomized["all"], _masks(policy, frames, inputs), rng),
        dependence=tuple(dependence_rows(policy, inputs, frames.labels, _names(drives), rng)),
        layers=describe_policy(policy),
        contrast=_contrast(policy),
    )
    return Inspection(config, policy, simulation.cameras, frames, inputs, saliency, curves, numbers)


def without_unused_maps(policy: Policy, inputs: Inputs) -> Inputs:
    """Return inputs in which maps that the policy ignores are empty, so that they are not drawn or measured."""
    used = [float(name in policy.config.inputs) for name in MAPS]
    return replace(inputs, maps=inputs.maps * inputs.maps.new_tensor(used)[:, None, None])


def _steps(policy: Policy) -> int:
    """Return how often each frame is processed: by each method for each network, and for each kind of input."""
    return len(METHODS) * (1 + sum(NUM_DRAWS.values())) + len(_senses(policy))


def _senses(policy: Policy) -> list[Sense]:
    """Return the kinds of input that the policy depends on."""
    both: tuple[Sense, ...] = ("camera", "map")
    return [sense for sense in both if sees(policy, sense)]


def _names(drives: RecordedDrives) -> list[str]:
    return [camera.name for camera in drives.simulation.cameras]


def _masks(policy: Policy, frames: InspectedFrames, inputs: Inputs) -> dict[Sense, Masks]:
    """Return the known regions of the policy's inputs."""
    masks: dict[Sense, Masks] = {}
    if sees(policy, "camera") and frames.regions is not None:
        masks["camera"] = frames.regions
    if sees(policy, "map"):
        roads, route = (255 * inputs.maps).round().byte().numpy().swapaxes(0, 1)
        parts = map_regions(roads, route)
        masks["map"] = {name: mask[:, None] for name, mask in parts.items()}
    return masks


def _notes(policy: Policy) -> list[str]:
    """Return messages about results that do not exist for a policy."""
    notes = []
    if policy.config.blind:
        notes.append("this policy is blind: its cameras are always black, so there are no results for camera images")
    elif not sees(policy, "camera"):
        notes.append("this policy sees no camera: there are no results for camera images")
    if not sees(policy, "map"):
        notes.append("this policy sees no map: there are no results for maps")
    if not streams_of(policy):
        notes.append(
            "this policy has no convolutions: there are no filters and feature maps, and of the "
            "three kinds of saliency only integrated gradients"
        )
    return notes


def _contrast(policy: Policy) -> PolicyDescription | None:
    """Describe the fully connected network for the same inputs."""
    if policy.config.network == "fully_connected":
        return None
    config = replace(policy.config, network="fully_connected", hidden=None)
    try:
        return describe_policy(build_policy(config, policy.spec, seed=0))
    except ConfigError:
        return None


def _overlay_time(policy: Policy, inputs: Inputs) -> float | None:
    """Return the median time of a live overlay [ms]."""
    if not sees(policy, "camera"):
        return None
    times = []
    for _ in range(_NUM_TIMED):
        start = time.perf_counter()
        saliency_overlay(policy, select_rows(inputs, slice(0, 1)))
        times.append(1000 * (time.perf_counter() - start))
    return sorted(times)[_NUM_TIMED // 2]
