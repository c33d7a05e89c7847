"""Colours of plots, charts, maps and films: each driver has one colour everywhere, for light and dark backgrounds."""

from collections.abc import Iterable
from dataclasses import dataclass

from navsim.visualization.canvas import Colour


@dataclass(frozen=True)
class Tone:
    """One colour in its two forms."""

    light: str
    """Colour on a light background, such as `#2f6fde`."""
    dark: str
    """Colour on a dark background."""

    @property
    def on_dark(self) -> Colour:
        """The colour on a dark background as RGB."""
        red, green, blue = bytes.fromhex(self.dark.removeprefix("#"))
        return red, green, blue


INK, DIM = Tone("#1d232c", "#e9edf3"), Tone("#5d6776", "#9aa5b5")
GROUND, CARD, LINE = Tone("#f6f7f9", "#11141a"), Tone("#ffffff", "#1a1f27"), Tone("#dfe3ea", "#2e3642")
TRACK, ROAD = Tone("#e8ebf0", "#2a313c"), Tone("#cfd5de", "#39424f")
BAD, GOOD = Tone("#c4162f", "#ff6b7d"), Tone("#23824b", "#5cd193")
DRIVERS = (
    Tone("#2f6fde", "#6ea2ff"),
    Tone("#c77d0a", "#f0b04a"),
    Tone("#7a8494", "#a3adbb"),
    Tone("#2c9158", "#5cd193"),
    Tone("#a04db3", "#cf8ae0"),
    Tone("#cf5a3b", "#ff9273"),
)
"""Colours of drivers and other series; more than six series share them in turn."""
OFFSETS = (DRIVERS[0], Tone("#1d9d8f", "#4fd0c0"), Tone("#c09a00", "#e6c84a"), Tone("#e2711d", "#ff9a4d"), BAD)
"""Colours of driven paths, from the smallest lane offset to the largest."""
_BUILT_IN = {"policy": 0, "blind": 1, "constant": 2, "expert": 3}
_NAMED = {
    "ground": GROUND,
    "card": CARD,
    "ink": INK,
    "dim": DIM,
    "line": LINE,
    "track": TRACK,
    "road": ROAD,
    "bad": BAD,
    "good": GOOD,
    **{f"c{index}": tone for index, tone in enumerate(DRIVERS)},
    **{f"o{index}": tone for index, tone in enumerate(OFFSETS)},
}


def driver_colours(names: Iterable[str]) -> dict[str, int]:
    """Return the index in `DRIVERS` of each driver's colour.

    The drivers that every evaluation knows by name keep their colours; the others take the free ones in turn.
    """
    different = list(dict.fromkeys(names))
    taken = {_BUILT_IN[name] for name in different if name in _BUILT_IN}
    free = [index for index in range(len(DRIVERS)) if index not in taken] or [*range(len(DRIVERS))]
    others = [name for name in different if name not in _BUILT_IN]
    chosen = {name: free[index % len(free)] for index, name in enumerate(others)}
    return {name: _BUILT_IN[name] if name in _BUILT_IN else chosen[name] for name in different}


def css_variables() -> str:
    """Return all colours as variables of a style sheet, for light and dark pages."""
    light, dark = (
        " ".join(f"--{name}: {getattr(tone, form)};" for name, tone in _NAMED.items()) for form in ("light", "dark")
    )
    return f":root {{ {light} }}\n@media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}"


def with_css_variables(svg: str) -> str:
    """Return an SVG drawn in the light colours with variables of `css_variables` in their place."""
    for name, tone in _NAMED.items():
        svg = svg.replace(tone.light, f"var(--{name})")
    return svg
