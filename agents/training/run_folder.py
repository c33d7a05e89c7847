"""The folder of a training run: what lies where, and whether a run may start, continue or is done."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import yaml

from navsim.config import merged, to_mapping
from navsim.errors import StorageError
from navsim.storage import remove_partial, write_yaml

_MAY_DIFFER = ("resume", "run_dir", "storage")


class RunConfig(Protocol):
    """What every training run's configuration says of its folder."""

    @property
    def run_dir(self) -> Path:
        """The folder."""
        ...

    @property
    def resume(self) -> bool:
        """Whether to continue what is unfinished in it."""
        ...


@dataclass(frozen=True)
class RunFolder:
    """Names of a run's files."""

    path: Path
    """The folder."""

    @property
    def config(self) -> Path:
        """The resolved configuration."""
        return self.path / "config.yaml"

    @property
    def last(self) -> Path:
        """The newest checkpoint, with all that is needed to continue."""
        return self.path / "last.safetensors"

    @property
    def best(self) -> Path:
        """The checkpoint of the epoch that drove best, or where none has driven, of least validation NLL."""
        return self.path / "best.safetensors"

    @property
    def candidate(self) -> Path:
        """The checkpoint that is being driven; here only meanwhile."""
        return self.path / "candidate.safetensors"

    @property
    def metrics(self) -> Path:
        """Scores of every epoch."""
        return self.path / "metrics.json"

    @property
    def tensorboard(self) -> Path:
        """TensorBoard's event files."""
        return self.path / "tensorboard"

    @property
    def rounds(self) -> Path:
        """Drives and policies of the rounds of on-policy correction."""
        return self.path / "dagger"

    def read_metrics(self) -> dict[str, Any]:
        """What `metrics.json` holds, empty before the first epoch has ended."""
        if not self.metrics.exists():
            return {}
        values: dict[str, Any] = json.loads(self.metrics.read_text())
        return values

    @property
    def finished(self) -> bool:
        """Whether the run came to its end."""
        return bool(self.read_metrics().get("finished", False))


def open_run(config: RunConfig) -> RunFolder:
    """Find the folder of a run, without ever mixing two runs in one; nothing is written before `begin_run`.

    Returns:
        The folder; the run in it is new, unfinished with `config.resume`, or `finished`.

    Raises:
        StorageError: If the folder holds a run of another configuration, an unfinished one without `config.resume`,
            or files of somebody else.
    """
    folder = RunFolder(config.run_dir)
    values = to_mapping(config)
    if not folder.config.exists():
        if folder.path.exists() and any(folder.path.iterdir()):
            raise StorageError(f"{folder.path}: holds files but no run of training; choose another run_dir")
        return folder
    # Settings that came later had their defaults.
    old = merged(to_mapping(type(config)()), yaml.safe_load(folder.config.read_text()))
    difference = first_difference(_deciding(old), _deciding(values))
    if difference is not None:
        key, there, wanted = difference
        raise StorageError(
            f"{folder.path}: holds a run with another {key}: there {there!r}, asked for {wanted!r}; "
            "choose another run_dir"
        )
    begun = folder.last.exists() or folder.rounds.exists()
    if begun and not folder.finished and not config.resume:
        raise StorageError(f"{folder.path}: holds an unfinished run; continue it with --resume")
    for file in (folder.last, folder.best, folder.candidate, folder.metrics, folder.config):
        remove_partial(file)
    folder.candidate.unlink(missing_ok=True)
    return folder


def begin_run(config: RunConfig, folder: RunFolder) -> None:
    """Lay the run's configuration into its folder, once all that it needs is at hand.

    Raises:
        StorageError: If it cannot be written.
    """
    if not folder.config.exists():
        write_yaml(folder.config, to_mapping(config))


def first_difference(old: Any, new: Any, key: str = "") -> tuple[str, Any, Any] | None:
    """Name the first key whose values differ in two plain structures, with both values; None if all agree."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in sorted(old.keys() | new.keys()):
            inner = first_difference(old.get(name), new.get(name), f"{key}.{name}" if key else name)
            if inner is not None:
                return inner
        return None
    return None if old == new else (key, old, new)


def _deciding(values: dict[str, Any]) -> dict[str, Any]:
    """What of a configuration must not change within a run."""
    return {name: value for name, value in values.items() if name not in _MAY_DIFFER}
