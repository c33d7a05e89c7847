"""Drivers that localise themselves: the maps at their own estimate, without and with a simulator."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from agents.drivers.localized_driver import LocalizedDriver, LocalizedDriverConfig, mix
from agents.drivers.registry import PolicyEvaluationConfig, resolve
from navsim.drivers.action_selection import ActingConfig, ActionDistribution, LearnedDriver
from navsim.drivers.protocol import BatchDriver
from navsim.errors import ConfigError
from navsim.sensing.observation import NO_MOVEMENT, GpsSensor, GpsSpec, Observation, Odometer, OdometrySpec
from navsim.sensing.roadmap import CarriedMap, DriveMap, MapFault, MapSpec, drive_map, rasterise_roads, rasterise_route
from tests.localization.small_town import STEP, along, network, route

SPEC = MapSpec(size_px=24, metres_per_pixel=2.0, ego_row=16)
GRID = np.linspace(-0.2, 0.2, 41)
ROUTE = route()
DRIVE = along(ROUTE)
RASTERS = rasterise_roads(network(), SPEC), rasterise_route(ROUTE.path, SPEC)
IMAGES = np.zeros((1, 4, 8, 3), np.uint8)
ACCURATE = GpsSpec(position_sigma=0.0, heading_sigma_deg=0.0, white_sigma=0.0)


class MapReader(LearnedDriver):
    """Steers by the sum of the route map, and keeps what it saw."""

    def __init__(self) -> None:
        super().__init__("map-reader", ActingConfig())
        self.seen: list[Observation] = []

    def predict(self, observations: Sequence[Observation]) -> list[ActionDistribution]:
        self.seen += observations
        places = [float(seen.route_map.sum() % 97) / 97 * 0.2 - 0.1 for seen in observations]
        return [peak(place) for place in places]


def peak(place: float, command: float | None = None) -> ActionDistribution:
    density = np.exp(-np.square((GRID - place) / 0.01) / 2)
    return ActionDistribution(GRID, density / (density.sum() * 0.01), place, place, command)


def carried(fault: MapFault | None = None) -> CarriedMap:
    true = DriveMap(*RASTERS, network().driven_paths, ROUTE.path.pose(0.0))
    faulty = drive_map(true, network(), ROUTE, SPEC, fault or MapFault(), np.random.default_rng(0))
    return CarriedMap(faulty, SPEC)


def observations(gps: GpsSpec, steps: int, known: CarriedMap | None, seed: int = 0) -> list[Observation]:
    """Return what a car senses that drives along the route."""
    sensor, odometer = GpsSensor(gps, np.random.default_rng(seed)), Odometer(OdometrySpec(), np.random.default_rng(1))
    found = []
    for index in range(steps):
        pose = DRIVE.pose(index)
        fix = sensor.measure(pose, STEP if index else 0.0)
        patches = (np.zeros((4, 4), np.uint8),) * 2 if known is None else known.patches(fix)
        spec, motion = (gps if sensor.has_fix else None), odometer.read(pose, index * STEP)
        found.append(Observation(IMAGES, *patches, 8.0, fix, (), spec, motion, known))
    return found


def driven(
    seen: Sequence[Observation], config: LocalizedDriverConfig | None = None
) -> tuple[LocalizedDriver, MapReader]:
    """Drive through observations; return the driver, and the policy that kept what it saw."""
    reader = MapReader()
    driver = LocalizedDriver(reader, config=config)
    driver.begin(3)
    for each in seen:
        driver.drive(each)
    return driver, reader


def error(driver: LocalizedDriver, index: int) -> float:
    """Return the distance of the densest mode from the truth [m]; -1 is the car of `drive`."""
    belief = driver.belief(-1)
    assert belief is not None
    return float(np.hypot(*(belief.modes[0].pose.position - DRIVE.pose(index).position)))


@pytest.mark.parametrize("gps", [GpsSpec(position_sigma=20.0), GpsSpec(lost_after=0.0), GpsSpec(10.0, lost_after=5.0)])
def test_the_maps_are_those_at_its_own_estimate(gps: GpsSpec) -> None:
    steps = observations(gps, 300, carried())
    driver, reader = driven(steps)
    assert error(driver, 299) < 4.0
    assert np.hypot(*(steps[-1].gps.position - DRIVE.pose(299).position)) > 8.0
    belief = driver.belief(-1)
    assert belief is not None
    np.testing.assert_array_equal(reader.seen[-1].route_map, carried().patches(belief.modes[-1].pose)[1])
    assert reader.seen[-1].images is IMAGES


def test_it_corrects_the_shift_of_its_map() -> None:
    shifted = carried(MapFault(shift=6.0))
    driver, _ = driven(observations(GpsSpec(lost_after=0.0), 300, shifted))
    belief = driver.belief(-1)
    assert belief is not None
    moved = np.array([shifted.start.x, shifted.start.y]) - ROUTE.path.pose(0.0).position
    assert np.hypot(*(belief.modes[0].pose.position - moved - DRIVE.pose(299).position)) < 4.0


def test_it_falls_back_to_the_fix_while_its_belief_is_wider() -> None:
    steps = observations(ACCURATE, 3, carried())
    _, reader = driven(steps)
    for seen, given in zip(reader.seen, steps, strict=True):
        assert seen is given
    _, narrow = driven([replace(steps[0], gps_spec=GpsSpec(position_sigma=5.0))])
    assert narrow.seen[0] is not steps[0]


@pytest.mark.parametrize("known", [None, carried(MapFault(blank=True))])
def test_without_a_map_it_drives_as_the_policy_does(known: CarriedMap | None) -> None:
    steps = observations(GpsSpec(), 5, known)
    driver, reader = driven(steps)
    assert [id(seen) for seen in reader.seen] == [id(step) for step in steps]
    assert driver.belief(-1) is None


def test_same_seed_same_decisions_and_another_drive_begins_at_its_start() -> None:
    steps = observations(GpsSpec(position_sigma=10.0), 60, carried())
    reader = MapReader()
    driver = LocalizedDriver(reader)
    runs = []
    for seed in (1, 2, 1):
        driver.begin(seed)
        runs.append([driver.drive(step).curvature for step in steps])
    assert runs[0] == runs[2]
    assert runs[0] != runs[1]


def test_cars_in_one_call_decide_as_each_alone() -> None:
    here = observations(GpsSpec(position_sigma=10.0), 40, carried(), seed=0)
    there = observations(GpsSpec(lost_after=0.0), 40, carried(), seed=1)
    together, alone = LocalizedDriver(MapReader()), LocalizedDriver(MapReader())
    assert isinstance(together, BatchDriver)
    for driver in (together, alone):
        driver.begin_car(0, 5)
        driver.begin_car(1, 6)
    for a, b in zip(here, there, strict=True):
        both = together.drive_cars({0: a, 1: b})
        single = alone.drive_cars({0: a}) | alone.drive_cars({1: b})
        assert {car: decision.curvature for car, decision in both.items()} == {
            car: decision.curvature for car, decision in single.items()
        }


def test_a_split_belief_mixes_the_distributions_over_its_modes() -> None:
    left, right = peak(0.1, command=0.1), peak(-0.1, command=-0.1)
    mixed = mix([(left, 0.25), (right, 0.75)])
    np.testing.assert_allclose(mixed.density, 0.25 * left.density + 0.75 * right.density)
    assert mixed.mode == -0.1
    assert mixed.mean == pytest.approx(-0.05)
    assert mixed.command == -0.1
    assert mix([(left, 1.0)]) is left


def test_the_policy_sees_the_maps_at_every_mode() -> None:
    # Wide at first along the road: the belief is one of several places.
    wide = LocalizedDriverConfig(start_sigma=30.0, min_weight=0.0)
    first = replace(observations(GpsSpec(lost_after=0.0), 1, carried())[0], gps_spec=None)
    driver, reader = driven([first], wide)
    belief = driver.belief(-1)
    assert belief is not None
    assert len(belief.modes) == len(reader.seen) == wide.max_modes
    assert sum(mode.weight for mode in belief.modes) == pytest.approx(1.0)
    for seen, mode in zip(reader.seen, belief.modes, strict=True):
        np.testing.assert_array_equal(seen.road_map, carried().patches(mode.pose)[0])


def test_between_updates_the_odometry_moves_the_estimate() -> None:
    steps = observations(GpsSpec(lost_after=0.0), 3, carried())
    driver, _ = driven([*steps, replace(steps[-1], odometry=NO_MOVEMENT)], LocalizedDriverConfig(every=50.0))
    belief = driver.belief(-1)
    assert belief is not None
    start, end = belief.posterior.estimate, belief.modes[0].pose
    forward = sum(step.odometry.forward for step in steps)
    assert start.to_vehicle([end.position])[0] == pytest.approx([forward, 0.0], abs=0.1)
    assert forward > 1.5


def test_it_is_named_by_a_prefix_before_a_policy() -> None:
    config = PolicyEvaluationConfig(driver=("reference", "localized:reference", "mine=localized:onnx:reference"))
    plain, localized, mine = resolve(config)
    assert (localized.name, mine.name) == ("localized-reference", "mine")
    assert localized.origin == f"{plain.origin}, by its own localisation"
    other = replace(config, localization=LocalizedDriverConfig(every=5.0))
    assert len({plain.digest, localized.digest, resolve(other)[1].digest}) == 3
    assert resolve(other)[0].digest == plain.digest
    driver = localized.driver()
    assert isinstance(driver, LocalizedDriver)
    assert driver.explain is not None


@pytest.mark.parametrize("word", ["expert", "constant"])
def test_drivers_without_a_distribution_cannot_localise_themselves(word: str) -> None:
    with pytest.raises(ConfigError, match=f"localized: needs a policy.*got driver '{word}'"):
        resolve(PolicyEvaluationConfig(driver=(f"localized:{word}",)))
