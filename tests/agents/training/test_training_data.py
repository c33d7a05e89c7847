from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch

from agents.policies.networks.config import PolicyConfig
from agents.training.dataset import gather_samples, informative_frames, load_training_data
from navsim.datasets.dataset import DatasetDescription, episode_path, write_description
from navsim.datasets.episode_files import write_episode
from navsim.errors import ConfigError, EpisodeError
from navsim.roads.elements import DrivingSide, Manoeuvre
from navsim.roads.routing import JunctionPassage
from navsim.simulation.episode import Episode
from navsim.simulation.scenario import Scenario
from navsim.world.vehicle import VehicleSpec
from tests.agents.small_runs import (
    CAMERAS,
    MAP,
    SIMULATION,
    SPEC,
    add_episode,
    small_episode,
    small_folder,
    small_samples,
)

LIMIT = 0.2
STORAGES: tuple[Literal["device", "mapped"], ...] = ("device", "mapped")


def all_gather(*episodes: Episode) -> int:
    return len(gather_samples(episodes, sum(map(len, episodes)), SPEC, LIMIT, "data"))


def with_label(value: float, index: int = 3) -> Episode:
    episode = small_episode()
    labels = episode.labels.copy()
    labels[index] = value
    return replace(episode, labels=labels)


def test_a_data_folder_becomes_tensors_in_the_order_of_its_episodes(tmp_path: Path) -> None:
    data = load_training_data(small_folder(tmp_path), PolicyConfig())
    first, second = small_episode("train-0", seed=0), small_episode("train-1", seed=1)
    assert len(data.train) == 24
    assert len(data.validation) == 12
    assert data.cameras == CAMERAS
    assert data.map == MAP
    batch = data.train.observations
    np.testing.assert_array_equal(batch.images.numpy(), np.concatenate([first.images, second.images]))
    np.testing.assert_array_equal(batch.road_map.numpy(), np.concatenate([first.road_maps, second.road_maps]))
    np.testing.assert_array_equal(batch.route_map.numpy(), np.concatenate([first.route_maps, second.route_maps]))
    np.testing.assert_allclose(batch.speed.numpy()[:12], first.speeds[:-1], rtol=1e-6)
    np.testing.assert_allclose(data.train.labels.numpy()[12:], second.labels, rtol=1e-6)
    assert data.versions["renderer"] == "made up"
    assert {"torch", "git", "numpy"} <= data.versions.keys()


def test_several_folders_are_learned_from_as_one_whatever_their_order(tmp_path: Path) -> None:
    both = load_training_data(small_folder(tmp_path / "both", train=3, validation=2), PolicyConfig())
    one, other = tmp_path / "one", tmp_path / "other"
    small_folder(one, train=1, validation=0)
    small_folder(other, train=0, validation=0)
    added = ("train-1", 1, other), ("train-2", 2, one), ("validation-0", 3, other), ("validation-1", 4, one)
    for town, seed, folder in added:
        add_episode(folder, small_episode(town, seed=seed))
    for folders in ((one, other), (other, one)):
        for storage in STORAGES:
            joined = load_training_data(folders, PolicyConfig(), storage, packed_folder=tmp_path / "packed")
            for part, expected in ((joined.train, both.train), (joined.validation, both.validation)):
                assert part.fingerprint == expected.fingerprint
                assert torch.equal(part[slice(0, None)].observations.images, expected.observations.images)
                assert torch.equal(part.labels, expected.labels)
    more = load_training_data((one, other), PolicyConfig(), more=[tmp_path / "both"])
    assert (len(more.train), len(more.validation)) == (72, 24)


@pytest.mark.parametrize("storage", STORAGES)
def test_drives_where_traffic_keeps_left_are_learned_from_as_their_mirror_image(
    tmp_path: Path, storage: Literal["device", "mapped"]
) -> None:
    def on_the_left(town: str, seed: int) -> Episode:
        return replace(small_episode(town, seed=seed), side=DrivingSide.LEFT)

    right = load_training_data(small_folder(tmp_path / "right"), PolicyConfig(), storage).train
    left = load_training_data(small_folder(tmp_path / "left", episode=on_the_left), PolicyConfig(), storage).train
    assert torch.equal(left.labels, -right.labels)
    frames, mirrored = right[slice(0, None)].observations, left[slice(0, None)].observations
    assert torch.equal(mirrored.images, frames.images.flip(3))
    assert torch.equal(mirrored.road_map, frames.road_map.flip(2))
    assert torch.equal(mirrored.route_map, frames.route_map.flip(2))
    assert torch.equal(mirrored.speed, frames.speed)


def test_samples_are_gathered_by_index() -> None:
    samples = small_samples(10)
    chosen = samples[torch.tensor([7, 2, 7])]
    assert len(chosen) == 3
    assert torch.equal(chosen.labels, samples.labels[[7, 2, 7]])
    assert torch.equal(chosen.observations.images[1], samples.observations.images[2])
    assert torch.equal(samples[slice(8, 20)].labels, samples.labels[8:])


def test_other_data_has_another_fingerprint() -> None:
    assert small_samples(10).fingerprint == small_samples(10).fingerprint
    assert small_samples(10).fingerprint != small_samples(10, seed=1).fingerprint
    looks = small_samples(10)
    looks.observations.images[4, 0, 2, 3] ^= 1
    assert looks.fingerprint != small_samples(10).fingerprint, "the same drives in other pictures are other data"


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EpisodeError, match="not a data folder"):
        load_training_data(tmp_path, PolicyConfig())
    small_folder(tmp_path, train=0, validation=1)
    with pytest.raises(EpisodeError, match="no train episodes"):
        load_training_data(tmp_path, PolicyConfig())


def test_data_without_other_towns_to_validate_on_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EpisodeError, match="no validation episodes"):
        load_training_data(small_folder(tmp_path, validation=0), PolicyConfig())


def test_an_episode_of_other_cameras_is_refused(tmp_path: Path) -> None:
    small_folder(tmp_path)
    episode = small_episode("train-7")
    add_episode(tmp_path, replace(episode, images=episode.images[:, :, ::2]))
    with pytest.raises(EpisodeError, match=r"train-7.*\(1, 16, 32, 3\).*\(1, 32, 32, 3\)"):
        load_training_data(tmp_path, PolicyConfig())


def test_an_episode_of_another_map_is_refused(tmp_path: Path) -> None:
    small_folder(tmp_path)
    episode = small_episode("train-7")
    maps = np.zeros((len(episode), 30, 30), np.uint8)
    add_episode(tmp_path, replace(episode, road_maps=maps, route_maps=maps))
    with pytest.raises(EpisodeError, match=r"train-7.*\(30, 30\).*\(20, 20\)"):
        load_training_data(tmp_path, PolicyConfig())


def test_a_policy_that_steers_sharper_than_the_vehicle_is_refused(tmp_path: Path) -> None:
    small_folder(tmp_path)
    slow = replace(SIMULATION, vehicle=VehicleSpec(max_curvature=0.15))
    write_description(tmp_path, DatasetDescription(slow, {}, {}, "unknown"))
    with pytest.raises(ConfigError, match=r"policy.max_curvature is 0.2 1/m.*0.15"):
        load_training_data(tmp_path, PolicyConfig())


def test_labels_beyond_the_policys_range_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EpisodeError, match=r"train-0.*beyond the policy's max_curvature of 0.05 1/m"):
        load_training_data(small_folder(tmp_path), PolicyConfig(max_curvature=0.05))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_label_that_is_not_finite_is_refused_by_number(value: float) -> None:
    with pytest.raises(EpisodeError, match=r"train-0-route0-seed0: label 3 is not finite"):
        all_gather(with_label(value))


def test_a_label_beyond_the_range_is_refused_by_number_and_value() -> None:
    with pytest.raises(EpisodeError, match=r"label 3 is -0.2500 1/m, beyond"):
        all_gather(with_label(-0.25))
    assert all_gather(with_label(-0.2)) == 12


def test_an_episode_without_images_is_refused() -> None:
    with pytest.raises(EpisodeError, match="without images"):
        all_gather(small_episode(), small_episode("train-1", images=False))


def test_shapes_are_checked_once_more_when_frames_are_copied() -> None:
    episode = small_episode()
    with pytest.raises(EpisodeError, match=r"images are .*\(1, 32, 16, 3\)"):
        all_gather(episode, replace(episode, images=episode.images[:, :, :, ::2]))
    with pytest.raises(EpisodeError, match=r"route_maps are .*\(20, 10\)"):
        all_gather(replace(episode, route_maps=episode.route_maps[:, :, ::2]))


def test_the_number_of_frames_must_be_as_announced() -> None:
    for announced, text in ((11, "more frames than the 11"), (13, "holds 12 frames, 13"), (0, "no frames")):
        with pytest.raises(EpisodeError, match=text):
            gather_samples([small_episode()], announced, SPEC, LIMIT, "data")


@pytest.mark.parametrize(
    ("array", "text"),
    [
        ("speeds", "speed 4"),
        ("stations", "station 4"),
        ("offsets", "offset 4"),
        ("heading_errors", "heading_error 4"),
    ],
)
def test_numbers_that_are_not_finite_are_refused_by_name(array: str, text: str) -> None:
    episode = small_episode()
    values = getattr(episode, array).copy()
    values[4] = float("nan")
    with pytest.raises(EpisodeError, match=f"train-0-route0-seed0: {text} is not finite"):
        all_gather(replace(episode, **{array: values}))


def test_pictures_that_are_no_bytes_are_refused() -> None:
    episode = small_episode()
    images = np.full(episode.images.shape, np.nan, np.float32)
    with pytest.raises(EpisodeError, match="images are float32, must be uint8"):
        all_gather(replace(episode, images=images))  # type: ignore[arg-type]  # what a type checker would have told


@pytest.mark.parametrize("storage", ["device", "mapped"])
def test_numbers_of_all_drives_are_checked_before_any_picture_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, storage: Literal["device", "mapped"]
) -> None:
    small_folder(tmp_path)
    episode = with_label(float("nan"))
    add_episode(tmp_path, replace(episode, scenario=Scenario("validation-7")))
    monkeypatch.setattr("agents.training.dataset.gather_samples", None)
    with pytest.raises(EpisodeError, match="validation-7-route0-seed0: label 3 is not finite"):
        load_training_data(tmp_path, PolicyConfig(), storage)
    assert not (tmp_path / "packed").exists()


def test_drives_without_images_are_refused_with_the_way_to_draw_them(tmp_path: Path) -> None:
    small_folder(tmp_path)
    add_episode(tmp_path, small_episode("train-7", images=False))
    with pytest.raises(EpisodeError, match=r"train-7.*was recorded without images; scripts/rerender.py draws"):
        load_training_data(tmp_path, PolicyConfig())


def test_all_renderers_of_the_data_are_named(tmp_path: Path) -> None:
    small_folder(tmp_path)
    episode = small_episode("validation-7")
    write_episode(episode, episode_path(tmp_path, episode.scenario), {"renderer": "another"})
    assert load_training_data(tmp_path, PolicyConfig()).versions["renderer"] == "another, made up"


def test_a_data_set_of_one_sample_can_be_gathered() -> None:
    assert all_gather(small_episode(steps=1)) == 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.gpu
def test_samples_move_to_the_gpu() -> None:
    assert small_samples(3).to(torch.device("cuda")).observations.images.is_cuda


def test_frames_near_junctions_and_away_from_the_lane_are_demanding() -> None:
    plain = small_episode(steps=50)
    passage = JunctionPassage(60.0, 70.0, Manoeuvre.LEFT, 0)
    near = informative_frames(replace(plain, passages=(passage,)))
    stations = plain.stations[:-1]
    assert (near == ((stations > 45.0) & (stations < 75.0))).all()
    assert 0 < near.sum() < 50
    offsets = np.zeros(51)
    offsets[[3, 7]] = 0.3, -0.3
    turned = np.zeros(51)
    turned[11] = np.radians(5.0)
    off = informative_frames(replace(plain, passages=(), offsets=offsets, heading_errors=turned))
    assert np.flatnonzero(off).tolist() == [3, 7, 11]
