"""The project installed elsewhere: a wheel is built, installed into a folder, and used from an empty folder."""

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from agents.drivers.onnx_driver import ONNX_NAME
from agents.policies import WEIGHTS_NAME, has_torch

ROOT = Path(__file__).parents[1]
SOURCES = ("agents", "configs", "navsim", "policies", "pyproject.toml", "README.md", "LICENSE")
API = """
import agents, navsim
from agents.drivers.policy_driver import PolicyDriver
policy = agents.load_policy("reference")
config = navsim.SimulationConfig()
with navsim.Simulation(config) as simulation:
    driver = PolicyDriver("reference", config.cameras, config.map)
    episode = navsim.drive(simulation, driver, navsim.Scenario("grid-test-220", route=588, length=100.0))
print(navsim.__file__, agents.__file__, policy.config.network, episode.outcome)
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the packages of the installed wheel; what they depend on comes from this environment."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("installed")
    for name in SOURCES:
        path = ROOT / name
        if path.is_dir():
            shutil.copytree(path, source / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, source)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", out, source], check=True)
    (wheel,) = out.glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--no-index", "--target", out / "site", wheel], check=True)
    shutil.rmtree(source)
    return out / "site"


def run(site: Path, folder: Path, *words: str | Path) -> str:
    """Run a command in a folder with the installed packages; returns what it prints."""
    environment = os.environ | {"PYTHONPATH": str(site), "COLUMNS": "100", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_reference_policy_drives_from_an_empty_folder(site: Path, tmp_path: Path) -> None:
    options = (
        "--driver reference --routes 1 --lane-routes 0 --towns 1 --workers 1 --no-film --clips 0 --seed 1 --out results"
    )
    printed = run(site, tmp_path, site / "bin" / "navsim", "evaluate", *options.split())
    assert "reference" in printed
    results = json.loads((tmp_path / "results" / "results.json").read_text())
    assert results["drivers"]["reference"]["arrived"] == 1
    weights = WEIGHTS_NAME if has_torch() else ONNX_NAME
    assert results["origins"]["reference"] == str(site / "navsim" / "policies" / "reference" / weights)


@pytest.mark.torch
def test_the_public_names_are_those_of_the_installed_packages(site: Path, tmp_path: Path) -> None:
    navsim_file, agents_file, *rest = run(site, tmp_path, sys.executable, "-c", API).split()
    assert Path(navsim_file) == site / "navsim" / "__init__.py"
    assert Path(agents_file) == site / "agents" / "__init__.py"
    assert rest == ["compact", "arrived"]


def test_configurations_suites_and_templates_are_installed(site: Path, tmp_path: Path) -> None:
    program = site / "bin" / "navsim"
    assert "default: 48" in " ".join(
        run(site, tmp_path, program, "collect", "--config", "demo/collect.yaml", "--help").split()
    )
    run(site, tmp_path, program, "evaluate", "--suite", "quick", "--help")
    for folder, pattern in (("configs", "*.yaml"), ("policies", "*")):
        there = {path.relative_to(ROOT / folder) for path in (ROOT / folder).rglob(pattern) if path.is_file()}
        installed = site / "navsim" / folder
        assert there == {path.relative_to(installed) for path in installed.rglob("*") if path.is_file()}
    for package in ("agents", "navsim"):
        for path in (ROOT / package).rglob("templates/*"):
            assert (site / path.relative_to(ROOT)).is_file()
        assert (site / package / "py.typed").is_file()


def locked_versions() -> set[tuple[str, str]]:
    """Names and versions of all packages in `uv.lock` but the project itself."""
    packages = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    return {(package["name"], package["version"]) for package in packages if package["name"] != "navsim-steering"}


def test_pip_and_uv_install_the_same_versions() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {(name, version) for name, version in re.findall(r"^([\w.-]+)==(\S+)", "\n".join(lines), re.MULTILINE)}
    assert pinned == locked_versions()


def test_the_lock_file_knows_every_dependency() -> None:
    (locked,) = (p for p in tomllib.loads((ROOT / "uv.lock").read_text())["package"] if p["name"] == "navsim-steering")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"], *itertools.chain(*project["optional-dependencies"].values())]
    named = {canonicalize_name(Requirement(line).name) for line in lines}
    assert {dependency["name"] for dependency in locked["metadata"]["requires-dist"]} == named


def test_every_python_that_is_allowed_is_tested_and_has_a_pybullet() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    allowed = SpecifierSet(project["requires-python"])
    pythons = [f"3.{minor}" for minor in range(20) if f"3.{minor}" in allowed]
    assert f"PYTHONS = {tuple(pythons)}".replace("'", '"') in (ROOT / "noxfile.py").read_text()
    requirements = [Requirement(line) for line in project["dependencies"] if line.startswith("pybullet")]
    for python in pythons:
        for system in ("linux", "darwin", "win32"):
            environment = {"python_version": python, "sys_platform": system}
            fits = [each.name for each in requirements if each.marker and each.marker.evaluate(environment)]
            assert fits == (["pybullet"] if (python, system) == ("3.11", "linux") else ["pybullet-arm64"])
