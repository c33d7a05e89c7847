"""Settings and fixtures of all tests."""

from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.virtual_display import VirtualDisplay, virtual_display

# A deadline would make a busy machine fail a correct program; the same examples every time make failures repeatable.
settings.register_profile("navsim", deadline=None, derandomize=True)
settings.load_profile("navsim")


@pytest.fixture(scope="module")
def display() -> Iterator[VirtualDisplay]:
    """A screen of its own for the windows of a file's tests."""
    with virtual_display() as shown:
        yield shown
