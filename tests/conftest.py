"""Settings and fixtures of all tests."""

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.virtual_display import VirtualDisplay, virtual_display

# Tests side by side take a core each: threads of several torches on the same cores wait for one another. Set before
# anything imports torch, and for the scripts that tests start.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell without job control starts programs in the background with SIGINT ignored, and they pass that on to their
# children. Tests of Ctrl-C need the default, here and in every program that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A deadline would make a busy machine fail a correct program; the same examples every time make failures repeatable.
settings.register_profile("navsim", deadline=None, derandomize=True)
settings.load_profile("navsim")


@pytest.fixture(scope="module")
def display() -> Iterator[VirtualDisplay]:
    """A screen of its own for the windows of a file's tests."""
    with virtual_display() as shown:
        yield shown
