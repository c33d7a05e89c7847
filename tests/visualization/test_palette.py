"""The palette: each driver has one colour, and drawings take theirs from the page."""

from navsim.visualization.palette import DRIVERS, css_variables, driver_colours, with_css_variables


def test_known_drivers_keep_their_colour_whoever_else_drives() -> None:
    alone, many = driver_colours(["expert"]), driver_colours(["mine", "other", "expert", "policy"])
    assert alone["expert"] == many["expert"]
    assert len(set(many.values())) == 4
    assert list(many) == ["mine", "other", "expert", "policy"]


def test_more_drivers_than_colours_share_them() -> None:
    found = driver_colours([f"driver-{i}" for i in range(9)] + ["policy"])
    assert set(found.values()) == set(range(len(DRIVERS)))
    others = [index for name, index in found.items() if name != "policy"]
    assert found["policy"] not in others


def test_every_variable_of_a_drawing_is_defined_for_both_schemes() -> None:
    svg = with_css_variables("".join(tone.light for tone in DRIVERS))
    names = svg.removeprefix("var(--").removesuffix(")").split(")var(--")
    light, dark = css_variables().split("@media")
    assert len(names) == len(DRIVERS)
    assert all(f"--{name}: #" in light and f"--{name}: #" in dark for name in names)


def test_a_colour_on_dark_is_rgb() -> None:
    assert DRIVERS[0].on_dark == (0x6E, 0xA2, 0xFF)
