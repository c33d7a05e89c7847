"""Settings and fixtures of all tests."""

import os
import signal
import sys
from collections.abc import Generator, Iterator, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

import pytest
from hypothesis import settings

from agents.commands.main import EXTRAS
from agents.policies import has_torch
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


class OptionalPackages(MetaPathFinder):
    """The last finder of modules: skips the test module that imports a package of an extra that is not installed."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname in EXTRAS:
            pytest.skip(f"needs {fullname}", allow_module_level=True)
        return None


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Without torch, collect the tests that do not import it."""
    finder = OptionalPackages()
    sys.meta_path.append(finder)
    try:
        return (yield)
    finally:
        sys.meta_path.remove(finder)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Repeat failed tests of windows: on a busy machine Qt, inside OpenCV, loses some events of the X server."""
    for item in items:
        if "display" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.flaky(reruns=2))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip the tests of another system, and those that import torch while they run where it is not installed."""
    if item.get_closest_marker("linux") and sys.platform != "linux":
        pytest.skip("needs Linux")
    if item.get_closest_marker("torch") and not has_torch():
        pytest.skip("needs torch")


@pytest.fixture(scope="module")
def display() -> Iterator[VirtualDisplay]:
    """A screen of its own for the windows of a file's tests."""
    with virtual_display() as shown:
        yield shown
