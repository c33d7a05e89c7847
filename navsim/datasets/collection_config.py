"""Which drives a collection consists of, decided by its settings alone, and which of them are still to be made."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from navsim.config import to_mapping
from navsim.errors import ConfigError
from navsim.roads.generators.towns import DEFAULT_GENERATORS, Generator, Split, check_generators, spread_towns
from navsim.seeding import generator
from navsim.simulation.config import SimulationConfig
from navsim.simulation.expert import SteeringNoise
from navsim.simulation.scenario import Scenario, StartOffset
from navsim.world.scenery.appearance import parse_spec

Channel = Literal["classes", "objects"]
"""What can be recorded of the images besides their colours."""

_NOT_DATA = ("out", "workers", "num_envs", "shard", "resume")

_LATER = ("images", "channels", "first_town")
"""Settings that folders from before there was a choice do not name, nor any folder where they have their default."""

_LEAST = {"train_towns": 0, "validation_towns": 0, "first_town": 0, "routes_per_town": 1, "seed": 0, "num_envs": 1}


@dataclass(frozen=True)
class StartSpread:
    """How far from the middle of the lane drives start; normal draws, cut at two sigma."""

    lateral_sigma: float = 0.4
    """Standard deviation of the offset [m]."""
    heading_sigma_deg: float = 4.0
    """Standard deviation of the heading error [deg]."""

    def __post_init__(self) -> None:
        for name in ("lateral_sigma", "heading_sigma_deg"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"start.{name} must be at least 0, got {getattr(self, name)}")


@dataclass(frozen=True)
class CollectConfig:
    """What to record, where to, and how."""

    out: Path = Path("runs/data")
    """The data folder."""
    simulation: SimulationConfig = field(default_factory=SimulationConfig)
    """The car, its senses and the rules."""
    train_towns: int = 32
    """Number of towns to learn from."""
    validation_towns: int = 8
    """Number of towns to validate on."""
    first_town: int = 0
    """Which town of a split comes first; to collect towns that another folder does not hold."""
    generators: tuple[Generator, ...] = DEFAULT_GENERATORS
    """Who draws the towns, in turn; the towns of a split are spread evenly over them."""
    routes_per_town: int = 2
    """Number of routes in each town."""
    seed: int = 0
    """Seed of the starts, the steering noise and the drift of the GPS."""
    noise: SteeringNoise = field(default_factory=SteeringNoise)
    """Pulls at the steering, so that recoveries are in the data."""
    start: StartSpread = field(default_factory=StartSpread)
    """Where drives start."""
    appearance: str = ""
    """Conditions of all drives, see `navsim.world.scenery.appearance`; empty draws those of training for each town."""
    workers: int | None = None
    """Number of processes; None takes one per core."""
    images: bool = True
    """Whether to record images and maps; without them a drive takes a few kB, and `scripts/rerender.py` draws them."""
    channels: tuple[Channel, ...] = ()
    """What is recorded of the images besides their colours: `classes`, what each pixel shows; `objects`, boxes around
    the cars, people and signs that are seen."""
    num_envs: int = 2
    """Drives of a town that a process drives side by side and draws in one pass."""
    shard: str = "0/1"
    """Which part of the drives to record, as i/n with i from 0 to n - 1, to share the work between machines."""
    resume: bool = False
    """Whether to go on with what an interrupted collection has left in the folder."""

    def __post_init__(self) -> None:
        for name, least in _LEAST.items():
            if getattr(self, name) < least:
                raise ConfigError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if self.train_towns + self.validation_towns == 0:
            raise ConfigError("train_towns and validation_towns are both 0: nothing to collect")
        if self.workers is not None and self.workers < 1:
            raise ConfigError(f"workers must be at least 1, got {self.workers}")
        check_channels(self.channels, self.images)
        check_generators(self.generators)
        parse_spec(self.appearance)
        parse_shard(self.shard)


def check_channels(channels: Sequence[Channel], images: bool) -> None:
    """Raise ConfigError if a channel is named twice, or if there are no `images` that it could belong to."""
    if len(set(channels)) < len(channels):
        raise ConfigError(f"channels must name each channel once, got {list(channels)}")
    if channels and not images:
        raise ConfigError(f"channels = {list(channels)}: drives without images have none; leave out images = false")


def parse_shard(text: str) -> tuple[int, int]:
    """Read which of how many parts is meant.

    Raises:
        ConfigError: If it is not i/n with 0 <= i < n.
    """
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if match is None or int(match[1]) >= int(match[2]):
        raise ConfigError(f"shard must be i/n with i from 0 to n - 1, such as 0/2 and 1/2, got {text!r}")
    return int(match[1]), int(match[2])


def planned_towns(config: CollectConfig) -> list[tuple[Scenario, ...]]:
    """The drives of the collection's shard, town by town."""
    counts = {Split.TRAIN: config.train_towns, Split.VALIDATION: config.validation_towns}
    first = config.first_town
    spread = {split: spread_towns(split, range(first, first + n), config.generators) for split, n in counts.items()}
    towns = [str(town) for of_split in spread.values() for town in of_split]
    part, parts = parse_shard(config.shard)
    return [
        tuple(_scenario(config, town, route) for route in range(config.routes_per_town)) for town in towns[part::parts]
    ]


def data_settings(config: CollectConfig) -> dict[str, Any]:
    """The settings that decide what is recorded, as plain values; the others decide only where and how fast."""
    settings, plain = to_mapping(config), to_mapping(CollectConfig())
    unsaid = {key for key in _LATER if settings[key] == plain[key]}
    return {key: value for key, value in settings.items() if key not in _NOT_DATA and key not in unsaid}


def _scenario(config: CollectConfig, town: str, route: int) -> Scenario:
    """One drive with its start."""
    draws = np.clip(generator(config.seed, "collection", town, route, "start").normal(size=2), -2.0, 2.0)
    start = StartOffset(
        lateral=float(draws[0] * config.start.lateral_sigma),
        heading_deg=float(draws[1] * config.start.heading_sigma_deg),
    )
    return Scenario(town=town, route=route, seed=config.seed, start=start, appearance=config.appearance)
