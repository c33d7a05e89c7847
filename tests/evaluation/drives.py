"""Drives made by hand, for the tests of what is measured and drawn."""

from collections.abc import Sequence

import numpy as np

from navsim.roads.elements import Manoeuvre
from navsim.roads.routing import JunctionPassage
from navsim.simulation.episode import Episode
from navsim.simulation.scenario import Outcome, Scenario
from navsim.world.obstacles import ObstacleKind


def make_drive(
    outcome: Outcome,
    positions: Sequence[tuple[float, float]] | None = None,
    stations: Sequence[float] | None = None,
    offsets: Sequence[float] | None = None,
    route_length: float = 100.0,
    passages: Sequence[tuple[float, float, Manoeuvre]] = (),
    scenario: Scenario | None = None,
    driver: str = "policy",
    speeds: Sequence[float] | None = None,
    headings: Sequence[float] | None = None,
    commands: Sequence[float] | None = None,
    struck: ObstacleKind | None = None,
) -> Episode:
    """A drive through `positions` [m], or straight on by `stations` [m]; without either, 100 m in two steps.

    Each route of a town has junctions of its own. Steps last 0.1 s. Without `speeds` [m/s] it drives at 8 m/s, without
    `headings` [rad] eastward.
    """
    along = list(stations) if stations is not None else np.linspace(0, 100, len(positions or "012")).tolist()
    places = list(positions) if positions is not None else [(s, 0.0) for s in along]
    states, steps = len(places), len(places) - 1
    scenario = scenario or Scenario("test-1")
    junctions = enumerate(passages, start=100 * scenario.route)
    return Episode(
        scenario=scenario,
        driver=driver,
        outcome=outcome,
        route_length=route_length,
        passages=tuple(JunctionPassage(start, end, kind, index) for index, (start, end, kind) in junctions),
        images=np.zeros((0, 1, 48, 128, 3), np.uint8),
        road_maps=np.zeros((0, 50, 50), np.uint8),
        route_maps=np.zeros((0, 50, 50), np.uint8),
        gps=np.zeros((steps, 3)),
        commands=np.array(commands if commands is not None else np.zeros(steps), float),
        labels=np.zeros(steps),
        times=np.arange(states) / 10.0,
        poses=np.array([(x, y, turned) for (x, y), turned in zip(places, headings or [0.0] * states, strict=True)]),
        speeds=np.array(speeds if speeds is not None else np.full(states, 8.0), float),
        stations=np.array(along, float),
        offsets=np.array(offsets if offsets is not None else np.zeros(states), float),
        heading_errors=np.zeros(states),
        struck=struck,
    )
