"""Drivers named by module and factory: found in the current directory, checked, measured; mistakes are one line."""

import pickle
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import numpy as np
import pytest

from examples.own_driver import RouteFollower
from navsim.drivers.action_selection import BATCH_CARS
from navsim.drivers.plugin import is_plugin_name, plugin_driver_spec
from navsim.drivers.protocol import Driver
from navsim.errors import DriverError
from navsim.evaluation.runner import EvaluationJob, evaluate
from navsim.geometry import Pose
from navsim.sensing.camera import Camera
from navsim.sensing.observation import Observation
from navsim.sensing.roadmap import MapSpec
from navsim.simulation.config import SimulationConfig
from navsim.simulation.scenario import Scenario

SIMULATION = SimulationConfig(cameras=(Camera(width=16, height=8),), renderer="tiny")
MODULE = '''
import os
import numpy as np
from navsim.drivers.protocol import Decision

NUMBER = 3

class Straight:
    """Holds one curvature."""
    name = "straight"
    def __init__(self, curvature=0.0):
        self.curvature = curvature
    def begin(self, seed):
        pass
    def drive(self, observation):
        return Decision(self.curvature)

class Fleet(Straight):
    name = "fleet"
    def begin_car(self, car, seed):
        pass
    def drive_cars(self, observations):
        return {car: Decision(0.0) for car in observations}

class Mute:
    name = "mute"
    def begin(self, seed):
        pass

class Nameless(Straight):
    name = "two words"

class Peeping(Straight):
    """Would be shown the truth, as experts are."""
    name = "peeping"
    def follow(self, route):
        pass
    def command(self, state):
        return Decision(0.0)

def with_cameras(cameras, map_spec):
    assert cameras[0].width == 16
    return Straight(map_spec.size_px / 1e4)

def demanding(weights):
    return Straight()

def failing():
    raise OSError("weights.bin is missing")
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A current directory with modules in it."""
    (tmp_path / "mine.py").write_text(MODULE)
    (tmp_path / "torn.py").write_text("def make(:\n")
    (tmp_path / "needy.py").write_text("import package_that_does_not_exist\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    for name in ("mine", "torn", "needy"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("word", "is_one"),
    [
        ("mine:make", True),
        ("my_package.drivers.fast:Driver2", True),
        ("onnx:runs/demo", False),
        ("runs/best.safetensors", False),
        ("expert", False),
        ("a:b:c", False),
        ("2nd:make", False),
    ],
)
def test_names_of_plugins_are_distinguished_from_others(word: str, is_one: bool) -> None:
    assert is_plugin_name(word) is is_one


def test_a_driver_from_the_current_directory_is_made_with_what_it_asks_for(folder: Path) -> None:
    plain, fed = (
        plugin_driver_spec("mine:Straight", SIMULATION.cameras, SIMULATION.map),
        plugin_driver_spec("mine:with_cameras", SIMULATION.cameras, SIMULATION.map),
    )
    assert (plain.name, plain.origin, plain.cars, plain.senses) == ("straight", "mine:Straight", 1, True)
    driver = fed.driver()
    assert isinstance(driver, Driver)
    assert driver.drive(None).curvature == pytest.approx(50 / 1e4)  # type: ignore[arg-type]
    assert plugin_driver_spec("mine:Fleet", SIMULATION.cameras, SIMULATION.map).cars == BATCH_CARS
    assert pickle.loads(pickle.dumps(fed)) == fed  # noqa: S301 - our own


def test_another_source_is_another_driver(folder: Path) -> None:
    before = plugin_driver_spec("mine:Straight", SIMULATION.cameras, SIMULATION.map).digest
    assert before == plugin_driver_spec("mine:Straight", SIMULATION.cameras, SIMULATION.map).digest
    assert before != plugin_driver_spec("mine:Fleet", SIMULATION.cameras, SIMULATION.map).digest
    (folder / "mine.py").write_text(MODULE + "\n# better\n")
    assert before != plugin_driver_spec("mine:Straight", SIMULATION.cameras, SIMULATION.map).digest


@pytest.mark.parametrize(
    ("word", "words"),
    [
        ("nobody:make", r"driver 'nobody:make': no module 'nobody' in the current directory, .*, or among"),
        ("mine.inner:make", r"no module 'mine.inner'"),
        (
            "needy:make",
            r"needy cannot be imported: ModuleNotFoundError: No module named 'package_that_does_not_exist' \(",
        ),
        ("torn:make", r"torn cannot be imported: SyntaxError"),
        ("mine:straight", r"module mine has no 'straight'; perhaps you meant 'Straight'"),
        ("mine:zzz", r"module mine has no 'zzz'; it has Decision, Fleet, .*"),
        ("mine:NUMBER", r"NUMBER is a int, not a function or class"),
        ("mine:Mute", r"gave a Mute, which has no drive; a driver has a name, begin\(seed\) and drive\(observation\)"),
        ("mine:Decision", r"Decision could not be called: TypeError: .*curvature.*; it is given no argument but"),
        ("mine:demanding", r"demanding could not be called: TypeError: .*weights"),
        ("mine:failing", r"failing could not be called: OSError: weights.bin is missing \(.*mine.py, line \d+\)"),
        ("mine:Nameless", r"gave a Nameless whose name is 'two words'"),
        ("mine:Peeping", r"gave a Peeping with follow and command, which are for experts only"),
        ("mine:getattr", r"module mine has no 'getattr'"),
    ],
)
def test_an_object_that_is_not_a_driver_is_refused_in_one_line(word: str, words: str, folder: Path) -> None:
    with pytest.raises(DriverError, match=words) as raised:
        plugin_driver_spec(word, SIMULATION.cameras, SIMULATION.map)
    assert "\n" not in str(raised.value)


def test_worker_processes_find_them(folder: Path) -> None:
    driver_specs = tuple(
        plugin_driver_spec(f"mine:{name}", SIMULATION.cameras, SIMULATION.map) for name in ("Straight", "Fleet")
    )
    scenario = Scenario("test-0", 0, junctions=False)
    drives = evaluate(EvaluationJob(SIMULATION, driver_specs, folder / "drives"), [scenario], 1, StringIO())
    assert [drive.error for drive in drives] == ["", ""]
    assert [len(drive.episode or ()) for drive in drives] == [len(drives[0].episode or ())] * 2


def patch(pixels: list[tuple[int, int]]) -> Observation:
    """What the car sees with these pixels (row, column) of the route in a map of 51 x 51."""
    route = np.zeros((51, 51), np.uint8)
    for row, column in pixels:
        route[row, column] = 255
    return Observation(np.zeros((1, 8, 16, 3), np.uint8), route, route, 8.0, Pose(0.0, 0.0, 0.0))


def test_the_example_steers_for_the_route_ahead() -> None:
    driver = RouteFollower(MapSpec(size_px=51))
    assert driver.drive(patch([(26, 25)])).curvature == 0.0
    assert driver.drive(patch([(28, 19)])).curvature == pytest.approx(2 * 6 / 10**2)  # 8 m ahead and 6 m to the left
    assert driver.drive(patch([(28, 31)])).curvature == pytest.approx(-2 * 6 / 10**2)
    assert driver.drive(patch([(46, 25), (5, 25)])).curvature == 0.0  # behind it, and too far
    assert driver.drive(patch([(35, 15)])).curvature == 0.19


def test_the_example_can_be_measured(tmp_path: Path) -> None:
    simulation = SimulationConfig(cameras=SIMULATION.cameras, renderer="tiny")
    driver_spec = plugin_driver_spec("examples.own_driver:make", simulation.cameras, simulation.map)
    scenario = Scenario("test-0", 0, junctions=False)
    (drive,) = evaluate(EvaluationJob(simulation, (driver_spec,), tmp_path), [scenario], 1, StringIO())
    assert drive.driver == "route-follower"
    assert drive.episode is not None, drive.error
    assert drive.episode.distance > 20
