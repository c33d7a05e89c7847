"""Driver that localises itself on the map that the car carries, and sees the maps at its own estimate.

A particle filter (`navsim.localization`) matches the odometry and the fixes to the lanes on the carried map. Where the
belief has several modes, the policy's distributions are mixed by the law of total probability:
P(theta | I) = sum_k w_k P(theta | I, M(pose_k)). While the belief is wider than the fix, the driver sees what it would
see without localisation.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Le

from navsim.config import Constrained
from navsim.drivers.action_selection import ActionDistribution, LearnedDriver
from navsim.drivers.protocol import Explain, explanation_of
from navsim.geometry import Polyline, Pose
from navsim.localization.likelihoods import (
    Fix,
    LanePoints,
    Likelihood,
    ObservedFrame,
    PoweredLikelihood,
    RoadLikelihood,
    RoadLikelihoodConfig,
)
from navsim.localization.particles import FilterConfig, ParticleFilter, PoseTracker
from navsim.localization.posterior import PoseMode, PosePosterior
from navsim.seeding import generator
from navsim.sensing.observation import GpsSpec, Observation
from navsim.sensing.roadmap import CarriedMap
from navsim.world.vehicle import VehicleSpec

MIN_FIX_SIGMA = 0.1
"""Smallest standard deviation of a fix that the filter assumes [m]."""
MIN_COMPASS_DEG = 0.1
"""Smallest standard deviation of a fix's heading that the filter assumes [deg]."""


@dataclass(frozen=True)
class LocalizedDriverConfig(Constrained):
    """Settings of a driver that localises itself, chosen on validation towns."""

    every: Annotated[float, Gt(0)] = 2.5
    """Distance between updates of the filter [m]; in between, the odometry moves its estimate."""
    filter: FilterConfig = field(default_factory=lambda: FilterConfig(min_particles=200, max_particles=1000))
    """Settings of the particle filter."""
    roads: RoadLikelihoodConfig = field(default_factory=lambda: RoadLikelihoodConfig(2.0, 6.0))
    """Settings of map matching; loose, since a driver that errs is not on the middle of its lane."""
    roads_power: Annotated[float, Gt(0), Le(1)] = 0.3
    """Power of the likelihood of map matching: consecutive errors are correlated."""
    start_sigma: Annotated[float, Gt(0)] = 1.0
    """Standard deviation from the start of the route, where drives begin, east and north each [m]."""
    start_heading_deg: Annotated[float, Gt(0)] = 5.0
    """Standard deviation from the heading of the route there [deg]."""
    max_modes: Annotated[int, Ge(1), Le(8)] = 3
    """Largest number of the belief's modes over which the policy's distributions are mixed."""
    min_weight: Annotated[float, Ge(0), Le(1)] = 0.1
    """Smallest probability of a mode beside the densest one."""

    def _error_prefix(self) -> str:
        return "localization."


class SelfLocalization:
    """The belief of one car over one drive, from what it observes alone."""

    def __init__(self, config: LocalizedDriverConfig, lanes: LanePoints, start: Observation, seed: int) -> None:
        """Begin at the start of the route.

        Args:
            config: Settings of the filter.
            lanes: Lanes on the carried map.
            start: First observation of the drive.
            seed: Seed of the filter's draws.
        """
        self._config, self._lanes = config, lanes
        roads: Likelihood = PoweredLikelihood(RoadLikelihood(config.roads, lanes), config.roads_power)
        localiser = ParticleFilter(config.filter, lanes, [roads], generator(seed, "localization"))
        gps_time = (start.gps_spec or GpsSpec()).position_time
        self._tracker, self._time = PoseTracker(localiser, config.every, gps_time), 0.0
        if start.carried_map is not None:
            pose = start.carried_map.start
            known = _fix(pose, config.start_sigma, config.start_heading_deg)
            self._tracker.advance(start.odometry, _frame(start), known, -math.inf)  # of no fix's error
        self.modes: tuple[PoseMode, ...] = ()
        """Likely poses of the car now, the densest first."""
        self._update_modes()

    @property
    def posterior(self) -> PosePosterior:
        """Belief after the last update."""
        return self._tracker.localiser.posterior

    def advance(self, seen: Observation) -> None:
        """Process the observation of one control step."""
        self._time += seen.odometry.seconds
        if self._tracker.advance(seen.odometry, _frame(seen), self._usable_fix(seen), self._time):
            self._update_modes()
        moved = self._tracker.motion
        self.modes = tuple(
            PoseMode(mode.pose.moved(moved.forward, moved.left, moved.turn), mode.weight) for mode in self._modes
        )

    def is_better_than_fix(self, seen: Observation) -> bool:
        """Whether the belief is narrower than the fix, or without a new fix."""
        return seen.gps_spec is None or self._sigma <= fix_sigma(seen.gps_spec)

    def _update_modes(self) -> None:
        posterior = self.posterior
        self._modes = posterior.modes(self._config.max_modes, self._config.min_weight)
        self._sigma = posterior.sigma

    def _usable_fix(self, seen: Observation) -> Fix | None:
        """Return the fix of an observation; None without a new one."""
        spec = seen.gps_spec
        return None if spec is None else _fix(seen.gps, fix_sigma(spec), spec.heading_sigma_deg)


def fix_sigma(spec: GpsSpec) -> float:
    """Return the standard deviation of a fix, east and north each [m]."""
    return float(np.hypot(spec.position_sigma, spec.white_sigma))


def _fix(pose: Pose, sigma: float, heading_deg: float) -> Fix:
    heading_sigma = np.radians(max(heading_deg, MIN_COMPASS_DEG))
    return Fix(np.array([pose.x, pose.y, pose.heading]), max(sigma, MIN_FIX_SIGMA), float(heading_sigma))


def _frame(seen: Observation) -> ObservedFrame:
    return ObservedFrame(seen.images, seen.speed, None)


class LocalizedDriver(LearnedDriver):
    """Drives as another learned driver does, with the maps at the car's own estimate of its pose."""

    def __init__(
        self,
        driver: LearnedDriver,
        vehicle: VehicleSpec | None = None,
        name: str = "localized",
        config: LocalizedDriverConfig | None = None,
    ) -> None:
        """Wrap a learned driver.

        Args:
            driver: Driver by a policy's distribution.
            vehicle: The car; None takes the defaults.
            name: Name in tables and files.
            config: Settings of the localisation; None takes the defaults.
        """
        super().__init__(name, driver.acting, driver.cars)
        self._driver, self._vehicle, self._config = driver, vehicle, config or LocalizedDriverConfig()
        self.explain: Explain | None = explanation_of(driver)
        """Returns the policy's saliency of an observation as it is; None if the policy has none."""
        self._seeds: dict[int, int] = {}
        self._beliefs: dict[int, SelfLocalization | None] = {}
        self._lanes: tuple[tuple[Polyline, ...], LanePoints] | None = None

    def predict(self, observations: Sequence[Observation]) -> list[ActionDistribution]:
        """Return the policy's distribution for each observation as it is."""
        return self._driver.predict(observations)

    def begin_car(self, car: int, seed: int) -> None:
        """Forget the last drive of `car`; the next one starts at the start of its route."""
        super().begin_car(car, seed)
        self._seeds[car] = seed
        self._beliefs.pop(car, None)

    def belief(self, car: int) -> SelfLocalization | None:
        """Return the belief of `car`; None before its first step, or where its map has no roads."""
        return self._beliefs.get(car)

    def distributions(
        self, observations: Mapping[int, Observation], in_passes: bool = False
    ) -> dict[int, ActionDistribution]:
        """Localise the cars and return their distributions, each mixed over the modes of the car's belief."""
        views = {car: self._views(car, seen) for car, seen in observations.items()}
        flat = [seen for own in views.values() for seen, _ in own]
        found = iter(self.predict_in_passes(flat) if in_passes else self.predict(flat))
        return {car: mix([(next(found), weight) for _, weight in own]) for car, own in views.items()}

    def _views(self, car: int, seen: Observation) -> list[tuple[Observation, float]]:
        """Return the observation with its maps at each mode of the belief, with the modes' weights."""
        belief = self._localize(car, seen)
        if belief is None or seen.carried_map is None or not belief.is_better_than_fix(seen):
            return [(seen, 1.0)]
        return [(_seen_from(seen, seen.carried_map, mode.pose), mode.weight) for mode in belief.modes]

    def _localize(self, car: int, seen: Observation) -> SelfLocalization | None:
        """Update the belief of a car; None where its map has no roads."""
        if car not in self._beliefs:
            lanes = self._lane_points(() if seen.carried_map is None else seen.carried_map.lanes)
            seed = self._seeds.get(car, 0)
            self._beliefs[car] = None if lanes is None else SelfLocalization(self._config, lanes, seen, seed)
        belief = self._beliefs[car]
        if belief is not None:
            belief.advance(seen)
        return belief

    def _lane_points(self, paths: tuple[Polyline, ...]) -> LanePoints | None:
        """Return points on the lanes of a map; those of the last map are kept, since a town has many drives."""
        if not paths:
            return None
        if self._lanes is None or self._lanes[0] is not paths:
            self._lanes = paths, LanePoints.along(paths, self._vehicle)
        return self._lanes[1]


def _seen_from(seen: Observation, carried_map: CarriedMap, pose: Pose) -> Observation:
    """Return an observation with the maps of a car at `pose`."""
    road_map, route_map = carried_map.patches(pose)
    return replace(seen, road_map=road_map, route_map=route_map)


def mix(parts: Sequence[tuple[ActionDistribution, float]]) -> ActionDistribution:
    """Return the mixture of distributions over one grid, each with its weight; weights sum to 1.

    The command of policies that have one is that of the heaviest part: a mean of two commands may be a third way.
    """
    if len(parts) == 1:
        return parts[0][0]
    grid = parts[0][0].grid
    density = np.sum([weight * part.density for part, weight in parts], axis=0)
    mode = max((part.mode for part, _ in parts), key=lambda place: float(np.interp(place, grid, density)))
    mean = sum(weight * part.mean for part, weight in parts)
    heaviest, _ = max(parts, key=lambda part: part[1])
    return ActionDistribution(grid, density, mode, mean, heaviest.command)
