"""Settings of a localisation run."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from agents.drivers.registry import PolicyWatchConfig
from agents.localization.cases import CASES, Exponents, LocalizationCase, Method
from agents.localization.likelihoods import RoadLikelihoodConfig
from agents.localization.particles import FilterConfig
from agents.localization.steering import OUTLIER_PROBABILITY, LatticeConfig
from agents.localization.tracking import TrackingConfig
from navsim.errors import ConfigError
from navsim.roads.generators.towns import TOWN_GENERATORS, Generator, Split, check_generators, spread_towns
from navsim.simulation.town_map import check_town_name

FILTERS: tuple[Method, ...] = ("odometry", "roads", "network", "network_roads", "soft_roads")
"""The methods that filter, in the order of tables."""


@dataclass(frozen=True)
class LocalizeConfig:
    """Which policy is read backwards, on which drives."""

    checkpoint: Path = Path("policies/unrouted/model.safetensors")
    """A policy that sees the unrouted map and no route."""
    out: Path = Path("runs/localize")
    """Folder of the drives, the results, the table and the pictures."""
    drives_folder: Path | None = None
    """Folder of the recorded drives, to share them between runs; None: `drives` in `out`."""
    action: Literal["run", "tune", "calibrate", "benchmark", "film"] = "run"
    """`run` localises drives; on drives through validation towns, `tune` tries exponents, and `calibrate` finds out how
    large credible regions must be; `benchmark` times updates; `film` writes to `watch.out` what `gui` shows."""
    gui: bool = False
    """Show the belief live in a window, while one drives or a recorded drive replays, as `watch` says."""
    watch: PolicyWatchConfig = field(default_factory=PolicyWatchConfig)
    """With `gui` or `film`: who drives where, or what replays; its car has the checkpoint's cameras and map."""
    watched_case: str = "none"
    """With `gui` or `film`: what is known of the position from outside, one of `cases` by name."""
    watched_method: Method = "network_roads"
    """With `gui` or `film`: how the pose is found."""
    title: str = "Localisation, held-out towns"
    """What the table is called."""
    drives: int = 8
    """Number of drives; the towns take turns."""
    length: float = 1000.0
    """Length of a drive [m]."""
    towns: int = 8
    """Number of held-out towns, spread over the generators; to tune and to calibrate, of validation towns."""
    generators: tuple[Generator, ...] = TOWN_GENERATORS
    """Who draws the towns."""
    town: str = ""
    """One town in place of those, such as `test-3` or `osm:maps/west-oakland.osm`."""
    cases: tuple[LocalizationCase, ...] = CASES
    """What is known of the position from outside."""
    methods: tuple[Method, ...] = ("uniform", "gps", *FILTERS)
    """How the pose is found, see `agents.localization.cases.Method`."""
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    """When the belief is brought up to date, and the errors of the senses."""
    filter: FilterConfig = field(default_factory=FilterConfig)
    """The particle filter."""
    roads: RoadLikelihoodConfig = field(default_factory=RoadLikelihoodConfig)
    """Map matching."""
    lattice: LatticeConfig = field(default_factory=LatticeConfig)
    """Where maps are drawn."""
    outlier_probability: float = OUTLIER_PROBABILITY
    """Probability of steering that the policy does not foresee, in (0, 1)."""
    exponents: Exponents = field(default_factory=Exponents)
    """Powers of the likelihoods."""
    tuned: Literal["steering", "soft", "roads"] = "steering"
    """The exponent that `tune` varies; the others stay as they are."""
    levels: Path | None = None
    """What `calibrate` wrote: `run` tells as well how often the true position lies in regions of that size."""
    tried: tuple[float, ...] = (0.05, 0.1, 0.2, 0.4)
    """Its values that `tune` tries."""
    film: bool = True
    """Whether the drive that took longest to be found is filmed."""
    seed: int = 0
    """Seed of the filters' draws."""
    workers: int | None = None
    """Number of processes; None takes one per core."""

    def __post_init__(self) -> None:
        for name, least in (("drives", 1), ("towns", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if self.workers is not None and self.workers < 1:
            raise ConfigError(f"workers must be at least 1, got {self.workers}")
        if not 100 <= self.length <= 20_000:
            raise ConfigError(f"length must be 100 to 20000 m, got {self.length}")
        if not 0 < self.outlier_probability < 1:
            raise ConfigError(f"unforeseen must lie within (0, 1), got {self.outlier_probability}")
        if not self.cases or not self.methods or len({case.name for case in self.cases}) < len(self.cases):
            raise ConfigError("cases and methods must name at least one each, and no two cases alike")
        if not self.tried or not all(0 < value <= 1 for value in self.tried):
            raise ConfigError(f"tried must be one or more exponents within (0, 1], got {list(self.tried)}")
        check_generators(self.generators)
        if self.town:
            check_town_name(self.town)
        names = [case.name for case in self.cases]
        if (self.gui or self.action == "film") and self.watched_case not in names:
            raise ConfigError(f"watched_case must be one of {', '.join(names)}, got {self.watched_case!r}")

    @property
    def town_names(self) -> tuple[str, ...]:
        """The towns that are driven: validation towns to tune and calibrate, held-out ones otherwise."""
        if self.town:
            return (self.town,)
        split = Split.VALIDATION if self.action in ("tune", "calibrate") else Split.TEST
        return tuple(map(str, spread_towns(split, range(self.towns), self.generators)))

    def applies(self, case: LocalizationCase, method: Method) -> bool:
        """Whether a method says anything of its own in a case: without fixes, `gps` is `uniform`."""
        return not (method == "gps" and case.gps_sigma is None) and not (
            method == "uniform" and case.gps_sigma is not None
        )
