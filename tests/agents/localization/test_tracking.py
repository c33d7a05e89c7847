"""Localisation of one drive: updates, fixes, cases and errors."""

import math
from dataclasses import fields, replace

import numpy as np
import pytest

from agents.localization.config import (
    CASES,
    FixSensor,
    GpsBaseline,
    LocalizationCase,
    Method,
    TrackingConfig,
    make_localiser,
)
from agents.localization.tracking import Track, Tracker, TrackPoint, localise, recorded_step
from navsim.errors import ConfigError, EpisodeError
from navsim.geometry import Array
from navsim.localization.likelihoods import (
    Evidence,
    ExponentConfig,
    Fix,
    ObservedFrame,
    RoadLikelihood,
    RoadLikelihoodConfig,
    WithoutSteering,
)
from navsim.localization.particles import FilterConfig
from navsim.sensing.observation import OdometrySpec
from tests.localization.small_town import along, lanes, route

SPEC = FilterConfig(max_particles=2000)


class Silent:
    """Has the same likelihood for all poses."""

    def __call__(self, frame: ObservedFrame, poses: Array) -> Array:
        return np.zeros(len(poses))


EVIDENCE = Evidence(lanes(), Silent(), RoadLikelihood(RoadLikelihoodConfig(), lanes()))


def tracked(
    method: Method, case: LocalizationCase, seed: int = 0, length: float = 300.0, spec: FilterConfig = SPEC
) -> Track:
    localiser = make_localiser(method, spec, ExponentConfig(), EVIDENCE, np.random.default_rng(seed))
    return localise(along(route(length), seed=seed), localiser, lanes(), case, TrackingConfig())


def test_updates_follow_the_distance() -> None:
    drive, exact = along(route(200.0)), OdometrySpec(0.0, 0.0, 0.0, 0.0)
    localiser = make_localiser("odometry", SPEC, ExponentConfig(), EVIDENCE, np.random.default_rng(0))
    tracker = Tracker(drive.scenario, localiser, lanes(), LocalizationCase(), TrackingConfig(every=2.5, odometry=exact))
    standing = tracker.advance(recorded_step(drive, 0)), *(tracker.advance(recorded_step(drive, 0)) for _ in range(20))
    assert [moment is not None for moment in standing] == [True] + [False] * 20  # the first step, then a standing car
    moments = [tracker.advance(recorded_step(drive, index)) for index in range(1, 18)]
    assert [index for index, moment in enumerate(moments, 1) if moment is not None] == [4, 8, 12, 16]  # 0.8 m each
    assert [moment.distance for moment in moments if moment is not None] == pytest.approx([3.2, 6.4, 9.6, 12.8], 0.01)


def test_fixes_have_the_errors_and_the_duration_of_the_case() -> None:
    drive, case = along(route(900.0)), LocalizationCase("lost", 10.0, lost_after=60.0)

    def fixes(case: LocalizationCase) -> list[Fix | None]:
        sensor = FixSensor(drive.scenario, case, TrackingConfig())
        return [sensor.read(drive.pose(index), float(drive.times[index])) for index in range(len(drive))]

    found = fixes(case)
    given = [fix for fix in found if fix is not None]
    assert [fix is not None for fix in found] == (drive.times[:-1] <= 60.0).tolist()
    errors = np.array([fix.pose[:2] for fix in given]) - drive.poses[: len(given), :2]
    assert np.sqrt(np.square(errors).mean()) == pytest.approx(10.0, rel=0.5)  # some eight independent ones
    assert fixes(LocalizationCase()) == [None] * len(drive)
    again = [fix for fix in fixes(case) if fix is not None]
    np.testing.assert_array_equal([fix.pose for fix in again], [fix.pose for fix in given])


def test_a_fix_has_the_correlation_of_its_error_with_the_last_one() -> None:
    received = list[Fix | None]()

    class Recorder(GpsBaseline):
        def update(self, frame: ObservedFrame, fix: Fix | None) -> None:
            received.append(fix)

    drive = along(route(200.0))
    recorder = Recorder(lanes(), np.random.default_rng(0), use_fixes=True)
    localise(drive, recorder, lanes(), LocalizationCase("gps5", 5.0), TrackingConfig(every=4.0, gps_time=8.0))
    correlations = [fix.correlation for fix in received if fix is not None]
    assert np.median(correlations) == pytest.approx(math.exp(-0.5 / 8), rel=0.01)  # half a second between updates


def test_odometry_and_map_matching_improve_on_fixes() -> None:
    case = LocalizationCase("gps10", 10.0)
    gps, odometry, roads = ([tracked(m, case, seed) for seed in range(4)] for m in ("gps", "odometry", "roads"))

    def error(tracks: list[Track]) -> float:
        return float(np.mean([np.median(track.errors) for track in tracks]))

    assert error(gps) == pytest.approx(np.mean([np.nanmedian(track.fix_errors) for track in gps]), rel=0.1)
    assert error(odometry) < error(gps)
    assert error(roads) < error(odometry) / 2


def test_beliefs_of_plain_cases_are_calibrated() -> None:
    case, spec = LocalizationCase("gps5", 5.0), FilterConfig()
    levels = np.concatenate([tracked("odometry", case, seed, spec=spec).levels for seed in range(40)])
    assert (levels <= 0.5).mean() == pytest.approx(0.5, abs=0.1)  # a standard error of 0.035: drives err alike
    assert (levels <= 0.9).mean() == pytest.approx(0.9, abs=0.08)
    fixes = np.concatenate([tracked("gps", LocalizationCase("gps5", 5.0), seed).levels for seed in range(12)])
    assert (fixes <= 0.9).mean() == pytest.approx(0.9, abs=0.08)


def test_without_fixes_odometry_drifts() -> None:
    track = tracked("odometry", LocalizationCase("lost", 5.0, lost_after=3.0), length=900.0)
    assert np.isnan(track.fix_errors[-1])
    assert track.entropies[-1] > track.entropies[3] + 1


def test_without_information_the_belief_stays_uniform() -> None:
    track = tracked("uniform", LocalizationCase())
    assert track.found_at is None or track.near.max() < 0.2
    assert np.ptp(track.entropies) < 0.5
    assert np.isnan(track.fix_errors).all()


def test_fixes_off_the_map_are_ignored_and_counted() -> None:
    drive = along(route(200.0))
    evidence = Evidence(lanes(), Silent(), RoadLikelihood(RoadLikelihoodConfig(), lanes()))
    case = LocalizationCase("wild", 3000.0)
    localiser = make_localiser("roads", SPEC, ExponentConfig(), evidence, np.random.default_rng(0))
    near = localise(drive, localiser, lanes(), LocalizationCase("gps5", 5.0), TrackingConfig())
    assert near.ignored_fixes == 0
    off = replace(drive, poses=drive.poses + np.array([5000.0, 0.0, 0.0]))
    track = localise(off, localiser, lanes(), LocalizationCase("gps5", 5.0), TrackingConfig())
    assert track.ignored_fixes == len(off)
    assert track.candidates[0] == pytest.approx(np.clip(0.5 * lanes().length, 500, 2000), rel=0.01)  # from the roads
    assert case.gps_sigma == 3000.0


def test_a_drive_of_less_than_a_second_is_refused() -> None:
    drive = along(route(200.0))
    short = replace(
        drive,
        **{name: getattr(drive, name)[:8] for name in ("commands", "labels", "gps")},
        **{
            name: getattr(drive, name)[:9]
            for name in ("times", "poses", "speeds", "stations", "offsets", "route_offsets", "heading_errors")
        },
    )
    evidence = Evidence(lanes(), Silent(), Silent())
    localiser = make_localiser("odometry", SPEC, ExponentConfig(), evidence, np.random.default_rng(0))
    with pytest.raises(EpisodeError, match=r"lasts 0\.7 s"):
        localise(short, localiser, lanes(), LocalizationCase(), TrackingConfig())


def test_tracks_round_trip_and_every_update_is_watched() -> None:
    seen = list[TrackPoint]()
    evidence = Evidence(lanes(), Silent(), RoadLikelihood(RoadLikelihoodConfig(), lanes()))
    localiser = make_localiser("network_roads", SPEC, ExponentConfig(), evidence, np.random.default_rng(0))
    track = localise(along(route(200.0)), localiser, lanes(), CASES[4], TrackingConfig(), seen.append)
    assert len(seen) == len(track.times)
    again = Track.from_plain(track.to_plain())
    np.testing.assert_allclose(again.errors, track.errors, atol=1e-5)
    assert again.found_at == track.found_at


def test_found_at_is_where_the_estimate_stays_near() -> None:
    track = Track(**{entry.name: np.zeros(5) for entry in fields(Track) if entry.name != "ignored_fixes"})  # type: ignore[arg-type]
    assert track.found_at == 0
    assert replace(track, errors=np.array([50.0, 5.0, 11.0, 9.0, 3.0])).found_at == 3
    assert replace(track, errors=np.array([50.0, 5.0, 3.0, 9.0, 30.0])).found_at is None


def test_the_soft_likelihood_ignores_the_steering() -> None:
    received = list[float | None]()

    class Recorder:
        def __call__(self, frame: ObservedFrame, poses: Array) -> Array:
            received.append(frame.steering)
            return np.zeros(len(poses))

    WithoutSteering(Recorder())(ObservedFrame(np.zeros((1, 2, 2, 3), np.uint8), 1.0, 0.1), np.zeros((1, 3)))
    assert received == [None]


@pytest.mark.parametrize(
    "case", [{"gps_sigma": 0.0}, {"lost_after": 3.0}, {"gps_sigma": 5.0, "lost_after": -1.0}], ids=str
)
def test_invalid_cases_are_refused(case: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="case"):
        LocalizationCase("odd", **case)
