"""What is driven, as plain values, and how a drive can end."""

from dataclasses import dataclass, field
from enum import StrEnum

from navsim.errors import ConfigError
from navsim.simulation.town_map import town_slug
from navsim.world.scenery.appearance import parse_spec


class Outcome(StrEnum):
    """How a drive ended; each drive has exactly one."""

    ARRIVED = "arrived"
    """The route's end was reached in time, nothing touched, and the lane's centre never left beyond the limit."""
    LEFT_ROAD = "left_road"
    """The car was farther from the centre of the route's lane than the limit (2 m, VISTA's crash rule)."""
    WRONG_TURN = "wrong_turn"
    """The same, because the car took another way through a junction than the route."""
    COLLIDED = "collided"
    """The car touched a kerb or anything that stands beside the road."""
    STUCK = "stuck"
    """The car stood still for too long."""
    TIMED_OUT = "timed_out"
    """The time for the route was up."""
    BROKE_OFF = "broke_off"
    """The driver failed (an error, no decision, too slow, the end of its process), or else the machine did. No episode
    ends so: there is none of such a drive, and an evaluation keeps the reason in its place."""


@dataclass(frozen=True)
class StartOffset:
    """Where a drive starts, relative to the start of its route."""

    lateral: float = 0.0
    """Offset from the lane's centre, positive to the left [m]."""
    heading_deg: float = 0.0
    """Heading relative to the lane's, counter-clockwise [deg]."""


@dataclass(frozen=True)
class Scenario:
    """One drive, reproducible from these values and a `SimulationConfig` alone."""

    town: str = "train-0"
    """Name of the town, see `navsim.simulation.town_map`."""
    route: int = 0
    """Number of the route within the town."""
    seed: int = 0
    """Seed of everything that varies between drives of one route, such as the drift of the GPS."""
    junctions: bool = True
    """Whether the route leads through junctions; otherwise it follows one lane between two of them."""
    start: StartOffset = field(default_factory=StartOffset)
    """Where the car starts relative to the route."""
    length: float | None = None
    """About how long the route through junctions shall be [m], which may then come back to where it was; None draws
    routes of 300 to 600 m that do not."""
    appearance: str = ""
    """Conditions such as "dusk+rain", see `navsim.world.scenery.appearance`; empty draws those of training for the
    town."""

    def __post_init__(self) -> None:
        if self.route < 0 or self.seed < 0:
            raise ConfigError(f"a scenario's route and seed must be at least 0, got {self.route} and {self.seed}")
        if self.length is not None and not (self.junctions and 100 <= self.length <= 20_000):
            raise ConfigError(f"a scenario's length must be 100 to 20000 m and through junctions, got {self.length}")
        parse_spec(self.appearance)

    @property
    def name(self) -> str:
        """A name fit for a file, such as `test-3-route7-seed1`; `lane` without junctions, `way` of a length."""
        look = f"-look-{self.appearance}" if self.appearance else ""
        kind = "lane" if not self.junctions else "route" if self.length is None else f"way{self.length:g}m-"
        return f"{town_slug(self.town)}-{kind}{self.route}-seed{self.seed}{look}"
