"""Decisions are timed without being changed, alone or in a fleet."""

import time

import pytest

from navsim.drivers.protocol import BatchDriverHandle, Decision, Driver, Expert
from navsim.drivers.sandbox import DECISION_LIMIT, safe_driver
from navsim.evaluation.runner import PROBE_EVERY, BatchDriverTimer
from navsim.sensing.camera import Camera
from navsim.sensing.observation import Observation
from navsim.simulation.config import SimulationConfig
from navsim.simulation.expert import LaneExpert
from navsim.simulation.rollout import RolloutSlot, drive, drive_batch
from navsim.simulation.scenario import Scenario
from navsim.simulation.simulation import simulations
from tests.drivers.faulty_drivers import FleetDriver

SIMULATION = SimulationConfig(cameras=(Camera(width=16, height=8),))
SCENARIOS = tuple(Scenario("test-0", route, junctions=False) for route in range(3))


class SlowFleet(FleetDriver):
    """Takes 2 ms for a car alone."""

    def __init__(self) -> None:
        super().__init__()
        self.asked_alone = 0

    def drive(self, observation: Observation) -> Decision:
        self.asked_alone += 1
        time.sleep(0.002)
        return Decision(0.2)


def test_every_decision_of_a_drive_is_timed() -> None:
    with simulations(SIMULATION, 1) as (simulation,):
        watched = safe_driver(SlowFleet(), DECISION_LIMIT)
        assert isinstance(watched, Driver)
        assert watched.name == "fleet"
        for scenario in SCENARIOS[:2]:
            episode = drive(simulation, watched, scenario, record_images=False)
            assert (episode.commands == 0.2).all()
            assert len(watched.decision_seconds) == len(episode)
            assert 0.002 <= min(watched.decision_seconds) < 0.1


def test_a_timed_expert_is_still_given_the_truth() -> None:
    with simulations(SIMULATION, 1) as (simulation,):
        expert = LaneExpert(SIMULATION.expert, SIMULATION.vehicle)
        watched = safe_driver(expert, DECISION_LIMIT)
        assert isinstance(watched, Expert)
        episode = drive(simulation, watched, SCENARIOS[0], sense=False)
        assert (episode.commands == episode.labels).all()
        assert len(watched.decision_seconds) == len(episode)


def test_a_fleet_is_timed_by_single_decisions_that_nobody_drives_by() -> None:
    driver = SlowFleet()
    with simulations(SIMULATION, 2) as cars:
        started = time.perf_counter()
        clock = BatchDriverTimer(driver)
        slots = [RolloutSlot(car, BatchDriverHandle(driver, number)) for number, car in enumerate(cars)]
        episodes = list(drive_batch(slots, SCENARIOS, record_images=False, on_step=clock.step))
        elapsed = time.perf_counter() - started
    assert not any((episode.commands == 0.2).any() for episode in episodes)
    taken = [seconds for scenario in SCENARIOS for seconds in clock.decision_seconds[scenario]]
    assert len(taken) == driver.asked_alone == pytest.approx(len(driver.passes) / PROBE_EVERY, abs=2)
    assert min(taken) >= 0.002
    assert all(clock.seconds[scenario] > 0 for scenario in SCENARIOS)
    assert 0.8 * elapsed < sum(clock.seconds.values()) <= elapsed
