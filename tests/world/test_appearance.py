from collections.abc import Iterable

import pytest

from navsim.errors import ConfigError
from navsim.randomness import generator
from navsim.world.appearance import Appearance, appearance_of, parse_spec, preset_names
from navsim.world.presets import PRESETS, SEASON, TIME, WEATHER

SEEDS = range(40)


def looks(spec: str) -> list[Appearance]:
    return [appearance_of(spec, generator(seed, "look")) for seed in SEEDS]


def within(values: Iterable[float], low: float, high: float) -> bool:
    return all(low <= value <= high for value in values)


def shifted_axes(look: Appearance) -> int:
    """On how many axes a look lies outside of everything that is trained on."""
    elevations = [preset.elevation_deg for preset in TIME.training.values()]
    ambients = [preset.ambient for preset in TIME.training.values()]
    day = any(a <= look.sun_elevation_deg <= b for a, b in elevations) and look.ambient >= min(ambients)[0] - 1e-9
    dry = look.rain == 0 and look.fog_density <= max(preset.fog_density[1] for preset in WEATHER.training.values())
    autumn = any(red > green for red, green, _ in look.crowns)
    season = look.bare or look.snow > 0 or autumn
    surface = look.paving in ("concrete", "cracked") or look.marking_missing > 0.12
    return (not day) + (not dry) + season + surface


def test_no_preset_is_both_trained_on_and_tested_on_and_each_name_has_one_axis() -> None:
    names = [name for axis in PRESETS.values() for name in (*axis.training, *axis.test)]
    assert len(names) == len(set(names))
    for axis in PRESETS:
        assert preset_names(axis, test=False)
        assert preset_names(axis, test=True)


def test_nothing_named_draws_what_is_trained_on() -> None:
    drawn = looks("")
    assert [shifted_axes(look) for look in drawn] == [0] * len(drawn)
    assert {look.grip for look in drawn} == {1.0}
    assert len({look.cloud_cover for look in drawn}) == len(drawn)


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_a_shift_leaves_training_on_so_many_axes(count: int) -> None:
    assert {shifted_axes(look) for look in looks(f"shift-{count}")} == {count}


def test_named_presets_are_taken() -> None:
    low, high = WEATHER.test["fog"].fog_density
    assert within((look.fog_density for look in looks("fog")), low, high)
    drawn = looks("dusk+rain+autumn")
    assert within((look.sun_elevation_deg for look in drawn), *TIME.test["dusk"].elevation_deg)
    assert within((look.rain for look in drawn), *WEATHER.test["rain"].rain)
    assert {look.bare for look in drawn} == {SEASON.test["autumn"].bare}


def test_water_and_snow_take_grip() -> None:
    assert within((look.grip for look in looks("rain")), *WEATHER.test["rain"].grip)
    assert within((look.grip for look in looks("winter")), *SEASON.test["winter"].grip)
    assert within((look.grip for look in looks("winter+rain")), *SEASON.test["winter"].grip)
    assert {look.grip for look in looks("dusk+fog+autumn")} == {1.0}


def test_what_one_axis_draws_does_not_depend_on_another() -> None:
    for plain, named in zip(looks(""), looks("winter+concrete"), strict=True):
        assert plain.sun_elevation_deg == named.sun_elevation_deg
        assert plain.cloud_cover == named.cloud_cover
        assert plain.facades == named.facades


def test_the_generator_decides() -> None:
    assert looks("shift-2") == looks("shift-2")
    assert len({look.sun_azimuth_deg for look in looks("noon")}) == len(SEEDS)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("foggy", "unknown preset 'foggy'; perhaps you meant 'fog'; known are time morning"),
        ("noon+dusk", "two presets of time: noon and dusk"),
        ("shift-4", "unknown preset 'shift-4'; perhaps you meant 'shift-"),
        ("rain+", "unknown preset ''"),
        ("shift-1+fog", "unknown preset 'shift-1'"),
    ],
)
def test_wrong_specs_are_refused_in_one_line(spec: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_spec(spec)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
