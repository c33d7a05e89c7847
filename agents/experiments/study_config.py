"""Settings of a study: variants of one recipe that are trained and driven with the project's own commands."""

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
    """One way to learn, by its differences from the study's recipe."""

    label: str
    """Name in the tables."""
    data: str = "data"
    """Name of the data set from which it learns."""
    train: Values = field(default_factory=dict)
    """What differs in training, as in a file for `scripts/train.py`."""


@dataclass(frozen=True)
class StudyTable:
    """A table of some of the variants."""

    title: str
    """Title of the table."""
    variants: tuple[str, ...]
    """Keys of the variants, in order; a variant may be in several tables."""


@dataclass(frozen=True)
class StudyContrast:
    """A comparison of two ways to learn: policies in pairs, such as those of one seed, over the same routes."""

    title: str
    """Title of the table."""
    labels: tuple[str, str]
    """Names of the two ways."""
    first: tuple[str, ...]
    """Keys of the variants of the first way."""
    second: tuple[str, ...]
    """Keys of their partners of the second way."""

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
    """Title of the page."""
    out: Path = Path("runs/study")
    """Folder of data, runs and evaluations; finished steps are not repeated."""
    page: Path = Path("runs/study/study.md")
    """File of the tables."""
    data: dict[str, Values] = field(default_factory=lambda: {"data": {}})
    """Data sets by name: what differs from the defaults of `scripts/collect.py`."""
    train: Values = field(default_factory=dict)
    """Settings of the training of all variants."""
    evaluate: Values = field(default_factory=dict)
    """Settings of the evaluation of all variants."""
    variants: dict[str, Variant] = field(default_factory=dict)
    """Variants by key."""
    tables: tuple[StudyTable, ...] = ()
    """Tables of the page."""
    contrasts: tuple[StudyContrast, ...] = ()
    """Comparisons of two ways, by part of the suite."""
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
            _ = self.training(key), self.evaluation(key)  # every setting is checked before any training

    def _check_keys(self, place: str, keys: tuple[str, ...]) -> None:
        """Raise ConfigError if `place` names an unknown variant."""
        for key in keys:
            if key not in self.variants:
                raise ConfigError(f"{place} names {key!r}; variants are {', '.join(self.variants)}")

    def collection(self, name: str) -> CollectConfig:
        """Return the settings of the collection of the data set `name`."""
        return _built(CollectConfig, {"out": str(self.out / name)}, self.data[name], f"data.{name}")

    def training(self, key: str) -> TrainConfig:
        """Return the settings of the training of the variant `key`."""
        variant = self.variants[key]
        given = {"data": str(self.out / variant.data), "run_dir": str(self.out / key / "policy")}
        return _built(TrainConfig, given, merged(self.train, variant.train), f"variants.{key}.train")

    def evaluation(self, key: str) -> PolicyEvaluationConfig:
        """Return the settings of the evaluation of the variant `key`, in the simulation of its data."""
        best = str(self.out / key / "policy" / "best.safetensors")
        given = {"driver": ["policy"], "policy": best, "out": str(self.out / key / "drives"), "workers": 1}
        given["simulation"] = to_mapping(self.collection(self.variants[key].data).simulation)
        return _built(PolicyEvaluationConfig, given, self.evaluate, "evaluate")


def check_networks(config: StudyConfig) -> None:
    """Build every variant's network once, so that one that its cameras do not suit is found before any training.

    Raises:
        ConfigError: If a network cannot be built; names the variant.
    """
    for key in config.variants:
        try:
            _ = untrained_policy(config, key)
        except ConfigError as error:
            raise ConfigError(f"variants.{key}: {error}") from None


def untrained_policy(config: StudyConfig, key: str) -> Policy:
    """Return the untrained network of the variant `key`.

    Raises:
        ConfigError: If the variant's cameras do not suit it.
    """
    simulation, training = config.collection(config.variants[key].data).simulation, config.training(key)
    return build_policy(training.policy, observation_spec(simulation.cameras, simulation.map), training.seed)


def _built(kind: type[T], given: Values, values: Values, source: str) -> T:
    """Return the settings of a command.

    Raises:
        ConfigError: If `values` hold a key that the study decides, or one that the command does not know.
    """
    taken = sorted(given.keys() & values.keys() - {"simulation"})
    if taken:
        raise ConfigError(f"{source}.{taken[0]}: the study decides it")
    return from_mapping(kind, merged(given, values), source)
