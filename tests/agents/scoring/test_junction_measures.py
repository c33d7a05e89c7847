"""Mode recall and masses by hand: exits at chosen curvatures, distributions whose masses are known."""

import math

import numpy as np
import pytest
import torch

from agents.policies.distributions.mixture import SteeringMixture
from agents.scoring.junctions import (
    DecisionRules,
    Decisions,
    DecisionScores,
    find_decisions,
    joined_scores,
    junction_measures,
    score_decisions,
)
from navsim.errors import ConfigError
from navsim.geometry import Array
from navsim.roads.elements import Manoeuvre
from navsim.simulation.junction_exits import Exit, JunctionExits

LIMIT = 0.2
RULES = DecisionRules(tolerance=0.02, min_mass=0.05, open_offset=0.5, open_course_deg=6.0)
NAN = float("nan")


def exits(
    curvatures: list[list[float]],
    missing: list[list[float]] | None = None,
    offsets: list[list[float]] | None = None,
    courses_deg: list[list[float]] | None = None,
) -> JunctionExits:
    """Frames of one passage with exits at these curvatures [1/m]; the car stands on the way to all unless told."""
    table = np.array(curvatures)
    rows, width = table.shape
    none = np.where(np.isnan(table), NAN, 0.0)
    return JunctionExits(
        exits=(tuple(Exit(i, Manoeuvre.STRAIGHT) for i in range(width)),),
        passages=np.zeros(rows, np.int64),
        distances=np.ones(rows),
        taken=np.zeros(rows, np.int64),
        curvatures=table,
        offsets=none if offsets is None else np.array(offsets),
        course_errors=none if courses_deg is None else np.radians(courses_deg),
        missing=np.full((rows, 3), NAN) if missing is None else np.array(missing),
    )


def peaks(rows: list[dict[float, float]], sigma: float = 1e-4) -> SteeringMixture:
    """For each row, narrow peaks at curvatures [1/m] with weights."""
    count = max(map(len, rows))
    means, weights = np.zeros((len(rows), count)), np.full((len(rows), count), 1e-30)
    for i, row in enumerate(rows):
        means[i, : len(row)], weights[i, : len(row)] = list(row), list(row.values())
    weights /= weights.sum(axis=1, keepdims=True)
    logs, at = (torch.tensor(table, dtype=torch.float32) for table in (np.log(weights), means / LIMIT))
    return SteeringMixture(logs, at, torch.full_like(at, sigma / LIMIT), LIMIT)


def judged(frames: JunctionExits, distribution: SteeringMixture) -> tuple[Decisions, DecisionScores]:
    decisions = find_decisions(frames, RULES)
    return decisions, score_decisions(distribution, decisions, RULES)


def test_exits_too_close_to_be_told_apart_are_no_decision() -> None:
    frames = exits([[0.0, 0.039, NAN], [0.0, 0.041, NAN], [0.05, NAN, NAN], [NAN] * 3, [0.0, 0.03, -0.03]])
    decisions = find_decisions(frames, RULES)
    # In the last frame the three hang together: each is within 0.04 of its neighbour.
    assert decisions.rows.tolist() == [1]
    np.testing.assert_allclose(decisions.lawful, [[0.0, 0.041, NAN]])


def test_an_exit_is_open_until_offset_or_course_rules_it_out() -> None:
    curves = [[0.1, 0.0]] * 4
    frames = exits(
        curves,
        offsets=[[0.0, 0.49], [0.0, 0.51], [0.0, 0.0], [0.0, 0.0]],
        courses_deg=[[0.0, 0.0], [0.0, 0.0], [0.0, -5.9], [0.0, -6.1]],
    )
    assert find_decisions(frames, RULES).rows.tolist() == [0, 2]


def test_a_closed_exit_is_not_asked_for_but_lawful() -> None:
    frames = exits([[0.1, 0.0, -0.1]], offsets=[[0.0, 0.2, 0.9]])
    decisions, scores = judged(frames, peaks([{0.1: 0.5, 0.0: 0.2, -0.1: 0.3}]))
    np.testing.assert_allclose(decisions.open, [[0.0, 0.1, NAN]])
    assert scores.exits.tolist() == scores.seen.tolist() == [2]
    assert scores.lawful == pytest.approx([1.0])


def test_an_exit_is_seen_from_the_min_mass_on() -> None:
    frames = exits([[0.1, 0.0, -0.1]] * 3)
    _, scores = judged(
        frames,
        peaks([{0.1: 0.9, 0.0: 0.06, -0.1: 0.04}, {0.1: 1.0}, {0.119: 0.4, -0.019: 0.3, -0.081: 0.3}]),
    )
    assert scores.exits.tolist() == [3, 3, 3]
    assert scores.seen.tolist() == [2, 1, 3]
    assert scores.lawful == pytest.approx([1.0, 1.0, 1.0])


def test_mass_outside_the_bands_is_on_no_exit_by_hand() -> None:
    frames = exits([[0.1, 0.0, NAN]])
    _, scores = judged(frames, peaks([{0.121: 0.25, 0.05: 0.25, -0.021: 0.25, 0.0: 0.25}]))
    assert scores.lawful == pytest.approx([0.25])
    assert scores.seen.tolist() == [1]


def test_a_gaussians_band_holds_its_textbook_mass() -> None:
    # Sigma 0.02 at the first exit, as wide as the band's half: 68.27% within one sigma; the other is 5 sigma away.
    frames = exits([[0.1, 0.0, NAN]])
    _, scores = judged(frames, peaks([{0.1: 1.0}], sigma=0.02))
    assert scores.lawful == pytest.approx([0.68269], abs=1e-4)
    assert scores.seen.tolist() == [1]


def test_exits_whose_bands_overlap_count_as_one_and_their_mass_once() -> None:
    frames = exits([[0.1, 0.0, 0.03]])
    decisions, scores = judged(frames, peaks([{0.1: 0.9, -0.01: 0.03, 0.015: 0.03, 0.045: 0.04}]))
    np.testing.assert_allclose(decisions.open, [[0.0, 0.03, 0.1]])
    assert scores.exits.tolist() == [2]
    assert scores.seen.tolist() == [2]  # 3%, 3% (where the two overlap) and 4% together
    assert scores.lawful == pytest.approx([1.0])


def test_missing_exits_count_only_where_they_can_be_told_from_all_lawful_ones() -> None:
    frames = exits([[0.1, 0.0, NAN]] * 3, missing=[[NAN, NAN, -0.1], [NAN, NAN, -0.039], [NAN, NAN, NAN]])
    _, scores = judged(frames, peaks([{0.0: 0.7, -0.09: 0.2, -0.13: 0.1}] * 3))
    assert scores.missing[0] == pytest.approx(0.2)
    assert np.isnan(scores.missing[1:]).all()
    assert scores.lawful == pytest.approx([0.7] * 3)


def test_no_mass_is_counted_twice_among_missing_exits() -> None:
    frames = exits([[0.15, 0.05, NAN]], missing=[[NAN, -0.03, -0.05]])
    _, scores = judged(frames, peaks([{0.05: 0.5, -0.04: 0.5}]))
    assert scores.missing == pytest.approx([0.5])


def test_all_exits_as_modes_are_all_recalled_and_one_gaussian_recalls_one() -> None:
    rng = np.random.default_rng(0)
    table: Array = np.sort(rng.uniform(-0.2, 0.2, (500, 3)), axis=1)
    frames = exits(table.tolist())
    decisions = find_decisions(frames, RULES)
    assert 250 < len(decisions) < 500
    chosen = table[decisions.rows]
    everything = score_decisions(peaks([dict.fromkeys(row, 1 / 3) for row in chosen.tolist()]), decisions, RULES)
    assert (everything.seen == everything.exits).all()
    assert everything.lawful == pytest.approx(np.ones(len(decisions)), abs=1e-5)
    one = score_decisions(peaks([{row[1]: 1.0} for row in chosen.tolist()], sigma=0.002), decisions, RULES)
    assert (one.seen == 1).all()


def test_every_passage_counts_once() -> None:
    scores = DecisionScores(
        distances=np.ones(4),
        exits=np.array([2, 2, 2, 3]),
        seen=np.array([2, 2, 2, 1]),
        lawful=np.array([0.9, 0.8, 0.7, 0.2]),
        missing=np.array([0.0, 0.2, NAN, NAN]),
    )
    passages = [(0, 1), (0, 1), (0, 1), (5, 0)]
    measures = junction_measures(scores, passages, ["a", "a", "a", "b"], np.random.default_rng(0))
    assert (measures.frames, measures.passages, measures.towns) == (4, 2, 2)
    assert measures.recall is not None
    assert measures.recall.value == pytest.approx((1 + 1 / 3) / 2)
    assert measures.lawful_mass is not None
    assert measures.lawful_mass.value == pytest.approx((0.8 + 0.2) / 2)
    assert (measures.missing_frames, measures.missing_passages) == (2, 1)
    assert measures.missing_mass is not None
    assert measures.missing_mass.value == pytest.approx(0.1)


def test_recall_by_distance_past_the_mouth_by_hand() -> None:
    scores = DecisionScores(
        distances=np.array([-2.0, 1.0, 1.5, 2.5, 2.5, 3.5]),
        exits=np.array([2, 2, 3, 2, 2, 4]),
        seen=np.array([2, 1, 3, 1, 0, 1]),
        lawful=np.ones(6),
        missing=np.full(6, NAN),
    )
    passages = [1, 1, 1, 1, 2, 2]
    measures = junction_measures(scores, passages, ["a"] * 6, np.random.default_rng(0))
    parts = measures.recall_by_distance
    # Two decisions of one passage up to 1 m (3 of 4 exits); one; two passages with 1 of 2 and 0 of 2; one.
    assert [part.frames for part in parts] == [2, 1, 2, 1]
    assert [part.passages for part in parts] == [1, 1, 2, 1]
    assert [part.recall and part.recall.value for part in parts] == pytest.approx([3 / 4, 1.0, 1 / 4, 1 / 4])
    assert [part.up_to for part in parts] == [1.0, 2.0, 3.0, None]
    assert [part.above for part in parts] == [None, 1.0, 2.0, 3.0]


def test_without_any_decision_there_is_nothing_to_say() -> None:
    measures = junction_measures(joined_scores([]), [], [], np.random.default_rng(0))
    assert (measures.frames, measures.passages, measures.towns, measures.missing_frames) == (0, 0, 0, 0)
    assert measures.recall is measures.lawful_mass is measures.missing_mass is None
    assert all(part.frames == 0 and part.recall is None for part in measures.recall_by_distance)


def test_batches_are_joined_in_order() -> None:
    frames = exits([[0.1, 0.0]] * 3)
    distribution = [peaks([{0.1: 1.0}]), peaks([{0.1: 0.5, 0.0: 0.5}, {0.05: 1.0}])]
    parts = [
        score_decisions(each, find_decisions(frames[part], RULES), RULES)
        for each, part in zip(distribution, (slice(0, 1), slice(1, 3)), strict=True)
    ]
    whole = joined_scores(parts)
    assert whole.seen.tolist() == [1, 2, 0]
    assert whole.lawful == pytest.approx([1.0, 1.0, 0.0], abs=1e-6)


@pytest.mark.parametrize(
    "wrong",
    [
        {"tolerance": 0.0},
        {"open_offset": -1.0},
        {"open_course_deg": math.nan},
        {"min_mass": 0.0},
        {"min_mass": 1.0},
    ],
)
def test_impossible_rules_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        DecisionRules(**wrong)


def test_frames_without_any_exit_column_are_no_decisions() -> None:
    decisions = find_decisions(exits([[], []]), RULES)
    assert len(decisions) == 0
