"""The direction of imports, read from the source with `ast` (also imports inside functions count)."""

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import networkx as nx
import numpy as np
import pytest

ROOT = Path(__file__).parents[1]

# Each room may import from itself and from those named before it in the table; `world` has two floors.
ROOMS = [
    "navsim.errors",
    "navsim.geometry",
    "navsim.seeding",
    "navsim.storage",
    "navsim.config",
    "navsim.run_folder",
    "navsim.progress",
    "navsim.cli",
    "navsim.subprocesses",
    "navsim.parallel",
    "navsim.provenance",
    "navsim.number_formats",
    "navsim.tables",
    "navsim.roads",
    "navsim.roads.osm",
    "navsim.roads.generators",
    "navsim.sensing",
    "navsim.world",
    "navsim.world.scenery",
    "navsim.localization",
    "navsim.rendering",
    "navsim.rendering.opengl",
    "navsim.rendering.window",
    "navsim.drivers",
    "navsim.simulation",
    "navsim.datasets",
    "navsim.visualization",
    "navsim.viewer",
    "navsim.evaluation.statistics",
    "navsim.evaluation.metrics",
    "navsim.evaluation",
    "navsim.evaluation.reports",
    "agents.policies.distributions",
    "agents.policies.networks",
    "agents.policies",
    "agents.scoring",
    "agents.interpretability",
    "agents.drivers",
    "agents.export",
    "agents.training",
    "agents.perception",
    "agents.perception.segmentation",
    "agents.perception.detection",
    "agents.localization",
    "agents.experiments",
    "agents.commands",
    "scripts",
]

# Packages side by side, which know nothing of each other.
APART = {"agents.perception.segmentation", "agents.perception.detection"}


def modules() -> dict[str, Path]:
    """All modules of the project by dotted name."""
    files = [path for top in ("navsim", "agents", "scripts") for path in (ROOT / top).rglob("*.py")]
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in files}


def imports(source: str) -> Iterator[str]:
    """Dotted names of everything that a module's source imports."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide the direction"
            assert node.module is not None
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room(name: str) -> str | None:
    """The room that a dotted name belongs to; of a room within another, the inner one."""
    return max((r for r in ROOMS if name == r or name.startswith(r + ".")), key=len, default=None)


def violations(name: str, source: str) -> list[str]:
    """Imports of a module that go against the table."""
    own = room(name)
    if own is None:
        return [] if name in ("navsim", "agents") else [f"{name} is in no room"]
    found = []
    for target in imports(source):
        other = room(target)
        if other is not None and ROOMS.index(other) > ROOMS.index(own):
            found.append(f"{name} ({own}) imports {target} ({other})")
        if other != own and {own, other} <= APART:
            found.append(f"{name} imports {target} from the room beside it")
        if target.split(".")[0] == "torch" and own.startswith("navsim"):
            found.append(f"{name} imports {target}: navsim knows no torch")
        if target.split(".")[0] == "pybullet" and name != "navsim.world.bullet":
            found.append(f"{name} imports pybullet, which only navsim.world.bullet may")
    return found


@pytest.mark.parametrize("name", sorted(modules()))
def test_a_module_imports_only_from_below(name: str) -> None:
    assert violations(name, modules()[name].read_text()) == []


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("navsim.roads.network", "from navsim.simulation.scenario import Scenario"),
        ("navsim.evaluation.metrics.drives", "def f():\n    import torch"),
        ("navsim.rendering.tiny", "import pybullet as p"),
        ("agents.drivers.policy_driver", "import scripts.train"),
        ("agents.scoring.calibration", "from agents.training.config import LossConfig"),
        ("agents.training.trainer", "from agents.experiments.training_benchmark import Speed"),
        ("agents.perception.detection.task", "from agents.perception.segmentation.task import score_table"),
    ],
)
def test_a_planted_violation_is_caught(name: str, source: str) -> None:
    assert len(violations(name, source)) == 1


def import_graph() -> "nx.DiGraph[str]":
    """Which module imports which; packages' own files left out."""
    known = {name: path for name, path in modules().items() if path.name != "__init__.py"}
    graph: nx.DiGraph[str] = nx.DiGraph()
    for name, path in known.items():
        for target in imports(path.read_text()):
            module = target if target in known else target.rpartition(".")[0]
            if module in known and module != name:
                graph.add_edge(name, module)
    return graph


def package_graph(graph: "nx.DiGraph[str]") -> "nx.DiGraph[str]":
    """Which package imports from which other one, given the graph of modules; a nested package counts by itself."""
    packages: nx.DiGraph[str] = nx.DiGraph()
    for importer, imported in graph.edges:
        pair = importer.rpartition(".")[0], imported.rpartition(".")[0]
        if pair[0] != pair[1]:
            packages.add_edge(*pair)
    return packages


def cycles(graph: "nx.DiGraph[str]") -> list[list[str]]:
    """Groups of nodes that reach each other."""
    return [sorted(group) for group in nx.strongly_connected_components(graph) if len(group) > 1]


def test_modules_form_no_cycle() -> None:
    assert cycles(import_graph()) == []


def test_packages_form_no_cycle() -> None:
    assert cycles(package_graph(import_graph())) == []


def test_a_planted_cycle_is_caught() -> None:
    graph = import_graph()
    graph.add_edge("navsim.roads.network", "navsim.roads.generators.grid")
    assert cycles(graph) == []
    assert cycles(package_graph(graph)) == [["navsim.roads", "navsim.roads.generators"]]
    graph.add_edge("navsim.roads.generators.grid", "navsim.roads.network")
    assert cycles(graph) == [["navsim.roads.generators.grid", "navsim.roads.network"]]


def test_no_module_is_a_drawer_for_everything() -> None:
    assert not {name for name in modules() if name.rpartition(".")[2] in {"utils", "common", "helpers", "misc"}}


def functions() -> list[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    return [
        (f"{name}:{node.name}", node)
        for name, path in modules().items()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def code_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its docstring."""
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    return 0 if not body else (node.end_lineno or 0) - body[0].lineno + 1


def test_no_function_is_over_50_lines() -> None:
    assert {name: code_lines(node) for name, node in functions() if code_lines(node) > 50} == {}


def test_modules_are_concepts_of_a_readable_size() -> None:
    lengths = {
        name: len(path.read_text().splitlines()) for name, path in modules().items() if path.name != "__init__.py"
    }
    assert len(lengths) <= 240
    assert float(np.percentile(list(lengths.values()), 95)) <= 300
    assert {name: length for name, length in lengths.items() if length > 500} == {}


def test_the_global_random_state_is_never_used() -> None:
    allowed = {"default_rng", "Generator", "SeedSequence"}
    found = [
        f"{name}: numpy.random.{node.attr}"
        for name, path in modules().items()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Attribute)
        and node.value.attr == "random"
        and isinstance(node.value.value, ast.Name)
        and node.value.value.id == "np"
        and node.attr not in allowed
    ]
    assert found == []


def classes() -> list[tuple[str, str]]:
    """Public classes at the top of modules: module and name."""
    return [
        (name, node.name)
        for name, path in modules().items()
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    ]


def test_a_class_name_means_one_class() -> None:
    counts = Counter(name for _, name in classes())
    assert {name: count for name, count in counts.items() if count > 1} == {}


def test_settings_have_one_suffix() -> None:
    assert [f"{module}.{name}" for module, name in classes() if name.endswith(("Settings", "Options", "Params"))] == []
