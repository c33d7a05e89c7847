import numpy as np
import pytest

from navsim.errors import ConfigError
from navsim.seeding import generator
from navsim.simulation.expert import SteeringNoise, noisy_command, steering_noise


def test_no_bursts_no_noise() -> None:
    assert not steering_noise(SteeringNoise(bursts_per_minute=0.0), 500, 0.1, generator(1)).any()


def test_bursts_come_as_often_and_as_hard_as_stated() -> None:
    spec = SteeringNoise(bursts_per_minute=6.0, duration=(1.0, 1.0), lateral_acceleration=2.0)
    signal = steering_noise(spec, 36_000, 0.1, generator(1))  # an hour
    starts = ((signal[1:] != 0) & (signal[:-1] == 0)).sum()
    # Pulses do not overlap: one takes 1 s after a mean wait of 10 s, so about 327 in an hour.
    assert 270 < starts < 390
    assert 1.7 < np.abs(signal).max() <= 2.0
    assert abs(signal.mean()) < 0.02


def test_a_pulse_is_a_triangle() -> None:
    spec = SteeringNoise(bursts_per_minute=1.0, duration=(2.0, 2.0), lateral_acceleration=1.0)
    signal = np.abs(steering_noise(spec, 6000, 0.01, generator(3)))
    rising = np.diff(signal[np.flatnonzero(signal)[0] :][:90])
    assert rising == pytest.approx(np.full(89, rising[0]), rel=1e-6)


def test_same_seed_same_noise() -> None:
    a, b, c = (steering_noise(SteeringNoise(), 900, 0.1, generator(seed)) for seed in (1, 1, 2))
    assert (a == b).all()
    assert (a != c).any()


def test_the_pull_is_an_acceleration() -> None:
    # 2 m/s2 at 8 m/s is a curvature of 2 / 64; slower than 3 m/s it stays 2 / 9 and is clipped.
    assert noisy_command(0.01, 2.0, 8.0, 0.2) == pytest.approx(0.01 + 2 / 64)
    assert noisy_command(0.0, 0.9, 1.0, 0.2) == pytest.approx(0.1)
    assert noisy_command(0.0, -9.0, 1.0, 0.2) == pytest.approx(-0.2)


@pytest.mark.parametrize("wrong", [{"duration": (0.0, 1.0)}, {"duration": (2.0, 1.0)}, {"bursts_per_minute": -1.0}])
def test_impossible_noise_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(wrong))} must be"):
        SteeringNoise(**wrong)  # type: ignore[arg-type]
