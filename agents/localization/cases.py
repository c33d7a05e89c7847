"""What a localiser is told, and by what it judges: the cases and the methods that stand in one table."""

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from agents.localization.likelihoods import Fix, LanePoints, Likelihood, ObservedFrame, PoweredLikelihood
from agents.localization.motion import OdometryStep
from agents.localization.particles import FilterConfig, ParticleFilter
from agents.localization.posterior import PosePosterior
from navsim.errors import ConfigError
from navsim.geometry import Array

Method = Literal["uniform", "gps", "odometry", "roads", "network", "network_roads", "soft", "soft_roads"]
"""How the pose is found. `uniform`: anywhere on the roads; `gps`: the last fix; `odometry`: fixes and odometry;
`roads`: these and map matching; `network`: these and the network's likelihood of the steering; `soft`: the network
without the steering; with `_roads` both."""

_CLOUD = 2000  # candidates of methods that do not filter


@dataclass(frozen=True)
class LocalizationCase:
    """What is known of the position from outside."""

    name: str = "none"
    """Name in tables and files."""
    gps_sigma: float | None = None
    """Standard deviation of fixes east and north, each [m]; None: there are none, and no prior."""
    lost_after: float | None = None
    """When the fixes end [s]; None: never."""

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
"""The cases of the standard table."""


class Localiser(Protocol):
    """Believes something about the pose, step by step."""

    @property
    def posterior(self) -> PosePosterior:
        """The belief."""
        ...

    def begin(self, fix: Fix | None) -> None:
        """Start from a fix, or anywhere on the roads."""
        ...

    def move(self, motion: OdometryStep) -> None:
        """Take the odometry into account."""
        ...

    def observe(self, frame: ObservedFrame, fix: Fix | None) -> None:
        """Take all else into account."""
        ...


class GpsBaseline:
    """Believes the last fix, and that the car is anywhere on the roads before there is one; no odometry."""

    def __init__(self, lanes: LanePoints, rng: np.random.Generator, listens: bool) -> None:
        """Make one; if it does not listen, it never believes a fix."""
        self._lanes, self._rng, self._listens = lanes, rng, listens
        self._fix: Fix | None = None

    @property
    def posterior(self) -> PosePosterior:
        """The belief."""
        spread = self._lanes.spread if self._fix is None else self._fix.draw
        return PosePosterior(spread(_CLOUD, self._rng), np.full(_CLOUD, 1 / _CLOUD))

    def begin(self, fix: Fix | None) -> None:
        """Start from a fix, or anywhere on the roads."""
        self._fix = fix if self._listens else None

    def move(self, motion: OdometryStep) -> None:
        """Nothing: it does not know how the car moves."""

    def observe(self, frame: ObservedFrame, fix: Fix | None) -> None:  # noqa: ARG002 - it does not look
        """Keep the fix."""
        self._fix = fix if self._listens and fix is not None else self._fix


@dataclass(frozen=True)
class Exponents:
    """Powers of the likelihoods, chosen on drives through validation towns by `scripts/localize.py --action tune`."""

    steering: float = 0.3
    """Of the steering that was driven."""
    soft: float = 0.1
    """Of the network's answer without the steering."""
    roads: float = 0.3
    """Of map matching."""

    def __post_init__(self) -> None:
        for name in ("steering", "soft", "roads"):
            if not 0 < getattr(self, name) <= 1:
                raise ConfigError(f"exponents.{name} must lie within (0, 1], got {getattr(self, name)}")


@dataclass(frozen=True, eq=False)
class Evidence:
    """What can be known in a town."""

    lanes: LanePoints
    """Where cars can be."""
    steering: Likelihood
    """The network's."""
    roads: Likelihood
    """Map matching."""


def make_localiser(
    method: Method, spec: FilterConfig, exponents: Exponents, evidence: Evidence, rng: np.random.Generator
) -> Localiser:
    """Build the localiser of a method; all filters are the same code with other likelihoods."""
    if method in ("uniform", "gps"):
        return GpsBaseline(evidence.lanes, rng, listens=method == "gps")
    sources: list[Likelihood] = []
    if method.startswith("network"):
        sources.append(PoweredLikelihood(evidence.steering, exponents.steering))
    if method.startswith("soft"):
        sources.append(PoweredLikelihood(Unsteered(evidence.steering), exponents.soft))
    if method.endswith("roads"):
        sources.append(PoweredLikelihood(evidence.roads, exponents.roads))
    return ParticleFilter(spec, evidence.lanes, sources, rng)


class Unsteered:
    """A likelihood that is not told the steering."""

    def __init__(self, likelihood: Likelihood) -> None:
        """Keep the steering from `likelihood`."""
        self._likelihood = likelihood

    def __call__(self, frame: ObservedFrame, poses: Array) -> Array:
        """Logarithm of the likelihood (N,) of candidate poses (N, 3)."""
        return self._likelihood(ObservedFrame(frame.images, frame.speed, None), poses)
