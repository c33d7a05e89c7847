"""What the rounds of on-policy correction consist of, decided by their settings alone."""

from dataclasses import dataclass
from itertools import groupby

from navsim.datasets.production import Work
from navsim.errors import ConfigError
from navsim.evaluation.routes import RouteSuite
from navsim.roads.generators.towns import DEFAULT_GENERATORS, Generator, Split
from navsim.seeding import derived_seed


@dataclass(frozen=True)
class DaggerConfig:
    """DAgger: the policy drives, the expert labels, the set grows, training goes on (Ross et al., AISTATS 2011).

    Policy and expert take turns at the wheel, in towns of the training split alone.
    """

    rounds: int = 0
    """How many rounds follow the training on the recorded drives; 0 leaves it at that. The round that drove best
    is kept, or of a policy that sees no route, the last."""
    routes: int = 48
    """Drives of a round; about 500 frames each, fewer where the policy fails."""
    towns: int = 24
    """Training towns over which they are spread, drawn anew for each round."""
    epochs: int = 4
    """Epochs of a round, over all drives so far. Each goes on from the weights that drove, with a schedule of its own:
    training anew would spend most of its time on learning again what the policy can do already."""
    beta: float = 0.5
    """Share of the time that the expert drives in round 1. The source's round of the expert alone (beta = 1) is the
    recorded drives."""
    decay: float = 0.5
    """Factor of that share from round to round, as in the source; 0 leaves round 2 and all later ones to the policy."""
    window: float = 2.0
    """Whoever drives does so for so long [s] before the wheel is given out anew."""
    generators: tuple[Generator, ...] = DEFAULT_GENERATORS
    """Who draws the towns, in turn."""
    workers: int | None = None
    """Number of processes that drive; None takes one per core."""
    worlds: int = 2
    """Drives of a town that a process drives side by side and draws in one pass."""

    def __post_init__(self) -> None:
        for name, least in {"rounds": 0, "epochs": 1, "worlds": 1}.items():
            if getattr(self, name) < least:
                raise ConfigError(f"dagger.{name} must be at least {least}, got {getattr(self, name)}")
        if self.workers is not None and self.workers < 1:
            raise ConfigError(f"dagger.workers must be at least 1, got {self.workers}")
        for name in ("beta", "decay"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"dagger.{name} must be 0 to 1, got {getattr(self, name)}")
        if not self.window > 0:
            raise ConfigError(f"dagger.window must be above 0, got {self.window}")
        try:
            _ = self.works(0, 1)
        except ConfigError as error:
            raise ConfigError(f"dagger: {error}") from None

    def expert_share(self, number: int) -> float:
        """Share of the windows that the expert drives in round `number`, counted from 1: beta decay^(number - 1)."""
        return float(self.beta * self.decay ** (number - 1))

    def works(self, seed: int, number: int) -> tuple[Work, ...]:
        """The drives of round `number`, counted from 1, town by town; the run's `seed` decides towns and routes."""
        drawn = derived_seed(seed, "dagger", number)
        suite = RouteSuite(self.routes, 0, self.towns, Split.TRAIN, drawn, self.generators)
        drives = sorted(suite.scenarios(), key=lambda scenario: scenario.town)
        return tuple(tuple(group) for _, group in groupby(drives, key=lambda scenario: scenario.town))
