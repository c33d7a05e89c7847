from dataclasses import replace

import numpy as np
import pytest

from navsim.errors import ConfigError
from navsim.geometry import Pose
from navsim.seeding import generator
from navsim.sensing.observation import GpsSensor, GpsSpec

HERE = Pose(100.0, -50.0, 0.3)
SPEC = GpsSpec(position_sigma=2.0, position_time=8.0, heading_sigma_deg=3.0, heading_time=5.0, white_sigma=0.0)


def errors(spec: GpsSpec, seed: int, steps: int, elapsed: float) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    sensor = GpsSensor(spec, generator(seed))
    fixes = [sensor.measure(HERE, elapsed) for _ in range(steps)]
    return np.array([(f.x - HERE.x, f.y - HERE.y, f.heading - HERE.heading) for f in fixes])


def test_without_errors_the_fix_is_the_truth() -> None:
    spec = GpsSpec(position_sigma=0.0, heading_sigma_deg=0.0, white_sigma=0.0)
    assert np.abs(errors(spec, 1, 20, 0.1)).max() < 1e-12


def test_stationary_spread_is_the_stated_sigma() -> None:
    drift = errors(SPEC, 3, 20_000, 4.0)
    assert drift.std(axis=0) == pytest.approx([2.0, 2.0, np.radians(3.0)], rel=0.05)
    assert np.abs(drift.mean(axis=0)) == pytest.approx([0.0, 0.0, 0.0], abs=0.15)


def test_first_errors_already_have_that_spread() -> None:
    first = np.array([errors(SPEC, seed, 1, 0.0)[0] for seed in range(2000)])
    assert first.std(axis=0) == pytest.approx([2.0, 2.0, np.radians(3.0)], rel=0.08)


def test_correlation_falls_to_one_over_e_after_the_correlation_time() -> None:
    drift = errors(SPEC, 5, 100_000, 0.5)
    for column, lag in ((0, 16), (1, 16), (2, 10)):  # 8 s and 5 s in steps of 0.5 s
        error = drift[:, column] - drift[:, column].mean()
        correlation = (error[:-lag] * error[lag:]).mean() / (error**2).mean()
        assert correlation == pytest.approx(np.exp(-1), abs=0.06)


def test_the_error_drifts_and_does_not_jump() -> None:
    drift = errors(SPEC, 7, 2000, 0.1)
    # Per 0.1 s the increments have sigma * sqrt(2 * 0.1 / 8) = 0.32 m.
    assert np.diff(drift[:, 0]).std() == pytest.approx(2.0 * np.sqrt(2 * 0.1 / 8.0), rel=0.1)


def test_white_noise_comes_on_top_and_does_not_drift() -> None:
    fixes = errors(GpsSpec(position_sigma=0.0, heading_sigma_deg=0.0, white_sigma=0.5), 9, 5000, 0.1)
    assert fixes[:, :2].std(axis=0) == pytest.approx([0.5, 0.5], rel=0.06)
    assert abs((fixes[:-1, 0] * fixes[1:, 0]).mean()) < 0.02


def test_same_seed_same_fixes() -> None:
    assert (errors(SPEC, 11, 50, 0.1) == errors(SPEC, 11, 50, 0.1)).all()
    assert (errors(SPEC, 11, 50, 0.1) != errors(SPEC, 12, 50, 0.1)).any()


@pytest.mark.parametrize(
    "wrong", [{"position_sigma": -1.0}, {"position_time": 0.0}, {"heading_sigma_deg": float("nan")}]
)
def test_impossible_errors_are_refused_by_name(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        GpsSpec(**wrong)


def test_after_the_loss_the_last_fix_stays() -> None:
    kept, lost = GpsSensor(SPEC, generator(1)), GpsSensor(replace(SPEC, lost_after=0.25), generator(1))
    fixes = [(kept.measure(HERE, step), lost.measure(HERE, step), lost.has_fix) for step in (0.0, 0.1, 0.1, 0.1, 0.1)]
    assert [has_fix for _, _, has_fix in fixes] == [True, True, True, False, False]
    assert all(fix == same for fix, same, has_fix in fixes if has_fix)
    assert fixes[2][1] == fixes[3][1] == fixes[4][1] != fixes[4][0]


def test_the_fix_at_the_start_is_never_lost() -> None:
    sensor = GpsSensor(replace(SPEC, lost_after=0.0), generator(1))
    first = sensor.measure(HERE)
    assert sensor.has_fix
    assert sensor.measure(HERE, 0.1) == first
    assert not sensor.has_fix
