"""The particle filter: unbiased resampling, candidates as the doubt needs, and finding a pose by a known likelihood."""

from dataclasses import replace

import numpy as np
import pytest

from agents.localization.likelihoods import Fix, ObservedFrame
from agents.localization.motion import MotionNoise, OdometryStep
from agents.localization.particles import FilterConfig, ParticleFilter, needed, systematic
from agents.localization.posterior import PosePosterior
from navsim.errors import ConfigError
from navsim.geometry import Array
from tests.agents.localization.places import lanes

FRAME = ObservedFrame(np.zeros((1, 4, 4, 3), np.uint8), 8.0, 0.0)
STILL = OdometryStep(0.0, 0.0, 0.0)
UNMOVED = MotionNoise(0.0, 0.0, 0.0, 0.0, 0.0)


class Beacon:
    """Says how far the car is from a place."""

    def __init__(self, place: tuple[float, float], sigma: float) -> None:
        self.place, self.sigma = np.array(place), sigma

    def __call__(self, frame: ObservedFrame, poses: Array) -> Array:
        gap = np.square((poses[:, :2] - self.place) / self.sigma).sum(axis=1)
        return np.asarray(-gap / 2)


def test_resampling_is_unbiased_and_never_off_by_one() -> None:
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.full(12, 0.4))
    counts = np.array([np.bincount(systematic(weights, 50, rng), minlength=12) for _ in range(4000)])
    assert counts.mean(axis=0) == pytest.approx(50 * weights, abs=0.04)
    assert np.abs(counts - 50 * weights).max() < 1


def test_all_weight_on_one_draws_it_alone() -> None:
    assert set(systematic(np.array([0.0, 1.0, 0.0]), 9, np.random.default_rng(1)).tolist()) == {1}


def test_more_doubt_needs_more_candidates() -> None:
    rng = np.random.default_rng(0)
    one = needed(np.tile([(3.0, 3.0, 0.1)], (500, 1)))
    tight = needed(rng.normal(size=(500, 3)) * [0.5, 0.5, 0.05] + [3.0, 3.0, 0.1])
    wide = needed(rng.uniform(-100, 100, (500, 3)))
    assert one == 1.0
    assert tight < 250
    assert wide > 4000
    # Fox (2003), equation 10, for 101 occupied bins: by hand.
    bins = np.column_stack([np.arange(101) * 2.0 + 1, np.zeros(101), np.zeros(101)])
    assert needed(bins) == pytest.approx(1000 * (1 - 2 / 900 + np.sqrt(2 / 900) * 2.326) ** 3, rel=1e-9)


def test_a_gaussian_prior_times_a_gaussian_likelihood() -> None:
    rng = np.random.default_rng(4)
    spec = FilterConfig(min_particles=20_000, max_particles=20_000, kidnap_probability=0.0)
    running = ParticleFilter(spec, lanes(), [Beacon((10.0, 0.0), 4.0)], rng)
    running.begin(Fix(np.zeros(3), 2.0, 0.1))
    running.observe(FRAME, None)
    # By hand: precisions 1/4 and 1/16, so that the mean is 10 * (1/16) / (5/16) and the variance 16/5.
    assert running.posterior.mean[0] == pytest.approx(2.0, abs=0.1)
    assert running.posterior.covariance[0, 0] == pytest.approx(3.2, rel=0.06)


def test_resampling_keeps_the_belief() -> None:
    spec = FilterConfig(
        min_particles=5000, max_particles=5000, kidnap_probability=0.0, resample_below=1.0, jitter=0.0, motion=UNMOVED
    )
    running = ParticleFilter(spec, lanes(), [Beacon((1.0, 0.0), 1.0)], np.random.default_rng(4))
    running.begin(Fix(np.zeros(3), 1.0, 0.1))
    running.observe(FRAME, None)
    before = running.posterior
    running.move(STILL)
    after = running.posterior
    assert len(set(after.weights.tolist())) == 1
    assert after.mean == pytest.approx(before.mean, abs=0.03)
    assert np.diag(after.covariance) == pytest.approx(np.diag(before.covariance), rel=0.06)


def test_resampled_candidates_scatter_about_as_far_as_they_are_apart() -> None:
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
        running.begin(Fix(np.zeros(3), 4.0, 0.1))
        running.observe(FRAME, None)
        before = running.posterior
        running.move(STILL)
        return before, running.posterior

    (_, copied), (before, scattered) = resampled(0.0), resampled(0.8)
    assert len(np.unique(copied.poses[:, 0])) < 1000  # most are copies
    assert len(np.unique(scattered.poses[:, 0])) == 3000
    assert 0.02 < before.spacing < 0.3
    assert np.diag(scattered.covariance) == pytest.approx(np.diag(before.covariance), rel=0.1)


def test_the_error_of_a_fix_is_not_taken_for_news_again() -> None:
    # One fix of 5 m, told again and again with the same error: it must not become better than one fix.
    fix = Fix(np.zeros(3), 5.0, 0.1)
    again = replace(fix, correlation=0.99)
    sizes = []
    for follow in (again, fix):
        spec = FilterConfig(min_particles=4000, max_particles=4000, kidnap_probability=0.0, motion=UNMOVED)
        running = ParticleFilter(spec, lanes(), [], np.random.default_rng(1))
        running.begin(fix)
        for _ in range(10):
            running.move(STILL)
            running.observe(FRAME, follow)
        sizes.append(float(np.sqrt(running.posterior.covariance[0, 0])))
    # By hand: e' = c e + new has information (1 - c)^2 / (1 - c^2) = (1 - c) / (1 + c) of a fix: 10 of 0.005.
    assert sizes[0] == pytest.approx(5.0 / np.sqrt(1 + 10 * 0.01 / 1.99), rel=0.06)
    assert sizes[1] == pytest.approx(5.0 / np.sqrt(11), rel=0.15)


def test_a_way_that_fits_the_fixes_tells_the_odometers_error() -> None:
    spec = FilterConfig(
        min_particles=4000, max_particles=4000, kidnap_probability=0.0, motion=MotionNoise(scale=0.05, memory=1e6)
    )
    running = ParticleFilter(spec, lanes(), [], np.random.default_rng(1))
    running.begin(Fix(np.zeros(3), 0.5, 0.02))
    for step in range(1, 41):  # 5 m each, but 5.2 m by the odometer
        running.move(OdometryStep(5.2, 0.0, 0.0, 0.5))
        running.observe(FRAME, Fix(np.array([5.0 * step, 0.0, 0.0]), 0.5, 0.02))
    for _ in range(20):  # and 100 m without any
        running.move(OdometryStep(5.2, 0.0, 0.0, 0.5))
    assert running.posterior.mean[0] == pytest.approx(300.0, abs=0.7)


def test_candidates_become_fewer_as_doubt_goes() -> None:
    place = tuple(lanes().poses[400, :2].tolist())
    spec = FilterConfig(min_particles=200, max_particles=3000)
    running = ParticleFilter(spec, lanes(), [Beacon(place, 2.0)], np.random.default_rng(0))
    running.begin(None)
    start = len(running.posterior.weights)
    for _ in range(4):
        running.observe(FRAME, None)
        running.move(STILL)
    assert len(running.posterior.weights) < start / 2
    assert running.posterior.estimate.position == pytest.approx(place, abs=1.5)


def test_doubt_over_a_large_place_keeps_as_many_candidates_as_it_needs() -> None:
    spec = FilterConfig(
        min_particles=500,
        max_particles=20_000,
        particles_per_metre=3.0,
        kidnap_probability=0.0,
        resample_below=1.0,
        motion=UNMOVED,
    )
    running = ParticleFilter(spec, lanes(), [Beacon((0.0, 0.0), 400.0)], np.random.default_rng(0))
    running.begin(None)
    running.observe(FRAME, None)
    running.move(STILL)
    assert len(running.posterior.weights) > 15_000  # 500 draws would be in 500 places at most, and ask for 5,900


def test_a_wrong_belief_is_given_up() -> None:
    true = lanes().poses[100]
    wrong = max(lanes().poses, key=lambda pose: float(np.hypot(*(pose - true)[:2])))
    for kidnap_probability, recovers in ((1e-3, True), (0.0, False)):
        spec = FilterConfig(min_particles=500, max_particles=2000, kidnap_probability=kidnap_probability)
        beacon = Beacon((float(true[0]), float(true[1])), 4.0)
        running = ParticleFilter(spec, lanes(), [beacon], np.random.default_rng(2))
        running.begin(Fix(wrong, 2.0, 0.1))
        for _ in range(25):
            running.move(STILL)
            running.observe(FRAME, None)
        error = np.hypot(*(running.posterior.estimate.position - true[:2]))
        assert bool(error < 6.0) is recovers


def test_after_a_fix_jumps_go_to_it() -> None:
    running = ParticleFilter(FilterConfig(injected_fraction=0.2), lanes(), [], np.random.default_rng(2))
    running.begin(Fix(lanes().poses[1500], 1.0, 0.1))
    fix = Fix(lanes().poses[100], 3.0, 0.1)
    running.observe(FRAME, fix)
    near = np.hypot(*(running.posterior.poses[:, :2] - fix.pose[:2]).T) < 12
    assert near.sum() == pytest.approx(0.2 * FilterConfig().max_particles, rel=0.02)
    assert running.posterior.mass_within(fix.pose[:2], 12.0) > 0.99  # the old ones explain it by hundreds of sigmas


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
