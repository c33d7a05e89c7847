"""What the pixels of recorded drives show, computed from the recorded poses."""

import dataclasses

import numpy as np
import pytest

from navsim.datasets.collection import collect
from navsim.datasets.dataset import open_dataset
from navsim.sensing.camera import Camera, MountError
from navsim.simulation.config import SimulationConfig
from navsim.simulation.episode import Episode
from navsim.simulation.episode_rerenderer import EpisodeRerenderer, PixelGroundTruth
from navsim.simulation.town import load_town_map
from navsim.world.scenery.meshes import SemanticClass
from tests.datasets.synthetic_episodes import SHORT_COLLECTION

CAMERAS = (Camera(width=48, height=24), Camera("left", width=48, height=24, yaw_deg=60.0))
FRAMES = [0, 7, 20]


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> tuple[SimulationConfig, Episode]:
    """A short drive with two cameras that are not mounted quite right."""
    simulation = dataclasses.replace(SHORT_COLLECTION.simulation, cameras=CAMERAS, mount_error=MountError(2.0, 0.05))
    folder = tmp_path_factory.mktemp("places") / "data"
    collect(dataclasses.replace(SHORT_COLLECTION, out=folder, simulation=simulation, routes_per_town=1))
    return simulation, next(open_dataset(folder).episodes())


@pytest.fixture(scope="module")
def seen(drive: tuple[SimulationConfig, Episode]) -> PixelGroundTruth:
    rerenderer = EpisodeRerenderer(drive[0])
    try:
        return rerenderer.measure(drive[1], FRAMES)
    finally:
        rerenderer.close()


def test_it_is_what_was_recorded(drive: tuple[SimulationConfig, Episode], seen: PixelGroundTruth) -> None:
    assert (seen.images == drive[1].images[FRAMES]).all()
    assert seen.semantic.shape == (3, 2, 24, 48)
    assert seen.positions.shape == (3, 2, 24, 48, 2)


def test_only_the_sky_has_no_place(seen: PixelGroundTruth) -> None:
    sky = seen.semantic == SemanticClass.SKY
    assert sky.any()
    assert (np.isnan(seen.positions).any(axis=-1) == sky).all()


def test_roads_are_seen_where_roads_are(drive: tuple[SimulationConfig, Episode], seen: PixelGroundTruth) -> None:
    network = load_town_map(drive[1].scenario.town).network
    near = np.hypot(*np.moveaxis(seen.positions - drive[1].poses[FRAMES][:, None, None, None, :2], -1, 0)) < 20
    for number in range(2):  # of each camera, seen from where it really sits
        road = (seen.semantic == SemanticClass.ROAD) & near
        verge = (seen.semantic == SemanticClass.GROUND) & near
        assert network.is_drivable(seen.positions[:, number][road[:, number]]).mean() > 0.98
        assert network.is_drivable(seen.positions[:, number][verge[:, number]]).mean() < 0.05


def test_many_frames_are_seen_as_few_are(drive: tuple[SimulationConfig, Episode], seen: PixelGroundTruth) -> None:
    rerenderer = EpisodeRerenderer(drive[0])
    try:
        many = rerenderer.measure(drive[1], [20] * 32 + FRAMES)  # more images than are rendered in one pass
    finally:
        rerenderer.close()
    assert (many.semantic[32:] == seen.semantic).all()
    assert (many.images[31] == seen.images[2]).all()
    np.testing.assert_array_equal(many.positions[32:], seen.positions)
