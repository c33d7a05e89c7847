"""Lanes in which a route may be driven, on a crossing of roads with three lanes each way."""

from dataclasses import replace

import numpy as np
import pytest

from navsim.geometry import Polyline, Pose
from navsim.roads.network import Manoeuvre, Road, RoadNetwork, build_network
from navsim.roads.routing import Route, make_route
from navsim.simulation.expert import ExpertConfig, LaneExpert
from navsim.simulation.scenario import Outcome
from navsim.simulation.termination import Rules, check_termination
from navsim.world.vehicle import VehicleSpec, VehicleState

WIDTH = 3.5


def crossing() -> RoadNetwork:
    """Four roads of 120 m with three lanes each way that meet at the origin at right angles."""
    ends = [(120.0, 0.0), (0.0, 120.0), (-120.0, 0.0), (0.0, -120.0)]
    roads = [Road(0, i + 1, Polyline(np.array([[0.0, 0.0], end])), 3, 3) for i, end in enumerate(ends)]
    return build_network([(0.0, 0.0), *ends], roads)


NETWORK = crossing()
FROM_WEST = [i for i, lane in enumerate(NETWORK.lanes) if lane.road == 2 and not lane.forward]


def connectors_of(lane: int, manoeuvre: Manoeuvre) -> list[int]:
    return [i for i in NETWORK.successors(lane) if NETWORK.connectors[i].manoeuvre is manoeuvre]


def route(manoeuvre: Manoeuvre) -> Route:
    """From the west, from 90 m before the junction to 50 m behind it, in the first lane that goes there."""
    lane = next(lane for lane in FROM_WEST if connectors_of(lane, manoeuvre))
    chosen = connectors_of(lane, manoeuvre)[0]
    length = NETWORK.lanes[lane].path.length
    return make_route(NETWORK, [lane, NETWORK.connectors[chosen].to_lane], [chosen], length - 90.0, 50.0)


def state_at(pose: Pose, time: float = 5.0) -> VehicleState:
    return VehicleState(
        time=time, pose=pose, speed=5.0, curvature=0.0, yaw_rate=0.0, lateral_speed=0.0, wheel_angle=0.0
    )


def outcomes(way: Route, path: Polyline, rules: Rules | None = None) -> list[Outcome | None]:
    """Verdicts on a car that follows another path."""
    near, found = 0.0, []
    for station in np.arange(0.0, path.length, 0.5):
        pose = path.pose(float(station))
        progress = way.progress(pose, near)
        near = progress.station
        found.append(check_termination(rules or Rules(), NETWORK, way, state_at(pose), progress, None, 0.0))
    return found


def path_of(lane: int, connector: int, before: float = 60.0) -> Polyline:
    """A lane's end, a connector and the lane behind it."""
    found = NETWORK.connectors[connector]
    whole = NETWORK.lanes[lane].path
    behind = NETWORK.lanes[found.to_lane].path.between(0.0, 30.0)
    return Polyline.joined([whole.between(whole.length - before, whole.length), found.path, behind])


def test_every_lane_that_leads_on_is_right() -> None:
    way = route(Manoeuvre.STRAIGHT)
    others = [(lane, c) for lane in FROM_WEST if lane != way.lanes[0] for c in connectors_of(lane, Manoeuvre.STRAIGHT)]
    assert others
    for lane, connector in others:
        assert set(outcomes(way, path_of(lane, connector))) == {None}
        strict = outcomes(way, path_of(lane, connector), Rules(any_lane=False))
        assert strict[0] is Outcome.LEFT_ROAD


def test_a_lane_that_leads_elsewhere_is_right_until_the_junction_and_wrong_in_it() -> None:
    way = route(Manoeuvre.LEFT)
    lane = next(lane for lane in FROM_WEST if not connectors_of(lane, Manoeuvre.LEFT))
    found = outcomes(way, path_of(lane, NETWORK.successors(lane)[0]))
    first = next(i for i, outcome in enumerate(found) if outcome is not None)
    assert found[first] is Outcome.WRONG_LANE
    assert first * 0.5 == pytest.approx(60.0, abs=6.0)  # the mouth of the junction


def test_another_way_from_a_right_lane_is_a_wrong_turn() -> None:
    way = route(Manoeuvre.RIGHT)
    lane = next(lane for lane in FROM_WEST if connectors_of(lane, Manoeuvre.RIGHT))
    found = outcomes(way, path_of(lane, connectors_of(lane, Manoeuvre.STRAIGHT)[0]))
    assert next(outcome for outcome in found if outcome is not None) is Outcome.WRONG_TURN


def test_the_other_direction_and_the_kerb_are_no_lanes() -> None:
    way = route(Manoeuvre.STRAIGHT)
    pose, lane = way.path.pose(20.0), NETWORK.lanes[way.lanes[0]]
    left = (lane.index + 1) * WIDTH  # the first lane of the other direction
    right = (3 - lane.index) * WIDTH  # beyond the last one of this direction
    for offset in (left, -right):
        moved = pose.moved(left=offset)
        found = check_termination(Rules(), NETWORK, way, state_at(moved), way.progress(moved, 20.0), None, 0.0)
        assert found is Outcome.LEFT_ROAD


def test_offsets_by_hand() -> None:
    way = route(Manoeuvre.STRAIGHT)
    pose, index = way.path.pose(20.0), NETWORK.lanes[way.lanes[0]].index
    side = -1 if index < 2 else 1  # towards a lane of the same direction
    for moved, offset in ((0.3, 0.3), (1.6, 1.6), (2.0, -1.5), (3.4, -0.1)):
        progress = way.progress(pose.moved(left=side * moved), 20.0)
        assert progress.offset == pytest.approx(side * offset, abs=1e-6)
        assert progress.route_offset == pytest.approx(side * moved, abs=1e-6)


def test_a_road_with_one_lane_has_no_corridor() -> None:
    ends = [(100.0, 0.0), (0.0, 100.0), (-100.0, 0.0)]
    roads = [Road(0, i + 1, Polyline(np.array([[0.0, 0.0], end]))) for i, end in enumerate(ends)]
    network = build_network([(0.0, 0.0), *ends], roads)
    lane = next(i for i, lane in enumerate(network.lanes) if network.successors(i))
    chosen = network.successors(lane)[0]
    way = make_route(network, [lane, network.connectors[chosen].to_lane], [chosen], 20.0, 40.0)
    assert way.corridor.sections == ()


def steered(way: Route, start: Pose, steps: int = 400) -> list[Pose]:
    """Poses of a car without tyres that the expert steers at 6 m/s."""
    vehicle, expert = VehicleSpec(), LaneExpert(ExpertConfig(preview_time=0.0), VehicleSpec())
    expert.follow(way)
    poses, pose, speed, dt = [start], start, 6.0, 0.05
    for i in range(steps):
        state = replace(state_at(pose, i * dt), speed=speed)
        curvature = float(np.clip(expert.command(state).curvature, -vehicle.max_curvature, vehicle.max_curvature))
        pose = pose.moved(forward=speed * dt, turn=curvature * speed * dt)
        poses.append(pose)
        if way.progress(pose).fraction >= 0.97:
            break
    return poses


@pytest.mark.parametrize("manoeuvre", [Manoeuvre.STRAIGHT, Manoeuvre.LEFT, Manoeuvre.RIGHT])
def test_the_expert_changes_lanes_where_its_own_does_not_lead_on_and_stays_where_it_does(manoeuvre: Manoeuvre) -> None:
    way = route(manoeuvre)
    own = NETWORK.lanes[way.lanes[0]].index
    for lane in FROM_WEST:
        start = way.path.pose(0.0).moved(left=(own - NETWORK.lanes[lane].index) * WIDTH)
        poses, near, found = steered(way, start), 0.0, []
        for pose in poses:
            progress = way.progress(pose, near)
            near = progress.station
            found.append(check_termination(Rules(), NETWORK, way, state_at(pose), progress, None, 0.0))
        assert set(found) <= {None, Outcome.ARRIVED}
        mouth = next(p for p in poses if way.progress(p).station > way.passages[0].start - 1.0)
        offset = NETWORK.lanes[lane].path.project((mouth.x, mouth.y))[1]
        assert (abs(offset) < 0.5) == bool(connectors_of(lane, manoeuvre))
