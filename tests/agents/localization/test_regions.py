"""Calibrated credible regions: their fit, their effect, and errors."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agents.localization.report import markdown, summarise_score
from agents.localization.tracking import Track
from agents.localization.tuning import SHARES, Regions, fit_regions, read_regions, write_regions
from navsim.errors import ConfigError
from navsim.geometry import Array
from navsim.simulation.scenario import Scenario
from tests.agents.localization.test_runs import track


def drives(power: float, count: int, seed: int) -> list[Track]:
    """Return tracks of beliefs that are too wide (power above 1) or too narrow, each drive with its own error."""
    rng = np.random.default_rng(seed)
    levels = [np.clip(rng.random(200) ** power + rng.normal() * 0.03, 0, 1) for _ in range(count)]
    return [replace(track([1.0] * 200), levels=row) for row in levels]


def fitted(power: float) -> Regions:
    tracks = drives(power, 40, seed=0)
    return fit_regions({Scenario(seed=i): {"none": {"roads": each}} for i, each in enumerate(tracks)})


@pytest.mark.parametrize("power", [0.4, 1.0, 3.0])
def test_calibrated_regions_hold_on_other_drives(power: float) -> None:
    found = summarise_score("none", "roads", drives(power, 40, seed=1), fitted(power))
    assert found.calibrated_50 is not None
    assert found.calibrated_90 is not None
    assert found.calibrated_50.value == pytest.approx(0.5, abs=0.05)
    assert found.calibrated_90.value == pytest.approx(0.9, abs=0.05)
    if power != 1.0:
        assert abs(found.within_50.value - 0.5) > 0.15


def test_levels_by_hand() -> None:
    regions = Regions({("none", "roads"): SHARES / 2})  # regions of half the level hold as much
    levels: Array = np.array([0.0, 0.25, 0.45, 1.0])
    np.testing.assert_allclose(regions.calibrated("none", "roads", levels), [0.0, 0.5, 0.9, 1.0])
    assert (np.diff(regions.calibrated("none", "roads", np.linspace(0, 1, 50))) > 0).all()


def test_long_drives_count_as_much_as_short_ones() -> None:
    short, long = (replace(track([1.0] * n), levels=np.full(n, level)) for n, level in ((10, 0.2), (1000, 0.8)))
    regions = fit_regions({Scenario(seed=i): {"none": {"roads": each}} for i, each in enumerate((short, long))})
    levels = regions.levels["none", "roads"]
    assert levels[SHARES < 0.49].max() == 0.2
    assert levels[SHARES > 0.51].min() == 0.8


def test_regions_round_trip_and_appear_in_the_table(tmp_path: Path) -> None:
    regions = fitted(2.0)
    write_regions(tmp_path / "levels.json", regions, {"title": "where from"})
    again = read_regions(tmp_path / "levels.json")
    np.testing.assert_allclose(again.levels["none", "roads"], regions.levels["none", "roads"])
    row = summarise_score("none", "roads", drives(2.0, 5, seed=2), again)
    assert "| - |" not in markdown("fitted", [row]).splitlines()[4].replace("| - | - |", "", 1)  # but for the fixes
    assert "in fitted 50%" in markdown("fitted", [row])


def test_unusable_levels_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="case gps5, method roads"):
        fitted(1.0).calibrated("gps5", "roads", np.zeros(1))
    path = tmp_path / "levels.json"
    for content in ("", "[]", '{"regions": [{"case": "none"}]}'):
        path.write_text(content)
        with pytest.raises(ConfigError, match="--action calibrate"):
            read_regions(path)
    path.write_text('{"regions": [{"case": "none", "method": "roads", "levels": [0.5, 0.1]}]}')
    with pytest.raises(ConfigError, match="19 levels"):
        read_regions(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_regions(tmp_path / "missing.json")
