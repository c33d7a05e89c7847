"""Provenance of files and measurements: software versions, git revision, machine, and the files that a run reads."""

import hashlib
import platform
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from navsim.errors import ReplacedError
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


FileState = tuple[int, int, int]
"""Number, size [bytes] and time of change [ns] of a file: another file in its place has others."""


@dataclass(frozen=True)
class InputFile:
    """A file that a run reads more than once or in several processes, with its content when the run began."""

    path: Path
    """Path of the file."""
    digest: str
    """SHA-256 of the content, as hexadecimal digits."""

    @staticmethod
    def of(path: Path) -> "InputFile":
        """Return a file with its present content.

        Raises:
            OSError: If it cannot be read.
        """
        return InputFile(path, _digest(path))

    def read(self) -> bytes:
        """Return the content.

        Raises:
            ReplacedError: If it is another than when the run began.
        """
        with self.unchanged() as path:
            return path.read_bytes()

    @contextmanager
    def unchanged(self) -> Iterator[Path]:
        """Yield the path for a block that reads the file.

        Raises:
            ReplacedError: If the content is another than when the run began, before or after the block.
        """
        self.check()
        try:
            yield self.path
        finally:  # an error of the block may come from another file, too
            self.check()

    def check(self) -> None:
        """Raise ReplacedError if the content is another than when the run began."""
        try:
            now = f"sha256 {_digest(self.path)[:16]}"
        except OSError as error:
            now = f"cannot be read: {error.strerror}"
        if now != f"sha256 {self.digest[:16]}":
            raise ReplacedError(
                f"{self.path}: has changed since the run began (sha256 {self.digest[:16]} then, {now} now); "
                "put that file back, or begin a new run"
            )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_state(path: Path) -> FileState:
    """Return what tells a file from another one in its place, without reading it.

    Raises:
        OSError: If the file is missing.
    """
    state = path.stat()
    return state.st_ino, state.st_size, state.st_mtime_ns
