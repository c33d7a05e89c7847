"""What a drive's conditions do: looks, grip, cameras that are not perfect."""

from dataclasses import replace

import numpy as np
import pytest

from navsim.errors import ConfigError
from navsim.sensing.camera import CameraNoise, MountError
from navsim.sensing.observation import Image
from navsim.simulation.config import SimulationConfig
from navsim.simulation.rollout import drive
from navsim.simulation.scenario import Scenario
from navsim.simulation.simulation import Simulation, TimeStep
from tests.simulation.conftest import SMALL, Watcher

NOISY = replace(SMALL, camera_noise=CameraNoise(variance=0.02, exposure=0.2, blur_px=0.5))


def first(config: SimulationConfig, scenario: Scenario) -> TimeStep:
    with Simulation(config) as simulation:
        return simulation.reset(scenario)


def images(step: TimeStep) -> Image:
    assert step.observation is not None
    return step.observation.images


def test_a_look_changes_the_pictures_and_not_the_route() -> None:
    with Simulation(SMALL) as simulation:
        plain = simulation.reset(Scenario("train-1"))
        route = simulation.route
        night = simulation.reset(Scenario("train-1", appearance="night"))
        assert images(night).mean() < 0.6 * images(plain).mean()
        assert (simulation.route.path.points == route.path.points).all()
        assert (images(simulation.reset(Scenario("train-1"))) == images(plain)).all()


def test_winter_takes_grip() -> None:
    ends = {}
    with Simulation(SMALL) as simulation:
        for look in ("summer", "winter"):
            simulation.reset(Scenario("train-1", appearance=look), sense=False)
            for _ in range(4):
                step = simulation.step(0.2)
            ends[look] = step.state
    assert abs(ends["winter"].yaw_rate) < 0.9 * abs(ends["summer"].yaw_rate)


def test_the_look_stands_in_the_drives_name() -> None:
    assert Scenario("train-1").name == "train-1-route0-seed0"
    assert Scenario("train-1", appearance="dusk+rain").name == "train-1-route0-seed0-look-dusk+rain"
    with pytest.raises(ConfigError, match="perhaps you meant 'dusk'"):
        Scenario("train-1", appearance="dsk")


def test_noise_is_what_drivers_see_and_never_what_is_recorded() -> None:
    scenario = Scenario("train-1", 0, 3, junctions=False)
    clean = first(SMALL, scenario)
    noisy = first(NOISY, scenario)
    assert (noisy.images == clean.images).all()
    assert np.abs(images(noisy).astype(float) - clean.images).mean() > 5
    assert (images(first(NOISY, scenario)) == images(noisy)).all()
    driver = Watcher()
    with Simulation(NOISY) as simulation:
        episode = drive(simulation, driver, scenario)
    assert (episode.images[0] == clean.images).all()
    assert (driver.seen[0].images == images(noisy)).all()


def test_cameras_are_mounted_a_little_wrong_and_the_car_does_not_know() -> None:
    config = replace(SMALL, mount_error=MountError(angle_sigma_deg=3.0, position_sigma=0.05))
    steps = [first(config, Scenario("train-1", seed=seed)) for seed in (0, 0, 1)]
    assert (steps[0].images == steps[1].images).all()
    assert (steps[0].images != steps[2].images).any()
    assert (steps[0].images != first(SMALL, Scenario("train-1")).images).any()
    assert steps[0].observation is not None
    assert steps[0].observation.cameras == SMALL.cameras
