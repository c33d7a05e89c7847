"""The folder of a training run: names of its files, and whether a run may start or continue there."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from agents.training.config import TrainingRunConfig
from navsim.config import to_mapping
from navsim.datasets.dataset import DESCRIPTION_NAME, DataFolders, data_folders, folders_text
from navsim.run_folder import Values, check_resume, check_settings, check_unused, current_settings
from navsim.storage import read_yaml, remove_partial, write_json, write_yaml

_MAY_DIFFER = ("resume", "run_dir", "storage", "packed_folder")


@dataclass(frozen=True)
class RunFolder:
    """A run's folder and the names of its files."""

    path: Path
    """Path of the folder."""
    note: str = ""
    """Message about the run that the folder holds; empty if there is nothing to say."""

    @property
    def config(self) -> Path:
        """File of the resolved configuration."""
        return self.path / "config.yaml"

    @property
    def last(self) -> Path:
        """Newest checkpoint, with the state from which training can continue."""
        return self.path / "last.safetensors"

    @property
    def best(self) -> Path:
        """Checkpoint of the best epoch."""
        return self.path / "best.safetensors"

    @property
    def candidate(self) -> Path:
        """Checkpoint that is being driven; it exists only meanwhile."""
        return self.path / "candidate.safetensors"

    @property
    def metrics(self) -> Path:
        """File with the scores of every epoch."""
        return self.path / "metrics.json"

    @property
    def tensorboard(self) -> Path:
        """Folder of TensorBoard's event files."""
        return self.path / "tensorboard"

    @property
    def rounds(self) -> Path:
        """Folder with drives and policies of the rounds of on-policy correction."""
        return self.path / "dagger"

    def read_metrics(self) -> dict[str, Any]:
        """Read `metrics.json`; empty before the first epoch has ended."""
        if not self.metrics.exists():
            return {}
        values: dict[str, Any] = json.loads(self.metrics.read_bytes())
        return values

    @property
    def finished(self) -> bool:
        """Whether the run came to its end."""
        return bool(self.read_metrics().get("finished", False))

    def finish(self) -> None:
        """Note that the run came to its end.

        Raises:
            StorageError: If the note cannot be written.
        """
        write_json(self.metrics, self.read_metrics() | {"finished": True})


def open_run(config: TrainingRunConfig) -> RunFolder:
    """Return the folder of a run after checking that the run may use it; nothing is written before `begin_run`.

    Data that has been moved may be named by its new place; the checkpoint tells whether it is the same data.

    Returns:
        The folder; the run in it is new, unfinished with `config.resume`, or `finished`.

    Raises:
        ConfigError: If the folder holds a run of other settings, or on other data that is still in its place.
        StorageError: If the folder holds an unfinished run without `config.resume`, or files of another kind.
    """
    folder, advice = RunFolder(config.run_dir), "choose another run_dir"
    if not folder.config.exists():
        check_unused(folder.path, "run", advice)
        return folder
    stored = current_settings(type(config), read_yaml(folder.config), folder.config)
    wanted = to_mapping(config)
    missing = _missing_data(stored["data"], config.data)
    if missing is not None:
        stored["data"] = wanted["data"]
    check_settings(folder.path, _deciding(stored), _deciding(wanted), "a run", advice)
    if missing:
        data = folders_text(config.data)
        text = f"{folder.path}: its data, {missing}, is not there any more; {data} is used if it holds the same"
        folder = replace(folder, note=text)
    if (folder.last.exists() or folder.rounds.exists()) and not folder.finished:
        check_resume(folder.path, config.resume)
    for file in (folder.last, folder.best, folder.candidate, folder.metrics, folder.config):
        remove_partial(file)
    folder.candidate.unlink(missing_ok=True)
    return folder


def begin_run(config: TrainingRunConfig, folder: RunFolder) -> None:
    """Write the run's settings into its folder, once everything that the run needs is available.

    Raises:
        StorageError: If the file cannot be written.
    """
    if not folder.config.exists() or folder.note:
        write_yaml(folder.config, to_mapping(config))


def _missing_data(stored: Any, data: DataFolders) -> str | None:
    """Compare the data folders of a run with those asked for.

    Args:
        stored: One path or several, as in the run's settings.
        data: Data folders that are asked for.

    Returns:
        The run's folders in whose place others are asked for because they no longer exist; empty if they are the same;
        None if they differ.
    """
    before = {Path(each).resolve(): each for each in ([stored] if isinstance(stored, str) else stored)}
    asked = {folder.resolve() for folder in data_folders(data)}
    others = [folder for folder in before if folder not in asked]
    if len(before) != len(asked) or any((folder / DESCRIPTION_NAME).exists() for folder in others):
        return None
    return ", ".join(before[folder] for folder in others)


def _deciding(settings: Values) -> Values:
    """The settings that must stay the same within a run."""
    return {name: value for name, value in settings.items() if name not in _MAY_DIFFER}
