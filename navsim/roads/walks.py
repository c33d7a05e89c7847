"""Walks through a road network, from lane to lane: at random, or all of them in random order."""

from collections.abc import Iterator, Sequence

import numpy as np

from navsim.roads.elements import Connector
from navsim.roads.network import RoadNetwork

Walk = tuple[list[int], list[int]]
"""Indices of the lanes of a walk and of the connectors between them, one fewer."""


def random_walk(
    network: RoadNetwork, rng: np.random.Generator, target: float, min_junctions: int, allow_revisits: bool
) -> Walk:
    """Walk from a random lane until `target` [m] can be reached; the walk is shorter if it runs into a dead end."""
    lanes, connectors = [int(rng.integers(len(network.lanes)))], list[int]()
    reach = network.lanes[lanes[0]].path.length
    while reach < target or len(connectors) < min_junctions:
        options = _ways_on(network, lanes, connectors, allow_revisits)
        if not options:
            break
        chosen = _choose_connector(network.connectors, options, rng)
        connectors.append(chosen)
        lanes.append(network.connectors[chosen].to_lane)
        reach += network.connectors[chosen].path.length + network.lanes[lanes[-1]].path.length
    return lanes, connectors


def all_walks(
    network: RoadNetwork, rng: np.random.Generator, start: int, max_length: float, allow_revisits: bool
) -> Iterator[Walk]:
    """Yield all walks from a lane whose inner length is at most `max_length` [m], depth first in random order.

    The lists of a walk change when the next one is asked for.
    """
    lanes, connectors = [start], list[int]()
    branches = [rng.permutation(_ways_on(network, lanes, connectors, allow_revisits)).tolist()]
    while branches:
        if not branches[-1]:
            branches.pop()
            lanes.pop()
            connectors[-1:] = []
            continue
        connectors.append(branches[-1].pop())
        lanes.append(network.connectors[connectors[-1]].to_lane)
        if inner_length(network, lanes, connectors) <= max_length:
            yield lanes, connectors
            branches.append(rng.permutation(_ways_on(network, lanes, connectors, allow_revisits)).tolist())
        else:
            branches.append([])


def inner_length(network: RoadNetwork, lanes: Sequence[int], connectors: Sequence[int]) -> float:
    """Return the length of a walk without its first and last lane [m]."""
    inner = sum(network.connectors[index].path.length for index in connectors)
    return inner + sum(network.lanes[index].path.length for index in lanes[1:-1])


def _ways_on(
    network: RoadNetwork, lanes: Sequence[int], connectors: Sequence[int], allow_revisits: bool
) -> Sequence[int]:
    """Return the connectors that continue a walk; without revisits, those through a new junction to a new road."""
    options = network.successors(lanes[-1])
    if allow_revisits:
        return options
    roads = {network.lanes[lane].road for lane in lanes}
    junctions = {network.connectors[index].junction for index in connectors}
    return [
        index
        for index in options
        if network.connectors[index].junction not in junctions
        and network.lanes[network.connectors[index].to_lane].road not in roads
    ]


def _choose_connector(connectors: Sequence[Connector], options: Sequence[int], rng: np.random.Generator) -> int:
    """Choose a manoeuvre first and a connector second, so that no manoeuvre becomes rare."""
    manoeuvres = sorted({connectors[index].manoeuvre for index in options})
    manoeuvre = manoeuvres[int(rng.integers(len(manoeuvres)))]
    fitting = [index for index in options if connectors[index].manoeuvre == manoeuvre]
    return fitting[int(rng.integers(len(fitting)))]
