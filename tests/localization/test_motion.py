"""Odometry and the motion of particles: exact without noise, with the right moments with noise."""

import numpy as np
import pytest

from navsim.errors import ConfigError
from navsim.geometry import Array, Pose
from navsim.localization.motion import (
    MotionNoiseConfig,
    compose_motions,
    propagate_drifts,
    propagate_poses,
    sample_drifts,
)
from navsim.sensing.observation import Odometer, OdometrySpec, OdometryStep
from tests.localization.small_town import along, route

NO_ERRORS = OdometrySpec(0.0, 0.0, 0.0, 0.0)
NO_NOISE = MotionNoiseConfig(0.0, 0.0, 0.0, 0.0, 0.0)
NO_DRIFT = np.zeros((1, 2))


def odometry(spec: OdometrySpec, poses: Array, times: Array, seed: int = 0) -> list[OdometryStep]:
    """Return the odometry's readings along poses (N, 3) at times (N,)."""
    odometer = Odometer(spec, np.random.default_rng(seed))
    return [odometer.read(Pose(*pose), time) for pose, time in zip(poses.tolist(), times.tolist(), strict=True)]


def test_exact_odometry_reproduces_the_true_path() -> None:
    drive = along(route())
    steps = odometry(NO_ERRORS, drive.poses, drive.times)
    assert steps[0] == OdometryStep(0.0, 0.0, 0.0)
    for end in (1, 40, len(steps) - 1):
        there = propagate_poses(
            drive.poses[:1], NO_DRIFT, compose_motions(steps[: end + 1]), NO_NOISE, np.random.default_rng(0)
        )
        np.testing.assert_allclose(there[0], drive.poses[end], atol=1e-9)


def test_a_quarter_of_a_circle_by_hand() -> None:
    quarter = compose_motions([OdometryStep(np.pi / 2 * 10 / 1000, 0.0, np.pi / 2 / 1000, 0.002)] * 1000)
    assert quarter == pytest.approx((10.0, 10.0, np.pi / 2, 2.0), abs=0.02)
    assert OdometryStep(3.0, 4.0, 0.0).distance == 5.0
    assert compose_motions([]) == OdometryStep(0.0, 0.0, 0.0)


def test_odometry_errors_have_the_configured_size() -> None:
    poses, times = np.column_stack([np.arange(101.0), np.zeros(101), np.zeros(101)]), np.arange(101.0) / 8
    spec = OdometrySpec(scale_sigma=0.01, distance_sigma=0.02, bias_sigma_deg=0.05, turn_sigma_deg=0.2)
    sums = np.array([np.sum(odometry(spec, poses, times, i), axis=0) for i in range(400)])
    assert sums.mean(axis=0) == pytest.approx([100.0, 0.0, 0.0, 12.5], abs=0.2)
    assert sums[:, 0].std() == pytest.approx(np.hypot(1.0, 0.2), rel=0.1)  # a share of 1%, and 0.02 times root 100
    assert np.degrees(sums[:, 2].std()) == pytest.approx(np.hypot(0.05 * 12.5, 2.0), rel=0.1)


def test_particles_scatter_with_the_root_of_the_distance() -> None:
    noise, count = MotionNoiseConfig(distance=0.06, across=0.04, turn_deg=0.4), 40_000
    there = propagate_poses(
        np.zeros((count, 3)), np.zeros((count, 2)), OdometryStep(25.0, 0.0, 0.2), noise, np.random.default_rng(3)
    )
    turn = np.radians(0.4) * 5
    assert there.mean(axis=0) == pytest.approx([25.0, 0.0, 0.2], abs=0.02)
    assert there[:, 0].std() == pytest.approx(0.3, rel=0.03)
    assert there[:, 1].std() == pytest.approx(np.hypot(0.2, 25 * turn / 2), rel=0.03)
    assert there[:, 2].std() == pytest.approx(turn, rel=0.03)


def test_particles_with_the_true_persistent_errors_undo_them() -> None:
    drive = along(route())
    spec = OdometrySpec(scale_sigma=0.05, distance_sigma=0.0, bias_sigma_deg=0.5, turn_sigma_deg=0.0)
    rng = np.random.default_rng(5)
    known = np.array([[0.05, np.radians(0.5)]]) * [rng.normal(), rng.normal()]  # as the odometer draws them
    steps = odometry(spec, drive.poses, drive.times, seed=5)
    blind = seeing = drive.poses[:1]
    for step in steps:
        seeing = propagate_poses(seeing, known, step, NO_NOISE, rng)
        blind = propagate_poses(blind, NO_DRIFT, step, NO_NOISE, rng)
    assert np.hypot(*(blind - drive.poses[-1])[0, :2]) > 5.0
    assert np.hypot(*(seeing - drive.poses[-1])[0, :2]) < 0.3  # half of a step's turn applies before it, half after
    assert seeing[0, 2] == pytest.approx(drive.poses[-1, 2], abs=1e-9)


def test_persistent_errors_keep_their_size_and_decorrelate() -> None:
    noise, rng = MotionNoiseConfig(scale=0.01, bias_deg=0.05, memory=500.0), np.random.default_rng(0)
    before = sample_drifts(40_000, noise, rng)
    after = propagate_drifts(before, 250.0, noise, rng)
    for values in (before, after):
        assert values.std(axis=0) == pytest.approx([0.01, np.radians(0.05)], rel=0.02)
    for column in range(2):
        kept = np.corrcoef(before[:, column], after[:, column])[0, 1]
        assert kept == pytest.approx(np.exp(-0.5), abs=0.01)
    np.testing.assert_array_equal(propagate_drifts(before, 0.0, noise, rng), before)


def test_headings_stay_wrapped() -> None:
    there = propagate_poses(
        np.array([(0.0, 0.0, np.pi / 2)]), NO_DRIFT, OdometryStep(2.0, 1.0, np.pi), NO_NOISE, np.random.default_rng(0)
    )
    np.testing.assert_allclose(there[0], (-1.0, 2.0, -np.pi / 2), atol=1e-12)


def test_negative_errors_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"bias_sigma_deg"):
        OdometrySpec(bias_sigma_deg=-1.0)
    with pytest.raises(ConfigError, match=r"across"):
        MotionNoiseConfig(across=float("nan"))
    with pytest.raises(ConfigError, match=r"memory"):
        MotionNoiseConfig(memory=0.0)
