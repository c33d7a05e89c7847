"""Rerendering of data folders: the drives of a folder with other cameras, another renderer or other conditions.

Poses, commands, labels, splits and position fixes stay the same. Drives recorded without images get images. With the
settings of the source the images are identical.
"""

import weakref
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, get_args

import tyro
from annotated_types import Ge

from navsim.config import Constrained, to_mapping
from navsim.datasets.collection import CollectionResult, DriveGroup, Plan, Recorder, claim_data_folder, run_plan
from navsim.datasets.collection_config import Channel, check_channels
from navsim.datasets.dataset import Dataset, DatasetDescription, episode_path, open_dataset
from navsim.datasets.episode_files import read_header, read_unchanged_episode, write_episode
from navsim.errors import ConfigError, StorageError
from navsim.provenance import FileState, git_revision, software_versions
from navsim.run_folder import check_idle, locked_folder
from navsim.sensing.camera import RIGS, Camera, Rig
from navsim.sensing.roadmap import MapSpec
from navsim.simulation.config import RendererName, SimulationConfig
from navsim.simulation.episode_rerenderer import EpisodeRerenderer, with_appearance
from navsim.simulation.scenario import Scenario
from navsim.world.scenery.appearance import parse_spec

_DRIVES_PER_UNIT = 4


@dataclass(frozen=True)
class RerenderConfig(Constrained):
    """Settings of the rerendering of a data folder."""

    source: Path = Path("runs/data")
    """Path of the data folder with the drives."""
    out: Path = Path("runs/rendered")
    """Path of the new data folder."""
    rig: Rig = Rig.OWN
    """Named set of cameras in place of `cameras`."""
    cameras: tuple[Camera, ...] = ()
    """Cameras on the car, all of one size, to be given in a file; if empty, those of the source."""
    map: Annotated[MapSpec | None, tyro.conf.AvoidSubcommands] = None
    """Size and scale of map patches, to be given in a file; None takes those of the source."""
    renderer: RendererName | None = None
    """Renderer of the images; None takes that of the source."""
    appearance: str | None = None
    """Conditions of all drives, see `navsim.world.scenery.appearance`; empty draws those of training for each town,
    None keeps those of each drive."""
    channels: tuple[Channel, ...] | None = None
    """Ground truth recorded with the images: `classes`, the class of each pixel; `objects`, boxes around visible cars,
    people and signs; None takes the channels of the source."""
    workers: Annotated[int | None, Ge(1)] = None
    """Number of processes; None takes one per core."""
    resume: bool = False
    """Whether to continue an interrupted run in the folder."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_channels(self.channels or (), images=True)
        if self.appearance is not None:
            parse_spec(self.appearance)


@dataclass(frozen=True)
class RerenderJob:
    """What a process needs to rerender drives of a folder."""

    out: Path
    """Path of the new data folder."""
    simulation: SimulationConfig
    """Simulation with the new cameras, map patches and renderer."""
    sources: tuple[tuple[Scenario, tuple[Path, FileState]], ...]
    """Pairs of the new scenario and the file in the source, with its state."""
    channels: tuple[Channel, ...] = ()
    """Ground truth recorded with the images."""


def rerender(config: RerenderConfig) -> CollectionResult:
    """Rerender all drives of a data folder that are missing in the new one.

    Raises:
        EpisodeError: If the source is not a data folder, has another format, or holds a damaged or foreign episode.
        ConfigError: If the new folder holds data of other settings, the renderer is not available, or two drives would
            become the same.
        StorageError: If the new folder is the source or holds something else, is unfinished and `config.resume` is off,
            or the disk is full; drives written so far are complete and stay.
        WorkerError: If the process of a drive died at each attempt; all other drives are rerendered.
        KeyboardInterrupt: After Ctrl-C, with the way to continue.
    """
    if config.out.resolve() == config.source.resolve():
        raise StorageError(f"{config.out}: is the source itself, whose drives stay as they are; give another --out")
    check_idle(config.source)
    source = open_dataset(config.source)
    simulation = rerender_simulation(config, source)
    sources = _sources(source, config.appearance)
    channels = source.description.collection.get("channels", []) if config.channels is None else config.channels
    job = RerenderJob(config.out, simulation, tuple(sources.items()), tuple(channels))
    plan = Plan(config.out, tuple(_units(sources)), "rerendering", config.workers, config.resume)
    with locked_folder(config.out):
        claim_data_folder(config.out, _description(config, source, simulation, channels), config.resume)
        return run_plan(plan, make_rerenderer, job)


def make_rerenderer(job: RerenderJob) -> Recorder:
    """Start a renderer and return a function that rerenders drives."""
    rerenderer, sources = EpisodeRerenderer(job.simulation), dict(job.sources)
    metadata = {"simulation": to_mapping(job.simulation), "renderer": rerenderer.renderer_name}

    def record(scenarios: DriveGroup) -> list[int]:
        steps = []
        for scenario in scenarios:
            path, state = sources[scenario]
            recorded = read_unchanged_episode(path, state, images=False)
            episode = rerenderer.rerender(recorded, scenario.appearance)
            if "classes" in job.channels:
                episode = replace(episode, classes=rerenderer.classes(episode))
            if "objects" in job.channels:
                episode = replace(episode, objects=rerenderer.objects(episode))
            write_episode(episode, episode_path(job.out, scenario), read_header(path).metadata | metadata)
            steps.append(len(episode))
        return steps

    weakref.finalize(record, rerenderer.close)  # closed when no reference to the function is left
    return record


def rerender_simulation(config: RerenderConfig, source: Dataset) -> SimulationConfig:
    """Return the simulation of the new drives: that of the source, with the changes of `config`.

    Raises:
        ConfigError: If the cameras differ in size.
    """
    recorded = source.description.simulation
    renderers = {str(header.metadata.get("renderer")) for header in source.headers.values()}
    renderer = next((name for name in get_args(RendererName) if renderers == {name}), recorded.renderer)
    return replace(
        recorded,
        cameras=RIGS.get(config.rig, config.cameras or recorded.cameras),
        map=config.map or recorded.map,
        renderer=config.renderer or renderer,
    )


def _description(
    config: RerenderConfig, source: Dataset, simulation: SimulationConfig, channels: Sequence[Channel]
) -> DatasetDescription:
    """Return the new folder's description: the source's settings with the changes, and its description."""
    settings: dict[str, Any] = dict(source.description.collection)
    settings.pop("images", None)
    if channels:
        settings["channels"] = list(channels)
    else:
        settings.pop("channels", None)
    if config.appearance is not None:
        settings["appearance"] = config.appearance
    settings["rendered_from"] = {"folder": str(config.source), **to_mapping(source.description)}
    return DatasetDescription(simulation, settings, software_versions(), git_revision())


def _sources(source: Dataset, appearance: str | None) -> dict[Scenario, tuple[Path, FileState]]:
    """Return the file of the source with its state for each new scenario.

    Raises:
        ConfigError: If two drives of the source would become the same.
    """
    sources: dict[Scenario, tuple[Path, FileState]] = {}
    for path, header in source.headers.items():
        scenario = with_appearance(header.scenario, appearance)
        if scenario in sources:
            raise ConfigError(
                f"appearance = {appearance!r}: {sources[scenario][0].stem} and {path.stem} differ in nothing "
                "else and would become the same drive"
            )
        sources[scenario] = path, source.states[path]
    return sources


def _units(scenarios: Iterable[Scenario]) -> list[DriveGroup]:
    """Group drives by town and conditions, a few in each group, since a town takes a while to build."""
    towns: dict[tuple[str, str], list[Scenario]] = defaultdict(list)
    for scenario in scenarios:
        towns[scenario.town, scenario.appearance].append(scenario)
    return [
        tuple(drives[start : start + _DRIVES_PER_UNIT])
        for drives in towns.values()
        for start in range(0, len(drives), _DRIVES_PER_UNIT)
    ]
