import math
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from navsim.errors import ActionError, ConfigError
from navsim.geometry import Pose
from navsim.roads.network import RoadNetwork
from navsim.world.obstacles import ObstacleKind, Obstacles, prisms, walls
from navsim.world.scenery.scene import Scene
from navsim.world.vehicle import VehicleSpec, VehicleState
from navsim.world.world import World

ORIGIN = Pose(0.0, 0.0, 0.0)


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.close()


def drive(world: World, curvature: float, speed: float, steps: int) -> list[VehicleState]:
    return [world.step(curvature, speed) for _ in range(steps)]


def circle_radius(states: list[VehicleState]) -> float:
    """Return the least-squares circle through the positions."""
    points = np.array([state.pose.position for state in states])
    (x, y, rest), *_ = np.linalg.lstsq(np.c_[2 * points, np.ones(len(points))], (points**2).sum(axis=1), rcond=None)
    return math.sqrt(rest + x * x + y * y)


def block(x: float, kind: ObstacleKind, height: float = 3.0) -> Obstacles:
    """Return a wall across the x axis."""
    return prisms([[(x, -5.0), (x + 0.3, -5.0), (x + 0.3, 5.0), (x, 5.0)]], height, kind)


@pytest.mark.parametrize(
    ("curvature", "speed"), [(0.02, 8.0), (0.05, 8.0), (0.1, 6.0), (-0.1, 6.0), (0.15, 5.0), (0.2, 4.0), (-0.05, 3.0)]
)
def test_constant_curvature_drives_a_circle_of_that_radius(world: World, curvature: float, speed: float) -> None:
    world.place(ORIGIN, speed)
    drive(world, curvature, speed, 30)
    states = drive(world, curvature, speed, 80)
    assert circle_radius(states) == pytest.approx(1 / abs(curvature), rel=0.05)
    assert states[-1].curvature == pytest.approx(curvature, rel=0.05)
    assert states[-1].speed == pytest.approx(speed, rel=0.02)


@pytest.mark.parametrize(("curvature", "speed"), [(0.2, 8.0), (-0.2, 8.0), (0.1, 14.0)])
def test_a_command_beyond_the_grip_slides_wide(world: World, curvature: float, speed: float) -> None:
    world.place(ORIGIN, speed)
    drive(world, curvature, speed, 30)
    states = drive(world, curvature, speed, 60)
    assert circle_radius(states) > 1.3 / abs(curvature)
    grip = world.vehicle.friction * 9.81
    assert all(abs(state.yaw_rate * state.speed) < grip * 1.02 for state in states)
    # Without slip the centre of a car that turns left moves to the left of its nose; sliding, it falls behind that.
    rolling = states[-1].yaw_rate * world.vehicle.wheelbase / 2
    assert abs(states[-1].lateral_speed - rolling) > 0.2


@given(curvature=st.floats(0.005, 0.2), lateral=st.floats(0.5, 4.0), left=st.booleans())
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_curve_within_the_grip_is_driven_as_commanded(
    world: World, curvature: float, lateral: float, left: bool
) -> None:
    speed = min(max(math.sqrt(lateral / curvature), 2.0), 14.0)
    expected = curvature if left else -curvature
    world.place(ORIGIN, speed)
    state = drive(world, expected, speed, 60)[-1]
    assert state.curvature == pytest.approx(expected, rel=0.05)
    assert state.speed == pytest.approx(speed, rel=0.03)


def test_on_a_slippery_road_the_same_command_runs_wide(world: World) -> None:
    dry = world.vehicle
    radii = []
    for grip in (1.0, 0.5):
        world.place(ORIGIN, 8.0, replace(dry, friction=dry.friction * grip, front_friction=dry.front_friction * grip))
        drive(world, 0.08, 8.0, 20)
        radii.append(circle_radius(drive(world, 0.08, 8.0, 40)))
    assert radii[0] == pytest.approx(12.5, rel=0.05)
    assert radii[1] > 13.5


def test_a_heavier_car_rests_on_its_springs_and_drives_the_same_circle(world: World) -> None:
    world.place(ORIGIN, 5.0, replace(world.vehicle, mass=2600.0))
    drive(world, 0.1, 5.0, 30)
    assert circle_radius(drive(world, 0.1, 5.0, 60)) == pytest.approx(10.0, rel=0.05)
    world.place(ORIGIN, 0.0)
    rest = drive(world, 0.0, 0.0, 30)[-1]
    assert np.hypot(rest.pose.x, rest.pose.y) < 0.01


def test_a_drive_cannot_change_the_cars_dimensions(world: World) -> None:
    with pytest.raises(ValueError, match="mass and tyres"):
        world.place(ORIGIN, 0.0, replace(world.vehicle, length=5.0))


def test_left_and_right_mirror_each_other(world: World) -> None:
    commands = [0.1 * math.sin(i / 4) for i in range(50)]
    ends = []
    for side in (1.0, -1.0):
        world.place(ORIGIN, 7.0)
        ends.append([world.step(side * command, 7.0) for command in commands][-1])
    assert ends[0].pose.x == pytest.approx(ends[1].pose.x, abs=1e-6)
    assert ends[0].pose.y == pytest.approx(-ends[1].pose.y, abs=1e-6)
    assert ends[0].yaw_rate == pytest.approx(-ends[1].yaw_rate, abs=1e-6)


def test_wild_commands_keep_the_car_on_its_wheels(world: World) -> None:
    rng = np.random.default_rng(0)
    world.place(ORIGIN, 12.0)
    for _ in range(300):
        state = world.step(float(rng.choice([-0.2, 0.2])), float(rng.uniform(0.0, 14.0)))
        assert all(math.isfinite(value) for value in (state.pose.x, state.speed, state.yaw_rate, state.curvature))
        assert abs(state.speed) < 20.0
    state = drive(world, 0.0, 0.0, 60)[-1]
    assert abs(state.speed) < 0.05


def test_zero_curvature_goes_straight(world: World) -> None:
    world.place(Pose(3.0, -2.0, 2.0), 8.0)
    states = drive(world, 0.0, 8.0, 100)
    along, across = Pose(3.0, -2.0, 2.0).to_vehicle([states[-1].pose.position])[0]
    assert along == pytest.approx(80.0, abs=0.1)
    assert abs(across) < 1e-3
    assert all(abs(state.speed - 8.0) < 0.01 for state in states)


def test_placing_settles_at_once(world: World) -> None:
    start = world.place(ORIGIN, 5.0)
    first = world.step(0.0, 5.0)
    assert start.time == 0.0
    assert start.speed == 5.0
    assert first.time == pytest.approx(0.1)
    assert first.pose.x == pytest.approx(0.5, abs=1e-3)
    assert world.contact is None


def test_speed_rises_with_the_engine_and_falls_with_the_brakes(world: World) -> None:
    world.place(ORIGIN, 0.0)
    states = drive(world, 0.0, 8.0, 60)
    assert states[9].speed == pytest.approx(3.0, rel=0.05)
    assert states[-1].speed == pytest.approx(8.0, abs=0.05)
    states = drive(world, 0.0, 0.0, 40)
    assert states[9].speed == pytest.approx(2.0, abs=0.4)
    assert abs(states[-1].speed) < 0.01
    rest = states[-1].pose
    assert np.hypot(*(drive(world, 0.0, 0.0, 30)[-1].pose.position - rest.position)) < 0.01


def test_wheels_turn_at_their_own_rate(world: World) -> None:
    world.place(ORIGIN, 5.0)
    state = world.step(0.2, 5.0)
    assert state.wheel_angle == pytest.approx(math.radians(7.0))
    assert drive(world, 0.2, 5.0, 10)[-1].wheel_angle == pytest.approx(world.vehicle.wheel_angle(0.2))


@pytest.mark.parametrize("kind", list(ObstacleKind))
def test_driving_into_something_is_a_contact_of_its_kind(world: World, kind: ObstacleKind) -> None:
    world.load(block(20.0, kind, height=0.12 if kind is ObstacleKind.KERB else 3.0))
    world.place(ORIGIN, 8.0)
    states = drive(world, 0.0, 8.0, 35)
    assert world.contact is not None
    assert world.contact.kind is kind
    assert world.contact.point[0] == pytest.approx(20.0, abs=0.3)
    assert states[-1].pose.x < 20.0
    assert all(math.isfinite(state.speed) for state in states)
    world.place(ORIGIN, 8.0)
    assert world.contact is None


def test_a_kerb_is_hit_from_the_side_too(world: World) -> None:
    face = [[(-50.0, 3.0, 0.0), (50.0, 3.0, 0.0), (50.0, 3.0, 0.12), (-50.0, 3.0, 0.12)]]
    world.load(walls(face, ObstacleKind.KERB))
    world.place(ORIGIN, 5.0)
    drive(world, 0.02, 5.0, 60)
    assert world.contact is not None
    assert world.contact.kind == "kerb"


def test_passing_beside_something_is_no_contact(world: World) -> None:
    world.load(prisms([[(20.0, 0.9), (30.0, 0.9), (30.0, 5.0), (20.0, 5.0)]], 3.0, ObstacleKind.BUILDING))
    world.place(ORIGIN, 8.0)
    drive(world, 0.0, 8.0, 60)
    assert world.contact is None


def test_same_drive_same_bits_whatever_came_before(world: World) -> None:
    def trajectory(world: World) -> list[VehicleState]:
        world.place(Pose(1.0, 0.5, 0.1), 7.0)
        return [world.step(0.02 * math.sin(i / 5), 8.0) for i in range(40)]

    world.load(block(25.0, ObstacleKind.BUILDING))
    first = trajectory(world)
    assert world.contact is not None
    world.place(Pose(0.0, 2.0, -0.2), 3.0)
    drive(world, 0.03, 8.0, 50)
    assert trajectory(world) == first
    fresh = World()
    fresh.load(block(25.0, ObstacleKind.BUILDING))
    assert trajectory(fresh) == first
    fresh.close()


def test_two_worlds_do_not_touch_each_other(world: World) -> None:
    world.place(ORIGIN, 5.0)
    alone = drive(world, 0.05, 6.0, 20)
    other = World()
    other.load(block(5.0, ObstacleKind.BUILDING))
    other.place(ORIGIN, 8.0)
    world.place(ORIGIN, 5.0)
    together = []
    for _ in range(20):
        together.append(world.step(0.05, 6.0))
        other.step(-0.1, 8.0)
    other.close()
    assert together == alone
    assert world.contact is None
    assert world.step(0.0, 5.0).speed > 0


def test_loading_replaces_the_obstacles(world: World) -> None:
    world.load(block(10.0, ObstacleKind.BUILDING))
    world.load(block(-10.0, ObstacleKind.TREE))
    world.place(ORIGIN, 8.0)
    drive(world, 0.0, 8.0, 30)
    assert world.contact is None


def resident_mib() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20


@pytest.mark.linux
def test_memory_stays_flat_over_loads_and_drives(world: World, scene: Scene) -> None:
    def use(times: int) -> None:
        for _ in range(times):
            world.load(scene.obstacles)
            for _ in range(10):
                world.place(Pose(0.0, 3.0, 1.5), 8.0)
                drive(world, 0.0, 8.0, 5)

    use(10)
    before = resident_mib()
    use(25)
    assert resident_mib() - before < 4.0


def test_roads_are_clear_and_their_edges_are_not(world: World, scene: Scene, crossing: RoadNetwork) -> None:
    world.load(scene.obstacles)
    lane = next(lane for lane in crossing.lanes if lane.forward)
    world.place(lane.path.pose(1.0), 8.0)
    drive(world, 0.0, 8.0, int(lane.path.length / 0.8) - 8)
    assert world.contact is None
    world.place(lane.path.pose(1.0), 8.0)
    drive(world, -0.05, 8.0, 40)
    assert world.contact is not None
    assert world.contact.kind is ObstacleKind.KERB


def test_a_control_step_is_quick(world: World, scene: Scene) -> None:
    world.load(scene.obstacles)
    world.place(Pose(20.0, -1.75, 0.0), 8.0)
    begin = time.process_time()
    drive(world, 0.0, 4.0, 100)
    assert (time.process_time() - begin) / 100 < 0.004  # about 0.5 ms on a machine at rest


@pytest.mark.parametrize(("curvature", "speed"), [(math.nan, 5.0), (math.inf, 5.0), (0.0, math.nan)])
def test_commands_that_are_not_finite_are_refused(world: World, curvature: float, speed: float) -> None:
    before = world.place(ORIGIN, 5.0)
    with pytest.raises(ActionError, match="finite"):
        world.step(curvature, speed)
    assert world.state == before


def test_a_start_that_is_not_finite_is_refused(world: World) -> None:
    with pytest.raises(ActionError, match="finite"):
        world.place(ORIGIN, math.nan)


def test_too_long_substeps_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"0\.01 s"):
        World(VehicleSpec(), control_step=0.1, substeps=5)


def test_closing_twice_is_fine() -> None:
    world = World()
    world.close()
    world.close()
