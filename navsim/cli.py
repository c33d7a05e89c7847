"""What commands share: missing system libraries and users' mistakes in one line, subcommands, printed lines."""

import functools
import importlib
import io
import platform
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any

from navsim.errors import NavsimError
from navsim.storage import with_expanded_paths

_DEBIAN_PACKAGES = {
    "libGL.so.1": "libgl1",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libgthread-2.0.so.0": "libglib2.0-0",
    "libX11.so.6": "libx11-6",
    "libxcb.so.1": "libxcb1",
    "libSM.so.6": "libsm6",
    "libXext.so.6": "libxext6",
}
_BULLET_BUILDS = (
    "builds of PyBullet exist for Python 3.11 to 3.13 on Linux x86-64, macOS arm64 and Windows x86-64; "
    "install the project there, or compile PyBullet for this machine: pip install pybullet-arm64"
)
_USER_MISTAKE = 2
INTERRUPTED = 130
"""Exit code after Ctrl-C."""


def check_libraries() -> None:
    """Import the packages that need system libraries, before anything else does.

    Raises:
        SystemExit: With one line naming what is missing and how to install it.
    """
    for library, module in (("cv2", "cv2"), ("pybullet", "navsim.world.bullet")):
        try:
            importlib.import_module(module)
        except ImportError as error:
            sys.exit(f"navsim: {explain_import_error(library, error)}")


def explain_import_error(module: str, error: ImportError) -> str:
    """Say in one line why a package, `module`, cannot be imported and what helps."""
    library = re.search(r"(lib[\w.+-]+\.so[\w.]*)", str(error))
    if library is None and error.name == "pybullet":
        return (
            f"cannot import pybullet ({error}): this is Python {platform.python_version()} on {platform.system()} "
            f"{platform.machine()}; {_BULLET_BUILDS}"
        )
    if library is None:
        return f"cannot import {module} ({error}); install the project first: pip install -e . -c constraints.txt"
    package = _DEBIAN_PACKAGES.get(library[1])
    where = f"apt-get install {package}" if package else f"the system package that holds {library[1]}"
    return f"the system library {library[1]}, which {module} needs, is missing; install it: {where}"


def run_command(main: Callable[[], None]) -> None:
    """Run `main`; a NavsimError or an unusable file becomes one line and exit code 2, Ctrl-C one line and code 130."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a file on Windows may lack characters such as those of bars
            stream.reconfigure(errors="replace")
    try:
        main()
    except NavsimError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(_USER_MISTAKE)
    except OSError as error:
        if error.filename is None:
            raise
        print(f"error: {error.filename}: cannot be used: {error.strerror}", file=sys.stderr)
        sys.exit(_USER_MISTAKE)
    except KeyboardInterrupt as interrupt:
        print(str(interrupt) or "interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)


def run_subcommand(functions: Mapping[str, Callable[..., None]], description: str) -> None:
    """Call the function that the command line names, with arguments from the rest of the command line.

    Args:
        functions: Functions by the names of the subcommands.
        description: One sentence for `--help`.

    Raises:
        ConfigError: If a path cannot be expanded.
        SystemExit: From the option parser, as in `parse_config`.
    """
    import tyro  # slow to import, and `navsim --help` needs none of it

    def expanding(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def call(*arguments: Any, **options: Any) -> None:
            function(*map(with_expanded_paths, arguments), **with_expanded_paths(options))

        return call

    wrapped = {name: expanding(function) for name, function in functions.items()}
    tyro.extras.subcommand_cli_from_dict(wrapped, description=description)


def say(line: str) -> None:
    """Print a line at once, also into a pipe or a log."""
    print(line, flush=True)
