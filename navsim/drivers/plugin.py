"""External drivers, named by module and factory: `--driver mypackage.module:factory`.

The factory is any callable, such as a class, that returns an object with a `name`, `begin(seed)` and
`drive(observation) -> Decision`: see `navsim.drivers.protocol.Driver`. It is called once in every process. If it has
parameters named `cameras` and `map_spec`, it is given the car's cameras (a tuple of `navsim.sensing.camera.Camera`) and
its map patches (a `navsim.sensing.roadmap.MapSpec`). An object that also has `begin_car` and `drive_cars`
(`navsim.drivers.protocol.BatchDriver`) decides for several cars in one call. Modules are imported as usual, or from the
current directory. `examples/own_driver.py` is a whole example, `mine.py` a short one:

    from navsim import Decision

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
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from navsim.drivers.action_selection import BATCH_CARS
from navsim.drivers.protocol import BatchDriver, Driver, DriverSpec, Expert
from navsim.drivers.sandbox import error_text
from navsim.errors import DriverError, NavsimError
from navsim.provenance import InputFile
from navsim.sensing.camera import Camera
from navsim.sensing.roadmap import MapSpec

_FORM = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_METHODS = ("begin", "drive")

Source = tuple[str, tuple[Camera, ...], MapSpec, InputFile | None]
"""Text after `--driver`, the car's cameras and map patches, and the file of the module once it is known."""


def is_plugin_name(text: str) -> bool:
    """Whether a text after `--driver` has the form of a module and a factory in it, such as `package.module:make`."""
    return _FORM.fullmatch(text) is not None


def plugin_driver_spec(text: str, cameras: tuple[Camera, ...], map_spec: MapSpec) -> DriverSpec:
    """Return an external driver, after making it once to check that this works.

    The source of a driver's module distinguishes versions of the driver; the modules that it imports do not count.

    Args:
        text: Module and factory, such as `mypackage.module:factory`.
        cameras: Cameras of the car to be driven.
        map_spec: Map patches of the car.

    Raises:
        DriverError: If the module or the factory is missing, or it does not return a driver.
    """
    driver = make_plugin_driver((text, cameras, map_spec, None))
    path = _module_file(text)
    file = None if path is None else InputFile.of(path)
    content = b"" if file is None else file.read()
    digest = hashlib.sha256(text.encode() + b"\0" + content).hexdigest()[:16]
    cars = BATCH_CARS if isinstance(driver, BatchDriver) else 1
    source: Source = (text, cameras, map_spec, file)
    return DriverSpec(driver.name, make_plugin_driver, source, origin=text, digest=digest, cars=cars)


def make_plugin_driver(source: Source) -> Driver:
    """Make the driver, in this process or in a worker.

    Raises:
        DriverError: As `plugin_driver_spec` does.
        ReplacedError: If the module was changed since the run began.
    """
    text, cameras, map_spec, file = source
    with nullcontext() if file is None else file.unchanged():
        return _made(text, cameras, map_spec)


def _made(text: str, cameras: tuple[Camera, ...], map_spec: MapSpec) -> Driver:
    """Import the module and make the driver."""
    factory = load_attribute(text, f"driver {text!r}", DriverError)
    attribute = text.split(":")[1]
    if not callable(factory):
        raise DriverError(
            f"driver {text!r}: {attribute} is a {type(factory).__name__}, not a function or class to call"
        )
    known = {"cameras": cameras, "map_spec": map_spec}
    try:
        parameters = inspect.signature(factory).parameters
        driver = factory(**{name: value for name, value in known.items() if name in parameters})
    except Exception as error:  # external code may raise anything
        raise DriverError(
            f"driver {text!r}: {attribute} could not be called: {error_text(error)}; it is given no argument but "
            "cameras and map_spec, if it has parameters of these names"
        ) from error
    return _checked(text, driver)


def load_attribute(text: str, label: str, error_class: type[NavsimError]) -> Any:
    """Import a module, also from the current directory, and return what it holds under a name.

    Args:
        text: Module and name, such as `package.module:name`.
        label: Beginning of the error's text.
        error_class: Class of the error.

    Raises:
        NavsimError: An `error_class`, if the module cannot be imported or the name is missing.
    """
    module_name, name = text.split(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)  # last, so that no file here hides a package
    module = _module(module_name, label, error_class)
    try:
        return getattr(module, name)
    except AttributeError:
        names = sorted(key for key, value in vars(module).items() if callable(value) and not key.startswith("_"))
        close = difflib.get_close_matches(name, names, n=1)
        hint = f"; perhaps you meant {close[0]!r}" if close else f"; it has {', '.join(names) or 'nothing to call'}"
        raise error_class(f"{label}: module {module_name} has no {name!r}{hint}") from None


def _module(name: str, label: str, error_class: type[NavsimError]) -> Any:
    """Import a module."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise error_class(f"{label}: {name} cannot be imported: {error_text(error)}") from error
        raise error_class(
            f"{label}: no module {error.name!r} in the current directory, {Path.cwd()}, or among the installed"
        ) from None
    except Exception as error:  # external code may raise anything
        raise error_class(f"{label}: {name} cannot be imported: {error_text(error)}") from error


def _checked(text: str, driver: Any) -> Driver:
    """Check that an object is a driver."""
    missing = [method for method in _METHODS if not callable(getattr(driver, method, None))]
    kind = type(driver).__name__
    if missing:
        raise DriverError(
            f"driver {text!r}: gave a {kind}, which has no {' and no '.join(missing)}; a driver has a name, "
            "begin(seed) and drive(observation)"
        )
    if isinstance(driver, Expert):
        raise DriverError(f"driver {text!r}: gave a {kind} with follow and command, which are for experts only")
    name = getattr(driver, "name", None)
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name == "expert":
        raise DriverError(
            f"driver {text!r}: gave a {kind} whose name is {name!r}; it must be text of letters, digits, dots, dashes "
            "and underscores, other than expert"
        )
    checked: Driver = driver
    return checked


def _module_file(text: str) -> Path | None:
    """Return the file of the driver's module; None for a module without one."""
    name = getattr(sys.modules[text.split(":")[0]], "__file__", None)
    return Path(name) if name is not None and Path(name).is_file() else None
