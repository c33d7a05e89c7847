import numpy as np
import pytest

from navsim.errors import ConfigError
from navsim.seeding import generator
from navsim.sensing.camera import Camera, CameraNoise, MountError, with_mount_error, with_noise

GREY = np.full((2, 66, 200, 3), 128, np.uint8)


def test_clean_cameras_change_nothing() -> None:
    assert with_noise(GREY, CameraNoise(), generator(0, "noise")) is GREY


def test_noise_has_the_variance_that_was_asked_for() -> None:
    noisy = with_noise(GREY, CameraNoise(variance=0.005), generator(0, "noise")).astype(float) / 255
    assert noisy.var() == pytest.approx(0.005, rel=0.02)
    assert noisy.mean() == pytest.approx(128 / 255, abs=0.002)
    assert np.corrcoef(noisy[0].ravel(), noisy[1].ravel())[0, 1] == pytest.approx(0.0, abs=0.03)


def test_exposure_is_one_factor_for_all_cameras_of_a_moment() -> None:
    rng = generator(0, "noise")
    moments = [with_noise(GREY, CameraNoise(exposure=0.2), rng) for _ in range(400)]
    assert all(len(np.unique(moment)) == 1 for moment in moments)
    factors = np.log([moment.flat[0] / 128 for moment in moments])
    assert factors.std() == pytest.approx(0.2, rel=0.1)


def test_blur_spreads_a_point_and_keeps_its_light() -> None:
    point = np.zeros((1, 65, 65, 3), np.uint8)
    point[0, 32, 32] = 250
    blurred = with_noise(point, CameraNoise(blur_px=1.0), generator(0, "noise"))[0, :, :, 0].astype(float)
    # The peak of a two-dimensional Gaussian is 1 / (2 pi sigma^2).
    assert blurred[32, 32] == pytest.approx(250 / (2 * np.pi), rel=0.05)
    assert blurred.sum() == pytest.approx(250, rel=0.1)


def test_the_generator_decides_and_the_given_pictures_stay() -> None:
    spec = CameraNoise(variance=0.1, exposure=0.1, blur_px=0.5)
    one, same, other = (with_noise(GREY, spec, generator(seed, "noise")) for seed in (1, 1, 2))
    assert (one == same).all()
    assert (one != other).any()
    assert (GREY == 128).all()


def test_mounts_err_around_the_right_place() -> None:
    camera = Camera(yaw_deg=40.0)
    rng = generator(0, "mount")
    mounted = [with_mount_error(camera, MountError(1.5, 0.02), rng) for _ in range(500)]
    assert np.std([one.yaw_deg for one in mounted]) == pytest.approx(1.5, rel=0.1)
    assert np.mean([one.pitch_deg for one in mounted]) == pytest.approx(camera.pitch_deg, abs=0.3)
    assert np.std([one.position for one in mounted], axis=0) == pytest.approx(np.full(3, 0.02), rel=0.15)
    assert with_mount_error(camera, MountError(), rng) == camera


@pytest.mark.parametrize("values", [{"variance": -0.1}, {"exposure": float("nan")}, {"blur_px": 50.0}])
def test_impossible_noise_is_refused(values: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=f"camera_noise.{next(iter(values))}"):
        CameraNoise(**values)
    with pytest.raises(ConfigError, match="mount_error"):
        MountError(angle_sigma_deg=11.0)
