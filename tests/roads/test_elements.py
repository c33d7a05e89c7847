"""Kinds of junctions by the directions of their roads."""

import numpy as np
import pytest

from navsim.roads.elements import JunctionKind, junction_kind
from tests.roads.plain_networks import star


@pytest.mark.parametrize(
    ("headings_deg", "kind"),
    [
        ([0, 90], JunctionKind.BEND),
        ([0, 90, 180], JunctionKind.TEE),
        ([0, 70, 180], JunctionKind.TEE),
        ([0, 60, 180], JunctionKind.FORK),
        ([0, 120, 240], JunctionKind.FORK),
        ([-170, -80, 10], JunctionKind.TEE),
        ([0, 90, 180, 270], JunctionKind.CROSSING),
        ([0, 72, 144, 216, 288], JunctionKind.FIVE_WAY),
    ],
)
def test_kinds_by_hand(headings_deg: list[float], kind: JunctionKind) -> None:
    assert junction_kind(np.deg2rad(headings_deg).tolist(), on_ring=False) is kind
    assert junction_kind(np.deg2rad(headings_deg).tolist(), on_ring=True) is JunctionKind.ROUNDABOUT


def test_networks_name_the_kind_of_their_junctions() -> None:
    assert [junction.kind for junction in star([0, 90, 180]).junctions] == [JunctionKind.TEE]
    assert [junction.kind for junction in star([10, 82, 154, 226, 298]).junctions] == [JunctionKind.FIVE_WAY]
