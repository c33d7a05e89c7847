"""Anyone's driver, named by where Python finds what makes it: `--driver mypackage.module:factory`.

The factory is any callable, a class too, that gives an object with a `name`, `begin(seed)` and `drive(observation) ->
Decision`: see `navsim.drivers.protocol.Driver`. It is called once in every process, and given the car's `cameras`
(a tuple of `navsim.sensing.camera.Camera`) and `map_spec` (a `navsim.sensing.roadmap.MapSpec`) as keywords if it has
parameters of these names. With `begin_car` and `drive_cars` besides (`navsim.drivers.protocol.BatchDriver`) the object
decides for several cars in one go. Modules are looked for as Python always does, and in the current directory. A whole
example is `examples/route_follower.py`; a short one, `mine.py`:

    from navsim.drivers.protocol import Decision

    class Leftish:
        name = "leftish"

        def begin(self, seed):
            pass

        def drive(self, observation):
            return Decision(0.01 if observation.speed > 3 else 0.0)

and `python scripts/evaluate.py --driver mine:Leftish`.
"""

import difflib
import hashlib
import importlib
import inspect
import re
import sys
from pathlib import Path
from typing import Any

from navsim.drivers.protocol import BatchDriver, Driver, Expert
from navsim.drivers.sandbox import error_text
from navsim.drivers.spec import DriverSpec
from navsim.errors import DriverError
from navsim.sensing.camera import Camera
from navsim.sensing.roadmap import MapSpec

SIDE_BY_SIDE = 8
"""How many cars a driver that can decide for several drives at a time."""

_WORD = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_METHODS = ("begin", "drive")

Source = tuple[str, tuple[Camera, ...], MapSpec]
"""The word, and the car's cameras and map patches."""


def names_python(word: str) -> bool:
    """Whether a word after `--driver` has the form of a module and something in it, such as `package.module:make`."""
    return _WORD.fullmatch(word) is not None


def plugin_driver_spec(word: str, cameras: tuple[Camera, ...], map_spec: MapSpec) -> DriverSpec:
    """A driver of anyone's, after it has been made once to see that it can be.

    Drivers are told apart by the source of their module; what that imports in turn does not count.

    Args:
        word: Module and factory, such as `mypackage.module:factory`.
        cameras: Cameras of the car to be driven.
        map_spec: Map patches that it shows.

    Raises:
        DriverError: If there is no such module or factory, or what it gives is no driver.
    """
    source: Source = (word, cameras, map_spec)
    driver = make_python_driver(source)
    cars = SIDE_BY_SIDE if isinstance(driver, BatchDriver) else 1
    return DriverSpec(driver.name, make_python_driver, source, origin=word, digest=_digest(word), cars=cars)


def make_python_driver(source: Source) -> Driver:
    """Make the driver, in this process or a worker.

    Raises:
        DriverError: As `plugin_driver_spec` does.
    """
    word, cameras, map_spec = source
    module_name, attribute = word.split(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)  # last, so that no file here hides a package
    factory = _attribute(word, _module(word, module_name), attribute)
    if not callable(factory):
        raise DriverError(
            f"driver {word!r}: {attribute} is a {type(factory).__name__}, not a function or class to call"
        )
    known = {"cameras": cameras, "map_spec": map_spec}
    try:
        parameters = inspect.signature(factory).parameters
        driver = factory(**{name: value for name, value in known.items() if name in parameters})
    except Exception as error:  # the code is anyone's
        raise DriverError(
            f"driver {word!r}: {attribute} could not be called: {error_text(error)}; it is given no argument but "
            "cameras and map_spec, if it has parameters of these names"
        ) from error
    return _checked(word, driver)


def _module(word: str, name: str) -> Any:
    """Import a module."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise DriverError(f"driver {word!r}: {name} cannot be imported: {error_text(error)}") from error
        raise DriverError(
            f"driver {word!r}: no module {error.name!r} in the current directory, {Path.cwd()}, or among the installed"
        ) from None
    except Exception as error:  # the code is anyone's
        raise DriverError(f"driver {word!r}: {name} cannot be imported: {error_text(error)}") from error


def _attribute(word: str, module: Any, name: str) -> Any:
    """Find the factory in its module."""
    try:
        return getattr(module, name)
    except AttributeError:
        there = sorted(key for key, value in vars(module).items() if callable(value) and not key.startswith("_"))
        close = difflib.get_close_matches(name, there, n=1)
        hint = f"; perhaps you meant {close[0]!r}" if close else f"; it has {', '.join(there) or 'nothing to call'}"
        raise DriverError(f"driver {word!r}: module {module.__name__} has no {name!r}{hint}") from None


def _checked(word: str, driver: Any) -> Driver:
    """Refuse what is no driver."""
    missing = [method for method in _METHODS if not callable(getattr(driver, method, None))]
    kind = type(driver).__name__
    if missing:
        raise DriverError(
            f"driver {word!r}: gave a {kind}, which has no {' and no '.join(missing)}; a driver has a name, "
            "begin(seed) and drive(observation)"
        )
    if isinstance(driver, Expert):
        raise DriverError(f"driver {word!r}: gave a {kind} with follow and command, which are for experts only")
    name = getattr(driver, "name", None)
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name == "expert":
        raise DriverError(
            f"driver {word!r}: gave a {kind} whose name is {name!r}; it must be text of letters, digits, dots, dashes "
            "and underscores, other than expert"
        )
    checked: Driver = driver
    return checked


def _digest(word: str) -> str:
    """Tells versions of a driver apart by its module's source."""
    path = getattr(sys.modules[word.split(":")[0]], "__file__", None)
    content = Path(path).read_bytes() if path is not None and Path(path).is_file() else b""
    return hashlib.sha256(word.encode() + b"\0" + content).hexdigest()[:16]
