"""Settings of an evaluation: drivers, routes, simulation and folder of the results."""

from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Annotated

from annotated_types import Ge, Gt, MinLen

from navsim.config import Constrained
from navsim.drivers.sandbox import DECISION_LIMIT
from navsim.errors import ConfigError
from navsim.evaluation.routes import RouteSuite
from navsim.evaluation.suites import Suite, SuiteStage, load_suite, stages
from navsim.parallel import available_cores
from navsim.roads.generators.towns import DEFAULT_GENERATORS, Generator, Split
from navsim.simulation.config import SimulationConfig
from navsim.viewer.config import ViewerConfig


@dataclass(frozen=True)
class EvaluationConfig(Constrained):
    """Drivers, routes, simulation and outputs of an evaluation."""

    driver: Annotated[tuple[str, ...], MinLen(1)] = ("policy", "blind", "constant", "expert")
    """Drivers, at least one: a policy's path; policy, blind, constant, expert; reference or unrouted, the project's
    policies; or `package.module:factory` for a driver of your own (`navsim.drivers.plugin`). NAME=DRIVER gives one a
    name."""
    policy: Path = Path("runs/demo/policy/best.safetensors")
    """Meaning of the word `policy`: a checkpoint, or an exported policy (`.onnx`, or the folder around it)."""
    blind: Path = Path("runs/demo/blind/best.safetensors")
    """Meaning of the word `blind`: a checkpoint of the same network, trained on black images."""
    suite: str | None = None
    """Routes and conditions from a file instead: a name such as quick or standard, or the path of a YAML file."""
    routes: Annotated[int, Ge(1)] = 40
    """Number of routes through junctions."""
    lane_routes: int = 20
    """Number of routes along one lane, without any junction; 0 leaves them out."""
    towns: int = 10
    """Number of held-out towns over which the routes are spread."""
    split: Split = Split.TEST
    """Split of the towns."""
    town: str | None = None
    """The one town to drive in instead: a town's name, or `osm:FILE` for an OpenStreetMap extract."""
    seed: int = 0
    """Seed of towns, routes and all random values in the drives."""
    generators: tuple[Generator, ...] = DEFAULT_GENERATORS
    """Generators of the towns, in turn."""
    appearance: str = ""
    """Conditions such as "dusk+rain" or "shift-2", see `navsim.world.scenery.appearance`; empty draws those of
    training."""
    out: Path = Path("runs/evaluation")
    """Folder of the results; an interrupted evaluation in it is continued."""
    workers: Annotated[int, Ge(1)] | None = None
    """Number of processes; None takes one per core."""
    decision_limit: Annotated[float, Gt(0)] = DECISION_LIMIT
    """Longest time that a driver may take for one decision [s]; a drive with a longer one has failed."""
    clips: Annotated[int, Ge(0)] = 3
    """Largest number of clips of failures for each driver in the report."""
    film: bool = True
    """Whether to film one of the first driver's drives."""
    gui: bool = False
    """Whether to show the drives in a window, one after the other, instead of measuring; nothing is written."""
    viewer: ViewerConfig = field(default_factory=ViewerConfig)
    """Settings of that window."""
    simulation: SimulationConfig = field(default_factory=SimulationConfig)
    """The car, its sensors and the rules."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.own_routes  # refuses further values that are not valid
        if self.suite is not None:
            self._check_suite()

    def _check_suite(self) -> None:
        """Raise ConfigError for an unusable suite, or routes beside one."""
        fixed = ("routes", "lane_routes", "towns", "split", "generators", "appearance")
        defaults = {field.name: field.default for field in fields(EvaluationConfig)}
        for name in fixed:
            if getattr(self, name) != defaults[name]:
                raise ConfigError(f"suite {self.suite} sets the routes; leave out {name}")
        _ = self.stages

    @cached_property
    def _loaded_suite(self) -> Suite:
        """The suite, read once: its file may be replaced during the evaluation."""
        return load_suite(self.suite or "")

    @cached_property
    def stages(self) -> tuple[SuiteStage, ...]:
        """The parts of the suite, or the one part of the routes that the settings describe.

        Files of suites and maps count as they are when this is first asked for.

        Raises:
            ConfigError: If the suite does not exist, or holds wrong keys or values.
        """
        if self.suite is None:
            return (SuiteStage("", self.own_routes.scenarios(), self.simulation),)
        return stages(self._loaded_suite, self.simulation, self.seed, self.town)

    @property
    def own_routes(self) -> RouteSuite:
        """Routes of an evaluation without a suite."""
        return RouteSuite(
            self.routes,
            self.lane_routes,
            self.towns,
            self.split,
            self.seed,
            self.generators,
            self.town,
            self.appearance,
        )

    @property
    def processes(self) -> int:
        """Number of processes to use."""
        return available_cores() if self.workers is None else self.workers

    @property
    def title(self) -> str:
        """Description of the routes in a few words."""
        if self.suite is not None:
            where = f", in {self.town}" if self.town is not None else ""
            return f"{self._loaded_suite.title or self.suite}{where}, seed {self.seed}"
        lanes = f" and {self.lane_routes} along lanes" if self.lane_routes else ""
        by = "" if self.generators == DEFAULT_GENERATORS else f" ({', '.join(self.generators)})"
        where = f"in {self.town}" if self.town is not None else f"{self.towns} {self.split} towns{by}"
        conditions = f", {self.appearance}" if self.appearance else ""
        return f"{self.routes} routes through junctions{lanes}, {where}{conditions}, seed {self.seed}"
