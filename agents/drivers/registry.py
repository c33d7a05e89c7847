"""Drivers by their names on the command line: learned, built-in and external ones. No torch until needed."""

import hashlib
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.drivers.localized_driver import LocalizedDriver, LocalizedDriverConfig
from agents.drivers.onnx_driver import ONNX_NAME, ExportMetadata, OnnxDriver, read_metadata
from agents.policies import WEIGHTS_NAME, has_torch
from navsim.datasets.recorder import KEYBOARD
from navsim.drivers.action_selection import BATCH_CARS, ActingConfig, LearnedDriver
from navsim.drivers.plugin import is_plugin_name, plugin_driver_spec
from navsim.drivers.protocol import Driver, DriverSpec, Expert, constant_driver_spec
from navsim.errors import CheckpointError, ConfigError
from navsim.evaluation.config import EvaluationConfig
from navsim.provenance import InputFile
from navsim.simulation.config import SimulationConfig
from navsim.simulation.expert import LaneExpert
from navsim.storage import BUNDLED, expand_path, find_file
from navsim.viewer.config import WatchConfig
from navsim.world.vehicle import VehicleSpec

if TYPE_CHECKING:
    from agents.policies.checkpoint import CheckpointInfo


@dataclass(frozen=True)
class PolicyEvaluationConfig(EvaluationConfig):
    """Settings of an evaluation in which learned drivers may take part."""

    acting: ActingConfig = field(default_factory=ActingConfig)
    """How learned drivers choose commands from their distributions."""
    localization: LocalizedDriverConfig = field(default_factory=LocalizedDriverConfig)
    """How drivers named `localized:POLICY` localise themselves."""


@dataclass(frozen=True)
class PolicyWatchConfig(WatchConfig):
    """Settings of the viewer with learned drivers among those to watch."""

    acting: ActingConfig = field(default_factory=ActingConfig)
    """How learned drivers choose commands from their distributions."""
    localization: LocalizedDriverConfig = field(default_factory=LocalizedDriverConfig)
    """How drivers named `localized:POLICY` localise themselves."""


SUFFIXES = (".safetensors", ".onnx")
ONNX = "onnx:"
"""Prefix of the path of an exported policy, a file or its folder."""
LOCALIZED = "localized:"
"""Prefix of a policy that drives by its own localisation."""
DRIVER_NAMES = ("policy", "blind", "constant", "expert")
BUNDLED_POLICIES = tuple(sorted(folder.name for folder in BUNDLED["policies"].iterdir()))
"""Names of the policies that are part of the project."""
_NAMED = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)=(.+)")


def resolve(config: PolicyEvaluationConfig) -> tuple[DriverSpec, ...]:
    """Turn the values of `--driver` into drivers with unique names: that of their kind, or that of `NAME=DRIVER`.

    Raises:
        ConfigError: If a value does not name a driver.
        CheckpointError: If a checkpoint is missing, damaged or made for other cameras or another map.
        DriverError: If an external driver (`navsim.drivers.plugin`) cannot be made.
    """
    driver_specs: list[DriverSpec] = []
    for word in config.driver:
        match = None if expand_path(word).exists() else _NAMED.fullmatch(word)
        target = word if match is None else match[2]
        driver_spec = _make_driver_spec(target, config, {driver_spec.name for driver_spec in driver_specs})
        driver_spec = driver_spec if match is None else replace(driver_spec, name=match[1])
        if driver_spec.name in {known.name for known in driver_specs}:
            raise ConfigError(f"driver {word!r} is named twice")
        driver_specs.append(driver_spec)
    return tuple(driver_specs)


def watchable_drivers(config: PolicyWatchConfig) -> tuple[DriverSpec, ...]:
    """Return the drivers to watch: those of `--driver`, in their order, then the other built-in ones.

    Raises:
        ConfigError: If a value does not name a driver.
        CheckpointError: If a checkpoint is missing, damaged or made for other cameras or another map.
        DriverError: If an external driver cannot be made.
    """
    simulation = config.simulation
    given = tuple(word for word in config.driver if word != KEYBOARD)
    evaluation = PolicyEvaluationConfig(
        driver=given or ("expert",),
        policy=config.policy,
        blind=config.blind,
        simulation=simulation,
        acting=config.acting,
        localization=config.localization,
    )
    driver_specs = list(resolve(evaluation)) if given else []
    if KEYBOARD in config.driver:
        driver_specs.insert(config.driver.index(KEYBOARD), keyboard_driver_spec(simulation))
    names = {driver_spec.name for driver_spec in driver_specs}
    built_in = (expert_driver_spec(simulation), constant_driver_spec(), keyboard_driver_spec(simulation))
    return (*driver_specs, *(driver_spec for driver_spec in built_in if driver_spec.name not in names))


def _make_driver_spec(word: str, config: PolicyEvaluationConfig, taken: set[str]) -> DriverSpec:
    """Build the driver that one value names."""
    if word.startswith(LOCALIZED):
        return localized_driver_spec(_make_driver_spec(word.removeprefix(LOCALIZED), config, taken), config)
    if word == "expert":
        return expert_driver_spec(config.simulation)
    if word == "constant":
        return constant_driver_spec()
    if word in ("policy", "blind"):
        path = policy_file(config.policy if word == "policy" else config.blind)
        if not path.is_file():
            raise CheckpointError(f"{path}: no such checkpoint file, which driver {word!r} stands for (set {word})")
        return policy_driver_spec(path, config, word)
    if is_plugin_name(word) and not word.startswith(ONNX):
        return plugin_driver_spec(word, config.simulation.cameras, config.simulation.map)
    if word in BUNDLED_POLICIES and not Path(word).exists():
        weights = WEIGHTS_NAME if has_torch() else ONNX_NAME
        return policy_driver_spec(BUNDLED["policies"] / word / weights, config, word)
    if not word.startswith(ONNX) and not word.endswith(SUFFIXES):
        kinds = f"{' or '.join(f'*{suffix}' for suffix in SUFFIXES)}, or {ONNX}FOLDER, or MODULE:FACTORY"
        names = ", ".join((*DRIVER_NAMES, *BUNDLED_POLICIES))
        raise ConfigError(f"unknown driver {word!r}: give a policy's path ({kinds}) or one of {names}")
    path = find_file(expand_path(word.removeprefix(ONNX)), "policies")
    if word.startswith(ONNX) and path.suffix != ".onnx":
        path = path / ONNX_NAME
    name = "blind" if policy_info(path).policy.blind else "policy"
    return policy_driver_spec(path, config, name if name not in taken else f"{path.parent.name}-{path.stem}")


def policy_file(path: Path) -> Path:
    """Return the file of a policy: `path`, the exported policy in that folder, or the project's file of that name."""
    path = find_file(path, "policies")
    return path / ONNX_NAME if path.is_dir() else path


def policy_info(path: Path) -> "CheckpointInfo | ExportMetadata":
    """Read the header of a policy's file.

    Raises:
        CheckpointError: If the file is unusable.
        ConfigError: If it is an exported policy and onnxruntime is not installed.
    """
    if path.suffix == ".onnx":
        return read_metadata(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint file")  # before torch is needed
    from agents.policies.checkpoint import read_info  # torch is slow to import, and not every driver needs it

    return read_info(path)


def policy_driver_spec(path: Path, config: PolicyEvaluationConfig, name: str) -> DriverSpec:
    """Describe a learned driver, after checking that its checkpoint fits the car.

    Raises:
        CheckpointError: If the checkpoint is missing, damaged or made for other cameras or another map.
    """
    policy_info(path)  # names a file that is missing or unusable
    file = InputFile.of(path)
    source = (file, config.simulation, name, config.acting)
    make_policy_driver(source)
    digest = policy_digest(file.read(), config.acting)
    with file.unchanged():
        renderer = policy_info(path).versions.get("renderer", "")
    return DriverSpec(
        name, make_policy_driver, source, origin=str(path), digest=digest, cars=BATCH_CARS, renderer=renderer
    )


def localized_driver_spec(policy: DriverSpec, config: PolicyEvaluationConfig) -> DriverSpec:
    """Describe a learned driver that localises itself.

    Raises:
        ConfigError: If `policy` is not a learned driver.
    """
    if policy.make is not make_policy_driver:
        raise ConfigError(f"{LOCALIZED} needs a policy, such as {LOCALIZED}reference; got driver {policy.name!r}")
    name, vehicle = f"localized-{policy.name}", config.simulation.vehicle
    digest = hashlib.sha256(f"{policy.digest}{config.localization!r}".encode()).hexdigest()[:16]
    source = (policy.source, vehicle, name, config.localization)
    return replace(
        policy,
        name=name,
        make=make_localized_driver,
        source=source,
        origin=f"{policy.origin}, by its own localisation",
        digest=digest,
    )


def policy_digest(content: bytes, acting: ActingConfig) -> str:
    """Return what distinguishes a learned driver in results: by the content of its file and its settings."""
    settings = repr(acting).replace("rule='follow_mode'", "rule='sticky'")  # a rule has the name that results use
    return hashlib.sha256(content + settings.encode()).hexdigest()[:16]


def make_policy_driver(source: tuple[InputFile, SimulationConfig, str, ActingConfig]) -> LearnedDriver:
    """Load a learned driver, in this process or a worker.

    Raises:
        CheckpointError: If its file is damaged or made for other cameras or another map.
        ReplacedError: If its file was replaced since the run began.
    """
    file, simulation, name, acting = source
    with file.unchanged() as path:
        if path.suffix == ".onnx":
            return OnnxDriver(path, simulation.cameras, simulation.map, name, acting)
        from agents.drivers.policy_driver import PolicyDriver

        return PolicyDriver(path, simulation.cameras, simulation.map, name, acting)


def make_localized_driver(source: tuple[Any, VehicleSpec, str, LocalizedDriverConfig]) -> Driver:
    """Load a learned driver that localises itself; the first value is the source of `make_policy_driver`."""
    policy, vehicle, name, localization = source
    return LocalizedDriver(make_policy_driver(policy), vehicle, name, localization)


def expert_driver_spec(simulation: SimulationConfig) -> DriverSpec:
    """Describe the expert, which knows the true state."""
    return DriverSpec("expert", _make_expert, simulation, senses=False, origin="the true state")


def keyboard_driver_spec(simulation: SimulationConfig) -> DriverSpec:
    """Describe a person at the keyboard, see `navsim.drivers.keyboard`; without keys the expert drives."""
    return DriverSpec("keyboard", _make_expert, simulation, senses=False, origin="a person")


def _make_expert(simulation: SimulationConfig) -> Expert:
    return LaneExpert(simulation.expert, simulation.vehicle)
