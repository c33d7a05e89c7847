"""The settings of an evaluation in which learned drivers take part. No torch.

The settings of the window when learned drivers are watched. No torch.

Who is measured, by the words after `--driver`: learned drivers, built-in ones, anyone's. No torch until needed.
"""

import hashlib
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from agents.drivers.learned_driver import CARS
from agents.drivers.onnx_driver import ONNX_NAME, ExportFacts, OnnxDriver, read_facts
from navsim.datasets.recorder import KEYBOARD
from navsim.drivers.action_selection import ActingConfig
from navsim.drivers.plugin import names_python, plugin_driver_spec
from navsim.drivers.protocol import Driver, Expert
from navsim.drivers.spec import DriverSpec, constant_driver_spec
from navsim.errors import CheckpointError, ConfigError
from navsim.evaluation.config import EvaluationConfig
from navsim.simulation.config import SimulationConfig
from navsim.simulation.expert import LaneExpert
from navsim.viewer.config import WatchConfig

if TYPE_CHECKING:
    from agents.policies.checkpoint import CheckpointInfo


@dataclass(frozen=True)
class PolicyEvaluationConfig(EvaluationConfig):
    """What to evaluate, and how; learned drivers too."""

    acting: ActingConfig = field(default_factory=ActingConfig)
    """How learned drivers take commands from their distributions."""


@dataclass(frozen=True)
class PolicyWatchConfig(WatchConfig):
    """What to watch, and how; learned drivers too."""

    acting: ActingConfig = field(default_factory=ActingConfig)
    """How learned drivers take commands from their distributions."""


SUFFIXES = (".safetensors", ".onnx")
ONNX = "onnx:"
"""Before the path of an exported policy, a file or the folder around it."""
WORDS = ("policy", "blind", "constant", "expert")
_NAMED = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)=(.+)")


def resolve(config: PolicyEvaluationConfig) -> tuple[DriverSpec, ...]:
    """Turn the words after `--driver` into drivers, each under a name of its own: its kind's, or that of `NAME=WORD`.

    Raises:
        ConfigError: If a word is none of a driver.
        CheckpointError: If a checkpoint is missing, damaged or made for other cameras or another map.
        DriverError: If anyone's driver (`navsim.drivers.plugin`) cannot be made.
    """
    driver_specs: list[DriverSpec] = []
    for word in config.driver:
        named = None if Path(word).exists() else _NAMED.fullmatch(word)
        meant = word if named is None else named[2]
        driver_spec = _entrant(meant, config, {driver_spec.name for driver_spec in driver_specs})
        driver_spec = driver_spec if named is None else replace(driver_spec, name=named[1])
        if driver_spec.name in {known.name for known in driver_specs}:
            raise ConfigError(f"driver {word!r} is named twice")
        driver_specs.append(driver_spec)
    return tuple(driver_specs)


def watchable(config: PolicyWatchConfig) -> tuple[DriverSpec, ...]:
    """The drivers to watch: those that were asked for, in their order, then the built-in ones that were not.

    Raises:
        ConfigError: If a word is none of a driver.
        CheckpointError: If a checkpoint is missing, damaged or made for other cameras or another map.
        DriverError: If anyone's driver cannot be made.
    """
    simulation = config.simulation
    words = tuple(word for word in config.driver if word != KEYBOARD)
    asked = PolicyEvaluationConfig(
        driver=words or ("expert",),
        policy=config.policy,
        blind=config.blind,
        simulation=simulation,
        acting=config.acting,
    )
    found = list(resolve(asked)) if words else []
    if KEYBOARD in config.driver:
        found.insert(config.driver.index(KEYBOARD), keyboard_driver_spec(simulation))
    names = {driver_spec.name for driver_spec in found}
    built_in = (expert_driver_spec(simulation), constant_driver_spec(), keyboard_driver_spec(simulation))
    return (*found, *(driver_spec for driver_spec in built_in if driver_spec.name not in names))


def _entrant(word: str, config: PolicyEvaluationConfig, taken: set[str]) -> DriverSpec:
    """One driver by its word."""
    if word == "expert":
        return expert_driver_spec(config.simulation)
    if word == "constant":
        return constant_driver_spec()
    if word in ("policy", "blind"):
        path = policy_path(config.policy if word == "policy" else config.blind)
        if not path.is_file():
            raise CheckpointError(f"{path}: no such checkpoint file, which driver {word!r} stands for (set {word})")
        return policy_driver_spec(path, config, word)
    if names_python(word) and not word.startswith(ONNX):
        return plugin_driver_spec(word, config.simulation.cameras, config.simulation.map)
    if not word.startswith(ONNX) and not word.endswith(SUFFIXES):
        kinds = f"{' or '.join(f'*{suffix}' for suffix in SUFFIXES)}, or {ONNX}FOLDER, or MODULE:FACTORY"
        raise ConfigError(f"unknown driver {word!r}: give a policy's path ({kinds}) or one of {', '.join(WORDS)}")
    path = Path(word.removeprefix(ONNX))
    if word.startswith(ONNX) and path.suffix != ".onnx":
        path = path / ONNX_NAME
    name = "blind" if about_policy(path).policy.blind else "policy"
    return policy_driver_spec(path, config, name if name not in taken else f"{path.parent.name}-{path.stem}")


def policy_path(path: Path) -> Path:
    """The file of a policy: `path`, or the exported one in that folder."""
    return path / ONNX_NAME if path.is_dir() else path


def about_policy(path: Path) -> "CheckpointInfo | ExportFacts":
    """What a policy's file says about itself.

    Raises:
        CheckpointError: If it cannot be used.
        ConfigError: If it is an exported one, and onnxruntime is not installed.
    """
    if path.suffix == ".onnx":
        return read_facts(path)
    from agents.policies.checkpoint import read_info  # torch is slow to import, and not every driver needs it

    return read_info(path)


def policy_driver_spec(path: Path, config: PolicyEvaluationConfig, name: str) -> DriverSpec:
    """A learned driver, after trying whether its checkpoint fits the car.

    Raises:
        CheckpointError: If it is missing, damaged or made for other cameras or another map.
    """
    source = (path, config.simulation, name, config.acting)
    make_policy(source)
    digest = hashlib.sha256(path.read_bytes() + _digest_text(config.acting).encode()).hexdigest()[:16]
    renderer = about_policy(path).versions.get("renderer", "")
    return DriverSpec(name, make_policy, source, origin=str(path), digest=digest, cars=CARS, renderer=renderer)


def _digest_text(acting: ActingConfig) -> str:
    """The settings as text for a driver's digest, in which a rule keeps the name that stored results know."""
    return repr(acting).replace("rule='follow_mode'", "rule='sticky'")


def make_policy(source: tuple[Path, SimulationConfig, str, ActingConfig]) -> Driver:
    """Load a learned driver, in this process or a worker."""
    path, simulation, name, acting = source
    if path.suffix == ".onnx":
        return OnnxDriver(path, simulation.cameras, simulation.map, name, acting)
    from agents.drivers.policy_driver import PolicyDriver

    return PolicyDriver(path, simulation.cameras, simulation.map, name, acting)


def expert_driver_spec(simulation: SimulationConfig) -> DriverSpec:
    """The expert, which sees the truth."""
    return DriverSpec("expert", _make_expert, simulation, looks=False, origin="the true state")


def keyboard_driver_spec(simulation: SimulationConfig) -> DriverSpec:
    """A person at the wheel, see `navsim.drivers.keyboard`; who hands it back hands it to the expert."""
    return DriverSpec("keyboard", _make_expert, simulation, looks=False, origin="a person")


def _make_expert(simulation: SimulationConfig) -> Expert:
    return LaneExpert(simulation.expert, simulation.vehicle)
