"""Sphinx extension: pages that are written from the code that they describe, and the markup of docstrings."""

import dataclasses
import importlib
import inspect
import pkgutil
import re
from pathlib import Path
from typing import Any

from docutils import nodes
from figures import data_flow, layers
from settings_reference import settings_pages
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx

from agents.commands.analyse import OfflineConfig
from agents.commands.data import SheetConfig
from agents.commands.demo import DemoConfig
from agents.commands.evaluate import CompareConfig, WatchCommandConfig
from agents.commands.train import TrainCommand
from agents.drivers.registry import PolicyEvaluationConfig
from agents.experiments.simulation_benchmark import SimulationBenchmark
from agents.experiments.study_config import StudyConfig
from agents.experiments.suites_config import SuitesPageConfig
from agents.experiments.training_benchmark import TrainingBenchmark
from agents.export.bundle import ExportConfig
from agents.interpretability.inspection import InspectConfig
from agents.localization.config import LocalizeConfig
from agents.perception.detection.pictures import DetectionConfig
from agents.perception.segmentation.task import SegmentationConfig
from navsim.datasets.collection_config import CollectConfig
from navsim.datasets.rerender import RerenderConfig

PACKAGES = ("navsim", "agents")
COMMANDS: dict[str, type] = {
    "demo": DemoConfig,
    "collect": CollectConfig,
    "rerender": RerenderConfig,
    "contact-sheet": SheetConfig,
    "train": TrainCommand,
    "train --task segmentation": SegmentationConfig,
    "train --task detection": DetectionConfig,
    "evaluate": PolicyEvaluationConfig,
    "watch": WatchCommandConfig,
    "compare": CompareConfig,
    "evaluate-offline": OfflineConfig,
    "inspect-policy": InspectConfig,
    "localize": LocalizeConfig,
    "export": ExportConfig,
    "run-suites": SuitesPageConfig,
    "run-study": StudyConfig,
    "benchmark simulation": SimulationBenchmark,
    "benchmark training": TrainingBenchmark,
}
"""The settings of each command."""


def setup(app: Sphinx) -> dict[str, Any]:
    """Write the pages when a build begins; docstrings become reStructuredText as they are read."""
    app.connect("builder-inited", write_pages)
    app.connect("autodoc-process-docstring", convert_docstring, priority=100)
    app.connect("autodoc-process-docstring", name_bases, priority=900)
    app.connect("autodoc-process-signature", leave_out_fields)
    app.connect("doctree-read", link_exactly)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def write_pages(app: Sphinx) -> None:
    """Write the reference of settings and of the API, and the diagrams."""
    source = Path(app.srcdir)
    write_folder(source / "reference" / "settings", ".md", named(settings_pages(COMMANDS)))
    write_folder(source / "reference" / "api", ".md", api_pages())
    write_folder(source / "_figures", ".svg", {"layers": layers(), "data-flow": data_flow()})


def named(pages: dict[str, str]) -> dict[str, str]:
    """Return pages under names that are good for files."""
    return {re.sub(r"\W+", "-", name): text for name, text in pages.items()}


def write_folder(folder: Path, suffix: str, texts: dict[str, str]) -> None:
    """Make a folder hold these files alone; one that stays the same keeps its time and is not built again."""
    folder.mkdir(parents=True, exist_ok=True)
    names = {f"{name}{suffix}": text for name, text in texts.items()}
    for path in folder.glob(f"*{suffix}"):
        if path.name not in names:
            path.unlink()
    for name, text in names.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def api_pages() -> dict[str, str]:
    """Return a page for each package, with all of its modules."""
    packages: dict[str, list[str]] = {}
    for top in PACKAGES:
        packages[top] = []
        for found in pkgutil.walk_packages(importlib.import_module(top).__path__, f"{top}."):
            packages.setdefault(found.name if found.ispkg else found.name.rpartition(".")[0], [])
            if not found.ispkg:
                packages[found.name.rpartition(".")[0]].append(found.name)
    return {name: api_page(name, modules) for name, modules in packages.items()}


def api_page(package: str, modules: list[str]) -> str:
    """Return a package's page."""
    sections = [f"## {name}\n\n```{{eval-rst}}\n.. automodule:: {name}\n```\n" for name in sorted(modules)]
    return f"# {package}\n\n```{{eval-rst}}\n.. automodule:: {package}\n```\n\n" + "\n".join(sections)


def convert_docstring(_app: Sphinx, what: str, _name: str, _obj: Any, _options: Any, lines: list[str]) -> None:
    """Turn a docstring's Markdown into reStructuredText in place: code in backticks stays code, the rest is plain."""
    lines[:] = CODE_OR_MARK.sub(_converted, "\n".join(lines)).split("\n")
    if what in ("attribute", "property", "data"):
        lines.insert(0, "\\ ")  # an empty beginning, or else Napoleon takes what precedes a colon for a type


def name_bases(_app: Sphinx, what: str, _name: str, obj: Any, _options: Any, lines: list[str]) -> None:
    """Add to a class's docstring which of the project's own classes it extends."""
    bases = [base for base in getattr(obj, "__bases__", ()) if base.__module__.startswith(PACKAGES)]
    if what == "class" and bases:
        links = ", ".join(f":py:class:`~{base.__module__}.{base.__qualname__}`" for base in bases)
        lines += [f"Extends {links}.", ""]


CODE_OR_MARK = re.compile(r"`(?P<code>[^`]+)`(?P<ending>\w?)|[*|](?=\S)|(?<=\w)_(?!\w)")
"""Code in single backticks, with a letter right after it, or a sign that begins or ends other markup."""


def _converted(match: re.Match[str]) -> str:
    """Return code as reStructuredText wants it, or another sign as itself."""
    if match["code"] is None:
        return f"\\{match[0]}"
    return f"``{match['code']}``" + (f"\\ {match['ending']}" if match["ending"] else "")


def leave_out_fields(_app: Sphinx, _what: str, _name: str, obj: Any, _options: Any, *_: Any) -> tuple[str, None] | None:
    """Show a dataclass without its constructor's parameters: they are its fields, which follow with their texts."""
    return ("", None) if inspect.isclass(obj) and dataclasses.is_dataclass(obj) else None


def link_exactly(_app: Sphinx, doctree: nodes.document) -> None:
    """Link types by their full names only; a search for names that end alike is slow and finds wrong ones."""
    for reference in doctree.findall(pending_xref):
        reference.attributes.pop("refspecific", None)
