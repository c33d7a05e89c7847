"""Streets find room in a sketch, or are refused, by distances worked out by hand."""

import numpy as np
import pytest

from navsim.geometry import Polyline
from navsim.roads.generators.layout import Profile
from navsim.roads.generators.street_builder import Sketch, Spot, add_roundabout, try_dead_end, try_link
from navsim.roads.network import build_network
from tests.roads.plain_networks import straight

STREET = Profile(1, 3.0, 1.0)
"""4 m from its middle to either kerb."""


def main_street() -> Sketch:
    """One straight street, 300 m from west to east."""
    sketch = Sketch(clearance=14.0, spacing=50.0, reach=40.0, min_radius=20.0)
    ends = sketch.node(np.zeros(2)), sketch.node(np.array([300.0, 0.0]))
    sketch.add(straight((0.0, 0.0), (300.0, 0.0)), *ends, STREET)
    return sketch


def side_street(sketch: Sketch, x: float, slope: float = 0.0) -> int | None:
    """Try a street northwards from `x` on the main street, leaning east by `slope`."""
    end = sketch.node(np.array([x + 100.0 * slope, 100.0]))
    return sketch.try_add(straight((x, 0.0), tuple(sketch.places[end])), Spot(0, x), end, STREET)


@pytest.mark.parametrize(("x", "fits"), [(50.0, True), (49.0, False), (150.0, True), (250.0, True), (251.0, False)])
def test_streets_join_at_a_distance_from_the_ends(x: float, fits: bool) -> None:
    assert (side_street(main_street(), x) is not None) == fits


@pytest.mark.parametrize(("gap", "fits"), [(0.0, False), (49.0, False), (50.0, True)])
def test_streets_join_at_a_distance_from_each_other(gap: float, fits: bool) -> None:
    sketch = main_street()
    assert side_street(sketch, 100.0) is not None
    assert (side_street(sketch, 100.0 + gap) is not None) == fits


def test_streets_that_come_too_close_further_on_are_refused() -> None:
    sketch = main_street()
    assert side_street(sketch, 100.0) is not None
    assert side_street(sketch, 160.0, slope=-0.5) is None  # 10 m apart at their ends
    assert side_street(sketch, 160.0, slope=-0.3) is not None  # 30 m


def test_streets_that_bend_too_sharply_are_refused() -> None:
    sketch = main_street()
    angles = np.linspace(np.pi, 0.5 * np.pi, 30)
    arc = np.array([119.0, 0.0]) + 19.0 * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    end = sketch.node(arc[-1])
    assert sketch.try_add(Polyline(arc), Spot(0, 100.0), end, STREET) is None


def test_streets_are_cut_where_others_join_them() -> None:
    sketch = main_street()
    side_street(sketch, 100.0)
    side_street(sketch, 200.0)
    draft = sketch.draft(8.0)
    assert [road.centre.length for road in draft.roads] == pytest.approx([100.0, 100.0, 100.0, 100.0, 100.0])
    network = build_network(draft.nodes, draft.roads, draft.kerb_radius)
    assert [str(junction.kind) for junction in network.junctions] == ["tee", "tee"]


def test_a_link_joins_two_streets_squarely() -> None:
    sketch = main_street()
    ends = sketch.node(np.array([0.0, 120.0])), sketch.node(np.array([300.0, 120.0]))
    sketch.add(straight((0.0, 120.0), (300.0, 120.0)), *ends, STREET)
    rng = np.random.default_rng(3)
    added = [try_link(sketch, [0, 1], (100.0, 160.0), 0.1, STREET, rng) for _ in range(30)]
    links = [sketch.lines[index].centre for index in added if index is not None]
    assert 1 <= len(links) <= 4
    for link in links:
        assert sorted(link.points[[0, -1], 1].tolist()) == [0.0, 120.0]
        assert np.abs(np.cos(link.headings[[0, -1]])).max() < np.sin(np.deg2rad(9.0))


def test_a_link_longer_than_allowed_is_none() -> None:
    sketch = main_street()
    ends = sketch.node(np.array([0.0, 120.0])), sketch.node(np.array([300.0, 120.0]))
    sketch.add(straight((0.0, 120.0), (300.0, 120.0)), *ends, STREET)
    rng = np.random.default_rng(3)
    assert all(try_link(sketch, [0, 1], (60.0, 110.0), 0.1, STREET, rng) is None for _ in range(30))


@pytest.mark.parametrize("circle", [None, 15.0])
def test_a_dead_end_ends_in_a_turning_circle_or_not(circle: float | None) -> None:
    sketch = main_street()
    assert try_dead_end(sketch, Spot(0, 150.0), (np.pi / 2, np.pi / 2 + 0.4), 60.0, STREET, circle) == 1
    draft = sketch.draft(8.0)
    rings = [road for road in draft.roads if road.ring]
    assert len(rings) == (circle is not None)
    assert len(draft.nodes) == 4
    if circle is not None:
        assert rings[0].start == rings[0].end
        assert rings[0].centre.length == pytest.approx(2 * np.pi * circle, rel=0.01)
        assert (np.diff(rings[0].centre.headings) > 0).all()
        build_network(draft.nodes, draft.roads, draft.kerb_radius)


def test_a_dead_end_without_room_leaves_nothing_behind() -> None:
    sketch = main_street()
    ends = sketch.node(np.array([0.0, 70.0])), sketch.node(np.array([300.0, 70.0]))
    sketch.add(straight((0.0, 70.0), (300.0, 70.0)), *ends, STREET)
    assert try_dead_end(sketch, Spot(0, 150.0), (np.pi / 2, np.pi / 2 + 0.4), 60.0, STREET, 15.0) is None
    assert try_dead_end(sketch, Spot(0, 10.0), (-np.pi / 2, -np.pi / 2 - 0.4), 60.0, STREET, 15.0) is None
    assert (len(sketch.lines), len(sketch.places)) == (2, 4)


def test_a_roundabout_is_a_ring_from_arm_to_arm() -> None:
    sketch = Sketch(14.0, 50.0, 40.0, 15.0)
    nodes = add_roundabout(sketch, 20.0, [0.0, np.pi / 2, np.pi], Profile(1, 4.0, ring=True))
    assert [sketch.places[node].round(9).tolist() for node in nodes] == [[20.0, 0.0], [0.0, 20.0], [-20.0, 0.0]]
    lengths = [road.centre.length for road in sketch.draft(8.0).roads]
    assert lengths == pytest.approx([10 * np.pi, 10 * np.pi, 20 * np.pi], rel=0.01)
