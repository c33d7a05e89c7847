"""Which lanes lead into which at a crossing of streets with any number of lanes."""

from collections.abc import Mapping, Sequence
from itertools import groupby

import numpy as np

from navsim.geometry import wrap_angle
from navsim.roads.elements import Lane

STRAIGHT_ON = np.deg2rad(40.0)
"""Turns by less than this go straight on [rad]."""
U_TURN = np.deg2rad(150.0)
"""Turns by more than this are made only where there is no other way [rad]."""


def lane_pairs(
    lanes: Sequence[Lane], entering: Sequence[int], leaving: Sequence[int], sharpest: float = U_TURN
) -> list[tuple[int, int]]:
    """Choose the ways through a crossing.

    Straight on every lane leads into the one of the same number, counted from the divider, and the outermost into all
    that are left; turns lead from the outermost lane on their side into the outermost one. A lane from which none of
    these leads on takes the turns of its street. So a route through a street and a crossing tells the lane, which a map
    that draws streets as lines does not show.

    Args:
        lanes: All lanes of the network.
        entering: Indices of the lanes that end at the crossing, those of a street together, from the divider outwards.
        leaving: Indices of those that begin there, likewise.
        sharpest: Turns by more than this are made only where there is no other way [rad].

    Returns:
        Pairs of indices.
    """
    sources, targets = _by_street(lanes, entering), _by_street(lanes, leaving)
    found: list[tuple[int, int]] = []
    for source in sources:
        turns = {
            tuple(target): turn
            for target in targets
            if not _turns_back(lanes[source[0]], lanes[target[0]])
            for turn in [_turn(lanes[source[0]], lanes[target[0]])]
        }
        forward = {target: turn for target, turn in turns.items() if abs(turn) <= sharpest}
        found += _from_street(source, forward or turns)
    return found


def _from_street(source: Sequence[int], turns: Mapping[tuple[int, ...], float]) -> list[tuple[int, int]]:
    """The ways on from the lanes of one street end; keys are the lanes of the streets ahead, values their turns."""
    pairs: list[tuple[int, int]] = []
    for target, turn in turns.items():
        if abs(turn) < STRAIGHT_ON:
            count = max(len(source), len(target))
            pairs += [(source[min(i, len(source) - 1)], target[min(i, len(target) - 1)]) for i in range(count)]
        elif turn > 0:
            pairs.append((source[0], target[0]))
        else:
            pairs.append((source[-1], target[-1]))
    if not turns:
        return []
    leading = {a for a, _ in pairs}
    rightmost, *_, leftmost = [*sorted(turns, key=lambda target: turns[target])] * 2
    for i, lane in enumerate(source):
        if lane in leading:
            continue
        if i < len(source) / 2:  # the inner half turns left, the outer half right
            pairs.append((lane, leftmost[min(i, len(leftmost) - 1)]))
        else:
            pairs.append((lane, rightmost[max(i - len(source), -len(rightmost))]))
    return pairs


def _by_street(lanes: Sequence[Lane], indices: Sequence[int]) -> list[list[int]]:
    """Lanes grouped by street and direction."""
    return [list(group) for _, group in groupby(indices, key=lambda i: (lanes[i].road, lanes[i].forward))]


def _turn(before: Lane, after: Lane) -> float:
    """Turn from the end of one lane to the beginning of another, positive to the left [rad]."""
    return float(wrap_angle(after.path.headings[0] - before.path.headings[-1]))


def _turns_back(before: Lane, after: Lane) -> bool:
    """Whether a lane leaves by the same street end at which the other entered."""
    return before.road == after.road and before.forward != after.forward
