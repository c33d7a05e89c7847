"""Parts of the panel: where things stand, what has happened, and the keys."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from navsim.driving.rollout import Moment
from navsim.driving.scenario import Outcome
from navsim.evaluation.canvas import (
    ACCENT,
    BRIGHT,
    DIM,
    LINE,
    SURFACE,
    Box,
    Text,
    blank,
    fill,
    outcome_colour,
    text_width,
    written,
)
from navsim.evaluation.story import Story
from navsim.evaluation.viewer_keys import Abilities, key_help
from navsim.roads.routing import JunctionPassage
from navsim.sensing.observation import Image

KEYS_HEIGHT = 34
"""Of the strip under the panel [px]."""
_KEYS_SIZE = 13
_KEYS_GAP, _KEYS_EDGE = 14, 8  # between two keys, less where there are many; and least beside them [px]


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


def with_keys(panel: Image, abilities: Abilities) -> Image:
    """The panel (H, W, 3) with a strip under it that names the keys."""
    width = panel.shape[1]
    pairs = key_help(abilities)
    parts = [(words, colour) for key, word in pairs for words, colour in ((key, BRIGHT), (word, DIM))]
    sizes, inner = [text_width(words, _KEYS_SIZE) for words, _ in parts], 5
    least = sum(sizes) + inner * len(pairs)
    outer = min(_KEYS_GAP, (width - 2 * _KEYS_EDGE - least) / (len(pairs) - 1))
    x = (width - least - outer * (len(pairs) - 1)) / 2
    texts = []
    for i, ((words, colour), size) in enumerate(zip(parts, sizes, strict=True)):
        texts.append(Text(words, x, KEYS_HEIGHT / 2 - 3, _KEYS_SIZE, colour, "lm"))
        x += size + (inner if i % 2 == 0 else outer)
    return np.concatenate([panel, written(blank(width, KEYS_HEIGHT), texts)])
