"""Localisation of many drives over several processes, resumable: each drive's results are stored in a file.

The drives are the expert's, of a given length through held-out towns, recorded once.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from agents.localization.config import LocalizationCase, LocalizeConfig, Method, make_localiser
from agents.localization.steering import SteeringLikelihood, check_can_localise
from agents.localization.tracking import Track, TrackPoint, localise
from agents.policies.checkpoint import checkpoint_input, load_policy, read_info, weights_digest
from agents.policies.policy import Policy
from navsim.config import to_mapping
from navsim.datasets.dataset import IDENTITY_NAME
from navsim.datasets.episode_files import read_episode, read_header, write_episode
from navsim.errors import CheckpointError, EpisodeError, StorageError
from navsim.localization.likelihoods import Evidence, LanePoints, RoadLikelihood
from navsim.parallel import available_cores, run_units
from navsim.progress import progress
from navsim.provenance import InputFile
from navsim.roads.elements import DrivingSide
from navsim.roads.network import RoadNetwork
from navsim.run_folder import Values, claim_folder, current_settings
from navsim.seeding import generator
from navsim.sensing.roadmap import rasterise_roads
from navsim.simulation.config import SimulationConfig
from navsim.simulation.episode import Episode
from navsim.simulation.expert import LaneExpert
from navsim.simulation.rollout import drive
from navsim.simulation.scenario import Scenario, check_routes
from navsim.simulation.simulation import Simulation
from navsim.simulation.town import load_town_map, town_by_content
from navsim.storage import write_json


def recorded_drive(folder: Path, scenario: Scenario, simulation: SimulationConfig) -> Episode:
    """Return the drive of a scenario with its images: read if it was recorded before, else driven and stored.

    Raises:
        EpisodeError: If the file holds another drive or other images.
        TownError: If the town has no such route.
        StorageError: If the file cannot be written.
    """
    path = folder / f"{scenario.name}.parquet"
    if path.exists():
        check_images(path, simulation)
        episode = read_episode(path)
        if episode.scenario != scenario:
            raise EpisodeError(f"{path}: holds a drive of {episode.scenario}, not of {scenario}; remove it")
        return episode
    with Simulation(simulation) as world:
        episode = drive(world, LaneExpert(simulation.expert, simulation.vehicle), scenario)
        write_episode(episode, path, {"renderer": world.renderer_name})
    return episode


def check_images(path: Path, simulation: SimulationConfig) -> None:
    """Check that a recorded drive has images of the policy's cameras.

    Raises:
        EpisodeError: If it was recorded without images, or with other ones.
    """
    header = read_header(path)
    camera = simulation.cameras[0]
    expected = (len(simulation.cameras), camera.height, camera.width, 3)
    if "images" not in header.recorded or tuple(header.shapes["images"]) != expected:
        shape = tuple(header.shapes["images"]) if "images" in header.recorded else "none"
        raise EpisodeError(f"{path}: its images are {shape}; the policy was trained with {expected}")


def spread_drives(towns: Sequence[str], count: int, length: float, first: int = 0) -> tuple[Scenario, ...]:
    """Return `count` scenarios with routes of `length` [m], in turn over the towns, routes numbered from `first`."""
    return tuple(
        Scenario(town=towns[i % len(towns)], route=first + i // len(towns), length=length) for i in range(count)
    )


DRIVES_NAME, RESULTS_NAME = "drives", "results"
"""Folders of the recorded drives and of their results."""
_LIVE_KEYS = ("film", "levels", "gui", "watch", "watched_case", "watched_method")
_IRRELEVANT_KEYS = (
    "out",
    "action",
    "title",
    "drives",
    "tuned",
    "tried",
    "workers",
    "checkpoint",
    "drives_folder",
    *_LIVE_KEYS,
)
Tracks = dict[str, dict[str, Track]]
"""Track of each case and method, by their names."""


@dataclass(frozen=True, eq=False)
class LocalizationContext:
    """Everything needed to localise in one town."""

    policy: Policy
    """Policy whose likelihood is used."""
    simulation: SimulationConfig
    """Settings of the car that the policy was trained for."""
    network: RoadNetwork
    """Roads of the town."""
    evidence: Evidence
    """Lanes and likelihoods of the town."""


def simulation_of(checkpoint: Path) -> SimulationConfig:
    """Return the settings of the car that a checkpoint was trained for.

    Raises:
        CheckpointError: If the file is unusable.
    """
    info = read_info(checkpoint)
    return SimulationConfig(cameras=info.cameras, map=info.map)


def open_policy(checkpoint: Path) -> Policy:
    """Load a policy that can localise.

    Raises:
        CheckpointError: If the file is unusable, or the policy does not see the unrouted map.
    """
    info = read_info(checkpoint)
    policy = load_policy(checkpoint, info.cameras, info.map)
    try:
        check_can_localise(policy)
    except CheckpointError as error:
        raise CheckpointError(f"{checkpoint}: {error}") from None
    return policy


def make_context(config: LocalizeConfig, policy: Policy, town: str) -> LocalizationContext:
    """Prepare a town.

    Raises:
        TownError: If the town cannot be built or has no junction.
    """
    simulation = simulation_of(config.checkpoint)
    network = load_town_map(town).network
    lanes = LanePoints.of(network, simulation.vehicle)
    raster = rasterise_roads(network, simulation.map)
    mirrored = simulation.cameras if network.side is DrivingSide.LEFT else ()
    steering = SteeringLikelihood(policy, raster, simulation.map, config.lattice, config.outlier_probability, mirrored)
    return LocalizationContext(
        policy, simulation, network, Evidence(lanes, steering, RoadLikelihood(config.roads, lanes))
    )


def scenarios(config: LocalizeConfig) -> tuple[Scenario, ...]:
    """Return the scenarios of a run."""
    return spread_drives(config.town_names, config.drives, config.length)


def localise_drive(
    config: LocalizeConfig,
    context: LocalizationContext,
    episode: Episode,
    case: LocalizationCase,
    method: Method,
    watch: Callable[[TrackPoint], None] | None = None,
) -> Track:
    """Localise one drive in one case by one method; the same arguments give the same track."""
    rng = generator(config.seed, episode.scenario.name, case.name, method)
    localiser = make_localiser(method, config.filter, config.exponents, context.evidence, rng)
    return localise(episode, localiser, context.evidence.lanes, case, config.tracking, watch)


def run_drives(config: LocalizeConfig) -> dict[Scenario, Tracks]:
    """Localise all drives in all cases by all methods, over several processes; finished drives are skipped.

    Raises:
        CheckpointError: If the checkpoint is unusable or does not see the unrouted map.
        ConfigError: If the folder holds the results of other settings.
        TownError: If a town cannot be built, or has fewer routes than drives.
        ReplacedError: If the checkpoint was replaced during the run; finished drives are kept.
    """
    file = checkpoint_input(config.checkpoint)
    open_policy(config.checkpoint)
    path = config.out / IDENTITY_NAME

    def updated(stored: Values) -> Values:
        weights = stored.pop("weights", None)
        return _relevant(current_settings(LocalizeConfig, stored, path)) | {"weights": weights}

    expected = scenarios(config)
    missing = [scenario for scenario in expected if not result_path(config, scenario).exists()]
    check_routes(missing)
    advice = f"give another --out, or remove {path} and {config.out / RESULTS_NAME}"
    with file.unchanged():
        settings = identity(config)
    claim_folder(config.out, IDENTITY_NAME, settings, "results", advice, updated)
    workers = min(config.workers or available_cores(), max(len(missing), 1))
    with (
        progress("localising", len(expected), "drives", already=len(expected) - len(missing)) as advance,
        run_units(make_worker, LocalizationJob(config, file), missing, workers) as results,
    ):
        for finished in results:
            advance(1, finished.result)
    return {scenario: read_result(config, scenario) for scenario in expected}


def identity(config: LocalizeConfig) -> Values:
    """Return the settings that results in one table must share, as plain values; the number of drives may grow."""
    town = str(town_by_content(config.town))
    return _relevant(to_mapping(config)) | {"town": town, "weights": weights_digest(config.checkpoint)}


def _relevant(settings: Values) -> Values:
    """Return the settings that affect the results of a drive."""
    return {name: value for name, value in settings.items() if name not in _IRRELEVANT_KEYS}


def drives_folder(config: LocalizeConfig) -> Path:
    """Return the folder of the recorded drives."""
    return config.drives_folder or config.out / DRIVES_NAME


def result_path(config: LocalizeConfig, scenario: Scenario) -> Path:
    """Return the file with the tracks of a drive."""
    return config.out / RESULTS_NAME / f"{scenario.name}.json"


def read_result(config: LocalizeConfig, scenario: Scenario) -> Tracks:
    """Read the tracks of a drive.

    Raises:
        StorageError: If the file is missing or damaged.
    """
    path = result_path(config, scenario)
    try:
        values: Mapping[str, Any] = json.loads(path.read_bytes())["tracks"]
        return {
            case: {name: Track.from_plain(track) for name, track in tracks.items()} for case, tracks in values.items()
        }
    except (OSError, ValueError, KeyError) as error:
        raise StorageError(f"{path}: cannot be read ({error}); remove it to localise that drive again") from None


@dataclass(frozen=True)
class LocalizationJob:
    """A configuration for other processes; hashable, since its values are paths and tuples."""

    config: LocalizeConfig
    """Settings of the run."""
    checkpoint: InputFile
    """File of the policy, with its content when the run began."""


def make_worker(job: LocalizationJob) -> Callable[[Scenario], str]:
    """Return the function that localises one drive in this process and stores its tracks."""
    torch.set_num_threads(1)
    config = job.config
    with job.checkpoint.unchanged():
        policy = open_policy(config.checkpoint)

    @lru_cache(maxsize=1)
    def context_of(town: str) -> LocalizationContext:
        with job.checkpoint.unchanged():
            return make_context(config, policy, town)

    def localise_scenario(scenario: Scenario) -> str:
        context = context_of(scenario.town)
        episode = recorded_drive(drives_folder(config), scenario, context.simulation)
        tracks = {
            case.name: {
                method: localise_drive(config, context, episode, case, method).to_plain()
                for method in config.methods
                if config.applies(case, method)
            }
            for case in config.cases
        }
        write_json(result_path(config, scenario), {"scenario": to_mapping(scenario), "tracks": tracks})
        return scenario.name

    return localise_scenario


def with_exponent(config: LocalizeConfig, value: float) -> LocalizeConfig:
    """Return the run with another value of the exponent `config.tuned`."""
    exponents, out = replace(config.exponents, **{config.tuned: value}), config.out / f"{config.tuned}{value:g}"
    return replace(config, exponents=exponents, out=out, drives_folder=drives_folder(config))
