"""Towns that were built, kept for a while, so that simulations side by side build each of them once."""

from collections import OrderedDict

from navsim.sensing.roadmap import MapSpec
from navsim.simulation.town import Town, build_town_for_driving


class TownShelf:
    """The towns last asked for; the one not asked for the longest makes room for the next."""

    def __init__(self, map_spec: MapSpec, room: int = 1) -> None:
        """Keep up to `room` towns, with maps drawn for patches of `map_spec`."""
        self._map_spec = map_spec
        self._room = room
        self._towns: OrderedDict[tuple[str, str], Town] = OrderedDict()

    def town(self, name: str, appearance: str = "") -> Town:
        """A town under some conditions, built unless it is there: then it is the very same object.

        Raises:
            TownError: If there is no such town, or it cannot be built.
            ConfigError: If the conditions are unknown.
        """
        key = name, appearance
        if key not in self._towns:
            while len(self._towns) >= self._room:
                self._towns.popitem(last=False)
            self._towns[key] = build_town_for_driving(name, self._map_spec, appearance)
        self._towns.move_to_end(key)
        return self._towns[key]
