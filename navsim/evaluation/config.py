"""The settings of an evaluation: who drives, on which routes, in what, and where the results go."""

from dataclasses import dataclass, field, fields
from pathlib import Path

from navsim.drivers.sandbox import DECISION_LIMIT
from navsim.errors import ConfigError
from navsim.evaluation.routes import RouteSuite
from navsim.evaluation.suites import SuiteStage, load_suite, stages
from navsim.parallel import available_cores
from navsim.roads.generators.towns import DEFAULT_GENERATORS, Generator, Split
from navsim.simulation.config import SimulationConfig
from navsim.viewer.config import ViewerConfig


@dataclass(frozen=True)
class EvaluationConfig:
    """What to evaluate, and how."""

    driver: tuple[str, ...] = ("policy", "blind", "constant", "expert")
    """Who drives: a policy's path, policy, blind, constant, expert, or `package.module:factory` for a driver of your
    own (see `navsim.drivers.plugin`); several may follow each other, and NAME=WORD gives one a name."""
    policy: Path = Path("runs/demo/policy/best.safetensors")
    """What the word `policy` means: a checkpoint, or an exported policy (`.onnx`, or the folder around it)."""
    blind: Path = Path("runs/demo/blind/best.safetensors")
    """The checkpoint that the word `blind` means: the same network, trained on black images."""
    suite: str | None = None
    """Routes and conditions from a file instead: a name such as quick or standard, or the path of a YAML file."""
    routes: int = 40
    """Routes through junctions, at least 1."""
    lane_routes: int = 20
    """Routes along one lane, without any junction; 0 leaves them out."""
    towns: int = 10
    """Held-out towns over which the routes are spread."""
    split: Split = Split.TEST
    """Which towns."""
    town: str | None = None
    """The one town to drive in instead: a town's name, or `osm:FILE` for an OpenStreetMap extract."""
    seed: int = 0
    """Decides towns, routes and everything random in the drives."""
    generators: tuple[Generator, ...] = DEFAULT_GENERATORS
    """Who draws the towns, in turn."""
    appearance: str = ""
    """Conditions such as "dusk+rain" or "shift-2", see `navsim.world.scenery.appearance`; empty draws those of
    training."""
    out: Path = Path("runs/evaluation")
    """Folder of the results; an interrupted evaluation in it is continued."""
    workers: int | None = None
    """Number of processes; None takes one per core."""
    decision_limit: float = DECISION_LIMIT
    """Longest time that a driver may take for one decision [s]; the drive of one that takes longer has failed."""
    clips: int = 3
    """Clips of failures for each driver in the report, at most."""
    film: bool = True
    """Whether to film one of the first driver's drives."""
    gui: bool = False
    """Show the drives in a window, one after the other, instead of measuring; nothing is written."""
    viewer: ViewerConfig = field(default_factory=ViewerConfig)
    """How that window shows them."""
    simulation: SimulationConfig = field(default_factory=SimulationConfig)
    """The car, its senses and the rules."""

    def __post_init__(self) -> None:
        if not self.driver:
            raise ConfigError("driver must name at least one driver")
        if self.workers is not None and self.workers < 1:
            raise ConfigError(f"workers must be at least 1, got {self.workers}")
        if not self.decision_limit > 0:
            raise ConfigError(f"decision_limit must be above 0 s, got {self.decision_limit}")
        if self.routes < 1:
            raise ConfigError(f"routes must be at least 1, got {self.routes}")
        if self.clips < 0:
            raise ConfigError(f"clips must be at least 0, got {self.clips}")
        _ = self.own_routes  # refuses impossible numbers
        if self.suite is not None:
            self._check_suite()

    def _check_suite(self) -> None:
        """Refuse an unusable suite, and routes asked for beside one."""
        fixed = ("routes", "lane_routes", "towns", "split", "generators", "appearance")
        defaults = {field.name: field.default for field in fields(EvaluationConfig)}
        for name in fixed:
            if getattr(self, name) != defaults[name]:
                raise ConfigError(f"suite {self.suite} says which routes are driven; leave out {name}")
        _ = self.stages

    @property
    def stages(self) -> tuple[SuiteStage, ...]:
        """What is driven: the parts of the suite, or the one part that the routes' settings make.

        Raises:
            ConfigError: If there is no such suite, or it holds wrong keys or values.
        """
        if self.suite is None:
            return (SuiteStage("", self.own_routes.scenarios(), self.simulation),)
        return stages(load_suite(self.suite), self.simulation, self.seed, self.town)

    @property
    def own_routes(self) -> RouteSuite:
        """The routes where no suite is named."""
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
        """What is driven, in a few words."""
        if self.suite is not None:
            where = f", in {self.town}" if self.town is not None else ""
            return f"{load_suite(self.suite).title or self.suite}{where}, seed {self.seed}"
        lanes = f" and {self.lane_routes} along lanes" if self.lane_routes else ""
        by = "" if self.generators == DEFAULT_GENERATORS else f" ({', '.join(self.generators)})"
        where = f"in {self.town}" if self.town is not None else f"{self.towns} {self.split} towns{by}"
        look = f", {self.appearance}" if self.appearance else ""
        return f"{self.routes} routes through junctions{lanes}, {where}{look}, seed {self.seed}"
