"""The steering likelihood: maps drawn at candidates, and a policy whose steering is the map's own curvature."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from agents.localization.config import LocalizationCase, TrackingConfig
from agents.localization.steering import LatticeConfig, SteeringLikelihood, check_can_localise
from agents.localization.tracking import localise
from agents.policies.networks.config import PolicyConfig, Sense
from agents.policies.networks.observation_batch import ObservationBatch, ObservationSpec
from agents.policies.policy import Policy, build_policy
from navsim.errors import CheckpointError, ConfigError
from navsim.geometry import Array, Pose
from navsim.localization.likelihoods import ObservedFrame
from navsim.localization.particles import FilterConfig, ParticleFilter
from navsim.sensing.roadmap import MapSpec, draw_map, draw_maps, rasterise_roads
from tests.localization.small_town import along, lanes, network, route

MAP = MapSpec(size_px=50)
SPEC = ObservationSpec(1, 32, 48, 50)
RASTER = rasterise_roads(network(), MAP)


def policy(inputs: Sequence[Sense] = ("camera", "road_map"), network_name: str = "compact") -> Policy:
    config = PolicyConfig(inputs=tuple(inputs), network=network_name)
    return build_policy(config, SPEC, seed=0).eval()


def frame(steering: float | None = 0.02, seed: int = 0) -> ObservedFrame:
    images = np.random.default_rng(seed).integers(0, 256, (1, 32, 48, 3)).astype(np.uint8)
    return ObservedFrame(images, 6.0, steering)


def test_batched_maps_equal_maps_drawn_one_by_one() -> None:
    poses = lanes().sample_poses(40, np.random.default_rng(0), turn_deg=90.0)
    drawn = draw_maps(RASTER, MAP, poses)
    assert (drawn == np.stack([draw_map(RASTER, MAP, Pose(*pose)) for pose in poses.tolist()])).all()
    assert drawn.max() == 255
    assert draw_maps(RASTER, MAP, np.zeros((0, 3))).shape == (0, 50, 50)


def test_it_is_the_policys_density_of_the_driven_steering() -> None:
    net, lattice = policy(("camera", "road_map", "speed")), LatticeConfig(metres=2.0, turn_deg=6.0)
    poses = lattice.poses(lattice.cells(lanes().sample_poses(30, np.random.default_rng(1))))  # on the lattice
    seen = frame()
    found = SteeringLikelihood(net, RASTER, MAP, lattice)(seen, poses)
    maps = torch.from_numpy(draw_maps(RASTER, MAP, poses))
    images = torch.from_numpy(seen.images)[None].expand(30, -1, -1, -1, -1)
    senses = ObservationBatch(images, maps, torch.zeros_like(maps), torch.full((30,), 6.0))
    with torch.inference_mode():
        wanted = net.steer(senses).log_prob(torch.full((30,), 0.02)).double().numpy()
    wanted = np.logaddexp(np.log(0.95) + wanted, np.log(0.05 / 0.4))  # any steering in one case of twenty
    np.testing.assert_allclose(found, wanted, atol=0.03)  # maps are read in bfloat16
    assert np.ptp(wanted) > 0


def test_maps_are_cached() -> None:
    likelihood, poses = SteeringLikelihood(policy(), RASTER, MAP), lanes().sample_poses(60, np.random.default_rng(1))
    first = likelihood(frame(), poses)
    other = likelihood(frame(seed=1), poses)
    np.testing.assert_array_equal(likelihood(frame(), poses), first)
    assert (other != first).any()


def test_an_outlier_does_not_rule_out_a_pose() -> None:
    net = policy()
    with torch.no_grad():  # overconfident
        net.head.weight.mul_(1000)
    poses = lanes().sample_poses(200, np.random.default_rng(1))
    for steering in (-0.2, 0.0, 0.2):
        assert SteeringLikelihood(net, RASTER, MAP)(frame(steering), poses).min() >= np.log(0.05 / 0.4) - 1e-6


def test_candidates_in_one_lattice_cell_share_a_map() -> None:
    lattice = LatticeConfig(metres=2.0, turn_deg=6.0)
    near = np.array([(100.0, 40.0, 0.0), (100.9, 39.2, 0.05), (100.0, 40.0, 2 * np.pi - 0.05)])
    assert len(np.unique(lattice.cells(near), axis=0)) == 1
    poses = lanes().sample_poses(500, np.random.default_rng(1))
    lane_errors = np.abs(lattice.poses(lattice.cells(poses)) - poses)
    assert lane_errors[:, :2].max() <= 1.0
    turn = np.minimum(lane_errors[:, 2], 2 * np.pi - lane_errors[:, 2])
    assert np.degrees(turn).max() <= 3.0 + 1e-9


def test_without_steering_the_likelihood_is_a_mean_over_expected_steering() -> None:
    net = policy()
    with torch.no_grad():  # a sharp output that depends on the map
        net.head.weight.mul_(30)
    poses = lanes().sample_poses(50, np.random.default_rng(1))
    likelihood = SteeringLikelihood(net, RASTER, MAP)
    soft = likelihood(frame(None), poses)
    alone = likelihood.distributions(frame(), np.array([(1e5, 1e5, 0.0)]))  # far off, the map is empty
    draws = torch.Generator().manual_seed(0)
    steerings = [float(alone.sample(draws)) for _ in range(400)]
    inside = [value for value in steerings if abs(value) <= 0.2]
    mean = np.mean([np.exp(likelihood(frame(value), poses)) for value in inside], axis=0)
    np.testing.assert_allclose(np.exp(soft), mean, rtol=0.25)


@pytest.mark.parametrize(
    ("inputs", "network_name"),
    [(("camera",), "compact"), (("camera", "route_map"), "compact"), (("camera", "road_map", "route_map"), "compact")],
)
def test_policies_without_the_unrouted_map_are_refused(inputs: tuple[Sense, ...], network_name: str) -> None:
    with pytest.raises(CheckpointError, match="camera road_map"):
        SteeringLikelihood(policy(inputs, network_name), RASTER, MAP)


def test_the_sources_network_keeps_the_route_from_its_distribution() -> None:
    config = PolicyConfig(network="amini2019")
    check_can_localise(build_policy(config, ObservationSpec(1, 66, 200, 50), seed=0))


def test_an_invalid_lattice_is_refused() -> None:
    with pytest.raises(ConfigError, match="metres must be"):
        LatticeConfig(metres=0.0)


class Follower:
    """A policy without cameras that steers by the curvature of the nearest lane, with a sigma of 0.01 1/m."""

    def __call__(self, frame: ObservedFrame, poses: Array) -> Array:
        assert frame.steering is not None
        bends = bend_at(poses)
        return np.asarray(-np.square((frame.steering - bends) / 0.01) / 2)


def bend_at(poses: Array) -> Array:
    """Return the curvature of the lane nearest to each pose."""
    index = lanes()._tree.query(np.column_stack([poses[:, :2], 4 * np.cos(poses[:, 2]), 4 * np.sin(poses[:, 2])]))[1]
    after = np.minimum(index + 1, len(lanes().poses) - 1)
    turn = lanes().poses[after, 2] - lanes().poses[index, 2]
    return np.asarray(np.where(np.abs(turn) < 0.5, turn, 0.0))


@pytest.mark.parametrize("seed", [0, 1])
def test_a_policy_that_steers_by_the_map_finds_the_pose_without_a_prior(seed: int) -> None:
    drive = along(route(700.0, number=seed), seed=seed)
    running = ParticleFilter(FilterConfig(max_particles=3000), lanes(), [Follower()], np.random.default_rng(seed))
    track = localise(drive, running, lanes(), LocalizationCase(), replace(TrackingConfig(), every=2.0))
    assert track.errors[0] > 10
    assert track.errors[-1] < 10
    assert track.found_at is not None
    assert track.near[-1] > 0.75
    blank = ParticleFilter(FilterConfig(max_particles=3000), lanes(), [], np.random.default_rng(seed))
    assert (
        localise(drive, blank, lanes(), LocalizationCase(), TrackingConfig()).near[-1] < 0.5
    )  # odometry alone does not


def test_an_image_is_encoded_once_for_all_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    net, sizes = policy(), list[int]()
    encode_images = net.network.encode_images

    def counted(inputs: object) -> list[Tensor]:
        sizes.append(len(inputs.images))  # type: ignore[attr-defined]
        return encode_images(inputs)  # type: ignore[arg-type]

    monkeypatch.setattr(net.network, "encode_images", counted)
    likelihood = SteeringLikelihood(net, RASTER, MAP)
    sizes.clear()  # the constructor encodes one image to measure sizes
    likelihood(frame(), lanes().sample_poses(1500, np.random.default_rng(0)))
    assert sizes == [1]
