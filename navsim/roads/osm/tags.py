"""Tags of OpenStreetMap ways: access for cars, lanes, widths and speed limits of streets, heights of buildings.

Keys and values follow the OpenStreetMap wiki (Key:highway, Key:lanes, Key:oneway, Key:maxspeed, Key:access,
Key:driving_side).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from navsim.roads.elements import DrivingSide

MPH, KMH, KNOT = 0.44704, 1 / 3.6, 0.514444
"""Units of speed limits [m/s]."""
MAX_LANES = 8
"""Largest number of lanes in one direction."""
LANE_WIDTHS = (2.75, 4.0)
"""Smallest and largest width of a lane [m]."""
MARGIN = 1.0
"""Paved strip between edge line and kerb [m]."""
STOREY = 3.0
"""Height of a storey [m]."""

_SPEEDS = {  # default speed limits [km/h] of the drivable classes, the most important first
    "motorway": 110.0,
    "trunk": 90.0,
    "primary": 50.0,
    "secondary": 50.0,
    "tertiary": 50.0,
    "motorway_link": 60.0,
    "trunk_link": 50.0,
    "primary_link": 50.0,
    "secondary_link": 50.0,
    "tertiary_link": 50.0,
    "unclassified": 50.0,
    "residential": 40.0,
    "living_street": 20.0,
}
_CLASSES = tuple(_SPEEDS)
_CLOSED = {"no", "private", "agricultural", "forestry", "emergency", "military", "permit", "delivery"}
_IMPLICIT = {"urban": 50.0, "rural": 90.0, "trunk": 90.0, "motorway": 120.0, "living_street": 7.0}
_WALK, _NO_LIMIT = 7.0, 130.0
_CAR_RESTRICTIONS = ("restriction:motorcar", "restriction:motor_vehicle", "restriction:vehicle", "restriction")


@dataclass(frozen=True)
class StreetKind:
    """Cross section and class of a street, in the direction of its nodes."""

    rank: int
    """Importance of the street's class: 0 is a motorway, larger numbers are less important."""
    lanes_forward: int
    """Number of lanes in the direction of the nodes."""
    lanes_backward: int
    """Number of lanes against the direction of the nodes; 0 in one-way streets."""
    lane_width: float
    """Width of each lane [m]."""
    speed_limit: float
    """Speed limit [m/s]."""
    layer: int = 0
    """Vertical level: 0 on the ground, higher for bridges."""
    ring: bool = False
    """Whether the street is a part of a roundabout's ring."""
    side: DrivingSide | None = None
    """Side of traffic, if the street's tags name it."""

    def lanes_towards(self, forward: bool) -> int:
        """Return the number of lanes in one direction."""
        return self.lanes_forward if forward else self.lanes_backward

    @property
    def half_width(self) -> float:
        """Distance from the centre line to either kerb [m]."""
        return (self.lanes_forward + self.lanes_backward) * self.lane_width / 2 + MARGIN

    @property
    def half_width_of_lanes(self) -> float:
        """Distance from the centre line to either edge line [m]."""
        return self.half_width - MARGIN

    @property
    def reversed(self) -> "StreetKind":
        """The street in the opposite direction."""
        return replace(self, lanes_forward=self.lanes_backward, lanes_backward=self.lanes_forward)


def street_kind(tags: Mapping[str, str]) -> StreetKind | None:
    """Return the kind of street by a way's tags; None if it is not a street for cars.

    Service roads are left out, because most are driveways and lanes between parked cars. Tunnels are left out, because
    this world has only one level.
    """
    kind = tags.get("highway", "")
    if kind not in _SPEEDS or tags.get("area") == "yes" or not _open_to_cars(tags):
        return None
    if tags.get("tunnel", "no") not in ("no", "building_passage"):
        return None
    direction = _direction(tags, kind)
    forward, backward = _lanes(tags, kind, direction)
    limit = parse_speed(tags.get("maxspeed", ""))
    street = StreetKind(
        rank=_CLASSES.index(kind),
        lanes_forward=forward,
        lanes_backward=backward,
        lane_width=_lane_width(tags, kind, forward + backward),
        speed_limit=_SPEEDS[kind] * KMH if limit is None else limit,
        layer=_layer(tags),
        ring=_on_ring(tags),
        side=_traffic_side(tags),
    )
    return street.reversed if direction < 0 else street


@dataclass(frozen=True)
class RestrictionKind:
    """Kind of a turn restriction for cars."""

    only: bool
    """Whether the turn is the only one that is allowed, rather than forbidden."""
    turn: str
    """Direction of the turn: "left", "right", "straight" or "u"; empty if the restriction names none."""
    conditional: bool
    """Whether it holds at some times only."""

    @property
    def mirrored(self) -> "RestrictionKind":
        """The restriction in the mirror image of the town."""
        return replace(self, turn={"left": "right", "right": "left"}.get(self.turn, self.turn))


@dataclass(frozen=True)
class TurnRestriction:
    """Turn restriction between streets."""

    kind: RestrictionKind
    """Which turn is forbidden, or the only one allowed."""
    origins: frozenset[int]
    """Identifiers of the ways where the turn begins."""
    nodes: tuple[int, ...]
    """Identifiers of the nodes that the turn passes."""
    ways: tuple[int, ...]
    """Identifiers of the ways that the turn passes, in order."""
    targets: frozenset[int]
    """Identifiers of the ways where the turn ends."""


def restriction_kind(tags: Mapping[str, str]) -> RestrictionKind | None:
    """Return the kind of turn restriction by a relation's tags; None if it is not one for cars."""
    exempt = {vehicle.strip() for vehicle in tags.get("except", "").split(";")}
    if tags.get("type") not in ("restriction", *_CAR_RESTRICTIONS) or exempt & {"motorcar", "motor_vehicle", "vehicle"}:
        return None
    values = [tags[key] for key in _CAR_RESTRICTIONS if key in tags]
    conditional = not values or any(key in tags for key in ("day_on", "day_off", "hour_on", "hour_off"))
    if not values:
        values = [tags[f"{key}:conditional"] for key in _CAR_RESTRICTIONS if f"{key}:conditional" in tags]
    found = re.match(r"(no|only)_(left|right|straight|u)?", values[0].strip()) if values else None
    return None if found is None else RestrictionKind(found[1] == "only", found[2] or "", conditional)


def parse_speed(text: str) -> float | None:
    """Parse a speed limit such as `50`, `30 mph`, `walk` or `DE:urban` [m/s]; return None if it is not one."""
    first = text.split(";")[0].strip().lower()
    number = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(km/h|kmh|kph|mph|knots)?", first)
    if number is not None:
        value = float(number[1]) * {"mph": MPH, "knots": KNOT}.get(number[2] or "", KMH)
        return value if value > 0 else None
    if first in ("walk", "none"):
        return (_WALK if first == "walk" else _NO_LIMIT) * KMH
    region = re.fullmatch(r"[a-z]{2}(?:-[a-z]+)?:(?:zone:?)?(\w+)", first)
    if region is None:
        return None
    limit = float(region[1]) if region[1].isdigit() else _IMPLICIT.get(region[1], 0.0)
    return limit * KMH if limit > 0 else None


def parse_length(text: str) -> float | None:
    """Parse a length such as `7.5`, `7,5 m` or `24'6"` [m]; return None if it is not one."""
    value = text.strip().lower()
    metric = re.fullmatch(r"(\d+(?:[.,]\d+)?)\s*(m|metres|meters|ft|feet)?", value)
    if metric is not None:
        return float(metric[1].replace(",", ".")) * (0.3048 if metric[2] in ("ft", "feet") else 1.0)
    feet = re.fullmatch(r"(\d+)'\s*(?:(\d+(?:\.\d+)?)\")?", value)
    return None if feet is None else int(feet[1]) * 0.3048 + float(feet[2] or 0) * 0.0254


def building_height(tags: Mapping[str, str]) -> float | None:
    """Return the height of a building's walls by its tags [m], or None."""
    height = parse_length(tags.get("height", ""))
    if height is None:
        levels = parse_length(tags.get("building:levels", ""))
        height = None if levels is None else levels * STOREY
    return height if height is not None and 2.0 <= height <= 600.0 else None


def _open_to_cars(tags: Mapping[str, str]) -> bool:
    """Return whether cars may use a way; the most specific key decides."""
    for key in ("motorcar", "motor_vehicle", "vehicle", "access"):
        if key in tags:
            return tags[key] not in _CLOSED
    return True


def _on_ring(tags: Mapping[str, str]) -> bool:
    """Return whether a way is a roundabout's ring."""
    return tags.get("junction") in ("roundabout", "circular")


def _direction(tags: Mapping[str, str], kind: str) -> int:
    """Return 1 for one-way streets, -1 for those against their nodes, 0 for two-way streets.

    A street whose direction changes with the time of day counts as one-way in the direction of its nodes.
    """
    oneway = tags.get("oneway", "")
    if oneway in ("-1", "reverse"):
        return -1
    if oneway in ("yes", "true", "1", "reversible"):
        return 1
    implied = _on_ring(tags) or kind in ("motorway", "motorway_link")
    return 1 if implied and oneway not in ("no", "false", "0") else 0


def _lanes(tags: Mapping[str, str], kind: str, direction: int) -> tuple[int, int]:
    """Return the numbers of lanes in the direction of traffic and against it."""
    total = _count(tags.get("lanes"))
    if direction != 0:
        default = 2 if kind in ("motorway", "trunk") else 1
        own = _count(tags.get("lanes:forward" if direction > 0 else "lanes:backward"))
        return min(own or total or default, MAX_LANES), 0
    forward, backward = _count(tags.get("lanes:forward")), _count(tags.get("lanes:backward"))
    if total is not None:  # a lane of both directions in the middle, for turns to the left, belongs to neither
        total = max(total - (_count(tags.get("lanes:both_ways")) or 0), 2)
    half = max((total or 2) // 2, 1)
    if forward is None and backward is not None and total is not None:
        forward = max(total - backward, 1)
    if backward is None and forward is not None and total is not None:
        backward = max(total - forward, 1)
    return min(forward or half, MAX_LANES), min(backward or half, MAX_LANES)


def _count(text: str | None) -> int | None:
    """Parse a number of lanes; return None if it is not one, or 0."""
    if text is None or re.fullmatch(r"\d+(\.\d+)?", text.strip()) is None:
        return None
    return int(float(text)) or None


def _lane_width(tags: Mapping[str, str], kind: str, lanes: int) -> float:
    """Return the width of each lane [m]."""
    default = 3.0 if kind == "living_street" else 3.5
    if kind not in ("motorway", "trunk") and tags.get("lanes", "").strip() == "1" and lanes == 2:
        default = LANE_WIDTHS[0]
    width = parse_length(tags.get("width", ""))
    if width is None:
        return default
    low, high = LANE_WIDTHS
    return min(max((width - 2 * MARGIN) / lanes, low), high)


def _layer(tags: Mapping[str, str]) -> int:
    """Return the level: 0 on the ground, at least 1 on bridges."""
    text = tags.get("layer", "0").strip()
    layer = int(text) if re.fullmatch(r"[+-]?\d{1,2}", text) else 0
    return max(layer, 1) if tags.get("bridge", "no") != "no" else layer


def _traffic_side(tags: Mapping[str, str]) -> DrivingSide | None:
    """Return the side of traffic that the tag `driving_side` names, if it names one."""
    side = tags.get("driving_side")
    return DrivingSide(side) if side in tuple(DrivingSide) else None
