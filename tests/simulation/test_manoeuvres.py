"""What the car is doing in a frame, by hand on small networks and in a town with a roundabout."""

import numpy as np
import pytest

from navsim.geometry import Polyline
from navsim.roads.network import Manoeuvre, Road, build_network
from navsim.simulation.episode import FrameManoeuvre, manoeuvre_of_frames
from navsim.simulation.scenario import Scenario, scenario_route
from navsim.simulation.town import load_town_map
from tests.roads.plain_networks import star
from tests.simulation.placed_episodes import placed_episode, route_through


@pytest.mark.parametrize(
    ("manoeuvre", "expected"),
    [
        (Manoeuvre.LEFT, FrameManoeuvre.LEFT),
        (Manoeuvre.STRAIGHT, FrameManoeuvre.STRAIGHT_ON),
        (Manoeuvre.RIGHT, FrameManoeuvre.RIGHT),
    ],
)
def test_before_in_and_behind_a_junction(manoeuvre: Manoeuvre, expected: FrameManoeuvre) -> None:
    crossing = star([0, 90, 180, 270])
    route = route_through(
        crossing, [next(i for i, each in enumerate(crossing.connectors) if each.manoeuvre is manoeuvre)]
    )
    passage = route.passages[0]
    stations = [10.0, passage.start - 0.5, passage.start + 0.5, passage.end - 0.5, passage.end + 0.5]
    episode = placed_episode(route, [(station, 0.4, 0.1) for station in stations])
    road = FrameManoeuvre.STRAIGHT
    assert manoeuvre_of_frames(episode, crossing, route).tolist() == [road, road, expected, expected, road]


def test_where_only_two_roads_meet_it_is_a_road_that_curves() -> None:
    bend = star([180, 90])
    index = next(i for i, each in enumerate(bend.connectors) if each.manoeuvre is Manoeuvre.LEFT)
    route = route_through(bend, [index])
    middle = (route.passages[0].start + route.passages[0].end) / 2
    episode = placed_episode(route, [(10.0, 0.0, 0.0), (middle, 0.0, 0.0)])
    assert manoeuvre_of_frames(episode, bend, route).tolist() == [FrameManoeuvre.STRAIGHT, FrameManoeuvre.CURVE]


@pytest.mark.parametrize(("radius", "expected"), [(80.0, FrameManoeuvre.CURVE), (150.0, FrameManoeuvre.STRAIGHT)])
def test_a_road_is_a_curve_by_its_radius(radius: float, expected: FrameManoeuvre) -> None:
    angles = np.linspace(0.0, 1.0, 100)
    arc = radius * np.stack([np.sin(angles), 1 - np.cos(angles)], axis=-1)
    end = arc[-1] + 60.0 * np.array([np.cos(1.0), np.sin(1.0)])
    tail = Polyline(np.stack([arc[-1], end])).resampled(1.0)
    network = build_network([arc[0], arc[-1], end], [Road(0, 1, Polyline(arc)), Road(1, 2, tail)])
    index = next(i for i, each in enumerate(network.connectors) if network.lanes[each.from_lane].road == 0)
    route = route_through(network, [index])
    episode = placed_episode(route, [(40.0, 0.0, 0.0)])
    assert manoeuvre_of_frames(episode, network, route).tolist() == [expected]


def test_the_ring_of_a_roundabout_belongs_to_it_and_labels_do_not_matter() -> None:
    name = "village-train-1"
    network = load_town_map(name).network
    route = scenario_route(network, Scenario(name, 2))
    assert [p.manoeuvre for p in route.passages].count(Manoeuvre.ROUNDABOUT) >= 3
    stations = np.arange(0.5, route.length, 1.0)
    found = manoeuvre_of_frames(placed_episode(route, [(s, 0.0, 0.0) for s in stations]), network, route)
    rings = [p for p in route.passages if p.manoeuvre is Manoeuvre.ROUNDABOUT]
    # The ring is one stretch without gaps.
    inside = (stations >= rings[0].start) & (stations <= rings[-1].end)
    assert set(found[inside]) == {FrameManoeuvre.ROUNDABOUT}
    assert FrameManoeuvre.ROUNDABOUT not in found[~inside]
    assert set(found) <= set(FrameManoeuvre)
    assert FrameManoeuvre.LEFT in found
