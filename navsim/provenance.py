"""Provenance of files and measurements: software versions, git revision and machine."""

import platform
import shutil
import subprocess
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from navsim.parallel import available_cores

DISTRIBUTION = "navsim-steering"
_PACKAGES = (DISTRIBUTION, "numpy", "opencv-python", "pybullet", "pyarrow")


@lru_cache(maxsize=1)
def software_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that influence the data."""
    return {"python": platform.python_version()} | {name: _version(name) for name in _PACKAGES}


def git_revision(folder: Path = Path(__file__).parent) -> str:
    """Return the git revision of the source in `folder`, `-dirty` after changes, "unknown" outside a repository."""
    git = shutil.which("git")
    if git is None:
        return "unknown"
    command = [git, "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    answer = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
    return answer.stdout.strip() if answer.returncode == 0 else "unknown"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def machine() -> dict[str, str | int]:
    """Return the name of the processor, the number of usable cores, and the system."""
    return {"processor": processor(Path("/proc/cpuinfo")), "cores": available_cores(), "system": platform.platform()}


def processor(path: Path) -> str:
    """Return the processor's name from the kernel's file at `path`, else from Python."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
