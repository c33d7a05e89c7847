"""Lanes, and the likelihoods of fixes and roads."""

import math
from dataclasses import replace

import numpy as np
import pytest

from navsim.errors import ConfigError, TownError
from navsim.localization.likelihoods import (
    Fix,
    LanePoints,
    ObservedFrame,
    PoweredLikelihood,
    RoadLikelihood,
    RoadLikelihoodConfig,
)
from navsim.world.vehicle import VehicleSpec
from tests.localization.small_town import lanes, network

FRAME = ObservedFrame(np.zeros((1, 4, 4, 3), np.uint8), 8.0, 0.0)


def test_samples_are_uniform_over_the_lanes() -> None:
    drawn = lanes().sample_poses(3000, np.random.default_rng(0), across=0.0, turn_deg=0.0)
    assert network().is_drivable(drawn[:, :2]).mean() > 0.99
    offset, turn = lanes().lane_errors(drawn)
    assert np.quantile(offset, 0.99) < 0.1
    assert np.quantile(np.abs(turn), 0.95) < 0.06
    lane = network().lanes[0].path
    share = (np.abs(drawn[:, :2] - lane.position(lane.length / 2)).max(axis=1) < 20).mean()
    points = (np.abs(lanes().poses[:, :2] - lane.position(lane.length / 2)).max(axis=1) < 20).mean()
    assert share == pytest.approx(points, rel=0.15)


def test_distance_and_turn_from_a_lane() -> None:
    lane = max(network().lanes, key=lambda lane: lane.path.length).path
    pose = lane.pose(lane.length / 2).moved(left=-0.8, turn=0.1)  # away from the other lane
    offset, turn = lanes().lane_errors(np.array([(pose.x, pose.y, pose.heading)]))
    assert offset[0] == pytest.approx(0.8, abs=0.05)
    assert turn[0] == pytest.approx(0.1, abs=0.03)
    assert lanes().distance(pose.position) == pytest.approx(0.8, abs=0.15)


def test_the_heading_in_a_bend_is_that_of_a_car_whose_middle_follows_it() -> None:
    way = max(
        (connector.path for connector in network().connectors), key=lambda path: abs(path.curvature(path.length / 2))
    )
    middle = way.length / 2
    lane, bend = way.pose(middle), float(way.curvature(middle))
    assert abs(bend) > 0.08
    course = np.array([(lane.x, lane.y, lane.heading - slip) for slip in (0.0, math.atan(1.3 * bend))])
    _, turn = lanes().lane_errors(course)
    assert turn[1] == pytest.approx(0.0, abs=0.02)
    assert turn[0] == pytest.approx(math.atan(1.3 * bend), abs=0.02)
    longer = LanePoints.of(network(), VehicleSpec(wheelbase=3.2, max_curvature=0.15))
    assert longer.lane_errors(course[:1])[1][0] == pytest.approx(math.atan(1.6 * bend), abs=0.02)


def test_the_wrong_direction_has_a_low_likelihood() -> None:
    lane = max(network().lanes, key=lambda lane: lane.path.length).path
    pose = lane.pose(lane.length / 2)
    there = np.array([(pose.x, pose.y, pose.heading), (pose.x, pose.y, pose.heading + math.pi)])
    right, wrong = RoadLikelihood(RoadLikelihoodConfig(), lanes())(FRAME, there)
    assert right == pytest.approx(0.0, abs=0.02)
    assert wrong < -2.0


def test_the_likelihood_of_roads_by_hand_and_its_floor() -> None:
    spec = RoadLikelihoodConfig(offset_sigma=1.0, turn_sigma_deg=8.0, elsewhere=0.01)
    found = RoadLikelihood(spec, lanes())(FRAME, np.array([(9e3, 9e3, 0.0)]))
    assert found[0] == pytest.approx(math.log(0.01))
    tempered = PoweredLikelihood(RoadLikelihood(spec, lanes()), 0.25)(FRAME, np.array([(9e3, 9e3, 0.0)]))
    assert tempered[0] == pytest.approx(math.log(0.01) / 4)


def test_the_likelihood_of_a_fix_follows_its_errors() -> None:
    fix = Fix(np.array([10.0, 20.0, math.pi - 0.05]), 5.0, 0.1)
    poses = np.array([(10.0, 20.0, math.pi - 0.05), (15.0, 20.0, math.pi - 0.05), (10.0, 20.0, 0.05 - math.pi)])
    assert fix.errors(poses) == pytest.approx(np.array([(0, 0, 0), (-5, 0, 0), (0, 0, -0.1)]), abs=1e-12)
    found = fix.log_likelihood(poses)
    assert found[0] == pytest.approx(-math.log(5.0 * 5.0 * 0.1))
    assert found - found[0] == pytest.approx([0.0, -0.5, -0.5])
    drawn = fix.sample(20_000, np.random.default_rng(0))
    assert drawn[:, :2].mean(axis=0) == pytest.approx([10.0, 20.0], abs=0.15)
    assert drawn[:, :2].std(axis=0) == pytest.approx([5.0, 5.0], rel=0.03)
    assert np.abs(drawn[:, 2]).max() <= math.pi


def test_a_correlated_fix_counts_by_its_new_error() -> None:
    fix = Fix(np.zeros(3), 5.0, 0.1, correlation=0.8)  # 0.8 of the error remains, 0.6 of the sigmas is new
    poses = np.array([(-8.0, 0.0, 0.0), (-8.0, 0.0, 0.0), (-8.0, 0.0, 0.0)])
    before = np.array([(10.0, 0.0, 0.0), (2.5, 0.0, 0.0), (np.nan, np.nan, np.nan)])
    peak = -math.log(5.0 * 5.0 * 0.1)
    # Errors of 8 m: as expected after 10 m; two sigmas of 3 m off after 2.5 m; 1.6 sigmas of 5 m where none is known.
    by_hand = [peak - 3 * math.log(0.6), peak - 3 * math.log(0.6) - 2.0, peak - 1.28]
    assert fix.log_likelihood(poses, before) == pytest.approx(by_hand)


def test_a_map_without_junctions_is_refused() -> None:
    bare = replace(network(), connectors=())
    with pytest.raises(TownError, match="no junction"):
        LanePoints.of(bare)


def test_a_likelihood_without_floor_is_refused() -> None:
    with pytest.raises(ConfigError, match="elsewhere"):
        RoadLikelihoodConfig(elsewhere=0.0)
