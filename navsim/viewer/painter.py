"""Who draws the panel beside the window: a drive's moments in, pictures out."""

from typing import Protocol

from navsim.drivers.drivers import Explain, Salience
from navsim.sensing.observation import Image
from navsim.simulation.rollout import Moment
from navsim.simulation.scenario import Outcome
from navsim.simulation.simulation import Simulation
from navsim.visualization.drive_events import Story
from navsim.visualization.panel import PanelContext, compose_panel

NO_SALIENCY = "no saliency: this driver does not tell what it looks at"


class Painter(Protocol):
    """Draws the panel of one drive after the other."""

    salient: bool
    """Whether it can show what the driver looks at."""

    def begin(self, simulation: Simulation, driver: str, explain: Explain | None) -> None:
        """A drive begins.

        Args:
            simulation: Is in it.
            driver: Name of who drives.
            explain: Tells what the driver looks at; None if it cannot.
        """

    def note(self, moment: Moment) -> None:
        """Take note of a moment, whether it is drawn or not."""

    def draw(self, moment: Moment, outcome: Outcome | None, story: Story, salient: bool) -> Image:
        """Draw the moment that was noted last.

        Args:
            moment: That moment.
            outcome: How the drive ended, if it has.
            story: The drive so far.
            salient: Whether to show what the driver looks at.

        Returns:
            The panel (540, 960, 3) uint8 RGB.
        """


class DrivePainter:
    """Draws what the car senses and what its driver decides, if wanted with what the driver looks at."""

    salient = True

    def __init__(self) -> None:
        """Know of no drive yet."""
        self._context: PanelContext | None = None
        self._explain: Explain | None = None

    def begin(self, simulation: Simulation, driver: str, explain: Explain | None) -> None:
        """A drive begins."""
        self._context, self._explain = PanelContext.of(simulation, driver), explain

    def note(self, moment: Moment) -> None:
        """Nothing: each picture stands for itself."""

    def draw(self, moment: Moment, outcome: Outcome | None, story: Story, salient: bool) -> Image:
        """Draw a moment."""
        if self._context is None:
            raise RuntimeError("begin must be called before draw")
        observation, salience, remark = moment.step.observation, None, ""
        if salient and self._explain is None:
            remark = NO_SALIENCY
        elif salient and self._explain is not None and observation is not None:
            salience = self._explain(observation)
            remark = _unseen(salience)
        return compose_panel(moment, self._context, outcome, story, salience, remark)


def _unseen(salience: Salience) -> str:
    """What a driver does not look at at all, in words; empty if it looks at everything."""
    missing = [name for name, part in (("cameras", salience.images), ("maps", salience.maps)) if part is None]
    return f"this driver looks at no {' and no '.join(missing)}" if missing else ""
