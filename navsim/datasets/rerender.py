"""Rendering recorded drives anew: a data folder becomes another one with other cameras, renderer or conditions.

What was driven, commanded and labelled stays, and so do the splits and the position fixes. Drives that were recorded
without images get some. With the very settings of the source the pictures are the very same.
"""

import weakref
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, get_args

import tyro

from navsim.config import to_mapping
from navsim.datasets.collection import Maker, Plan, RecordingTask, Work, claim_folder, produce
from navsim.datasets.collection_config import Channel, check_channels
from navsim.datasets.dataset import Dataset, DatasetDescription, episode_path, open_dataset
from navsim.datasets.episode_files import read_episode, read_header, write_episode
from navsim.datasets.statistics import Statistics
from navsim.errors import ConfigError, StorageError
from navsim.provenance import git_revision, software_versions
from navsim.sensing.camera import RIGS, Camera, Rig
from navsim.sensing.roadmap import MapSpec
from navsim.simulation.config import RendererName, SimulationConfig
from navsim.simulation.episode_rerenderer import EpisodeRerenderer, with_appearance
from navsim.simulation.scenario import Scenario
from navsim.world.scenery.appearance import parse_spec

_DRIVES_PER_UNIT = 4


@dataclass(frozen=True)
class RenderConfig:
    """Which drives to render anew, and how."""

    source: Path = Path("runs/data")
    """The data folder with the drives."""
    out: Path = Path("runs/rendered")
    """The new data folder."""
    rig: Rig = Rig.OWN
    """A named set of cameras in place of `cameras`."""
    cameras: tuple[Camera, ...] = ()
    """Cameras on the car, all of one size, to be given in a file; none means those of the source."""
    map: Annotated[MapSpec | None, tyro.conf.AvoidSubcommands] = None
    """Map patches, to be given in a file; None means those of the source."""
    renderer: RendererName | None = None
    """What draws; None means what drew the source."""
    appearance: str | None = None
    """Conditions of all drives, see `navsim.world.scenery.appearance`; empty draws those of training for each town,
    None leaves those of each drive."""
    channels: tuple[Channel, ...] | None = None
    """What is recorded of the images besides their colours: `classes`, what each pixel shows, `objects`, boxes around
    cars, people and signs; None means what is recorded in the source."""
    workers: int | None = None
    """Number of processes; None takes one per core."""
    resume: bool = False
    """Whether to go on with what an interrupted run has left in the folder."""

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise ConfigError(f"workers must be at least 1, got {self.workers}")
        check_channels(self.channels or (), images=True)
        if self.appearance is not None:
            parse_spec(self.appearance)


@dataclass(frozen=True)
class Rendition:
    """What a process needs to know to render drives of a folder."""

    source: Path
    """The data folder with the drives."""
    out: Path
    """The new data folder."""
    simulation: SimulationConfig
    """The new cameras, map patches and renderer."""
    sources: tuple[tuple[Scenario, Scenario], ...]
    """Pairs of the new scenario and the one in the source."""
    channels: tuple[Channel, ...] = ()
    """What is recorded of the images besides their colours."""


@dataclass(frozen=True)
class Rendering:
    """What a data folder holds after rendering."""

    recording: RecordingTask
    """What this run has added; nothing if all was there."""
    statistics: Statistics
    """What is in the folder."""


def rerender(config: RenderConfig) -> Rendering:
    """Render every drive of a data folder that is not yet in the new one.

    Raises:
        EpisodeError: If the source is no data folder, of another format, or holds a damaged or foreign episode.
        ConfigError: If the new folder holds data of other settings, the renderer cannot be had, or two drives would
            become the same.
        StorageError: If the new folder is the source or holds something else, is unfinished and `config.resume` is off,
            or the disk is full; drives rendered so far are whole and stay.
        WorkerError: If the process of a drive died whenever it was tried; all other drives are rendered.
        KeyboardInterrupt: After Ctrl-C, with words on how to go on.
    """
    if config.out.resolve() == config.source.resolve():
        raise StorageError(f"{config.out}: is the source itself, whose drives stay as they are; give another --out")
    source = open_dataset(config.source)
    simulation = rendered_simulation(config, source)
    sources = _sources(source, config.appearance)
    channels = source.description.collection.get("channels", []) if config.channels is None else config.channels
    claim_folder(config.out, _description(config, source, simulation, channels))
    rendition = Rendition(config.source, config.out, simulation, tuple(sources.items()), tuple(channels))
    plan = Plan(config.out, tuple(_units(sources)), "rendering", config.workers, config.resume)
    return Rendering(*produce(plan, make_rerenderer, rendition))


def make_rerenderer(rendition: Rendition) -> Maker:
    """Start a renderer and return the function that renders drives and tells their numbers of steps."""
    redrawer, sources = EpisodeRerenderer(rendition.simulation), dict(rendition.sources)
    told = {"simulation": to_mapping(rendition.simulation), "renderer": redrawer.renderer_name}

    def render(scenarios: Work) -> list[int]:
        steps = []
        for scenario in scenarios:
            path = episode_path(rendition.source, sources[scenario])
            episode = redrawer.rerender(read_episode(path, images=False), scenario.appearance)
            if "classes" in rendition.channels:
                episode = replace(episode, classes=redrawer.classes(episode))
            if "objects" in rendition.channels:
                episode = replace(episode, objects=redrawer.objects(episode))
            write_episode(episode, episode_path(rendition.out, scenario), read_header(path).metadata | told)
            steps.append(len(episode))
        return steps

    weakref.finalize(render, redrawer.close)  # the renderer goes when nobody can draw any more
    return render


def rendered_simulation(config: RenderConfig, source: Dataset) -> SimulationConfig:
    """The settings of the new drives: those of the source where nothing else is asked for.

    Raises:
        ConfigError: If the cameras differ in size.
    """
    there = source.description.simulation
    renderers = {str(header.metadata.get("renderer")) for header in source.headers.values()}
    drew = next((name for name in get_args(RendererName) if renderers == {name}), there.renderer)
    return replace(
        there,
        cameras=RIGS.get(config.rig, config.cameras or there.cameras),
        map=config.map or there.map,
        renderer=config.renderer or drew,
    )


def _description(
    config: RenderConfig, source: Dataset, simulation: SimulationConfig, channels: Sequence[Channel]
) -> DatasetDescription:
    """What the new folder says about itself: the settings of the source, and what that was."""
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


def _sources(source: Dataset, appearance: str | None) -> dict[Scenario, Scenario]:
    """For each new scenario the one of the source.

    Raises:
        ConfigError: If two drives of the source would become the same.
    """
    sources: dict[Scenario, Scenario] = {}
    for header in source.headers.values():
        scenario = with_appearance(header.scenario, appearance)
        if scenario in sources:
            raise ConfigError(
                f"appearance = {appearance!r}: {sources[scenario].name} and {header.scenario.name} differ in nothing "
                "else and would become the same drive"
            )
        sources[scenario] = header.scenario
    return sources


def _units(scenarios: Iterable[Scenario]) -> list[Work]:
    """Drives of one town under the same conditions, a few at a time, since a town takes a while to set up."""
    towns: dict[tuple[str, str], list[Scenario]] = defaultdict(list)
    for scenario in scenarios:
        towns[scenario.town, scenario.appearance].append(scenario)
    return [
        tuple(drives[start : start + _DRIVES_PER_UNIT])
        for drives in towns.values()
        for start in range(0, len(drives), _DRIVES_PER_UNIT)
    ]
