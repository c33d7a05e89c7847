import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from navsim.config import from_mapping, to_mapping
from navsim.errors import ActionError, ConfigError, TownError
from navsim.sensing.camera import RIGS, Camera, Rig
from navsim.sensing.observation import NO_MOVEMENT, GpsSpec, OdometrySpec
from navsim.simulation.config import SimulationConfig
from navsim.simulation.scenario import Outcome, Scenario, StartOffset
from navsim.simulation.simulation import Simulation, TimeStep
from navsim.world.vehicle import VehicleSpread
from tests.simulation.conftest import SMALL

SCENARIO = Scenario("train-1", 2, 3)
ROOT = Path(__file__).parents[2]


def fingerprint(step: TimeStep) -> tuple[bytes, ...]:
    """Everything that is sensed and true at one moment, to the last bit."""
    seen = step.observation
    assert seen is not None
    pose = step.state.pose
    numbers = [pose.x, pose.y, pose.heading, step.state.speed, seen.gps.x, seen.gps.y, seen.gps.heading]
    return seen.images.tobytes(), seen.road_map.tobytes(), seen.route_map.tobytes(), np.array(numbers).tobytes()


def drive_some(simulation: Simulation, scenario: Scenario, steps: int = 8) -> list[tuple[bytes, ...]]:
    start = fingerprint(simulation.reset(scenario))
    return [start, *(fingerprint(simulation.step(0.02 * np.sin(i))) for i in range(steps))]


def test_same_scenario_same_drive_to_the_last_bit(simulation: Simulation) -> None:
    first = drive_some(simulation, SCENARIO)
    drive_some(simulation, Scenario("train-2", 0, 9))  # another town in between
    drive_some(simulation, Scenario("train-1", 5, 9))  # and another route of the same one
    assert drive_some(simulation, SCENARIO) == first


def test_a_fresh_simulation_beside_others_drives_the_same(simulation: Simulation) -> None:
    first = drive_some(simulation, SCENARIO)
    with Simulation(SMALL) as other:
        drive_some(other, Scenario("train-2", 0, 9))
        assert drive_some(other, SCENARIO) == first


def test_a_fresh_process_drives_the_same(simulation: Simulation) -> None:
    code = (
        "import hashlib\n"
        "from tests.simulation.conftest import SMALL\n"
        "from tests.simulation.test_simulation import SCENARIO, drive_some\n"
        "from navsim.simulation.simulation import Simulation\n"
        "with Simulation(SMALL) as s: print(hashlib.sha256(repr(drive_some(s, SCENARIO)).encode()).hexdigest())\n"
    )
    runs = [
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
        for _ in range(2)
    ]
    here = hashlib.sha256(repr(drive_some(simulation, SCENARIO)).encode()).hexdigest()
    assert [run.stdout.split()[-1] for run in runs] == [here, here]


def test_the_seed_moves_the_gps_and_not_the_car(simulation: Simulation) -> None:
    a, b = (simulation.reset(Scenario("train-1", 2, seed)) for seed in (3, 4))
    assert a.state.pose == b.state.pose
    assert a.observation is not None
    assert b.observation is not None
    assert a.observation.gps != b.observation.gps
    assert (a.observation.images == b.observation.images).all()


def test_observations_share_no_memory(simulation: Simulation) -> None:
    before = simulation.reset(SCENARIO).observation
    assert before is not None
    kept = before.images.copy(), before.road_map.copy()
    after = simulation.step(0.05).observation
    assert after is not None
    assert not np.shares_memory(before.images, after.images)
    assert (before.images == kept[0]).all()
    assert (before.road_map == kept[1]).all()


def test_the_start_is_where_the_scenario_says(simulation: Simulation) -> None:
    plain = simulation.reset(SCENARIO, sense=False)
    moved = simulation.reset(Scenario("train-1", 2, 3, start=StartOffset(0.8, -6.0)), sense=False)
    assert plain.progress.offset == pytest.approx(0.0, abs=1e-6)
    assert moved.progress.offset == pytest.approx(0.8, abs=0.02)
    assert np.degrees(moved.progress.heading_error) == pytest.approx(-6.0, abs=0.5)


def test_without_sensing_nothing_is_rendered(simulation: Simulation) -> None:
    assert simulation.reset(SCENARIO, sense=False).observation is None
    assert simulation.step(0.0).observation is None


def test_the_maps_are_drawn_at_the_noisy_pose() -> None:
    exact = SimulationConfig(
        cameras=SMALL.cameras, map=SMALL.map, gps=GpsSpec(position_sigma=0.0, heading_sigma_deg=0.0, white_sigma=0.0)
    )
    with Simulation(exact) as truth, Simulation(SMALL) as noisy:
        a, b = truth.reset(SCENARIO).observation, noisy.reset(SCENARIO).observation
        assert a is not None
        assert b is not None
        assert a.gps == truth.reset(SCENARIO).state.pose
        assert (a.images == b.images).all()
        assert (a.route_map != b.route_map).any()


def test_driving_straight_on_ends_as_a_failure_and_then_needs_a_reset(simulation: Simulation) -> None:
    step = simulation.reset(SCENARIO, sense=False)
    for _ in range(3000):
        step = simulation.step(0.2)
        if step.outcome is not None:
            break
    assert step.outcome in (Outcome.LEFT_ROAD, Outcome.COLLIDED, Outcome.WRONG_TURN)
    with pytest.raises(RuntimeError, match="has ended"):
        simulation.step(0.0)


@pytest.mark.parametrize("curvature", [float("nan"), float("inf"), 0.21, -5.0])
def test_a_bad_command_is_refused_and_leaves_the_car_alone(simulation: Simulation, curvature: float) -> None:
    simulation.reset(SCENARIO)
    with pytest.raises(ActionError, match=r"within -0\.2 to 0\.2"):
        simulation.step(curvature)
    expected = drive_some(simulation, SCENARIO, 1)
    simulation.reset(SCENARIO)
    with pytest.raises(ActionError):
        simulation.step(curvature)
    assert fingerprint(simulation.step(0.0)) == expected[1]


def test_the_car_slows_down_for_curves(simulation: Simulation) -> None:
    simulation.reset(SCENARIO, sense=False)
    assert simulation.target_speed(0.0) <= simulation.config.cruise_speed
    assert simulation.target_speed(0.2) == pytest.approx(np.sqrt(4.0 / 0.2))


def test_cameras_of_different_sizes_are_refused() -> None:
    with pytest.raises(ConfigError, match="one size"):
        SimulationConfig(cameras=(Camera(width=64), Camera(width=32)))


@pytest.mark.parametrize("name", ["control_step", "cruise_speed", "lateral_acceleration"])
def test_impossible_speeds_and_steps_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        SimulationConfig(**{name: 0.0})  # type: ignore[arg-type]


def test_an_unknown_town_is_refused(simulation: Simulation) -> None:
    with pytest.raises(TownError, match="atlantis"):
        simulation.reset(Scenario("atlantis"))
    assert simulation.reset(SCENARIO).outcome is None


def test_before_a_reset_it_says_so_and_closing_twice_is_fine() -> None:
    fresh = Simulation(SMALL)
    with pytest.raises(RuntimeError, match="call reset"):
        _ = fresh.town
    fresh.close()
    fresh.close()


def test_a_rig_stands_for_its_cameras() -> None:
    config = SimulationConfig(rig=Rig.PILOTNET)
    assert config == SimulationConfig(cameras=RIGS[Rig.PILOTNET])
    assert from_mapping(SimulationConfig, {"rig": "amini2019"}, "test").cameras == RIGS[Rig.AMINI2019]
    assert from_mapping(SimulationConfig, to_mapping(config), "test") == config


def test_cars_of_a_spread_differ_by_the_seed_alone() -> None:
    spread = VehicleSpread(mass=(0.7, 1.4), grip=(0.5, 1.0))
    ends = []
    with Simulation(replace(SMALL, vehicle_spread=spread)) as simulation:
        for seed in (1, 2, 1):
            simulation.reset(Scenario("train-1", seed=seed), sense=False)
            ends.append([simulation.step(0.05).state for _ in range(5)][-1])
    assert ends[0] == ends[2]
    assert ends[0] != ends[1]


def test_steps_before_a_reset_are_refused() -> None:
    with Simulation(SMALL) as fresh, pytest.raises(RuntimeError, match=r"call reset\(scenario\) first"):
        fresh.step(0.0)


def test_odometry_and_the_carried_map_come_with_each_observation_and_change_no_other_sensor() -> None:
    exact = OdometrySpec(0.0, 0.0, 0.0, 0.0)
    rough = OdometrySpec(0.1, 0.1, 1.0, 1.0)
    drives = []
    for spec in (exact, rough):
        with Simulation(replace(SMALL, odometry=spec)) as simulation:
            steps = [simulation.reset(SCENARIO), *(simulation.step(0.02) for _ in range(5))]
            drives.append((steps, [fingerprint(step) for step in steps]))
    (steps, marks), (others, other_marks) = drives
    assert marks == other_marks
    for before, after, other in zip(steps, steps[1:], others[1:], strict=False):
        seen, noisy = after.observation, other.observation
        assert seen is not None
        assert noisy is not None
        there = before.state.pose.moved(seen.odometry.forward, seen.odometry.left, seen.odometry.turn)
        assert there.position == pytest.approx(after.state.pose.position)
        assert there.heading == pytest.approx(after.state.pose.heading)
        assert noisy.odometry != seen.odometry
        assert noisy.odometry.seconds == seen.odometry.seconds == pytest.approx(0.1)
        assert seen.carried_map is not None
        assert (seen.carried_map.patches(seen.gps)[1] == seen.route_map).all()
    first = steps[0].observation
    assert first is not None
    assert first.odometry == NO_MOVEMENT


def test_without_fixes_the_maps_stay_at_the_last_one() -> None:
    with Simulation(replace(SMALL, gps=GpsSpec(lost_after=0.15))) as simulation:
        seen = [simulation.reset(SCENARIO).observation, *(simulation.step(0.0).observation for _ in range(3))]
    assert [view is not None and view.gps_spec == GpsSpec(lost_after=0.15) for view in seen] == [
        True,
        True,
        False,
        False,
    ]
    assert [view.gps_spec is None for view in seen if view is not None] == [False, False, True, True]
    _, last, held, still = (view for view in seen if view is not None)
    assert held.gps == still.gps == last.gps
    assert (held.road_map == last.road_map).all()
