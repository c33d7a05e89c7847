"""Settings of a localisation run, with the methods that it compares."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt, Le, Lt

from agents.drivers.registry import PolicyWatchConfig
from agents.localization.steering import OUTLIER_PROBABILITY, LatticeConfig
from navsim.config import Constrained
from navsim.errors import ConfigError
from navsim.geometry import Pose
from navsim.localization.likelihoods import (
    Evidence,
    ExponentConfig,
    Fix,
    LanePoints,
    Likelihood,
    ObservedFrame,
    PoweredLikelihood,
    RoadLikelihoodConfig,
    WithoutSteering,
)
from navsim.localization.particles import FilterConfig, Localiser, ParticleFilter
from navsim.localization.posterior import PosePosterior
from navsim.roads.generators.towns import TOWN_GENERATORS, Generator, Split, check_generators, spread_towns
from navsim.seeding import generator
from navsim.sensing.observation import GpsSensor, GpsSpec, OdometrySpec, OdometryStep
from navsim.simulation.scenario import Scenario
from navsim.simulation.town import check_town_name


@dataclass(frozen=True)
class LocalizationCase:
    """Position information from outside: quality and duration of the fixes."""

    name: str = "none"
    """Name in tables and files."""
    gps_sigma: float | None = None
    """Standard deviation of fixes east and north, each [m]; None: no fixes and no prior."""
    lost_after: float | None = None
    """Time after which the fixes end [s]; None: never."""

    def __post_init__(self) -> None:
        if self.gps_sigma is not None and not self.gps_sigma > 0:
            raise ConfigError(f"case {self.name}: gps_sigma must be above 0, or left out, got {self.gps_sigma}")
        if self.lost_after is not None and (self.gps_sigma is None or not self.lost_after >= 0):
            raise ConfigError(f"case {self.name}: lost_after needs a gps_sigma and must be at least 0")


CASES = (
    LocalizationCase("gps5", 5.0),
    LocalizationCase("gps10", 10.0),
    LocalizationCase("gps20", 20.0),
    LocalizationCase("gps40", 40.0),
    LocalizationCase("lost", 10.0, lost_after=20.0),
    LocalizationCase("none"),
)
"""Cases of the standard table."""


@dataclass(frozen=True)
class TrackingConfig(Constrained):
    """Frequency of updates, and the errors of the sensors."""

    every: Annotated[float, Gt(0)] = 5.0
    """Distance between updates [m]; a standing car gains no information."""
    odometry: OdometrySpec = field(default_factory=OdometrySpec)
    """Errors of the odometry."""
    gps_time: Annotated[float, Gt(0)] = 8.0
    """Correlation time of the fixes' errors [s]."""
    compass_sigma_deg: Annotated[float, Gt(0)] = 3.0
    """Standard deviation of the fixes' headings [deg]."""


class FixSensor:
    """Position fixes of one drive, the same for all localisers."""

    def __init__(self, scenario: Scenario, case: LocalizationCase, config: TrackingConfig) -> None:
        """Draw the errors at the start from the drive's seed."""
        self._case, self._compass = case, float(np.radians(config.compass_sigma_deg))
        self._sensor: GpsSensor | None = None
        self._last: float | None = None
        if case.gps_sigma is not None:
            errors = GpsSpec(case.gps_sigma, config.gps_time, config.compass_sigma_deg, config.gps_time)
            rng = generator(scenario.seed, scenario.name, "localisation gps", case.name)
            self._sensor = GpsSensor(errors, rng)

    def read(self, pose: Pose, time: float) -> Fix | None:
        """Return the fix of a car that is truly at `pose`, at `time` [s]; None without a fix in this case."""
        case, elapsed = self._case, time - (time if self._last is None else self._last)
        self._last = time
        if self._sensor is None or case.gps_sigma is None or (case.lost_after is not None and time > case.lost_after):
            return None
        measured = self._sensor.measure(pose, elapsed)
        return Fix(np.array([measured.x, measured.y, measured.heading]), case.gps_sigma, self._compass)


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


_NUM_SAMPLES = 2000  # poses that represent a belief without a filter


class GpsBaseline:
    """Returns the last fix, and anywhere on the roads before the first one; uses no odometry."""

    def __init__(self, lanes: LanePoints, rng: np.random.Generator, use_fixes: bool) -> None:
        """Start without a fix; with `use_fixes` off it ignores all fixes."""
        self._lanes, self._rng, self._use_fixes = lanes, rng, use_fixes
        self._fix: Fix | None = None

    @property
    def posterior(self) -> PosePosterior:
        """Current distribution over poses."""
        sample = self._lanes.sample_poses if self._fix is None else self._fix.sample
        return PosePosterior(sample(_NUM_SAMPLES, self._rng), np.full(_NUM_SAMPLES, 1 / _NUM_SAMPLES))

    def reset(self, fix: Fix | None) -> None:
        """Start from a fix, or anywhere on the roads."""
        self._fix = fix if self._use_fixes else None

    def predict(self, motion: OdometryStep) -> None:
        """Ignore the odometry."""

    def update(self, frame: ObservedFrame, fix: Fix | None) -> None:  # noqa: ARG002 - needs no images
        """Keep the fix."""
        self._fix = fix if self._use_fixes and fix is not None else self._fix


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
