"""A driver and the expert who take turns at the wheel, so that drives come where the driver's own mistakes lead.

The mixture policy of DAgger (Ross, Gordon, Bagnell: A Reduction of Imitation Learning and Structured Prediction to
No-Regret Online Learning, AISTATS 2011, algorithm 3.1). There a coin is tossed at each step; at ten steps a second
that would only average the two, so here whoever gets the wheel keeps it for a window of time.
"""

from navsim.drivers.drivers import Decision, Driver, Expert
from navsim.errors import ConfigError
from navsim.seeding import generator
from navsim.sensing.observation import Observation


class Mixture:
    """At the start of each window of steps the expert takes the wheel with a given probability, else the driver."""

    def __init__(self, driver: Driver, share: float, window: int) -> None:
        """Let `driver` and the expert take turns.

        Args:
            driver: Who learns.
            share: Probability of the expert in each window, in [0, 1].
            window: Length of a window [control steps], at least 1.

        Raises:
            ConfigError: If a number is out of range.
        """
        if not 0 <= share <= 1 or window < 1:
            raise ConfigError(f"a mixture needs a share from 0 to 1 and a window of 1 step or more: {share}, {window}")
        self.name = f"{driver.name}+expert"
        self._driver, self._share, self._window = driver, share, window
        self.begin(0)

    def begin(self, seed: int) -> None:
        """Forget the last drive; `seed` decides who drives when."""
        self._driver.begin(seed)
        self._turns = generator(seed, "turns")
        self._step, self._expert_drives = 0, False

    def choose(self, observation: Observation, expert: Decision) -> Decision:
        """Return the decision of whose turn it is.

        Args:
            observation: What the car senses.
            expert: What the expert would do.
        """
        if self._step % self._window == 0:
            self._expert_drives = bool(self._turns.random() < self._share)
        self._step += 1
        own = self._driver.drive(observation)  # asked at every step: it may remember what it has seen
        return expert if self._expert_drives else own


Pilot = Driver | Expert | Mixture
"""Whoever can be at the wheel of a drive."""
