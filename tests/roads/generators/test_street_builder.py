"""Streets are added or rejected by distances worked out by hand."""

import numpy as np
import pytest

from navsim.geometry import Polyline
from navsim.roads.generators.layout import CrossSection
from navsim.roads.generators.street_builder import StreetBuilder, StreetPoint, add_roundabout, try_dead_end, try_link
from navsim.roads.network import build_network
from tests.roads.plain_networks import straight

STREET = CrossSection(1, 3.0, 1.0)
"""Cross section with 4 m from the centre line to either kerb."""


def main_street() -> StreetBuilder:
    """Return one straight street, 300 m from west to east."""
    builder = StreetBuilder(clearance=14.0, spacing=50.0, reach=40.0, min_radius=20.0)
    ends = builder.add_node(np.zeros(2)), builder.add_node(np.array([300.0, 0.0]))
    builder.add_street(straight((0.0, 0.0), (300.0, 0.0)), *ends, STREET)
    return builder


def side_street(builder: StreetBuilder, x: float, slope: float = 0.0) -> int | None:
    """Try to add a street northwards from `x` on the main street, leaning east by `slope`."""
    end = builder.add_node(np.array([x + 100.0 * slope, 100.0]))
    return builder.try_add_street(straight((x, 0.0), tuple(builder.nodes[end])), StreetPoint(0, x), end, STREET)


@pytest.mark.parametrize(("x", "fits"), [(50.0, True), (49.0, False), (150.0, True), (250.0, True), (251.0, False)])
def test_streets_join_at_a_distance_from_the_ends(x: float, fits: bool) -> None:
    assert (side_street(main_street(), x) is not None) == fits


@pytest.mark.parametrize(("gap", "fits"), [(0.0, False), (49.0, False), (50.0, True)])
def test_streets_join_at_a_distance_from_each_other(gap: float, fits: bool) -> None:
    builder = main_street()
    assert side_street(builder, 100.0) is not None
    assert (side_street(builder, 100.0 + gap) is not None) == fits


def test_streets_that_come_too_close_further_on_are_refused() -> None:
    builder = main_street()
    assert side_street(builder, 100.0) is not None
    assert side_street(builder, 160.0, slope=-0.5) is None  # 10 m apart at their ends
    assert side_street(builder, 160.0, slope=-0.3) is not None  # 30 m


def test_streets_that_bend_too_sharply_are_refused() -> None:
    builder = main_street()
    angles = np.linspace(np.pi, 0.5 * np.pi, 30)
    arc = np.array([119.0, 0.0]) + 19.0 * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    end = builder.add_node(arc[-1])
    assert builder.try_add_street(Polyline(arc), StreetPoint(0, 100.0), end, STREET) is None


def test_streets_are_cut_where_others_join_them() -> None:
    builder = main_street()
    side_street(builder, 100.0)
    side_street(builder, 200.0)
    layout = builder.layout(8.0)
    assert [road.centre.length for road in layout.roads] == pytest.approx([100.0, 100.0, 100.0, 100.0, 100.0])
    network = build_network(layout.nodes, layout.roads, layout.kerb_radius)
    assert [str(junction.kind) for junction in network.junctions] == ["tee", "tee"]


def test_a_link_joins_two_streets_squarely() -> None:
    builder = main_street()
    ends = builder.add_node(np.array([0.0, 120.0])), builder.add_node(np.array([300.0, 120.0]))
    builder.add_street(straight((0.0, 120.0), (300.0, 120.0)), *ends, STREET)
    rng = np.random.default_rng(3)
    added = [try_link(builder, [0, 1], (100.0, 160.0), 0.1, STREET, rng) for _ in range(30)]
    links = [builder.streets[index].centre for index in added if index is not None]
    assert 1 <= len(links) <= 4
    for link in links:
        assert sorted(link.points[[0, -1], 1].tolist()) == [0.0, 120.0]
        assert np.abs(np.cos(link.headings[[0, -1]])).max() < np.sin(np.deg2rad(9.0))


def test_a_link_longer_than_allowed_is_none() -> None:
    builder = main_street()
    ends = builder.add_node(np.array([0.0, 120.0])), builder.add_node(np.array([300.0, 120.0]))
    builder.add_street(straight((0.0, 120.0), (300.0, 120.0)), *ends, STREET)
    rng = np.random.default_rng(3)
    assert all(try_link(builder, [0, 1], (60.0, 110.0), 0.1, STREET, rng) is None for _ in range(30))


@pytest.mark.parametrize("circle", [None, 15.0])
def test_a_dead_end_ends_in_a_turning_circle_or_not(circle: float | None) -> None:
    builder = main_street()
    assert try_dead_end(builder, StreetPoint(0, 150.0), (np.pi / 2, np.pi / 2 + 0.4), 60.0, STREET, circle) == 1
    layout = builder.layout(8.0)
    rings = [road for road in layout.roads if road.ring]
    assert len(rings) == (circle is not None)
    assert len(layout.nodes) == 4
    if circle is not None:
        assert rings[0].start == rings[0].end
        assert rings[0].centre.length == pytest.approx(2 * np.pi * circle, rel=0.01)
        assert (np.diff(rings[0].centre.headings) > 0).all()
        build_network(layout.nodes, layout.roads, layout.kerb_radius)


def test_a_dead_end_without_room_leaves_nothing_behind() -> None:
    builder = main_street()
    ends = builder.add_node(np.array([0.0, 70.0])), builder.add_node(np.array([300.0, 70.0]))
    builder.add_street(straight((0.0, 70.0), (300.0, 70.0)), *ends, STREET)
    assert try_dead_end(builder, StreetPoint(0, 150.0), (np.pi / 2, np.pi / 2 + 0.4), 60.0, STREET, 15.0) is None
    assert try_dead_end(builder, StreetPoint(0, 10.0), (-np.pi / 2, -np.pi / 2 - 0.4), 60.0, STREET, 15.0) is None
    assert (len(builder.streets), len(builder.nodes)) == (2, 4)


def test_a_roundabout_is_a_ring_from_arm_to_arm() -> None:
    builder = StreetBuilder(14.0, 50.0, 40.0, 15.0)
    nodes = add_roundabout(builder, 20.0, [0.0, np.pi / 2, np.pi], CrossSection(1, 4.0, ring=True))
    assert [builder.nodes[node].round(9).tolist() for node in nodes] == [[20.0, 0.0], [0.0, 20.0], [-20.0, 0.0]]
    lengths = [road.centre.length for road in builder.layout(8.0).roads]
    assert lengths == pytest.approx([10 * np.pi, 10 * np.pi, 20 * np.pi], rel=0.01)
