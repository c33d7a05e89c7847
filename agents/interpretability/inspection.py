"""Look into a checkpoint: run all of it on recorded frames, gather numbers and pictures. N: frames."""

import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import torch
import tyro

from agents.interpretability.checks import DependenceRow, dependence_rows
from agents.interpretability.frames import Drives, Frames, choose_frames, drives_of_files, drives_of_folder
from agents.interpretability.layers import Sense, sees, streams_of
from agents.interpretability.measurements import (
    DRAWS,
    Found,
    Removal,
    RemovalRow,
    SanityRow,
    all_region_rows,
    find_saliency,
    forgotten_saliency,
    removal,
    sanity_rows,
    some,
)
from agents.interpretability.regions import Masks, RegionRow, map_regions
from agents.interpretability.saliency import METHODS, integrated_gradients, saliency_overlay
from agents.policies.checkpoint import load_policy, read_info
from agents.policies.description import PolicyDescription, describe_policy
from agents.policies.networks.config import PolicyConfig
from agents.policies.networks.network import MAPS
from agents.policies.networks.observation_batch import Inputs, scale_observations
from agents.policies.policy import Policy, build_policy
from navsim.config import check_limits
from navsim.errors import ConfigError
from navsim.progress import progress
from navsim.roads.generators.towns import Split
from navsim.seeding import generator
from navsim.sensing.camera import Camera

_TIMED = 20  # overlays whose median time is told


@dataclass(frozen=True)
class InspectConfig:
    """Which checkpoint to look into, on what."""

    checkpoint: Annotated[Path, tyro.conf.Positional] = Path("runs/demo/policy/best.safetensors")
    """File of the policy."""
    data: Path = Path("runs/demo/data")
    """Folder with recorded drives, made with the policy's cameras and map."""
    split: Split = Split.VALIDATION
    """Which of them to look at."""
    episode: tuple[Path, ...] = ()
    """Files of single drives, in place of the folder's."""
    frames: int = 48
    """Frames that the numbers are taken from, evenly over the drives."""
    shown: int = 4
    """Frames that are shown."""
    seed: int = 0
    """Of random weights, random orders and intervals."""
    out: Path | None = None
    """Folder of the page; None means beside the checkpoint."""

    def __post_init__(self) -> None:
        check_limits(self, {"frames": (2, 5000), "shown": (1, 12), "seed": (0, 2**32)})

    @property
    def folder(self) -> Path:
        """Where the page is written."""
        return self.checkpoint.parent / f"{self.checkpoint.stem}-inspection" if self.out is None else self.out


@dataclass(frozen=True)
class Numbers:
    """What was measured, as plain values."""

    checkpoint: str
    """The policy's file."""
    policy: PolicyConfig
    """What it is."""
    frames: int
    """Frames that the numbers are taken from."""
    drives: int
    """Drives that they come from."""
    towns: tuple[str, ...]
    """Towns of the drives."""
    notes: tuple[str, ...]
    """What was left out or could not be told."""
    overlay_ms: float | None
    """Median time of one live overlay on this machine [ms]; None of a policy that sees no camera."""
    integral_error: float
    """Mean error of the integrated gradients' sum, as a share of what they explain."""
    sanity: tuple[SanityRow, ...]
    """Saliency of networks that have forgotten."""
    removal: tuple[RemovalRow, ...]
    """Deletion and insertion."""
    regions: dict[Sense, list[RegionRow]]
    """On what saliency lies."""
    dependence: tuple[DependenceRow, ...]
    """What each input is worth."""
    layers: PolicyDescription
    """The layers."""
    contrast: PolicyDescription | None
    """Those of a fully connected network for the same inputs; None if the policy is one, or it would be too large."""


@dataclass(frozen=True, eq=False)
class Inspection:
    """What a page is made of."""

    config: InspectConfig
    """What was asked for."""
    policy: Policy
    """The policy, in evaluation mode."""
    cameras: tuple[Camera, ...]
    """Its cameras."""
    frames: Frames
    """The frames."""
    inputs: Inputs
    """The same, scaled, with nothing on maps that the policy does not look at."""
    found: Found
    """Their saliency."""
    removals: dict[Sense, Removal] = field(repr=False)
    """Deletion and insertion by sense."""
    numbers: Numbers
    """What was measured."""


def inspect_policy(config: InspectConfig) -> Inspection:
    """Measure everything.

    Raises:
        CheckpointError: If the checkpoint is unusable or was made for other cameras or another map than the drives.
        EpisodeError: If the drives are missing, damaged, foreign, too short or without images.
        TownError: If a town cannot be built.
        ConfigError: If a renderer is asked for that does not work here.
    """
    read_info(config.checkpoint)  # a wrong name shall be told before anything is read
    drives = drives_of_files(config.episode) if config.episode else drives_of_folder(config.data, config.split)
    simulation = drives.simulation
    policy = load_policy(config.checkpoint, simulation.cameras, simulation.map)
    frames = choose_frames(drives, config.frames)
    if len(frames) < 2:
        raise ConfigError(f"at least 2 frames are needed, {len(frames)} were found")
    inputs = as_seen(policy, scale_observations(frames.senses, torch.float32))
    rng = generator(config.seed, "inspection")
    with progress("inspecting", _steps(policy) * len(frames), "steps") as advance:
        found = find_saliency(policy, inputs, advance)
        forgotten = forgotten_saliency(policy, inputs, config.seed, advance)
        curves: dict[Sense, Removal] = {}
        for sense in _senses(policy):
            of_sense = removal(policy, inputs, found, sense, rng, advance)
            if of_sense is not None:
                curves[sense] = of_sense
    numbers = Numbers(
        checkpoint=str(config.checkpoint),
        policy=policy.config,
        frames=len(frames),
        drives=len(drives.headers),
        towns=tuple(sorted({header.scenario.town for header in drives.headers.values()})),
        notes=(*drives.notes, *frames.notes, *_notes(policy)),
        overlay_ms=_overlay_time(policy, inputs),
        integral_error=integrated_gradients(policy, some(inputs, slice(0, 16))).error,
        sanity=tuple(sanity_rows(found, forgotten, inputs, rng)),
        removal=tuple(row for each in curves.values() for row in each.rows),
        regions=all_region_rows(found, forgotten["all"], _masks(policy, frames, inputs), rng),
        dependence=tuple(dependence_rows(policy, inputs, frames.labels, _names(drives), rng)),
        layers=describe_policy(policy),
        contrast=_contrast(policy),
    )
    return Inspection(config, policy, simulation.cameras, frames, inputs, found, curves, numbers)


def as_seen(policy: Policy, inputs: Inputs) -> Inputs:
    """Inputs with those maps empty that the policy does not look at, so that nothing is drawn or said of them."""
    seen = [float(name in policy.config.inputs) for name in MAPS]
    return replace(inputs, maps=inputs.maps * inputs.maps.new_tensor(seen)[:, None, None])


def _steps(policy: Policy) -> int:
    """How often every frame is gone through: by each method for each network, and in each sense."""
    return len(METHODS) * (1 + sum(DRAWS.values())) + len(_senses(policy))


def _senses(policy: Policy) -> list[Sense]:
    """What the policy looks at."""
    both: tuple[Sense, ...] = ("camera", "map")
    return [sense for sense in both if sees(policy, sense)]


def _names(drives: Drives) -> list[str]:
    return [camera.name for camera in drives.simulation.cameras]


def _masks(policy: Policy, frames: Frames, inputs: Inputs) -> dict[Sense, Masks]:
    """The parts of what the policy looks at, as far as they are known."""
    masks: dict[Sense, Masks] = {}
    if sees(policy, "camera") and frames.regions is not None:
        masks["camera"] = frames.regions
    if sees(policy, "map"):
        roads, route = (255 * inputs.maps).round().byte().numpy().swapaxes(0, 1)
        parts = map_regions(roads, route)
        masks["map"] = {name: mask[:, None] for name, mask in parts.items()}
    return masks


def _notes(policy: Policy) -> list[str]:
    """What a policy gives no answer to."""
    notes = []
    if policy.config.blind:
        notes.append("this policy is blind: its cameras are black whatever they see, so nothing is said of them")
    elif not sees(policy, "camera"):
        notes.append("this policy sees no camera: nothing is said of camera images")
    if not sees(policy, "map"):
        notes.append("this policy sees no map: nothing is said of maps")
    if not streams_of(policy):
        notes.append(
            "this policy has no convolutions over what it sees: there are no filters and feature maps, and of the "
            "three kinds of saliency only integrated gradients"
        )
    return notes


def _contrast(policy: Policy) -> PolicyDescription | None:
    """The layers of the fully connected network that would see the same."""
    if policy.config.network == "fully_connected":
        return None
    config = replace(policy.config, network="fully_connected", hidden=None)
    try:
        return describe_policy(build_policy(config, policy.spec, seed=0))
    except ConfigError:
        return None


def _overlay_time(policy: Policy, inputs: Inputs) -> float | None:
    """Median time of a live overlay [ms]."""
    if not sees(policy, "camera"):
        return None
    times = []
    for _ in range(_TIMED):
        start = time.perf_counter()
        saliency_overlay(policy, some(inputs, slice(0, 1)))
        times.append(1000 * (time.perf_counter() - start))
    return sorted(times)[_TIMED // 2]
