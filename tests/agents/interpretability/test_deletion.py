"""Deletion and insertion, by hand on a linear model; random weights; estimates."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from agents.interpretability.checks import (
    SHARES,
    OutputSummary,
    area_under_curves,
    rank_correlations,
    region_masks,
    region_order,
    removal_curves,
    with_random_weights,
)
from agents.interpretability.measurements import (
    NUM_DRAWS,
    RANDOM,
    compute_saliency,
    measure_removal,
    randomized_saliency,
    sanity_rows,
)
from agents.interpretability.saliency import visual_backprop
from agents.policies.networks.observation_batch import Inputs, scale_observations
from navsim.evaluation.statistics.intervals import mean_over_frames, ratio_estimate
from navsim.seeding import generator
from tests.agents.small_runs import small_policy, small_samples

QUARTERS = (0.0, 0.25, 0.5, 0.75, 1.0)


def some_inputs(count: int = 3) -> Inputs:
    return scale_observations(small_samples(count).observations, torch.float32)


def test_regions_are_ordered_by_their_mean() -> None:
    saliency = np.zeros((2, 4, 5))  # two cameras; squares of 2 px: 2 rows of 3, the last ones half as wide
    saliency[0, :2, 4] = 2.0  # 2 px with 2.0: a mean of 2
    saliency[1, 2:, :2] = [[1.0, 1.0], [1.0, 2.0]]  # a mean of 1.25
    saliency[1, 0, 2] = 4.0  # a mean of 1
    order = region_order(saliency, 2)
    assert order[:3].tolist() == [2, 9, 7]
    assert sorted(order.tolist()) == list(range(12))


def test_masks_of_an_order_by_hand() -> None:
    masks = region_masks(np.array([3, 0, 1, 2]), (1, 3, 4), 2, QUARTERS)
    assert masks.shape == (5, 1, 3, 4)
    assert not masks[0].any()
    assert masks[1, 0].tolist() == [[False] * 4] * 2 + [[False, False, True, True]]  # the lower right, cut off
    assert masks[2, 0].tolist() == [[True, True, False, False]] * 2 + [[False, False, True, True]]
    assert masks[4].all()


@given(
    cameras=st.integers(1, 3),
    height=st.integers(1, 20),
    width=st.integers(1, 20),
    side=st.integers(1, 8),
    seed=st.integers(0, 5),
)
def test_masks_grow_from_empty_to_full(cameras: int, height: int, width: int, side: int, seed: int) -> None:
    saliency = np.random.default_rng(seed).random((cameras, height, width))
    masks = region_masks(region_order(saliency, side), (cameras, height, width), side)
    assert not masks[0].any()
    assert masks[-1].all()
    assert (masks[1:] >= masks[:-1]).all()


def test_curves_of_a_linear_model_by_hand() -> None:
    # Each of four pixels adds its weight if it is 1 and nothing if it is removed, that is 0.
    weights = torch.tensor([1.0, 4.0, 2.0, 3.0])
    picture, baseline = torch.ones(1, 2, 2, 1), torch.zeros(1, 2, 2, 1)

    def respond(pictures: Tensor) -> Tensor:
        return (pictures.flatten(1) @ weights - 10.0).abs()

    best = region_order(weights.reshape(1, 2, 2).numpy(), 1)
    assert best.tolist() == [1, 3, 2, 0]
    curves = removal_curves(respond, picture, baseline, region_masks(best, (1, 2, 2), 1, QUARTERS))
    assert curves[0].tolist() == [0.0, 4.0, 7.0, 9.0, 10.0]  # deleted
    assert curves[1].tolist() == [10.0, 6.0, 3.0, 1.0, 0.0]  # put back
    areas = area_under_curves(curves.double().numpy(), QUARTERS)
    assert areas.tolist() == [0.25 * (4 + 7 + 9 + 5), 0.25 * (5 + 6 + 3 + 1)]
    worst = removal_curves(respond, picture, baseline, region_masks(best[::-1], (1, 2, 2), 1, QUARTERS))
    assert area_under_curves(worst.double().numpy(), QUARTERS)[0] < areas[0]


def test_distance_of_distributions() -> None:
    policy, inputs = small_policy(), some_inputs()
    with torch.no_grad():
        output = policy.predict(inputs)
        own = OutputSummary.of(output)
    assert own.masses.shape == (3, 163)
    torch.testing.assert_close(own.masses.sum(dim=1), torch.ones(3))
    nothing = own.change(own)
    assert (nothing.distance == 0).all()
    assert (nothing.steering == 0).all()
    left, right = torch.zeros(1, 163), torch.zeros(1, 163)
    left[0, 3], right[0, 100] = 1.0, 1.0
    far = OutputSummary(left, torch.tensor([0.1])).change(OutputSummary(right, torch.tensor([-0.05])))
    assert far.distance.tolist() == [1.0]
    assert far.steering.tolist() == pytest.approx([0.15])
    half = OutputSummary((left + right) / 2, torch.zeros(1)).change(OutputSummary(right, torch.zeros(1)))
    assert half.distance.tolist() == [0.5]


def test_removal_curves_have_the_right_ends() -> None:
    policy, inputs = small_policy(), some_inputs()
    found = compute_saliency(policy, inputs)
    assert set(found) == {"VisualBackProp", "Grad-CAM", "integrated gradients"}
    assert found["Grad-CAM"]["camera"].shape == (3, 1, 32, 32)
    assert found["Grad-CAM"]["map"].shape == (3, 1, 20, 20)
    for sense in ("camera", "map"):
        measured = measure_removal(policy, inputs, found, sense, generator(0))
        assert measured is not None
        assert list(measured.curves) == [*found, RANDOM]
        whole = [curves[0, -1] for curves in measured.curves.values()]
        for curves in measured.curves.values():
            assert curves.shape == (2, len(SHARES))
            assert curves[0, 0] == pytest.approx(0, abs=1e-6)
            assert curves[1, -1] == pytest.approx(0, abs=1e-6)
            assert curves[1, 0] == pytest.approx(curves[0, -1], abs=1e-6)
        assert whole == pytest.approx([whole[0]] * len(whole))
        chance = measured.rows[-1]
        assert (chance.method, chance.deletion_gain.value, chance.insertion_gain.high) == (RANDOM, 0.0, 0.0)


def test_pixels_without_a_ranking_are_not_removed() -> None:
    policy = small_policy(inputs=("route_map",))
    inputs = some_inputs(2)
    found = compute_saliency(policy, inputs)
    assert measure_removal(policy, inputs, found, "camera", generator(0)) is None
    assert measure_removal(policy, inputs, found, "map", generator(0)) is not None
    assert compute_saliency(small_policy(inputs=("speed",)), inputs) == {}


def test_rank_correlations_by_hand() -> None:
    maps = np.array([[[1.0, 2.0], [3.0, 10.0]]] * 4)
    others = np.array([[[5.0, 6.0], [7.0, 8.0]], [[4.0, 3.0], [2.0, 1.0]], [[1.0, 1.0], [1.0, 1.0]], [[1, 2], [4, 3]]])
    found = rank_correlations(maps, others)
    assert found == pytest.approx([1.0, -1.0, 0.0, 0.8])  # the last: 1 - 6 x (0 + 0 + 1 + 1) / (4 x 15)
    counted = np.ones((4, 2, 2), bool)
    counted[:, 1, 1] = False
    assert rank_correlations(maps, others, counted)[3] == pytest.approx(1.0)
    assert rank_correlations(maps, others, np.zeros((4, 2, 2), bool)).tolist() == [0.0] * 4


def test_randomizing_the_decision_keeps_the_convolutions() -> None:
    policy, inputs = small_policy(seed=1), some_inputs()
    decision, everything = (with_random_weights(policy, 2, part) for part in ("decision", "all"))
    kinds = {name: isinstance(module, nn.Conv2d) for name, module in policy.named_modules()}
    for name, value in policy.state_dict().items():
        if value.ndim < 2:
            continue
        assert torch.equal(decision.state_dict()[name], value) == kinds[name.rpartition(".")[0]]
        assert not torch.equal(everything.state_dict()[name], value)
    own, same, other = (visual_backprop(each, inputs).images for each in (policy, decision, everything))
    assert own is not None
    assert same is not None
    assert other is not None
    assert torch.equal(own, same)
    assert not torch.allclose(own, other)
    again = with_random_weights(policy, 2)
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), everything.parameters(), strict=True))


def test_sanity_rows_distinguish_the_methods() -> None:
    policy, inputs = small_policy(seed=1), some_inputs()
    randomized = randomized_saliency(policy, inputs, seed=0)
    assert {part: len(draws) for part, draws in randomized.items()} == NUM_DRAWS
    rows = {
        (row.method, row.sense, row.randomized): row.correlation
        for row in sanity_rows(compute_saliency(policy, inputs), randomized, inputs, generator(0))
    }
    assert len(rows) == 3 * 2 * 2
    assert rows["VisualBackProp", "camera", "decision"].value == pytest.approx(1.0)
    assert abs(rows["VisualBackProp", "camera", "all"].value) < 0.9
    assert rows["Grad-CAM", "camera", "decision"].value < 0.99


def test_means_and_ratios_with_intervals() -> None:
    rng = generator(0, "estimates")
    flat = mean_over_frames(np.full(7, 0.25), rng)
    assert (flat.value, flat.low, flat.high) == (0.25, 0.25, 0.25)
    halves = ratio_estimate(np.array([0.2, 0.6]), np.array([0.1, 0.3]), rng)
    assert halves.value == pytest.approx(2.0)  # of the means, not the mean of 2 and 2
    uneven = ratio_estimate(np.array([1.0, 0.0]), np.array([0.1, 0.9]), rng)
    assert uneven.value == pytest.approx(1.0)
    assert (uneven.low, uneven.high) == pytest.approx((0.0, 10.0))
    with pytest.raises(ValueError, match="at least one"):
        mean_over_frames(np.zeros(0), rng)


def test_intervals_have_their_coverage() -> None:
    rng = generator(1, "coverage")
    inside = 0
    for _ in range(200):
        estimate = mean_over_frames(rng.exponential(size=60), rng)
        inside += estimate.low <= 1.0 <= estimate.high
    assert 0.87 <= inside / 200 <= 0.99
