"""The program `navsim`: the table of its commands, and how one of them is run.

A command's module is imported when the command runs, so that `navsim --help` is fast and a missing system library is
named in one line.
"""

import difflib
import importlib
import sys

from navsim.cli import check_libraries, run_command
from navsim.errors import ConfigError

COMMANDS = {
    "demo": {"demo": "Collect, train and evaluate, as `make demo` does."},
    "data": {
        "collect": "Record drives of the expert as data to learn from.",
        "rerender": "Render recorded drives with other cameras, renderer or appearance.",
        "dataset": "Examine recorded data: info, verify, statistics.",
        "contact-sheet": "Draw views of towns as one picture.",
    },
    "train": {"train": "Train a policy on recorded drives; or, with --task, find classes or objects."},
    "evaluate": {
        "evaluate": "Measure drivers in closed loop on held-out towns and routes.",
        "watch": "Watch drivers in a window, drive oneself, replay recorded drives.",
        "compare": "Compare results over the same routes, with paired differences.",
        "run-suites": "Measure drivers on all suites and write one page of tables.",
    },
    "analyse": {
        "evaluate-offline": "Score a policy's distributions on recorded drives; calibrate it if wanted.",
        "inspect-policy": "Look into a policy: filters, feature maps, saliency, what decisions depend on.",
        "localize": "Localise recorded drives by what a policy would do at candidate poses.",
        "export": "Export a policy as ONNX, with its weights alone and a card.",
    },
    "experiments": {
        "run-study": "Compare ways to learn on the same data and budget.",
        "benchmark": "Measure speed and memory: simulation, training.",
    },
}
"""What each command does, by the module of this package that holds its function."""

MODULES = {name: module for module, commands in COMMANDS.items() for name in commands}
"""The module of each command."""

EXTRAS = {
    **dict.fromkeys(("captum", "safetensors", "scoringrules", "tensorboard", "torch"), "train"),
    **dict.fromkeys(("onnx", "onnxscript"), "export"),
    "docutils": "docs",
    "stable_baselines3": "examples",
}
"""The extra of the distribution that installs a package, by the package."""


def main() -> None:
    """Run the command that the first argument names."""
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        print(overview())
        return
    name = sys.argv[1]
    sys.argv = [f"navsim {name}", *sys.argv[2:]]  # the name that the command's own help shows
    run_named(name)


def run_named(name: str) -> None:
    """Run a command with the rest of the command line; a user's mistake ends the program in one line.

    Args:
        name: The command, a key of `MODULES`.
    """

    def command() -> None:
        if name not in MODULES:
            raise ConfigError(f"unknown command {name!r}; {_suggestion(name)}")
        check_libraries()
        try:
            module = importlib.import_module(f"agents.commands.{MODULES[name]}")
            getattr(module, name.replace("-", "_"))()
        except ModuleNotFoundError as error:
            if error.name not in EXTRAS:
                raise
            raise missing_package(name, error.name) from None

    run_command(command)


def missing_package(name: str, package: str) -> ConfigError:
    """Return the error that the command `name` needs a package that is not installed, a key of `EXTRAS`."""
    return ConfigError(f"navsim {name} needs {package} here: pip install 'navsim-steering[{EXTRAS[package]}]'")


def command_line(name: str, *options: str) -> tuple[str, ...]:
    """Return what follows Python on the command line that runs a command in a process of its own."""
    return ("-m", "agents.commands.main", name, *options)


def overview() -> str:
    """Return the text of `navsim --help`."""
    width = max(map(len, MODULES))
    groups = "\n\n".join(
        "\n".join(f"  {name:{width}}  {text}" for name, text in commands.items()) for commands in COMMANDS.values()
    )
    return (
        "usage: navsim COMMAND [OPTION ...]\n\n"
        "Learn to drive end to end from camera images and road maps: simulate, record, learn, drive again.\n\n"
        f"{groups}\n\n`navsim COMMAND --help` lists the options of a command."
    )


def _suggestion(name: str) -> str:
    close = difflib.get_close_matches(name, MODULES, n=1)
    return f"perhaps you meant {close[0]!r}" if close else f"commands are {', '.join(MODULES)}"


if __name__ == "__main__":
    main()
