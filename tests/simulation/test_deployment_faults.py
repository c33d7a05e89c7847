"""Faults of deployment: each has its effect on what the driver sees or commands, by the seed, and no other."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from navsim.drivers.protocol import ConstantDriver
from navsim.errors import ConfigError
from navsim.seeding import generator
from navsim.sensing.camera import RIGS, CameraNoise, Rig
from navsim.sensing.observation import DeploymentFaults, FaultySensors, Image
from navsim.simulation.config import SimulationConfig
from navsim.simulation.rollout import drive
from navsim.simulation.scenario import Scenario
from navsim.simulation.simulation import Simulation
from tests.simulation.conftest import SMALL, Watcher

CAMERAS = RIGS[Rig.AMINI2019]
SCENARIO = Scenario("train-1", 2, 3)
COMMANDS = [0.03, -0.02, 0.05, 0.0, -0.04, 0.01]


def delivered(faults: DeploymentFaults, steps: int = 400, seed: int = 0) -> tuple[list[Image], list[float]]:
    """Images and speeds of a drive whose image of step i and camera c has the value i mod 200 + 1 + c."""
    sensors = FaultySensors(faults, CAMERAS, generator(seed, "faults"))
    frames = np.add.outer(np.arange(steps) % 200 + 1, np.arange(3)).astype(np.uint8)
    pairs = [sensors.deliver(np.full((3, 2, 2, 3), 0, np.uint8) + frame[:, None, None, None], 8.0) for frame in frames]
    return [images for images, _ in pairs], [speed for _, speed in pairs]


def faulty(shared: Simulation, **faults: float) -> Simulation:
    """Return a simulation beside another one, with its renderer and towns."""
    return Simulation(replace(SMALL, faults=DeploymentFaults(**faults)), shared.renderer, shared.towns)  # type: ignore[arg-type]


def test_without_faults_images_and_speed_are_those_of_the_car() -> None:
    images = np.ones((3, 2, 2, 3), np.uint8)
    seen, speed = FaultySensors(DeploymentFaults(), CAMERAS, generator(0, "faults")).deliver(images, -0.1)
    assert seen is images
    assert speed == -0.1


def test_dropped_frames_are_black_on_all_cameras_and_the_others_whole() -> None:
    seen, _ = delivered(DeploymentFaults(dropped_frames=0.3))
    black = [not images.any() for images in seen]
    assert sum(black) / len(seen) == pytest.approx(0.3, abs=0.07)
    clean, _ = delivered(DeploymentFaults())
    assert all((a == b).all() for a, b, gone in zip(seen, clean, black, strict=True) if not gone)


def test_frozen_frames_repeat_what_was_seen_before() -> None:
    seen, _ = delivered(DeploymentFaults(frozen_frames=0.3))
    same = [bool((a == b).all()) for a, b in pairwise(seen)]
    assert sum(same) / len(same) == pytest.approx(0.3, abs=0.07)
    clean, _ = delivered(DeploymentFaults())
    assert all((a == b).all() for a, b, frozen in zip(seen[1:], clean[1:], same, strict=True) if not frozen)
    stuck, _ = delivered(DeploymentFaults(frozen_frames=1.0), steps=20)
    assert all((images == clean[0]).all() for images in stuck)


def test_a_frozen_frame_is_whole_whatever_the_driver_did_to_the_last_one() -> None:
    sensors = FaultySensors(DeploymentFaults(frozen_frames=1.0), CAMERAS, generator(0, "faults"))
    first, _ = sensors.deliver(np.ones((3, 2, 2, 3), np.uint8), 8.0)
    first[:] = 7
    second, _ = sensors.deliver(np.zeros((3, 2, 2, 3), np.uint8), 8.0)
    assert (second == 1).all()
    assert not np.shares_memory(first, second)


def test_the_same_frames_are_dropped_whatever_else_is_wrong() -> None:
    some, _ = delivered(DeploymentFaults(dropped_frames=0.3))
    more, _ = delivered(DeploymentFaults(dropped_frames=0.3, missing_camera="left", speed_sigma=1.0))
    assert [not images.any() for images in some] == [not images.any() for images in more]
    assert [images.tobytes() for images in delivered(DeploymentFaults(dropped_frames=0.3), seed=1)[0]] != [
        images.tobytes() for images in some
    ]


def test_a_missing_camera_is_the_named_one_or_one_of_them_for_each_drive() -> None:
    seen, _ = delivered(DeploymentFaults(missing_camera="left"), steps=5)
    assert all([bool(image.any()) for image in images] == [True, False, True] for images in seen)
    gone = set()
    for seed in range(12):
        seen, _ = delivered(DeploymentFaults(missing_camera="any"), steps=5, seed=seed)
        (missing,) = {tuple(bool(image.any()) for image in images) for images in seen}
        gone.add(missing)
    assert gone == {(False, True, True), (True, False, True), (True, True, False)}


def test_speeds_err_to_one_side_for_a_drive_and_around_it() -> None:
    drives = [set(delivered(DeploymentFaults(speed_error=0.1), steps=5, seed=seed)[1]) for seed in range(12)]
    assert {len(speeds) for speeds in drives} == {1}
    assert sorted(set.union(*drives)) == pytest.approx([7.2, 8.8])
    _, speeds = delivered(DeploymentFaults(speed_sigma=0.5))
    assert np.mean(speeds) == pytest.approx(8.0, abs=0.1)
    assert np.std(speeds) == pytest.approx(0.5, rel=0.15)


def test_a_late_command_is_executed_that_many_steps_later_and_the_car_goes_straight_until_then(
    simulation: Simulation,
) -> None:
    simulation.reset(SCENARIO, sense=False)
    expected = [simulation.step(command).state for command in [0.0, 0.0, *COMMANDS]]
    with faulty(simulation, latency_steps=2) as late:
        for _ in range(2):  # a reset forgets the commands of the last drive
            late.reset(SCENARIO, sense=False)
            assert [late.step(command).state for command in [*COMMANDS, 0.1, 0.1]] == expected


def test_what_is_recorded_stays_true(simulation: Simulation) -> None:
    true, watcher = drive(simulation, ConstantDriver(), SCENARIO), Watcher()
    with faulty(simulation, dropped_frames=0.5, speed_error=0.2, speed_sigma=0.3) as other:
        recorded = drive(other, watcher, SCENARIO)
    for name in ("images", "road_maps", "gps", "speeds", "poses", "labels"):
        np.testing.assert_array_equal(getattr(recorded, name), getattr(true, name))
    black = [not seen.images.any() for seen in watcher.seen]
    assert 0 < sum(black) < len(black)
    assert not any((np.array([seen.speed for seen in watcher.seen]) == true.speeds[:-1]).tolist())


def test_faults_change_no_other_sensor_and_no_noise(simulation: Simulation) -> None:
    noisy = replace(SMALL, camera_noise=CameraNoise(variance=0.01))
    drives = []
    for faults in (DeploymentFaults(), DeploymentFaults(dropped_frames=0.4)):
        with Simulation(replace(noisy, faults=faults), simulation.renderer, simulation.towns) as car:
            steps = [car.reset(SCENARIO), *(car.step(0.0) for _ in range(9))]
            drives.append([step.observation for step in steps if step.observation is not None])
    assert [a.gps for a in drives[0]] == [b.gps for b in drives[1]]
    assert [a.odometry for a in drives[0]] == [b.odometry for b in drives[1]]
    kept = [(a.images == b.images).all() for a, b in zip(*drives, strict=True) if b.images.any()]
    assert 0 < len(kept) < len(drives[0])
    assert all(kept)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"latency_steps": 11}, r"faults\.latency_steps must be at least 0 and at most 10, got 11"),
        ({"dropped_frames": 1.5}, r"faults\.dropped_frames must be at least 0 and at most 1"),
        ({"speed_error": 1.0}, r"faults\.speed_error must be at least 0 and below 1"),
    ],
)
def test_impossible_faults_are_refused(values: dict[str, float], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        DeploymentFaults(**values)  # type: ignore[arg-type]


def test_a_camera_that_the_car_lacks_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"faults\.missing_camera must be one of front, any, got 'left'"):
        SimulationConfig(faults=DeploymentFaults(missing_camera="left"))
    assert SimulationConfig(rig=Rig.AMINI2019, faults=DeploymentFaults(missing_camera="left")).cameras == CAMERAS
