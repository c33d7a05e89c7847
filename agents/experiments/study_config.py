"""What a study compares: variants of one recipe, collected for, trained and driven with the project's own scripts."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from agents.drivers.registry import PolicyEvaluationConfig
from agents.policies.networks.observation_batch import observation_spec
from agents.policies.policy import Policy, build_policy
from agents.training.config import TrainConfig
from navsim.config import from_mapping, merged, to_mapping
from navsim.datasets.collection_config import CollectConfig
from navsim.errors import ConfigError

T = TypeVar("T")
Values = dict[str, Any]


@dataclass(frozen=True)
class Variant:
    """One way to learn: how it differs from the study's recipe."""

    label: str
    """Name in the tables."""
    data: str = "data"
    """Which of the study's data it learns from."""
    train: Values = field(default_factory=dict)
    """What differs in training, as in a file for `scripts/train.py`."""


@dataclass(frozen=True)
class StudyTable:
    """Some of the variants, side by side."""

    title: str
    """Over the table."""
    variants: tuple[str, ...]
    """Their keys, in order; a variant may stand in several tables."""


@dataclass(frozen=True)
class StudyContrast:
    """Two ways to learn, set against each other: policies in pairs, such as those of one seed, over the same routes."""

    title: str
    """Over the table."""
    labels: tuple[str, str]
    """Names of the two ways."""
    first: tuple[str, ...]
    """Keys of the variants of the first way ..."""
    second: tuple[str, ...]
    """... and their partners of the second."""

    def __post_init__(self) -> None:
        if not self.first or len(self.first) != len(self.second):
            raise ConfigError(
                f"contrast {self.title!r} needs as many second variants as first ones, at least one, got "
                f"{list(self.first)} and {list(self.second)}"
            )


@dataclass(frozen=True)
class StudyConfig:
    """A recipe, its variants, and the tables that compare them."""

    title: str = "A study"
    """Over the page."""
    out: Path = Path("runs/study")
    """Folder for data, runs and evaluations; what is done there is not done again."""
    page: Path = Path("runs/study/study.md")
    """Where the tables are written."""
    data: dict[str, Values] = field(default_factory=lambda: {"data": {}})
    """Data sets by name: what differs from the defaults of `scripts/collect.py`."""
    train: Values = field(default_factory=dict)
    """What all variants train with."""
    evaluate: Values = field(default_factory=dict)
    """What all variants drive."""
    variants: dict[str, Variant] = field(default_factory=dict)
    """What is compared, by key."""
    tables: tuple[StudyTable, ...] = ()
    """How it is shown."""
    contrasts: tuple[StudyContrast, ...] = ()
    """Which ways are set against each other, part by part of the suite."""
    side_by_side: int = 2
    """Variants that are trained and driven at a time, each by one process with one thread: on a CPU that makes the most
    of the cores. With a GPU, 1."""

    def __post_init__(self) -> None:
        if bool(self.variants) != bool(self.tables):
            raise ConfigError("a study needs variants and tables")
        if self.side_by_side < 1:
            raise ConfigError(f"side_by_side must be at least 1, got {self.side_by_side}")
        for table in self.tables:
            self._check_keys(f"table {table.title!r}", table.variants)
        for contrast in self.contrasts:
            self._check_keys(f"contrast {contrast.title!r}", (*contrast.first, *contrast.second))
        for key, variant in self.variants.items():
            if variant.data not in self.data:
                raise ConfigError(f"variants.{key}.data = {variant.data!r}; data sets are {', '.join(self.data)}")
        for name in self.data:
            _ = self.collection(name)
        for key in self.variants:
            _ = self.training(key), self.evaluation(key)  # every setting is checked before hours are spent

    def _check_keys(self, place: str, keys: tuple[str, ...]) -> None:
        """Raise ConfigError if `place` names a variant that there is not."""
        for key in keys:
            if key not in self.variants:
                raise ConfigError(f"{place} names {key!r}; variants are {', '.join(self.variants)}")

    def collection(self, name: str) -> CollectConfig:
        """How the data set `name` is collected."""
        return _built(CollectConfig, {"out": str(self.out / name)}, self.data[name], f"data.{name}")

    def training(self, key: str) -> TrainConfig:
        """How the variant `key` is trained."""
        variant = self.variants[key]
        given = {"data": str(self.out / variant.data), "run_dir": str(self.out / key / "policy")}
        return _built(TrainConfig, given, merged(self.train, variant.train), f"variants.{key}.train")

    def evaluation(self, key: str) -> PolicyEvaluationConfig:
        """What the variant `key` drives, in the world of its data."""
        best = str(self.out / key / "policy" / "best.safetensors")
        given = {"driver": ["policy"], "policy": best, "out": str(self.out / key / "drives"), "workers": 1}
        given["simulation"] = to_mapping(self.collection(self.variants[key].data).simulation)
        return _built(PolicyEvaluationConfig, given, self.evaluate, "evaluate")


def check_networks(config: StudyConfig) -> None:
    """Build every variant's network once, so that one that its cameras do not suit is found before hours are spent.

    Raises:
        ConfigError: If a network cannot be built; names the variant.
    """
    for key in config.variants:
        try:
            _ = untrained_policy(config, key)
        except ConfigError as error:
            raise ConfigError(f"variants.{key}: {error}") from None


def untrained_policy(config: StudyConfig, key: str) -> Policy:
    """The network of the variant `key`, as it begins.

    Raises:
        ConfigError: If the variant's cameras do not suit it.
    """
    simulation, training = config.collection(config.variants[key].data).simulation, config.training(key)
    return build_policy(training.policy, observation_spec(simulation.cameras, simulation.map), training.seed)


def _built(kind: type[T], given: Values, values: Values, source: str) -> T:
    """Build a script's settings; what the study itself decides may not be given.

    Raises:
        ConfigError: If `values` hold a key that the study decides, or one that the script does not know.
    """
    taken = sorted(given.keys() & values.keys() - {"simulation"})
    if taken:
        raise ConfigError(f"{source}.{taken[0]}: the study decides it")
    return from_mapping(kind, merged(given, values), source)
