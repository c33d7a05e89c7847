from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from agents.policies.networks.observation_batch import Inputs
from agents.training.augmentation import AugmentationConfig, Augmenter
from navsim.errors import ConfigError
from tests.agents.small_runs import MAP

NONE = AugmentationConfig(brightness=0, contrast=0, colour=0, noise=0, map_shift=0, map_turn_deg=0, map_dropout=0)
CPU = torch.device("cpu")


def made_inputs(batch: int = 64, value: float = 0.5) -> Inputs:
    maps = torch.zeros(batch, 2, MAP.size_px, MAP.size_px)
    maps[:, :, :, 9:11] = 1.0  # a road straight ahead of the car
    return Inputs(torch.full((batch, 1, 16, 16, 3), value), maps, torch.ones(batch, 1))


def augmented(config: AugmentationConfig, seed: int = 0, inputs: Inputs | None = None) -> Inputs:
    augmenter = Augmenter(config, MAP, 0, CPU)
    augmenter.restart(seed)
    return augmenter(made_inputs() if inputs is None else inputs)


def test_with_everything_off_nothing_changes() -> None:
    result, given = augmented(NONE), made_inputs()
    torch.testing.assert_close(result.images, given.images)
    torch.testing.assert_close(result.maps, given.maps)
    assert torch.equal(result.speed, given.speed)


def test_the_seed_decides_all() -> None:
    config = AugmentationConfig(map_dropout=0.3)
    first, again, other = augmented(config, 1), augmented(config, 1), augmented(config, 2)
    assert torch.equal(first.images, again.images)
    assert torch.equal(first.maps, again.maps)
    assert not torch.equal(first.images, other.images)
    assert not torch.equal(first.maps, other.maps)


def test_brightness_moves_whole_images_by_its_standard_deviation() -> None:
    moved = augmented(replace(NONE, brightness=0.15), inputs=made_inputs(2000, 0.0)).images
    assert float(moved.flatten(1).std(dim=1).max()) < 1e-6
    assert float(moved[:, 0, 0, 0, 0].std()) == pytest.approx(0.15, rel=0.1)


def test_contrast_scales_and_colour_differs_by_channel() -> None:
    grey = augmented(replace(NONE, contrast=0.2)).images
    assert torch.equal(grey[..., 0], grey[..., 2])
    assert float(grey[:, 0, 0, 0, 0].std()) == pytest.approx(0.1, rel=0.4)
    coloured = augmented(replace(NONE, colour=0.1)).images
    assert not torch.equal(coloured[..., 0], coloured[..., 2])


def test_noise_is_white_and_of_a_strength_of_its_own_for_each_image() -> None:
    images = augmented(replace(NONE, noise=0.1), inputs=made_inputs(400)).images.flatten(1) - 0.5
    strengths = images.std(dim=1)
    assert float(strengths.max()) < 0.11
    assert float(strengths.median()) == pytest.approx(0.025, abs=0.008)
    neighbours = (images[:, 1:] * images[:, :-1]).mean(dim=1) / strengths**2
    assert abs(float(neighbours.mean())) < 0.05


def test_images_larger_than_the_bank_get_noise_too() -> None:
    large = Inputs(torch.zeros(1, 1, 1200, 1200, 3), made_inputs(1).maps, torch.ones(1, 1))
    noise = augmented(replace(NONE, noise=0.1), inputs=large).images
    assert noise.shape == large.images.shape
    assert float(noise.std()) > 0


def test_a_turn_keeps_the_cars_place_and_bends_the_road_ahead() -> None:
    maps = torch.zeros(200, 2, MAP.size_px, MAP.size_px)
    maps[:, :, MAP.ego_row - 1 : MAP.ego_row + 1, 9:11] = 1.0  # a block around the car
    maps[:, :, 0:2, 9:11] = 1.0  # and one far ahead
    given = Inputs(made_inputs(200).images, maps, torch.ones(200, 1))
    result = augmented(replace(NONE, map_turn_deg=10.0), inputs=given).maps
    near = result[:, 0, MAP.ego_row - 1 : MAP.ego_row + 1, 9:11].mean()
    far = result[:, 0, 0:2, 9:11].mean()
    assert float(near) > 0.85
    assert float(far) < 0.7


def test_a_shift_moves_both_maps_alike_by_metres() -> None:
    result = augmented(replace(NONE, map_shift=2.0), inputs=made_inputs(1000)).maps
    assert torch.equal(result[:, 0], result[:, 1])
    columns = torch.arange(MAP.size_px) - 9.5
    centre = (result[:, 0] * columns).sum(dim=(1, 2)) / result[:, 0].sum(dim=(1, 2))
    assert float(centre.std()) == pytest.approx(2.0, rel=0.1)


def test_dropout_blanks_both_maps_of_the_given_share() -> None:
    result = augmented(replace(NONE, map_dropout=0.25), inputs=made_inputs(2000)).maps
    blank = result.flatten(1).amax(dim=1) == 0
    assert float(blank.float().mean()) == pytest.approx(0.25, abs=0.04)
    assert torch.equal(result[~blank], made_inputs(2000).maps[~blank])


def test_low_precision_stays_low_precision() -> None:
    given = made_inputs()
    half = Inputs(given.images.bfloat16(), given.maps.bfloat16(), given.speed.bfloat16())
    result = augmented(AugmentationConfig(), inputs=half)
    assert result.images.dtype is result.maps.dtype is torch.bfloat16


@pytest.mark.parametrize("changes", [{"noise": -0.1}, {"map_dropout": 1.5}, {"brightness": float("nan")}])
def test_impossible_strengths_are_refused_by_name(changes: dict[str, float]) -> None:
    ((name, value),) = changes.items()
    with pytest.raises(ConfigError, match=f"^{name} must be at least 0 and .*, got {value}"):
        AugmentationConfig(**changes)


def test_colours_stay_finite_for_extreme_strengths() -> None:
    images = augmented(
        replace(NONE, brightness=50, contrast=50, colour=50, noise=50, map_shift=50, map_turn_deg=50)
    ).images
    assert bool(np.isfinite(images.numpy()).all())
    assert float(images.abs().max()) == 1.0


def test_occlusion_covers_a_rectangle_of_one_colour_in_its_share_of_the_images() -> None:
    given = Inputs(torch.full((2000, 3, 12, 16, 3), 0.5), made_inputs(2000).maps, torch.ones(2000, 1))
    changed = (augmented(replace(NONE, occlusion=0.4), inputs=given).images != 0.5).any(dim=-1)
    rows, columns = changed.any(dim=3), changed.any(dim=2)
    assert torch.equal(changed, rows[..., :, None] & columns[..., None, :])
    assert int(rows.sum(dim=2).max()) <= 6
    assert int(columns.sum(dim=2).max()) <= 8
    assert 0.25 < float(changed.any(dim=3).any(dim=2).float().mean()) < 0.4  # some rectangles hold no pixel
    images = augmented(replace(NONE, occlusion=0.4), inputs=given).images
    for image, covered in zip(images.flatten(0, 1)[:100], changed.flatten(0, 1)[:100], strict=True):
        assert len(image[covered].unique(dim=0)) <= 1


def test_each_camera_fails_for_itself() -> None:
    given = Inputs(torch.full((2000, 3, 4, 4, 3), 0.5), made_inputs(2000).maps, torch.ones(2000, 1))
    images = augmented(replace(NONE, image_dropout=0.3), inputs=given).images
    black = (images == -1).all(dim=-1).flatten(2).all(dim=2)
    assert torch.equal(black, (images == -1).any(dim=-1).flatten(2).any(dim=2))
    assert black.float().mean(dim=0).numpy() == pytest.approx(0.3, abs=0.04)
    assert float(black.all(dim=1).float().mean()) == pytest.approx(0.027, abs=0.015)


def test_light_is_a_gain_for_each_colour_and_a_shift_shared_by_cameras_and_pixels() -> None:
    given = made_inputs(6)
    images = 0.4 * torch.rand(6, 3, 4, 5, 3)
    result = augmented(
        replace(NONE, brightness=0.2, contrast=0.2, colour=0.2), inputs=Inputs(images.clone(), given.maps, given.speed)
    )
    for before, after in zip(images, result.images, strict=True):
        lines = [np.polyfit(before[..., c].flatten().numpy(), after[..., c].flatten().numpy(), 1) for c in range(3)]
        gains, shifts = np.array(lines).T
        np.testing.assert_allclose(shifts, shifts[0], atol=1e-5)
        assert len(set(gains.round(4))) == 3
        torch.testing.assert_close(after, before * torch.tensor(gains).float() + float(shifts[0]), atol=1e-4, rtol=0)


def test_maps_are_moved_as_an_affine_grid_would() -> None:
    augmenter = Augmenter(AugmentationConfig(map_shift=3.0, map_turn_deg=20.0), MAP, 0, CPU)
    maps = made_inputs(5).maps
    augmenter.restart(4)
    grid = augmenter._grid(maps)
    augmenter.restart(4)
    turn = torch.deg2rad(20.0 * augmenter._normals(5))
    shift = 3.0 / (MAP.metres_per_pixel * MAP.size_px / 2) * augmenter._normals(5, 2)
    c, s, car = turn.cos(), turn.sin(), 2 * MAP.ego_row / MAP.size_px - 1
    motion = torch.stack(
        [torch.stack([c, -s, shift[:, 0] + s * car], 1), torch.stack([s, c, shift[:, 1] + car - c * car], 1)], 1
    )
    torch.testing.assert_close(grid, functional.affine_grid(motion, list(maps.shape), align_corners=False))
