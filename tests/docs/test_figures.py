"""The diagrams show the packages that exist, and the direction in which they import."""

import ast
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from figures import LAYERS, WIDTH, data_flow, layers

ROOT = Path(__file__).parents[2]
ROWS = {
    f"{part}.{name}": len(LAYERS["agents"]) * (part == "navsim") + number
    for part, rows in LAYERS.items()
    for number, names in enumerate(rows)
    for name in names
}


def imported(path: Path) -> set[str]:
    """Dotted names of the first two levels of what a file imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names.add(".".join(node.module.split(".")[:2]))
        elif isinstance(node, ast.Import):
            names |= {".".join(alias.name.split(".")[:2]) for alias in node.names}
    return names


@pytest.mark.parametrize("part", list(LAYERS))
def test_every_package_is_in_the_diagram(part: str) -> None:
    packages = {path.parent.name for path in (ROOT / part).glob("*/__init__.py")}
    assert packages <= {name for names in LAYERS[part] for name in names}


@pytest.mark.parametrize("name", [name for name in ROWS if (ROOT / name.replace(".", "/")).is_dir()])
def test_a_package_imports_from_rows_below_alone(name: str) -> None:
    for path in (ROOT / name.replace(".", "/")).rglob("*.py"):
        for other in imported(path) & ROWS.keys() - {name}:
            assert ROWS[other] > ROWS[name], f"{path} imports {other}"


@pytest.mark.parametrize("svg", [layers(), data_flow()])
def test_drawings_are_whole_and_nothing_leaves_them(svg: str) -> None:
    root = ET.fromstring(svg)  # noqa: S314 - our own text
    height = float(root.attrib["viewBox"].split()[3])
    boxes = [element.attrib for element in root.iter() if element.tag.endswith("rect")]
    assert len(boxes) > 8
    for box in boxes:
        assert float(box["x"]) >= 0
        assert float(box["x"]) + float(box["width"]) <= WIDTH
        assert float(box["y"]) + float(box["height"]) <= height
