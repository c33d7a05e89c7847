"""Settings of a localisation run, with the methods that it compares."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt, Le, Lt

from agents.drivers.registry import PolicyWatchConfig
from agents.localization.likelihoods import (
    Evidence,
    ExponentConfig,
    Likelihood,
    PoweredLikelihood,
    RoadLikelihoodConfig,
    WithoutSteering,
)
from agents.localization.particles import FilterConfig, GpsBaseline, Localiser, ParticleFilter
from agents.localization.sensors import CASES, LocalizationCase, TrackingConfig
from agents.localization.steering import OUTLIER_PROBABILITY, LatticeConfig
from navsim.config import Constrained
from navsim.errors import ConfigError
from navsim.roads.generators.towns import TOWN_GENERATORS, Generator, Split, check_generators, spread_towns
from navsim.simulation.town import check_town_name

Method = Literal["uniform", "gps", "odometry", "roads", "network", "network_roads", "soft", "soft_roads"]
"""Method of localisation. `uniform`: anywhere on the roads; `gps`: the last fix; `odometry`: fixes and odometry;
`roads`: these with map matching; `network`: these with the network's likelihood of the steering; `soft`: the network
without the steering; `network_roads` and `soft_roads`: with map matching, too."""
FILTERS: tuple[Method, ...] = ("odometry", "roads", "network", "network_roads", "soft_roads")
"""Methods with a particle filter, in the order of tables."""


@dataclass(frozen=True)
class LocalizeConfig(Constrained):
    """Policy and drives of a localisation run."""

    checkpoint: Path = Path("policies/unrouted/model.safetensors")
    """Checkpoint of a policy that sees the unrouted map and no route."""
    out: Path = Path("runs/localize")
    """Folder of the drives, the results, the table and the pictures."""
    drives_folder: Path | None = None
    """Folder of the recorded drives, to share them between runs; None: `drives` in `out`."""
    action: Literal["run", "tune", "calibrate", "benchmark", "film"] = "run"
    """`run` localises drives; on drives through validation towns, `tune` tries exponents and `calibrate` measures how
    large credible regions must be; `benchmark` times updates; `film` writes to `watch.out` what `gui` shows."""
    gui: bool = False
    """Show the belief live in a window, during a drive or a replay, as set in `watch`."""
    watch: PolicyWatchConfig = field(default_factory=PolicyWatchConfig)
    """Driver and town, or replay, for `gui` and `film`; the car has the checkpoint's cameras and map."""
    watched_case: str = "none"
    """Name of the case, one of `cases`, for `gui` and `film`."""
    watched_method: Method = "network_roads"
    """Method of localisation for `gui` and `film`."""
    title: str = "Localisation, held-out towns"
    """Title of the table."""
    drives: Annotated[int, Ge(1)] = 8
    """Number of drives, distributed over the towns."""
    length: Annotated[float, Ge(100), Le(20_000)] = 1000.0
    """Length of a drive [m]."""
    towns: Annotated[int, Ge(1)] = 8
    """Number of held-out towns, spread over the generators; of validation towns for `tune` and `calibrate`."""
    generators: tuple[Generator, ...] = TOWN_GENERATORS
    """Generators of the towns."""
    town: str = ""
    """One town in place of generated ones, such as `test-3` or `osm:maps/west-oakland.osm`."""
    cases: tuple[LocalizationCase, ...] = CASES
    """Position information from outside, one case after the other."""
    methods: tuple[Method, ...] = ("uniform", "gps", *FILTERS)
    """Methods of localisation, see `agents.localization.config.Method`."""
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    """Frequency of updates, and the errors of the sensors."""
    filter: FilterConfig = field(default_factory=FilterConfig)
    """Settings of the particle filter."""
    roads: RoadLikelihoodConfig = field(default_factory=RoadLikelihoodConfig)
    """Settings of map matching."""
    lattice: LatticeConfig = field(default_factory=LatticeConfig)
    """Poses at which maps are drawn."""
    outlier_probability: Annotated[float, Gt(0), Lt(1)] = OUTLIER_PROBABILITY
    """Probability of steering that the policy does not predict."""
    exponents: ExponentConfig = field(default_factory=ExponentConfig)
    """Powers of the likelihoods."""
    tuned: Literal["steering", "soft", "roads"] = "steering"
    """Exponent that `tune` varies; the others stay constant."""
    levels: Path | None = None
    """File that `calibrate` wrote: `run` also reports how often the true position lies in regions of these sizes."""
    tried: tuple[float, ...] = (0.05, 0.1, 0.2, 0.4)
    """Values of the exponent that `tune` tries."""
    film: bool = True
    """Whether to film the drive that took longest to localise."""
    seed: Annotated[int, Ge(0)] = 0
    """Seed of the filters' draws."""
    workers: Annotated[int, Ge(1)] | None = None
    """Number of processes; None takes one per core."""

    def __post_init__(self) -> None:
        super().__post_init__()
        names = [case.name for case in self.cases]
        if not names or not self.methods or len(set(names)) < len(names):
            raise ConfigError("cases and methods must not be empty, and the names of cases must differ")
        if not self.tried or not all(0 < value <= 1 for value in self.tried):
            raise ConfigError(f"tried must be one or more exponents within (0, 1], got {list(self.tried)}")
        check_generators(self.generators)
        if self.town:
            check_town_name(self.town)
        if (self.gui or self.action == "film") and self.watched_case not in names:
            raise ConfigError(f"watched_case must be one of {', '.join(names)}, got {self.watched_case!r}")

    @property
    def town_names(self) -> tuple[str, ...]:
        """Towns of the drives: validation towns for `tune` and `calibrate`, held-out ones otherwise."""
        if self.town:
            return (self.town,)
        split = Split.VALIDATION if self.action in ("tune", "calibrate") else Split.TEST
        return tuple(map(str, spread_towns(split, range(self.towns), self.generators)))

    def applies(self, case: LocalizationCase, method: Method) -> bool:
        """Whether a method is meaningful in a case: without fixes `gps` equals `uniform`."""
        return not (method == "gps" and case.gps_sigma is None) and not (
            method == "uniform" and case.gps_sigma is not None
        )


def make_localiser(
    method: Method, config: FilterConfig, exponents: ExponentConfig, evidence: Evidence, rng: np.random.Generator
) -> Localiser:
    """Build the localiser of a method; all filters share their code and differ in their likelihoods."""
    if method in ("uniform", "gps"):
        return GpsBaseline(evidence.lanes, rng, use_fixes=method == "gps")
    sources: list[Likelihood] = []
    if method.startswith("network"):
        sources.append(PoweredLikelihood(evidence.steering, exponents.steering))
    if method.startswith("soft"):
        sources.append(PoweredLikelihood(WithoutSteering(evidence.steering), exponents.soft))
    if method.endswith("roads"):
        sources.append(PoweredLikelihood(evidence.roads, exponents.roads))
    return ParticleFilter(config, evidence.lanes, sources, rng)
