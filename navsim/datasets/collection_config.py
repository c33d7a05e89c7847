"""Settings of a collection, and the drives that follow from them alone."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge

from navsim.config import Constrained, to_mapping
from navsim.errors import ConfigError
from navsim.roads.generators.towns import DEFAULT_GENERATORS, Generator, Split, check_generators, spread_towns
from navsim.seeding import generator
from navsim.simulation.config import SimulationConfig
from navsim.simulation.expert import SteeringNoise
from navsim.simulation.scenario import Scenario, StartOffset
from navsim.simulation.town import check_real_towns, town_by_content
from navsim.world.scenery.appearance import parse_spec

Channel = Literal["classes", "objects"]
"""Ground truth that can be recorded with the images."""

_NOT_DATA = ("out", "workers", "num_envs", "shard", "resume")

COUNTS = ("train_towns", "validation_towns", "routes_per_town", "routes_per_real_town")
"""Settings that may grow: a collection with more of them has the same drives and more."""
_LATER = ("images", "channels", "first_town")
_OF_REAL_TOWNS = ("real_towns", "real_towns_split", "routes_per_real_town")
"""Settings of later versions, which no folder names where they have their default."""


@dataclass(frozen=True)
class StartSpread(Constrained):
    """Spread of the starts about the middle of the lane; normal draws, cut at two sigma."""

    lateral_sigma: Annotated[float, Ge(0)] = 0.4
    """Standard deviation of the offset [m]."""
    heading_sigma_deg: Annotated[float, Ge(0)] = 4.0
    """Standard deviation of the heading error [deg]."""

    def _error_prefix(self) -> str:
        return "start."


@dataclass(frozen=True)
class CollectConfig(Constrained):
    """Settings of a collection of drives."""

    out: Path = Path("runs/data")
    """Path of the data folder."""
    simulation: SimulationConfig = field(default_factory=SimulationConfig)
    """The car, its sensors and the rules."""
    train_towns: Annotated[int, Ge(0)] = 32
    """Number of towns to learn from."""
    validation_towns: Annotated[int, Ge(0)] = 8
    """Number of towns to validate on."""
    first_town: Annotated[int, Ge(0)] = 0
    """Index of the first town of each split; to collect towns that another folder does not hold."""
    generators: tuple[Generator, ...] = DEFAULT_GENERATORS
    """Generators of the towns; the towns of a split are spread evenly over them."""
    routes_per_town: Annotated[int, Ge(1)] = 2
    """Number of routes in each town."""
    real_towns: tuple[str, ...] = ()
    """Towns from OpenStreetMap extracts, each `osm:FILE`, that are driven beside the generated ones."""
    real_towns_split: Literal["train", "validation"] = "train"
    """Use of the drives in real towns. A folder has one for all; validation has other extracts than training."""
    routes_per_real_town: Annotated[int, Ge(1)] = 8
    """Number of routes in each real town; with `routes_per_town` it sets their share."""
    seed: Annotated[int, Ge(0)] = 0
    """Seed of the starts, the steering noise and the drift of the GPS."""
    noise: SteeringNoise = field(default_factory=SteeringNoise)
    """Noise added to the steering, so that the data holds recoveries."""
    start: StartSpread = field(default_factory=StartSpread)
    """Spread of the starts about the middle of the lane."""
    appearance: str = ""
    """Conditions of all drives, see `navsim.world.scenery.appearance`; empty draws those of training for each town."""
    workers: Annotated[int | None, Ge(1)] = None
    """Number of processes; None takes one per core."""
    images: bool = True
    """Whether to record images and maps; without them a drive takes a few kB, and `scripts/rerender.py` draws them."""
    channels: tuple[Channel, ...] = ()
    """Ground truth recorded with the images: `classes`, the class of each pixel; `objects`, boxes around visible cars,
    people and signs."""
    num_envs: Annotated[int, Ge(1)] = 2
    """Number of drives that a process drives side by side and renders in one pass."""
    shard: str = "0/1"
    """Part of the drives to record, as i/n with i from 0 to n - 1, to share the work between machines."""
    resume: bool = False
    """Whether to continue an interrupted collection in the folder."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.train_towns + self.validation_towns + len(self.real_towns) == 0:
            raise ConfigError("train_towns and validation_towns are 0 and there are no real_towns: nothing to collect")
        check_real_towns(self.real_towns)
        check_channels(self.channels, self.images)
        check_generators(self.generators)
        parse_spec(self.appearance)
        parse_shard(self.shard)


def check_channels(channels: Sequence[Channel], images: bool) -> None:
    """Raise ConfigError if a channel is named twice, or if channels are asked for without `images`."""
    if len(set(channels)) < len(channels):
        raise ConfigError(f"channels must name each channel once, got {list(channels)}")
    if channels and not images:
        raise ConfigError(f"channels = {list(channels)}: drives without images have none; leave out images = false")


def parse_shard(text: str) -> tuple[int, int]:
    """Read the index and the number of parts from a text such as "0/2".

    Raises:
        ConfigError: If it is not i/n with 0 <= i < n.
    """
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if match is None or int(match[1]) >= int(match[2]):
        raise ConfigError(f"shard must be i/n with i from 0 to n - 1, such as 0/2 and 1/2, got {text!r}")
    return int(match[1]), int(match[2])


def planned_towns(config: CollectConfig) -> list[tuple[Scenario, ...]]:
    """Return the drives of the collection's shard, town by town."""
    counts = {Split.TRAIN: config.train_towns, Split.VALIDATION: config.validation_towns}
    first = config.first_town
    spread = {split: spread_towns(split, range(first, first + n), config.generators) for split, n in counts.items()}
    towns = [(str(town), config.routes_per_town) for of_split in spread.values() for town in of_split]
    towns += [(town_by_content(town), config.routes_per_real_town) for town in config.real_towns]
    part, parts = parse_shard(config.shard)
    return [tuple(_scenario(config, town, route) for route in range(routes)) for town, routes in towns[part::parts]]


def data_settings(config: CollectConfig) -> dict[str, Any]:
    """Return the settings that decide the recorded data, as plain values, without those of place and speed."""
    settings, plain = to_mapping(config), to_mapping(CollectConfig())
    settings["real_towns"] = [town_by_content(town) for town in config.real_towns]
    omitted = {key for key in _LATER if settings[key] == plain[key]}
    if not config.real_towns:
        omitted.update(_OF_REAL_TOWNS)
    return {key: value for key, value in settings.items() if key not in _NOT_DATA and key not in omitted}


def described_collection(values: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of a collection from the plain values of a file: of its own, or a folder's `dataset.json`."""
    description = values.get("collection")
    return {"simulation": values.get("simulation", {}), **description} if isinstance(description, dict) else values


def extension_advice(description: Path, settings: Mapping[str, Any], split: Split) -> str:
    """Return how to get drives of a split that a data folder lacks.

    Args:
        description: File with the folder's description.
        settings: Settings of the collection in it.
        split: The split.
    """
    train, validation = (settings.get(f"{each}_towns", 0) for each in (Split.TRAIN, Split.VALIDATION))
    counts = {Split.TRAIN: train or 4 * validation, Split.VALIDATION: validation or train // 4}
    if split not in counts:
        return f"collections have drives of {' and '.join(counts)} only"
    if "rendered_from" in settings:
        return f"collect some in {settings['rendered_from']['folder']} and repeat its rendering with --resume"
    file, folder = (shlex.quote(str(path)) for path in (description, description.parent))
    options = f"--{split}-towns {max(counts[split], 1)} --resume"
    return f"collect some: navsim collect --config {file} --out {folder} {options}"


def _scenario(config: CollectConfig, town: str, route: int) -> Scenario:
    """Return one drive with its start."""
    draws = np.clip(generator(config.seed, "collection", town, route, "start").normal(size=2), -2.0, 2.0)
    start = StartOffset(
        lateral=float(draws[0] * config.start.lateral_sigma),
        heading_deg=float(draws[1] * config.start.heading_sigma_deg),
    )
    return Scenario(town=town, route=route, seed=config.seed, start=start, appearance=config.appearance)
