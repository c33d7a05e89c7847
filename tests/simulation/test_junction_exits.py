"""Exits at junctions, by hand at a crossing and a T junction, and against the labels of real drives."""

import dataclasses

import numpy as np
import pytest

from navsim.roads.network import Manoeuvre, RoadNetwork
from navsim.roads.routing import Route
from navsim.simulation.expert import ExpertConfig, LaneExpert, SteeringNoise
from navsim.simulation.junction_exits import DIRECTIONS, JunctionExits, episode_exits
from navsim.simulation.rollout import drive
from navsim.simulation.scenario import Scenario
from navsim.simulation.simulation import Simulation
from navsim.world.vehicle import VehicleSpec
from tests.roads.plain_networks import square, star
from tests.simulation.placed_episodes import placed_episode, route_through

EXPERT = ExpertConfig(lookahead_time=0.8, min_lookahead=5.0, preview_time=0.15)
VEHICLE = VehicleSpec()
CROSSING = star([0, 90, 180, 270])
TEE = star([0, 180, 270])  # from the west: straight on or right


def way(network: RoadNetwork, road: int, manoeuvre: Manoeuvre) -> Route:
    """From the outer end of a star's road through the middle."""
    index = next(
        i
        for i, connector in enumerate(network.connectors)
        if network.lanes[connector.from_lane].road == road and connector.manoeuvre is manoeuvre
    )
    return route_through(network, [index])


def exits_at(
    network: RoadNetwork, route: Route, places: list[tuple[float, float, float]], **window: float
) -> JunctionExits:
    """What is open at places given by the distance past the first junction's mouth, offset and heading error."""
    mouth = route.passages[0].start
    moved = [(mouth + distance, offset, turn) for distance, offset, turn in places]
    return episode_exits(placed_episode(route, moved), network, route, EXPERT, VEHICLE, **window)


def column(exits: JunctionExits, manoeuvre: Manoeuvre) -> int:
    """Where an exit of the first passage stands."""
    return [each.manoeuvre for each in exits.exits[0]].index(manoeuvre)


def test_a_crossing_has_three_exits_a_tee_two() -> None:
    for network, road, expected in (
        (CROSSING, 2, {Manoeuvre.LEFT, Manoeuvre.STRAIGHT, Manoeuvre.RIGHT}),
        (TEE, 1, {Manoeuvre.STRAIGHT, Manoeuvre.RIGHT}),
        (TEE, 2, {Manoeuvre.LEFT, Manoeuvre.RIGHT}),
    ):
        route = way(network, road, Manoeuvre.RIGHT)
        exits = exits_at(network, route, [(1.0, 0.0, 0.0)])
        assert {each.manoeuvre for each in exits.exits[0]} == expected
        assert exits.exits[0][exits.taken[0]].connector == route.connectors[0]
        assert exits.curvatures.shape == (1, len(expected))


def test_before_the_expert_looks_into_the_junction_all_exits_ask_for_the_same_by_hand() -> None:
    # 5 m/s: 4 m of lookahead are less than the least, 5 m; 0.75 m of preview end 1.25 m before the mouth.
    exits = exits_at(CROSSING, way(CROSSING, 2, Manoeuvre.LEFT), [(-2.0, 0.3, 0.0), (-2.0, -0.2, 0.05)])
    assert exits.curvatures[0] == pytest.approx(np.full(3, -2 * 0.3 / 25))
    assert exits.curvatures[1] == pytest.approx(np.full(3, -2 * (-0.2 + 5 * np.sin(0.05)) / 25))
    assert exits.offsets[1] == pytest.approx(np.full(3, -0.2))
    assert exits.course_errors[1] == pytest.approx(np.full(3, 0.05))
    assert exits.distances == pytest.approx([-2.0, -2.0])


def test_inside_the_straight_exit_by_hand_whichever_way_the_route_takes() -> None:
    straight = exits_at(CROSSING, way(CROSSING, 2, Manoeuvre.STRAIGHT), [(4.0, 0.3, 0.1)])
    expected = -2 * (0.3 + 5 * np.sin(0.1)) / 25
    assert straight.curvatures[0, column(straight, Manoeuvre.STRAIGHT)] == pytest.approx(expected)
    # The same pose, given by its place beside the path to the left.
    route, left = way(CROSSING, 2, Manoeuvre.STRAIGHT), way(CROSSING, 2, Manoeuvre.LEFT)
    pose = route.path.pose(route.passages[0].start + 4.0).moved(left=0.3, turn=0.1)
    place = left.progress(pose)
    there = (place.station - left.passages[0].start, place.offset, place.heading_error)
    other = exits_at(CROSSING, left, [there])
    assert other.curvatures[0] == pytest.approx(straight.curvatures[0], abs=2e-4)
    assert other.taken[0] != straight.taken[0]


def test_exits_part_and_are_ordered_from_left_to_right() -> None:
    exits = exits_at(CROSSING, way(CROSSING, 2, Manoeuvre.STRAIGHT), [(d, 0.0, 0.0) for d in (1.0, 3.0, 5.0)])
    left, straight, right = (exits.curvatures[:, column(exits, manoeuvre)] for manoeuvre in DIRECTIONS)
    assert straight == pytest.approx(np.zeros(3), abs=1e-9)
    assert (np.diff(left) > 0).all()
    assert (np.diff(right) < 0).all()
    assert left[2] > 0.05
    assert right[2] < -0.05


def test_a_crossing_misses_nothing_and_a_tee_the_side_without_a_road() -> None:
    places = [(1.0, 0.0, 0.0), (3.0, 0.2, 0.02)]
    crossing = exits_at(CROSSING, way(CROSSING, 2, Manoeuvre.STRAIGHT), places)
    assert np.isnan(crossing.missing).all()
    tee = exits_at(TEE, way(TEE, 1, Manoeuvre.STRAIGHT), places)
    assert np.isnan(tee.missing[:, 1:]).all()
    # What is not there is what a crossing has in its place; its mouth lies a metre farther out.
    assert tee.missing[:, 0] == pytest.approx(crossing.curvatures[:, column(crossing, Manoeuvre.LEFT)], abs=0.01)


def test_from_the_stem_of_a_tee_straight_on_is_missing_by_hand() -> None:
    tee = exits_at(TEE, way(TEE, 2, Manoeuvre.LEFT), [(2.0, 0.0, 0.0)])
    assert np.isnan(tee.missing[0, [0, 2]]).all()
    route = way(TEE, 2, Manoeuvre.LEFT)
    pose = route.path.pose(route.passages[0].start + 2.0)
    # The lane comes from the south at x = 1.75 m, so an offset to its left lies west of it.
    offset, turn = 1.75 - pose.x, pose.heading - np.pi / 2
    assert tee.missing[0, 1] == pytest.approx(-2 * (offset + 5 * np.sin(turn)) / 25, abs=1e-9)


def test_far_from_junctions_there_are_no_exits() -> None:
    route = way(CROSSING, 2, Manoeuvre.STRAIGHT)
    length = route.passages[0].end - route.passages[0].start
    places = [(-3.1, 0.0, 0.0), (-2.9, 0.0, 0.0), (length / 3 - 0.1, 0.0, 0.0), (length / 3 + 0.1, 0.0, 0.0)]
    exits = exits_at(CROSSING, route, places)
    assert exits.passages.tolist() == [-1, 0, 0, -1]
    assert (exits.taken >= 0).tolist() == [False, True, True, False]
    for values in (exits.curvatures, exits.offsets, exits.course_errors, exits.missing):
        assert np.isnan(values[[0, 3]]).all()
    assert np.isnan(exits.distances[[0, 3]]).all()
    wider = exits_at(CROSSING, route, places, before=3.2, depth=0.5)
    assert wider.passages.tolist() == [0, 0, 0, 0]


def test_the_window_never_reaches_back_into_the_junction_before() -> None:
    network = square(100.0)
    first = next(i for i, c in enumerate(network.connectors) if c.manoeuvre is Manoeuvre.LEFT)
    second = network.successors(network.connectors[first].to_lane)[0]
    route = route_through(network, [first, second])
    end, begin = route.passages[0].end, route.passages[1].start
    episode = placed_episode(route, [(end - 0.5, 0.0, 0.0), (end + 0.5, 0.0, 0.0), (begin + 0.5, 0.0, 0.0)])
    exits = episode_exits(episode, network, route, EXPERT, VEHICLE, before=1000.0)
    assert exits.passages.tolist() == [-1, 1, 1]


def test_frames_can_be_gathered() -> None:
    exits = exits_at(CROSSING, way(CROSSING, 2, Manoeuvre.LEFT), [(float(d), 0.0, 0.0) for d in range(5)])
    part, picked = exits[1:3], exits[np.array([4, 0])]
    assert len(exits) == 5
    assert part.distances == pytest.approx([1.0, 2.0])
    assert picked.distances == pytest.approx([4.0, 0.0])
    assert part.exits == exits.exits
    assert (part.curvatures == exits.curvatures[1:3]).all()


def test_a_drive_along_one_lane_meets_no_exits(simulation: Simulation) -> None:
    expert = LaneExpert(simulation.config.expert, simulation.config.vehicle)
    episode = drive(simulation, expert, Scenario("train-1", 0, 3, junctions=False), sense=False)
    exits = episode_exits(episode, simulation.town.network, simulation.route, EXPERT, VEHICLE)
    assert exits.exits == ()
    assert exits.curvatures.shape == (len(episode), 0)
    assert (exits.passages == -1).all()


@pytest.mark.parametrize("town", ["train-2", "grid-train-0", "village-train-1", "suburb-train-0"])
def test_the_driven_exit_is_lawful_and_has_the_recorded_label(simulation: Simulation, town: str) -> None:
    config = simulation.config
    expert, noise = LaneExpert(config.expert, config.vehicle), SteeringNoise(bursts_per_minute=15.0)
    episode = drive(simulation, expert, Scenario(town, 2, 1), noise, sense=False)
    exits = episode_exits(episode, simulation.town.network, simulation.route, config.expert, config.vehicle)
    rows = np.flatnonzero(exits.passages >= 0)
    reached = [i for i, passage in enumerate(episode.passages) if passage.start < episode.stations[:-1].max()]
    assert sorted(set(exits.passages[rows].tolist())) == reached
    assert len(rows) >= 8 * len(reached) >= 8
    np.testing.assert_allclose(exits.curvatures[rows, exits.taken[rows]], episode.labels[rows], atol=1e-12)
    for row in rows:
        passage = exits.passages[row]
        assert exits.exits[passage][exits.taken[row]].manoeuvre is episode.passages[passage].manoeuvre
        # Every lawful exit has its numbers, and nothing beside them.
        assert (~np.isnan(exits.curvatures[row])).sum() == len(exits.exits[passage])
    assert np.nanmax(np.abs(exits.curvatures)) <= config.vehicle.max_curvature
    other_law = dataclasses.replace(config.expert, min_lookahead=12.0, lookahead_time=2.0)
    others = episode_exits(episode, simulation.town.network, simulation.route, other_law, config.vehicle)
    assert np.nanmax(np.abs(others.curvatures[rows, exits.taken[rows]] - episode.labels[rows])) > 1e-3
