"""Compare the streets of towns: generators with real extracts, or one district with another.

Run `python examples/compare_streets.py "train*8" "grid-train*8" osm:maps/krems.osm`. Each argument is a column: a
town's name, or the beginning of names and a number of towns, here `train-0` to `train-7` taken together.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely

from navsim.cli import run_command
from navsim.errors import ConfigError
from navsim.geometry import Array
from navsim.roads.elements import JunctionKind, Road
from navsim.simulation.town import TownMap, load_town_map
from navsim.tables import Table

BESIDE = 30.0
"""Largest distance between the two carriageways of a divided road [m]."""
SKEWED_DEG = 20.0
"""Smallest deviation of a junction's angle from 90 and 180 degrees that counts as skewed [deg]."""


@dataclass(frozen=True)
class Streets:
    """Streets of one or more towns, together."""

    towns: tuple[TownMap, ...]
    """Maps of the towns."""

    @property
    def roads(self) -> list[Road]:
        """Roads of all towns."""
        return [road for town in self.towns for road in town.network.roads]

    @property
    def lengths(self) -> Array:
        """Length of each road (R,) [m]."""
        return np.array([road.centre.length for road in self.roads])

    def share(self, chosen: Sequence[bool]) -> str:
        """Return the share of the roads' length that belongs to the chosen ones (R,)."""
        return f"{self.lengths[np.array(chosen)].sum() / self.lengths.sum():.0%}"


def divided(town: TownMap) -> list[bool]:
    """Return whether each road is one-way and runs beside a one-way road of the opposite direction."""
    roads = town.network.roads
    lines = [shapely.LineString(road.centre.points) for road in roads]
    tree = shapely.STRtree(lines)
    found = []
    for road, line in zip(roads, lines, strict=True):
        middle = road.centre.pose(road.centre.length / 2)
        near = tree.query(shapely.Point(middle.position), predicate="dwithin", distance=BESIDE)
        headings = [_heading_at(roads[i], lines[i], middle.position) for i in near if one_way(roads[i])]
        own = _heading_at(road, line, middle.position)
        found.append(one_way(road) and any(np.cos(heading - own) < -0.9 for heading in headings))
    return found


def one_way(road: Road) -> bool:
    """Return whether a road has one direction only."""
    return not (road.lanes_forward and road.lanes_backward)


def _heading_at(road: Road, line: shapely.LineString, place: Array) -> float:
    """Return the driving direction of a one-way road where it is closest to a place [rad]."""
    heading = float(road.centre.heading(line.project(shapely.Point(place))))
    return heading if road.lanes_forward else heading + np.pi


def skewed(town: TownMap) -> list[bool]:
    """Return whether each angle between neighbouring roads of a junction is far from 90 and 180 degrees."""
    found = []
    for junction in town.network.junctions:
        gaps = np.degrees(np.diff([*junction.headings, junction.headings[0] + 2 * np.pi]))
        found += [bool(np.abs(gap - np.array([90.0, 180.0, 270.0])).min() > SKEWED_DEG) for gap in gaps]
    return found


def measures(streets: Streets) -> dict[str, str]:
    """Return the measures of some streets by name."""
    roads, lengths = streets.roads, streets.lengths
    widest = [max(road.lanes_forward, road.lanes_backward) for road in roads]
    junctions = [junction for town in streets.towns for junction in town.network.junctions]
    areas = [junction.area.area for junction in junctions]
    stations = [np.arange(0.0, road.centre.length, 5.0) for road in roads]
    bends = np.abs(np.concatenate([road.centre.curvature(at) for road, at in zip(roads, stations, strict=True)]))
    angles = np.mean([each for town in streets.towns for each in skewed(town)])
    houses = [town.footprints for town in streets.towns if town.footprints is not None]
    found = {"roads": f"{lengths.sum() / 1e3:.1f} km"}
    for lanes in (1, 2, 3):
        found[f"{lanes} lane{'s' * (lanes > 1)} in a direction"] = streets.share([each == lanes for each in widest])
    found["4 lanes or more"] = streets.share([each > 3 for each in widest])
    found["lane width"] = f"{np.average([road.lane_width for road in roads], weights=lengths):.1f} m"
    found["one-way"] = streets.share([one_way(road) for road in roads])
    found["divided"] = streets.share([each for town in streets.towns for each in divided(town)])
    found["speed limit"] = f"{3.6 * np.average([road.speed_limit for road in roads], weights=lengths):.0f} km/h"
    found["between junctions"] = " / ".join(f"{value:.0f}" for value in np.percentile(lengths, (10, 50, 90))) + " m"
    sharp = float(np.percentile(bends, 90))
    found["curve radius, sharpest tenth"] = f"{1 / sharp:.0f} m" if sharp > 1e-3 else "1000 m or more"
    found["junctions per km"] = f"{1e3 * len(junctions) / lengths.sum():.1f}"
    for kind in JunctionKind:
        share = np.mean([junction.kind is kind for junction in junctions])
        found[f"junctions: {kind.replace('_', ' ')}"] = f"{share:.0%}"
    found["junction area"] = " / ".join(f"{value:.0f}" for value in np.percentile(areas, (10, 50, 90))) + " m2"
    found[f"angles more than {SKEWED_DEG:.0f} deg off"] = f"{angles:.0%}"
    found["houses per km"] = f"{1e3 * sum(map(len, houses)) / lengths.sum():.0f}" if houses else "drawn at random"
    return found


def town_names(column: str) -> list[str]:
    """Return the names of the towns in a column: "train*2" is train-0 and train-1.

    Raises:
        ConfigError: If no number of at least 1 follows the star.
    """
    begin, star, count = column.partition("*")
    if star and not (count.isdecimal() and int(count)):
        raise ConfigError(f"{column}: give a number of towns after *, such as {begin}*8")
    return [f"{begin}-{number}" for number in range(int(count))] if star else [column]


def compare(columns: Sequence[str]) -> Table:
    """Return the measures of each column's towns."""
    found = {name: measures(Streets(tuple(map(load_town_map, town_names(name))))) for name in columns}
    headers = [name.rsplit("/", 1)[-1].split(".")[0] for name in columns]
    rows = [(row, *(each[row] for each in found.values())) for row in next(iter(found.values()))]
    note = "Shares are of the roads' length, of junctions or of angles. Three numbers: 10%, 50% and 90% lie below."
    return Table(("", *headers), rows, note=note)


def main() -> None:
    """Print the table of the towns on the command line."""
    if not sys.argv[1:]:
        raise ConfigError("give towns to compare, such as 'train*8' osm:maps/krems.osm")
    print(compare(sys.argv[1:]).markdown())


if __name__ == "__main__":
    run_command(main)
