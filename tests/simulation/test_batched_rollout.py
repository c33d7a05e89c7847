from collections.abc import Mapping
from dataclasses import fields, replace

import numpy as np
import pytest

from navsim.drivers.protocol import BatchDriver, BatchDriverHandle, Decision, Driver, decide_batch
from navsim.geometry import Pose
from navsim.sensing.observation import Observation
from navsim.simulation.episode import Episode
from navsim.simulation.expert import LaneExpert, SteeringNoise
from navsim.simulation.rollout import RolloutSlot, drive, drive_batch
from navsim.simulation.scenario import Scenario
from navsim.simulation.simulation import Simulation, simulations
from tests.simulation.conftest import SMALL

SCENARIOS = [Scenario("train-1", 0, 3), Scenario("train-0", 1, 3, junctions=False), Scenario("train-1", 2, 4)]
NOISE = SteeringNoise(bursts_per_minute=20.0)


class Watcher:
    """A driver whose command depends on what it sees."""

    name = "watcher"

    def begin(self, seed: int) -> None:
        self.bias = (seed % 1000) * 1e-6

    def drive(self, observation: Observation) -> Decision:
        return Decision(float(observation.images.mean()) * 1e-5 + self.bias)


class Fleet(Watcher):
    """Decides for several cars in one call, as the watcher does for each."""

    name = "fleet"

    def __init__(self) -> None:
        self.passes: list[int] = []
        self._cars: dict[int, Watcher] = {}

    def begin_car(self, car: int, seed: int) -> None:
        self._cars[car] = Watcher()
        self._cars[car].begin(seed)

    def drive_cars(self, observations: Mapping[int, Observation]) -> dict[int, Decision]:
        self.passes.append(len(observations))
        return {car: self._cars[car].drive(observation) for car, observation in observations.items()}


def observation(brightness: int) -> Observation:
    images = np.full((1, 4, 4, 3), brightness, np.uint8)
    return Observation(images, images[0, ..., 0], images[0, ..., 0], 5.0, Pose(0.0, 0.0, 0.0))


def equal(one: Episode, other: Episode) -> bool:
    pairs = [(getattr(one, field.name), getattr(other, field.name)) for field in fields(one)]
    return all(np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b for a, b in pairs)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_drives_side_by_side_are_those_driven_alone(simulation: Simulation, count: int) -> None:
    alone = {s: drive(simulation, Watcher(), s, NOISE) for s in SCENARIOS}
    with simulations(SMALL, count) as cars:
        together = list(drive_batch([RolloutSlot(car, Watcher()) for car in cars], SCENARIOS, NOISE))
    assert {episode.scenario for episode in together} == set(SCENARIOS)
    assert all(equal(episode, alone[episode.scenario]) for episode in together)


def test_nothing_is_rendered_without_sensing(simulation: Simulation) -> None:
    with simulations(SMALL, 2) as cars:
        slots = [RolloutSlot(car, LaneExpert(SMALL.expert, SMALL.vehicle)) for car in cars]
        together = list(drive_batch(slots, SCENARIOS, sense=False))
    assert len(together) == 3
    for episode in together:
        assert len(episode.images) == 0
        alone = drive(simulation, LaneExpert(SMALL.expert, SMALL.vehicle), episode.scenario, sense=False)
        assert equal(episode, alone)


def test_one_driver_decides_for_all_its_cars_in_one_go(simulation: Simulation) -> None:
    alone = {s: drive(simulation, Watcher(), s, NOISE) for s in SCENARIOS}
    driver, other, counts = Fleet(), Fleet(), list[int]()
    with simulations(SMALL, 3) as cars:
        slots = [
            RolloutSlot(cars[0], BatchDriverHandle(driver, 0)),
            RolloutSlot(cars[1], BatchDriverHandle(driver, 1)),
            RolloutSlot(cars[2], BatchDriverHandle(other, 0)),
        ]
        together = list(drive_batch(slots, SCENARIOS, NOISE, on_step=lambda seen: counts.append(len(seen))))
    for episode in together:
        assert equal(replace(episode, driver="watcher"), alone[episode.scenario])
    assert max(driver.passes) == 2
    assert max(other.passes) == 1
    assert sum(driver.passes + other.passes) == sum(map(len, together))
    assert counts[0] == 3
    assert sum(counts) == sum(len(episode) + 1 for episode in together)  # their ends are seen, too


def test_a_handle_decides_for_its_own_car_without_a_prefetched_decision(simulation: Simulation) -> None:
    driver = Fleet()
    assert isinstance(driver, BatchDriver)
    assert not isinstance(Watcher(), BatchDriver)
    handle = BatchDriverHandle(driver, 7)
    assert isinstance(handle, Driver)
    alone = drive(simulation, Watcher(), SCENARIOS[0], NOISE)
    episode = drive(simulation, handle, SCENARIOS[0], NOISE)
    assert equal(replace(episode, driver="watcher"), alone)
    assert driver.passes == [1] * len(episode)


def test_a_decision_prefetched_for_another_observation_is_not_driven() -> None:
    driver, seen = Fleet(), [observation(brightness) for brightness in (10, 200)]
    handle = BatchDriverHandle(driver, 0)
    handle.begin(0)
    decide_batch([(handle, seen[0])])
    assert handle.drive(seen[0]).curvature == pytest.approx(10e-5)
    assert handle.drive(seen[1]).curvature == pytest.approx(200e-5)
    decide_batch([(handle, seen[0])])
    handle.begin(0)
    handle.drive(seen[0])
    assert driver.passes == [1, 1, 1, 1]  # decisions prefetched before a new drive are forgotten


def test_towns_are_shared(simulation: Simulation) -> None:
    with simulations(SMALL, 2) as cars:
        for car in cars:
            car.reset(Scenario("train-1"))
        assert cars[0].town is cars[1].town
