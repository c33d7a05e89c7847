"""The cameras' noise on batches must be that of the simulator."""

import numpy as np
import pytest
import torch

from agents.training.augmentation import NoisyCameras, blurred
from agents.training.dataset import Samples
from navsim.seeding import generator
from navsim.sensing.camera import CameraNoise, with_noise
from tests.agents.small_runs import small_samples

CPU = torch.device("cpu")


def spoiled(noise: CameraNoise, samples: Samples, seed: int = 0) -> torch.Tensor:
    cameras = NoisyCameras(noise, CPU)
    cameras.restart(seed)
    return cameras(samples.observations).images


def grey(count: int, value: int = 100) -> Samples:
    samples = small_samples(count)
    samples.observations.images.fill_(value)
    return samples


def test_clean_cameras_change_nothing() -> None:
    batch = small_samples(3).observations
    assert NoisyCameras(CameraNoise(), CPU)(batch) is batch


def test_only_images_change_and_the_given_ones_stay() -> None:
    samples = small_samples(4)
    before = samples.observations.images.clone()
    cameras = NoisyCameras(CameraNoise(variance=0.1), CPU)
    cameras.restart(0)
    result = cameras(samples.observations)
    assert torch.equal(samples.observations.images, before)
    assert not torch.equal(result.images, before)
    assert result.images.dtype is torch.uint8
    assert result.road_map is samples.observations.road_map
    assert result.speed is samples.observations.speed


@pytest.mark.parametrize("sigma", [0.4, 1.0, 3.7, 20.0])
def test_blur_is_opencvs_within_its_rounding(sigma: float) -> None:
    samples = small_samples(3)
    noise = CameraNoise(blur_px=sigma)
    expected = np.stack([with_noise(image, noise, generator(0, "x")) for image in samples.observations.images.numpy()])
    difference = spoiled(noise, samples).int() - torch.from_numpy(expected).int()
    assert int(difference.abs().max()) <= 1
    assert float((difference != 0).float().mean()) < 0.2


def test_blur_keeps_a_uniform_picture() -> None:
    images = torch.full((2, 1, 12, 20, 3), 77.0)
    torch.testing.assert_close(blurred(images, 2.5), images)


def test_noise_has_the_simulators_distribution() -> None:
    noise = CameraNoise(variance=0.02)
    ours = spoiled(noise, grey(50)).double()
    rng = generator(0, "noise")
    theirs = np.stack([with_noise(image, noise, rng) for image in grey(50).observations.images.numpy()])
    assert float(ours.mean()) == pytest.approx(theirs.mean(), abs=0.3)
    assert float(ours.std()) == pytest.approx(theirs.std(), rel=0.01)
    flat = ours.flatten(1) - ours.mean()
    assert abs(float((flat[:, 1:] * flat[:, :-1]).mean() / flat.var())) < 0.01


def test_exposure_is_one_factor_for_each_moment() -> None:
    images = spoiled(CameraNoise(exposure=0.2), grey(2000)).flatten(1)
    assert torch.equal(images.amin(dim=1), images.amax(dim=1))
    factors = torch.log(images[:, 0].double() / 100)
    assert float(factors.std()) == pytest.approx(0.2, rel=0.06)
    assert float(factors.mean()) == pytest.approx(0.0, abs=0.02)


def test_colours_end_at_black_and_white() -> None:
    images = spoiled(CameraNoise(variance=5.0, exposure=2.0), grey(20, 250))
    assert int(images.min()) == 0
    assert int(images.max()) == 255


def test_the_seed_decides_and_parts_are_spoiled_as_the_whole() -> None:
    noise = CameraNoise(variance=0.1, exposure=0.3, blur_px=0.8)
    samples = small_samples(10)
    whole = spoiled(noise, samples, 1)
    assert torch.equal(whole, spoiled(noise, samples, 1))
    assert not torch.equal(whole, spoiled(noise, samples, 2))
    cameras = NoisyCameras(noise, CPU)
    parts = []
    for first in (0, 4):
        cameras.restart(1, first, 10)
        parts.append(cameras(samples[slice(first, first + 6 if first else 4)].observations).images)
    assert torch.equal(torch.cat(parts), whole)
