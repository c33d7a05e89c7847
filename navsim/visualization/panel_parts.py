"""Parts of the panel: where things stand, what has happened, and the keys."""

from collections.abc import Sequence
from dataclasses import replace

from navsim.roads.routing import JunctionPassage
from navsim.sensing.observation import Image
from navsim.simulation.rollout import Moment
from navsim.simulation.scenario import Outcome
from navsim.visualization.canvas import (
    ACCENT,
    BRIGHT,
    DIM,
    LINE,
    SURFACE,
    Box,
    Text,
    fill,
    outcome_colour,
)
from navsim.visualization.drive_events import Story


def draw_status(
    canvas: Image,
    box: Box,
    moment: Moment,
    passages: Sequence[JunctionPassage],
    route_length: float,
    outcome: Outcome | None,
    story: Story,
) -> list[Text]:
    """Draw speed, offset, what comes next, what has happened and how far the drive has come.

    Returns:
        The texts that belong to it.
    """
    fill(canvas, box, SURFACE)
    x, y, right = box.x + 14, box.y + 10, box.x + box.width - 14
    middle = box.x + box.width // 2 + 16
    state, progress = moment.step.state, moment.step.progress
    side = "left" if progress.offset > 0 else "right"
    cells = (
        (x, 0, "speed", f"{state.speed:.1f} m/s"),
        (middle, 0, "time", f"{state.time:.1f} s"),
        (x, 44, "offset from the lane's centre", f"{abs(progress.offset):.2f} m {side}"),
        (x, 88, "next", next_manoeuvre(passages, progress.station)),
    )
    texts = []
    for left, top, name, value in cells:
        texts += [Text(name, left, y + top, 11, DIM), Text(value, left, y + top + 14, 18, BRIGHT)]
    texts.append(Text("events", x, y + 134, 11, DIM))
    for i, event in enumerate(reversed(story.events)):
        colour = BRIGHT if i == 0 else DIM
        texts += [
            Text(f"{event.time:.1f} s", x, y + 150 + 18 * i, 13, DIM),
            Text(event.words, x + 52, y + 150 + 18 * i, 13, colour),
        ]
    bar = Box(x, box.y + box.height - 16, right - x, 6)
    fill(canvas, bar, LINE)
    colour = ACCENT if outcome is None else outcome_colour(outcome)
    fill(canvas, replace(bar, width=round(bar.width * progress.fraction)), colour)
    return [*texts, Text(f"{progress.station:.0f} of {route_length:.0f} m", x, bar.y - 19, 12, DIM)]


def next_manoeuvre(passages: Sequence[JunctionPassage], station: float) -> str:
    """What the route does at the junction being driven or coming next, in a few words."""
    ahead = next((passage for passage in passages if passage.end > station), None)
    if ahead is None:
        return "to the end"
    if ahead.start <= station:
        return f"{ahead.manoeuvre} now"
    return f"{ahead.manoeuvre} in {ahead.start - station:.0f} m"
