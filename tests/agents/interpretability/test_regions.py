"""Saliency by region: regions by hand."""

import numpy as np
import pytest

from agents.interpretability.regions import (
    JUNCTION,
    JUNCTION_EDGES,
    LANE_EDGES,
    camera_regions,
    concatenate_masks,
    map_regions,
    mask_borders,
    region_rows,
)
from navsim.seeding import generator
from navsim.simulation.episode_rerenderer import PixelGroundTruth
from navsim.world.scenery.meshes import SemanticClass
from tests.roads.plain_networks import square, star

ROAD, GROUND, SKY, HOUSE = (
    SemanticClass.ROAD,
    SemanticClass.GROUND,
    SemanticClass.SKY,
    SemanticClass.BUILDING,
)


def test_borders_are_on_both_sides() -> None:
    mask = np.zeros((1, 4, 6), bool)
    mask[:, :, 3:] = True
    assert mask_borders(mask)[0].tolist() == [[False, False, True, True, False, False]] * 4
    assert not mask_borders(np.ones((2, 3, 5, 5), bool)).any()


def frame_at(places: list[tuple[float, float]], classes: list[int]) -> PixelGroundTruth:
    """Return one frame of one camera: rows of ten equal pixels at some places."""
    semantic = np.repeat(np.array(classes, np.uint8), 10).reshape(1, 1, len(classes), 10)
    there = np.repeat(np.array(places), 10, axis=0).reshape(1, 1, len(classes), 10, 2)
    return PixelGroundTruth(np.zeros((1, 1, len(classes), 10, 3), np.uint8), semantic, there)


def test_a_view_by_hand() -> None:
    crossing = star([0, 90, 180, 270])  # its middle is the origin
    nowhere = (np.nan, np.nan)
    inspection = frame_at(
        [nowhere, nowhere, (60.0, 20.0), (60.0, 9.0), (60.0, 6.0), (40.0, 0.0), (5.0, 0.0), (0.0, 0.0)],
        [SKY, HOUSE, GROUND, GROUND, ROAD, ROAD, ROAD, ROAD],
    )
    masks = {name: mask[0, 0, :, 0].tolist() for name, mask in camera_regions(inspection, crossing).items()}
    rows = {name: [row for row, inside in enumerate(mask) if inside] for name, mask in masks.items()}
    assert rows == {
        LANE_EDGES: [3, 4],  # where the road ends, on both sides
        "road surface": [5, 6, 7],
        "verge and pavement": [2],
        "buildings": [1],
        "plants": [],
        "cars, people, signs": [],
        "sky": [0],
        JUNCTION: [6, 7],
        JUNCTION_EDGES: [],
    }


def test_lines_and_kerbs_are_lane_edges_also_at_junctions() -> None:
    crossing = star([0, 90, 180, 270])
    kinds = [SemanticClass.MARKING, SemanticClass.KERB, SemanticClass.MARKING]
    masks = camera_regions(frame_at([(50.0, 0.0), (8.0, 8.0), (0.0, 1.0)], [int(k) for k in kinds]), crossing)
    assert masks[LANE_EDGES].all()
    assert masks[JUNCTION_EDGES][0, 0, :, 0].tolist() == [False, True, True]


def test_each_pixel_of_a_view_is_in_one_part() -> None:
    rng = np.random.default_rng(0)
    semantic = rng.integers(0, len(SemanticClass), (3, 2, 8, 9)).astype(np.uint8)
    places = rng.uniform(-60, 60, (3, 2, 8, 9, 2))
    masks = camera_regions(PixelGroundTruth(np.zeros((3, 2, 8, 9, 3), np.uint8), semantic, places), square())
    parts = [mask for name, mask in masks.items() if name not in (JUNCTION, JUNCTION_EDGES)]
    assert (np.sum(parts, axis=0) == 1).all()
    assert masks[JUNCTION].any()
    assert (masks[JUNCTION] >= masks[JUNCTION_EDGES]).all()


def test_a_bend_is_not_a_junction() -> None:
    bend = star([0, 90])
    masks = camera_regions(frame_at([(0.0, 0.0), (2.0, 0.0)], [ROAD, ROAD]), bend)
    assert not masks[JUNCTION].any()


def test_each_pixel_of_a_map_is_in_one_part() -> None:
    roads, route = np.zeros((1, 9, 9), np.uint8), np.zeros((1, 9, 9), np.uint8)
    roads[0, :, 2:7] = 255
    route[0, :5, 3:5] = 200
    masks = map_regions(roads, route)
    assert (np.sum([*masks.values()], axis=0) == 1).all()
    assert {name: int(mask.sum()) for name, mask in masks.items()} == {
        "edges of roads": 9 * 4,
        "the route": 5 * 2,
        "other roads": 9 * 3 - 5 * 2,
        "off the roads": 9 * 2,
    }


def test_uniform_saliency_has_density_one() -> None:
    mask = np.zeros((4, 1, 10, 10), bool)
    mask[:, :, :3] = True
    even = np.full((4, 1, 10, 10), 2.0)
    rows = region_rows("a", even, [even], {"top": mask, "rest": ~mask, "none": np.zeros_like(mask)}, generator(0))
    assert [row.region for row in rows] == ["top", "rest"]  # what no frame shows is left out
    for row, share in zip(rows, (0.3, 0.7), strict=True):
        assert row.frames == 4
        assert (row.pixels, row.saliency) == pytest.approx((share, share))
        assert (row.density.value, row.untrained.value, row.gain.value) == pytest.approx((1.0, 1.0, 0.0))


def test_saliency_in_one_region_has_a_high_density() -> None:
    mask = np.zeros((4, 1, 10, 10), bool)
    mask[:, :, :5, :5] = True
    drawn, even, away = mask.astype(float), np.ones(mask.shape), (~mask).astype(float)
    row = region_rows("a", drawn, [even, away], {"corner": mask}, generator(0))[0]
    assert (row.density.value, row.density.low, row.density.high) == (4.0, 4.0, 4.0)
    assert row.untrained.value == pytest.approx(0.5)  # the mean of 1 and 0
    assert row.gain.low == pytest.approx(3.5)


def test_a_frame_without_saliency_has_density_one() -> None:
    mask = np.zeros((2, 1, 10, 10), bool)
    mask[:, :, :5] = True
    nothing = np.zeros(mask.shape)
    row = region_rows("a", nothing, [nothing], {"top": mask}, generator(0))[0]
    assert row.density.value == pytest.approx(1.0)


def test_frames_that_hardly_show_a_part_do_not_count() -> None:
    mask = np.zeros((2, 1, 10, 10), bool)
    mask[0, 0, :5] = True
    mask[1, 0, 0, :3] = True
    saliency = np.ones(mask.shape)
    assert region_rows("a", saliency, [saliency], {"top": mask}, generator(0))[0].frames == 1


def test_masks_of_drives_are_joined_in_order() -> None:
    one, two = np.zeros((1, 2), bool), np.ones((2, 2), bool)
    joined = concatenate_masks([{"a": one}, {"a": two}])
    assert joined["a"].tolist() == [[False] * 2, [True] * 2, [True] * 2]
