"""Towns that many tests look at, built once."""

import pytest

from navsim.roads.generators.towns import build_town
from navsim.roads.network import RoadNetwork

NAMES = [*(f"train-{i}" for i in range(9)), *(f"validation-{i}" for i in range(3)), *(f"test-{i}" for i in range(3))]


@pytest.fixture(scope="session")
def towns() -> dict[str, RoadNetwork]:
    """Return fifteen towns by name."""
    return {name: build_town(name) for name in NAMES}
