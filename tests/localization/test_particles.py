"""The particle filter: unbiased resampling, the number of particles, and convergence with a known likelihood."""

from dataclasses import replace

import numpy as np
import pytest

from navsim.errors import ConfigError
from navsim.geometry import Array
from navsim.localization.likelihoods import Fix, ObservedFrame
from navsim.localization.motion import MotionNoiseConfig
from navsim.localization.particles import FilterConfig, ParticleFilter, required_particles, systematic_resampling
from navsim.localization.posterior import PosePosterior
from navsim.sensing.observation import OdometryStep
from tests.localization.small_town import lanes

FRAME = ObservedFrame(np.zeros((1, 4, 4, 3), np.uint8), 8.0, 0.0)
STILL = OdometryStep(0.0, 0.0, 0.0)
UNMOVED = MotionNoiseConfig(0.0, 0.0, 0.0, 0.0, 0.0)


class Beacon:
    """Likelihood of the distance from a place."""

    def __init__(self, place: tuple[float, float], sigma: float) -> None:
        self.place, self.sigma = np.array(place), sigma

    def __call__(self, frame: ObservedFrame, poses: Array) -> Array:
        gap = np.square((poses[:, :2] - self.place) / self.sigma).sum(axis=1)
        return np.asarray(-gap / 2)


def test_resampling_is_unbiased_and_never_off_by_one() -> None:
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.full(12, 0.4))
    counts = np.array([np.bincount(systematic_resampling(weights, 50, rng), minlength=12) for _ in range(4000)])
    assert counts.mean(axis=0) == pytest.approx(50 * weights, abs=0.04)
    assert np.abs(counts - 50 * weights).max() < 1


def test_a_single_weighted_particle_is_the_only_one_drawn() -> None:
    assert set(systematic_resampling(np.array([0.0, 1.0, 0.0]), 9, np.random.default_rng(1)).tolist()) == {1}


def test_more_uncertainty_needs_more_particles() -> None:
    rng = np.random.default_rng(0)
    one = required_particles(np.tile([(3.0, 3.0, 0.1)], (500, 1)))
    tight = required_particles(rng.normal(size=(500, 3)) * [0.5, 0.5, 0.05] + [3.0, 3.0, 0.1])
    wide = required_particles(rng.uniform(-100, 100, (500, 3)))
    assert one == 1.0
    assert tight < 250
    assert wide > 4000
    # Fox (2003), equation 10, for 101 occupied bins: by hand.
    bins = np.column_stack([np.arange(101) * 2.0 + 1, np.zeros(101), np.zeros(101)])
    assert required_particles(bins) == pytest.approx(1000 * (1 - 2 / 900 + np.sqrt(2 / 900) * 2.326) ** 3, rel=1e-9)


def test_a_gaussian_prior_times_a_gaussian_likelihood() -> None:
    rng = np.random.default_rng(4)
    spec = FilterConfig(min_particles=20_000, max_particles=20_000, kidnap_probability=0.0)
    running = ParticleFilter(spec, lanes(), [Beacon((10.0, 0.0), 4.0)], rng)
    running.reset(Fix(np.zeros(3), 2.0, 0.1))
    running.update(FRAME, None)
    # By hand: precisions 1/4 and 1/16, so that the mean is 10 * (1/16) / (5/16) and the variance 16/5.
    assert running.posterior.mean[0] == pytest.approx(2.0, abs=0.1)
    assert running.posterior.covariance[0, 0] == pytest.approx(3.2, rel=0.06)


def test_resampling_keeps_the_belief() -> None:
    spec = FilterConfig(
        min_particles=5000, max_particles=5000, kidnap_probability=0.0, resample_below=1.0, jitter=0.0, motion=UNMOVED
    )
    running = ParticleFilter(spec, lanes(), [Beacon((1.0, 0.0), 1.0)], np.random.default_rng(4))
    running.reset(Fix(np.zeros(3), 1.0, 0.1))
    running.update(FRAME, None)
    before = running.posterior
    running.predict(STILL)
    after = running.posterior
    assert len(set(after.weights.tolist())) == 1
    assert after.mean == pytest.approx(before.mean, abs=0.03)
    assert np.diag(after.covariance) == pytest.approx(np.diag(before.covariance), rel=0.06)


def test_resampled_particles_scatter_by_their_spacing() -> None:
    def resampled(jitter: float) -> tuple[PosePosterior, PosePosterior]:
        spec = FilterConfig(
            min_particles=3000,
            max_particles=3000,
            kidnap_probability=0.0,
            resample_below=1.0,
            jitter=jitter,
            motion=UNMOVED,
        )
        running = ParticleFilter(spec, lanes(), [Beacon((1.0, 0.0), 1.0)], np.random.default_rng(4))
        running.reset(Fix(np.zeros(3), 4.0, 0.1))
        running.update(FRAME, None)
        before = running.posterior
        running.predict(STILL)
        return before, running.posterior

    (_, copied), (before, scattered) = resampled(0.0), resampled(0.8)
    assert len(np.unique(copied.poses[:, 0])) < 1000  # most are copies
    assert len(np.unique(scattered.poses[:, 0])) == 3000
    assert 0.02 < before.spacing < 0.3
    assert np.diag(scattered.covariance) == pytest.approx(np.diag(before.covariance), rel=0.1)


def test_a_correlated_fix_adds_little_information() -> None:
    # One fix of 5 m, repeated with the same error: it must not become better than one fix.
    fix = Fix(np.zeros(3), 5.0, 0.1)
    again = replace(fix, correlation=0.99)
    sizes = []
    for advance in (again, fix):
        spec = FilterConfig(min_particles=4000, max_particles=4000, kidnap_probability=0.0, motion=UNMOVED)
        running = ParticleFilter(spec, lanes(), [], np.random.default_rng(1))
        running.reset(fix)
        for _ in range(10):
            running.predict(STILL)
            running.update(FRAME, advance)
        sizes.append(float(np.sqrt(running.posterior.covariance[0, 0])))
    # By hand: e' = c e + new has information (1 - c)^2 / (1 - c^2) = (1 - c) / (1 + c) of a fix: 10 of 0.005.
    assert sizes[0] == pytest.approx(5.0 / np.sqrt(1 + 10 * 0.01 / 1.99), rel=0.06)
    assert sizes[1] == pytest.approx(5.0 / np.sqrt(11), rel=0.15)


def test_fixes_reveal_the_odometers_scale_error() -> None:
    spec = FilterConfig(
        min_particles=4000, max_particles=4000, kidnap_probability=0.0, motion=MotionNoiseConfig(scale=0.05, memory=1e6)
    )
    running = ParticleFilter(spec, lanes(), [], np.random.default_rng(1))
    running.reset(Fix(np.zeros(3), 0.5, 0.02))
    for step in range(1, 41):  # 5 m each, but 5.2 m by the odometer
        running.predict(OdometryStep(5.2, 0.0, 0.0, 0.5))
        running.update(FRAME, Fix(np.array([5.0 * step, 0.0, 0.0]), 0.5, 0.02))
    for _ in range(20):  # and 100 m without any
        running.predict(OdometryStep(5.2, 0.0, 0.0, 0.5))
    assert running.posterior.mean[0] == pytest.approx(300.0, abs=0.7)


def test_particles_become_fewer_with_certainty() -> None:
    place = tuple(lanes().poses[400, :2].tolist())
    spec = FilterConfig(min_particles=200, max_particles=3000)
    running = ParticleFilter(spec, lanes(), [Beacon(place, 2.0)], np.random.default_rng(0))
    running.reset(None)
    start = len(running.posterior.weights)
    for _ in range(4):
        running.update(FRAME, None)
        running.predict(STILL)
    assert len(running.posterior.weights) < start / 2
    assert running.posterior.estimate.position == pytest.approx(place, abs=1.5)


def test_a_wide_belief_keeps_enough_particles() -> None:
    spec = FilterConfig(
        min_particles=500,
        max_particles=20_000,
        particles_per_metre=3.0,
        kidnap_probability=0.0,
        resample_below=1.0,
        motion=UNMOVED,
    )
    running = ParticleFilter(spec, lanes(), [Beacon((0.0, 0.0), 400.0)], np.random.default_rng(0))
    running.reset(None)
    running.update(FRAME, None)
    running.predict(STILL)
    assert len(running.posterior.weights) > 15_000  # 500 draws occupy at most 500 bins, which need 5,900 particles


def test_injection_recovers_from_a_wrong_belief() -> None:
    true = lanes().poses[100]
    wrong = max(lanes().poses, key=lambda pose: float(np.hypot(*(pose - true)[:2])))
    for kidnap_probability, recovers in ((1e-3, True), (0.0, False)):
        spec = FilterConfig(min_particles=500, max_particles=2000, kidnap_probability=kidnap_probability)
        beacon = Beacon((float(true[0]), float(true[1])), 4.0)
        running = ParticleFilter(spec, lanes(), [beacon], np.random.default_rng(2))
        running.reset(Fix(wrong, 2.0, 0.1))
        for _ in range(25):
            running.predict(STILL)
            running.update(FRAME, None)
        error = np.hypot(*(running.posterior.estimate.position - true[:2]))
        assert bool(error < 6.0) is recovers


def test_injected_particles_are_around_the_fix() -> None:
    running = ParticleFilter(FilterConfig(injected_fraction=0.2), lanes(), [], np.random.default_rng(2))
    running.reset(Fix(lanes().poses[1500], 1.0, 0.1))
    fix = Fix(lanes().poses[100], 3.0, 0.1)
    running.update(FRAME, fix)
    near = np.hypot(*(running.posterior.poses[:, :2] - fix.pose[:2]).T) < 12
    assert near.sum() == pytest.approx(0.2 * FilterConfig().max_particles, rel=0.02)
    assert running.posterior.mass_within(fix.pose[:2], 12.0) > 0.99  # the old ones are hundreds of sigmas away


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"min_particles": 5}, "min_particles"),
        ({"max_particles": 100}, "max_particles"),
        ({"kidnap_probability": 0.6}, "kidnap_probability"),
        ({"particles_per_metre": 0.0}, "particles_per_metre"),
        ({"jitter": -1.0}, "jitter"),
    ],
)
def test_filters_that_cannot_work_are_refused(changes: dict[str, float], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        FilterConfig(**changes)  # type: ignore[arg-type]
