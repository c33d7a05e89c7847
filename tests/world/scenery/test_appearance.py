from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from navsim.errors import ConfigError
from navsim.seeding import generator
from navsim.world.scenery.appearance import (
    MAX_SHIFTS,
    Appearance,
    AppearanceSpec,
    appearance_of,
    parse_spec,
    preset_names,
)
from navsim.world.scenery.presets import PRESETS, RoadMaterial

SEEDS = st.integers(0, 2**32)


def look(spec: str, seed: int = 0) -> Appearance:
    return appearance_of(spec, generator(seed, "look"))


def differing(first: Appearance, second: Appearance) -> set[str]:
    """Return the names of the fields in which two appearances differ."""
    return {field.name for field in fields(Appearance) if getattr(first, field.name) != getattr(second, field.name)}


def shifted_axes(drawn: Appearance) -> set[str]:
    """Return the axes on which an appearance differs from all training presets."""
    leaves = drawn.crowns[0]
    seen = {
        "time": drawn.sun_elevation_deg < 20.0 or drawn.lit_windows > 0,
        "weather": drawn.fog_density > 0.0035,
        "season": drawn.bare or leaves[0] > leaves[1],
        "surface": drawn.road_material in (RoadMaterial.CONCRETE, RoadMaterial.CRACKED) or drawn.marking_missing == 1.0,
    }
    return {axis for axis, shifted in seen.items() if shifted}


def test_every_preset_has_a_name_of_its_own_and_is_for_training_or_for_tests() -> None:
    names = [name for axis in PRESETS for test in (False, True) for name in preset_names(axis, test)]
    assert len(names) == len(set(names))
    for axis, presets in PRESETS.items():
        assert preset_names(axis, test=False)
        assert preset_names(axis, test=True)
        assert set(presets.presets) == {*presets.training, *presets.test}, axis


def test_every_range_of_a_preset_runs_upwards() -> None:
    for axis in PRESETS.values():
        for name, preset in axis.presets.items():
            for field in fields(preset):
                value = getattr(preset, field.name)
                bounds = np.array(value if isinstance(value, tuple) else (), dtype=object).ravel()
                if len(bounds) in (2, 6) and not any(isinstance(bound, RoadMaterial) for bound in bounds):
                    low, high = bounds.astype(float).reshape(-1, 2).T
                    assert (low <= high).all(), (name, field.name)


@given(seed=SEEDS)
@settings(max_examples=40, deadline=None)
def test_training_shows_no_preset_of_the_tests(seed: int) -> None:
    drawn = look("", seed)
    assert shifted_axes(drawn) == set()
    assert drawn.grip == 1.0
    assert drawn == look("", seed)


@given(seed=SEEDS, count=st.integers(0, MAX_SHIFTS))
@settings(max_examples=40, deadline=None)
def test_a_shift_takes_test_presets_on_as_many_axes(seed: int, count: int) -> None:
    assert len(shifted_axes(look(f"shift-{count}", seed))) == count


@pytest.mark.parametrize("axis", PRESETS)
def test_shifts_come_to_every_axis(axis: str) -> None:
    assert any(shifted_axes(look("shift-1", seed)) == {axis} for seed in range(30))


@pytest.mark.parametrize(("axis", "name"), [(axis, name) for axis in PRESETS for name in PRESETS[axis].presets])
def test_a_named_preset_is_drawn_and_the_other_axes_stay_with_training(axis: str, name: str) -> None:
    for seed in range(5):
        assert shifted_axes(look(name, seed)) == ({axis} if name in preset_names(axis, test=True) else set())


def test_several_presets_hold_together() -> None:
    drawn = look("dusk+rain+autumn")
    assert 3.0 <= drawn.sun_elevation_deg <= 6.0
    assert 0.4 <= drawn.rain <= 0.9
    assert drawn.crowns[0][0] > drawn.crowns[0][1]
    assert drawn == look("autumn+dusk+rain")


@given(seed=SEEDS)
@settings(max_examples=20, deadline=None)
def test_what_one_axis_draws_does_not_depend_on_the_others(seed: int) -> None:
    light = {"sun_azimuth_deg", "sun_elevation_deg", "sunlight", "ambient", "sun_tint", "air_tint", "lit_windows"}
    sky = {"sky", "zenith"}
    assert differing(look("dusk", seed), look("night", seed)) <= light | sky
    air = {"cloud_cover", "fog_density", "rain", "grip"}
    wet = {"asphalt", "marking", "kerb", "footway"}
    assert differing(look("clear", seed), look("rain", seed)) <= {"sunlight", "ambient"} | sky | air | wet
    snowed = {"ground", "crowns", "trunk", "bare", "snow", "grip", "roofs"}
    assert differing(look("spring", seed), look("winter", seed)) <= snowed | wet
    road = {"road_material", "marking_missing", "roughness"}
    assert differing(look("even", seed), look("cracked", seed)) <= road | wet


@pytest.mark.parametrize(
    ("spec", "low", "high"), [("rain", 0.65, 0.75), ("winter", 0.55, 0.65), ("rain+winter", 0.55, 0.65)]
)
def test_rain_and_snow_take_grip(spec: str, low: float, high: float) -> None:
    grips = [look(spec, seed).grip for seed in range(10)]
    assert low <= min(grips) < max(grips) <= high


def test_fog_hides_the_sun_and_winter_whitens_the_ground() -> None:
    foggy, winter, summer = look("fog+noon"), look("winter"), look("summer")
    assert foggy.sunlight < 0.08 * 0.5
    assert foggy.fog_density >= 0.02
    assert winter.bare
    assert min(winter.ground) > max(summer.ground)


def test_a_spec_is_read_into_presets_by_axis() -> None:
    assert parse_spec("") == AppearanceSpec({})
    assert parse_spec("dusk+rain") == AppearanceSpec({"time": "dusk", "weather": "rain"})
    assert parse_spec("shift-2") == AppearanceSpec({}, 2)


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ("fogg", r"'fogg': unknown preset 'fogg'; perhaps you meant 'fog'; known are time morning.*shift-3 alone"),
        ("dusk+rainy", r"'dusk\+rainy': unknown preset 'rainy'; perhaps you meant 'rain'"),
        ("zzz", r"unknown preset 'zzz'; known are"),
        ("shift-4", r"unknown preset 'shift-4'; perhaps you meant 'shift-"),
        ("shift-1+fog", r"unknown preset 'shift-1'"),
        ("dusk+", r"unknown preset ''"),
        ("dusk+night", r"names two presets of time: dusk and night"),
        ("fog+fog", r"names two presets of weather: fog and fog"),
    ],
)
def test_mistakes_are_named(spec: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text) as error:
        look(spec)
    assert "\n" not in str(error.value)
