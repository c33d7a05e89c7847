import pytest

from navsim.roads.osm.tags import building_height, parse_length, parse_speed, street_kind

KMH = 1 / 3.6


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("50", 50 * KMH),
        ("30 mph", 13.4112),
        ("30mph", 13.4112),
        ("10 knots", 5.14444),
        ("80 km/h", 80 * KMH),
        ("walk", 7 * KMH),
        ("none", 130 * KMH),
        ("DE:urban", 50 * KMH),
        ("RO:rural", 90 * KMH),
        ("DE:zone:30", 30 * KMH),
        ("FR:zone30", 30 * KMH),
        ("50;30", 50 * KMH),
        ("0", None),
        ("", None),
        ("signals", None),
        ("DE:whatever", None),
    ],
)
def test_speed_limits(text: str, expected: float | None) -> None:
    assert parse_speed(text) == (None if expected is None else pytest.approx(expected, rel=1e-5))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("7.5", 7.5), ("7,5 m", 7.5), ("10 ft", 3.048), ("24'6\"", 7.4676), ("12'", 3.6576), ("wide", None), ("", None)],
)
def test_lengths(text: str, expected: float | None) -> None:
    assert parse_length(text) == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    ("tags", "lanes"),
    [
        ({"highway": "residential"}, (1, 1)),
        ({"highway": "residential", "oneway": "yes"}, (1, 0)),
        ({"highway": "residential", "oneway": "-1"}, (0, 1)),
        ({"highway": "residential", "oneway": "-1", "lanes": "2"}, (0, 2)),
        ({"highway": "residential", "oneway": "reversible"}, (1, 0)),
        ({"highway": "tertiary", "junction": "roundabout"}, (1, 0)),
        ({"highway": "tertiary", "junction": "circular", "oneway": "no"}, (1, 1)),
        ({"highway": "motorway"}, (2, 0)),
        ({"highway": "motorway", "oneway": "no"}, (1, 1)),
        ({"highway": "primary", "lanes": "4"}, (2, 2)),
        ({"highway": "primary", "lanes": "3", "lanes:forward": "2"}, (2, 1)),
        ({"highway": "primary", "lanes": "3", "lanes:backward": "2"}, (1, 2)),
        ({"highway": "primary", "lanes": "6"}, (3, 3)),
        ({"highway": "primary", "lanes": "8"}, (4, 4)),
        ({"highway": "primary", "lanes": "7"}, (3, 3)),
        ({"highway": "primary", "lanes": "12"}, (6, 6)),
        ({"highway": "primary", "lanes": "40"}, (8, 8)),
        ({"highway": "primary", "lanes": "6", "lanes:forward": "4"}, (4, 2)),
        ({"highway": "primary", "lanes": "6", "lanes:backward": "5"}, (1, 5)),
        ({"highway": "primary", "lanes:forward": "5", "lanes:backward": "3"}, (5, 3)),
        ({"highway": "primary", "lanes": "7", "lanes:both_ways": "1"}, (3, 3)),
        ({"highway": "primary", "lanes": "6", "lanes:both_ways": "1", "lanes:forward": "3"}, (3, 2)),
        ({"highway": "primary", "oneway": "yes", "lanes": "6"}, (6, 0)),
        ({"highway": "primary", "oneway": "-1", "lanes:backward": "5"}, (0, 5)),
        ({"highway": "primary", "lanes": "many"}, (1, 1)),
        ({"highway": "primary", "lanes": "0"}, (1, 1)),
        ({"highway": "primary", "oneway": "yes", "lanes": "9"}, (8, 0)),
    ],
)
def test_lanes(tags: dict[str, str], lanes: tuple[int, int]) -> None:
    kind = street_kind(tags)
    assert kind is not None
    assert (kind.lanes_forward, kind.lanes_backward) == lanes


@pytest.mark.parametrize(
    "tags",
    [
        {"highway": "footway"},
        {"highway": "service"},
        {"highway": "construction", "construction": "primary"},
        {"highway": "residential", "access": "private"},
        {"highway": "residential", "motor_vehicle": "no"},
        {"highway": "residential", "area": "yes"},
        {"highway": "primary", "tunnel": "yes", "layer": "-1"},
        {"building": "yes"},
        {},
    ],
)
def test_no_street_for_cars(tags: dict[str, str]) -> None:
    assert street_kind(tags) is None


def test_the_most_special_access_decides() -> None:
    assert street_kind({"highway": "residential", "access": "no", "motor_vehicle": "yes"}) is not None
    assert street_kind({"highway": "residential", "access": "yes", "motorcar": "no"}) is None


@pytest.mark.parametrize(
    ("tags", "lane_width"),
    [
        ({"highway": "residential"}, 3.5),
        ({"highway": "residential", "width": "8"}, 3.0),
        ({"highway": "residential", "width": "3 m"}, 2.75),
        ({"highway": "residential", "width": "40"}, 4.0),
        ({"highway": "residential", "lanes": "1"}, 2.75),
        ({"highway": "living_street"}, 3.0),
    ],
)
def test_lane_widths(tags: dict[str, str], lane_width: float) -> None:
    kind = street_kind(tags)
    assert kind is not None
    assert kind.lane_width == lane_width


def test_bridges_lie_above_the_ground() -> None:
    for tags, layer in (({}, 0), ({"bridge": "yes"}, 1), ({"bridge": "yes", "layer": "2"}, 2), ({"layer": "odd"}, 0)):
        kind = street_kind({"highway": "primary", **tags})
        assert kind is not None
        assert kind.layer == layer


def test_heights_of_buildings() -> None:
    assert building_height({"height": "12 m", "building:levels": "9"}) == 12.0
    assert building_height({"building:levels": "4"}) == 12.0
    assert building_height({"building": "yes"}) is None
    assert building_height({"height": "-5"}) is None
