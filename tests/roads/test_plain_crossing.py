"""The exits of an imagined plain crossing."""

import numpy as np
import pytest

from navsim.geometry import wrap_angle
from navsim.roads.network import Manoeuvre, Road, RoadNetwork, build_network
from navsim.simulation.junction_exits import DIRECTIONS, plain_exits
from tests.roads.plain_networks import star, straight

EAST, NORTH, WEST, SOUTH = 0, 1, 2, 3  # roads of the crossing below


def arriving(network: RoadNetwork, road: int) -> int:
    """Return the lane that leads from a star's outer end to its middle."""
    return next(i for i, lane in enumerate(network.lanes) if lane.road == road and not lane.forward)


@pytest.mark.parametrize("road", [EAST, NORTH, WEST, SOUTH])
def test_at_a_plain_crossing_they_are_the_exits_that_there_are(road: int) -> None:
    crossing = star([0, 90, 180, 270])
    lane = arriving(crossing, road)
    connectors = {
        crossing.connectors[index].manoeuvre: crossing.connectors[index] for index in crossing.successors(lane)
    }
    for manoeuvre, path in zip(DIRECTIONS, plain_exits(crossing, lane), strict=True):
        # The mouths of a star are not all equally far from its middle, for they snap to vertices a metre apart.
        aside = [abs(path.project(point)[1]) for point in connectors[manoeuvre].path.points]
        assert max(aside) < (1e-6 if manoeuvre is Manoeuvre.STRAIGHT else 0.25)


def test_where_they_lead_by_hand() -> None:
    # From the west the lane's middle is 1.75 m right of the road's; lanes out are 1.75 m right of theirs.
    tee = star([0, 180, 270])
    lane = arriving(tee, 1)
    mouth = tee.lanes[lane].path.points[-1]
    setback = -mouth[0]
    assert mouth[1] == pytest.approx(-1.75)
    left, ahead, right = plain_exits(tee, lane, beyond=10.0)
    far = setback + 10.0
    for path, end in ((left, (1.75, far)), (ahead, (far, -1.75)), (right, (-1.75, -far))):
        np.testing.assert_allclose(path.points[0], mouth, atol=1e-9)
        np.testing.assert_allclose(path.points[-1], end, atol=1e-6)


def test_on_a_one_way_road_they_keep_to_the_middle() -> None:
    nodes = [(0.0, 0.0), (-80.0, 0.0), (80.0, 0.0), (0.0, -80.0)]
    one_way = Road(1, 0, straight(nodes[1], nodes[0]), lanes_backward=0)
    network = build_network(nodes, [one_way, *(Road(0, i, straight(nodes[0], nodes[i])) for i in (2, 3))])
    left, ahead, right = plain_exits(network, 0, beyond=5.0)
    assert ahead.points[:, 1] == pytest.approx(0.0, abs=1e-9)
    assert left.points[-1] * [1, -1] == pytest.approx(right.points[-1])
    assert right.points[-1, 0] == pytest.approx(0.0, abs=1e-9)


def test_they_turn_as_they_say_and_begin_in_the_lanes_direction(towns: dict[str, RoadNetwork]) -> None:
    for town in towns.values():
        for lane in range(0, len(town.lanes), 7):
            heading = town.lanes[lane].path.headings[-1]
            for manoeuvre, path in zip(DIRECTIONS, plain_exits(town, lane), strict=True):
                turn = {Manoeuvre.LEFT: 90.0, Manoeuvre.STRAIGHT: 0.0, Manoeuvre.RIGHT: -90.0}[manoeuvre]
                assert np.rad2deg(wrap_angle(path.headings[-1] - heading - np.deg2rad(turn))) == pytest.approx(0, abs=1)
                assert np.abs(wrap_angle(path.headings[0] - heading)) < np.deg2rad(2.0)
                assert np.abs(path.curvatures).max() < 0.2
