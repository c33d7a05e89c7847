"""Drivers to be measured travel to other processes by value, and those that do not look need no picture."""

import pickle

import pytest

from agents.drivers.registry import expert_driver_spec
from navsim.drivers.protocol import Driver, DriverSpec, Expert, constant_driver_spec
from navsim.sensing.camera import Camera
from navsim.simulation.config import SimulationConfig
from navsim.simulation.rollout import drive
from navsim.simulation.scenario import Outcome, Scenario
from navsim.simulation.simulation import Simulation
from tests.drivers.faulty_drivers import make_constant

SIMULATION = SimulationConfig(cameras=(Camera(width=16, height=8),))
SCENARIO = Scenario("test-0", 0, junctions=False)


@pytest.mark.parametrize(
    "driver_spec", [expert_driver_spec(SIMULATION), constant_driver_spec(0.02), DriverSpec("x", make_constant, 1.0)]
)
def test_driver_specs_are_the_same_in_another_process(driver_spec: DriverSpec) -> None:
    copy = pickle.loads(pickle.dumps(driver_spec))  # noqa: S301 - our own
    assert copy == driver_spec
    assert hash(copy) == hash(driver_spec)


def test_only_drivers_that_sense_need_images() -> None:
    assert isinstance(expert_driver_spec(SIMULATION).driver(), Expert)
    assert not constant_driver_spec().senses
    assert isinstance(DriverSpec("x", make_constant, 0.0).driver(), Driver)


def test_constants_of_other_curvature_are_other_drivers() -> None:
    assert constant_driver_spec(0.01).digest != constant_driver_spec(0.02).digest


def test_the_constant_without_observations_drives_as_the_one_with_them() -> None:
    with Simulation(SIMULATION) as simulation:
        blind = drive(simulation, constant_driver_spec(0.01).driver(), SCENARIO, sense=False, record_images=False)
        seeing = drive(simulation, make_constant(0.01), SCENARIO, record_images=False)
    assert blind.driver == seeing.driver == "constant"
    assert blind.outcome is seeing.outcome
    assert (blind.poses == seeing.poses).all()


def test_the_expert_arrives_without_looking() -> None:
    with Simulation(SIMULATION) as simulation:
        episode = drive(simulation, expert_driver_spec(SIMULATION).driver(), SCENARIO, sense=False, record_images=False)
    assert episode.outcome is Outcome.ARRIVED
    assert len(episode.images) == 0
