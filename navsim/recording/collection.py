"""Collecting: the expert drives, pulled aside by steering noise, and every drive becomes one file.

The unit of work is one drive, which config, seed and route decide alone, and its file appears complete or not at all.
So a collection that was interrupted goes on where it was, and gives the same data as an unbroken one.
"""

import time
import weakref
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from navsim.config import to_mapping
from navsim.driving.expert import LaneExpert
from navsim.driving.scenario import Scenario
from navsim.driving.together import Crew, drive_together, simulations
from navsim.errors import ConfigError, EpisodeError, StorageError
from navsim.parallel import WorkerError, available_cores, run_units
from navsim.progress import progress
from navsim.recording.dataset import (
    DESCRIPTION_NAME,
    DatasetDescription,
    episode_path,
    open_dataset,
    read_description,
    write_description,
)
from navsim.recording.files import read_header, write_episode
from navsim.recording.plan import CollectConfig, data_settings, differences, planned_towns
from navsim.recording.statistics import Statistics, episode_statistics
from navsim.recording.versions import git_revision, software_versions
from navsim.storage import is_partial, remove_partial, write_json

STATISTICS_NAME = "statistics.json"
"""Name of the statistics in a data folder."""


@dataclass(frozen=True)
class Recording:
    """What one run of a collection has recorded."""

    drives: int
    """Number of drives."""
    steps: int
    """Number of recorded steps."""
    seconds: float
    """Wall time, start of the processes included [s]."""
    workers: int
    """Number of processes."""

    @property
    def steps_per_second(self) -> float:
        """Recorded steps per second of wall time."""
        return self.steps / self.seconds if self.seconds else 0.0


@dataclass(frozen=True)
class Collection:
    """What a data folder holds after a collection."""

    recording: Recording
    """What this run has added; nothing if all was there."""
    statistics: Statistics
    """What is in the folder."""


def collect(config: CollectConfig) -> Collection:
    """Record every drive that is not yet in the folder and write its statistics.

    Raises:
        ConfigError: If the folder holds data of other settings.
        StorageError: If the folder holds something else, or an unfinished collection and `config.resume` is off, or
            the disk is full; drives recorded so far are whole and stay.
        WorkerError: If the process of a drive died whenever it was tried; all other drives are recorded.
        KeyboardInterrupt: After Ctrl-C, with words on how to go on.
    """
    planned = planned_towns(config)
    prepare_folder(config)
    missing = _missing_towns(config, planned)
    recording = _record(config, missing, sum(map(len, planned))) if missing else Recording(0, 0, 0.0, 0)
    statistics = episode_statistics(open_dataset(config.out).episodes(images=False))
    path = config.out / STATISTICS_NAME
    if recording.drives or not path.exists():
        speed = to_mapping(recording) | {"steps_per_second": recording.steps_per_second}
        write_json(path, to_mapping(statistics) | {"recording": speed})
    return Collection(recording, statistics)


def prepare_folder(config: CollectConfig) -> None:
    """Make the data folder, or check that the one that is there is of the same settings.

    Raises:
        ConfigError: Naming the settings that differ.
        StorageError: If the folder holds something else.
    """
    folder, settings = config.out, data_settings(config)
    simulation = settings.pop("simulation")
    if (folder / DESCRIPTION_NAME).exists():
        there = read_description(folder)
        found = differences(
            {"simulation": to_mapping(there.simulation), **there.collection}, {"simulation": simulation, **settings}
        )
        if found:
            raise ConfigError(f"{folder}: holds data of other settings ({'; '.join(found)}); give another --out")
        return
    if folder.exists() and not folder.is_dir():
        raise StorageError(f"{folder}: is a file; give a folder as --out")
    others = [path.name for path in folder.glob("*") if not is_partial(path)]
    if others:
        raise StorageError(f"{folder}: holds other files ({others[0]}, ...) but no data; give another --out")
    remove_partial(folder / DESCRIPTION_NAME)
    write_description(folder, DatasetDescription(config.simulation, settings, software_versions(), git_revision()))


def make_recorder(config: CollectConfig) -> Callable[[tuple[Scenario, ...]], list[int]]:
    """Start simulations and return the function that records drives in one town and tells their numbers of steps."""
    stack = ExitStack()
    cars = stack.enter_context(simulations(config.simulation, min(config.worlds, config.routes_per_town)))
    crews = [Crew(car, LaneExpert(config.simulation.expert, config.simulation.vehicle)) for car in cars]
    metadata: dict[str, Any] = {
        "simulation": to_mapping(config.simulation),
        "noise": to_mapping(config.noise),
        "renderer": cars[0].renderer_name,
    }

    def record(scenarios: tuple[Scenario, ...]) -> list[int]:
        steps = []
        for episode in drive_together(crews, scenarios, config.noise):
            write_episode(episode, episode_path(config.out, episode.scenario), metadata)
            steps.append(len(episode))
        return steps

    weakref.finalize(record, stack.close)  # the cars go when nobody can drive them any more
    return record


def _missing_towns(config: CollectConfig, planned: Sequence[tuple[Scenario, ...]]) -> list[tuple[Scenario, ...]]:
    """The planned drives that are not in the folder, town by town.

    Raises:
        StorageError: If some are there and some are missing, and `config.resume` is off.
    """
    towns = [tuple(drive for drive in town if not _is_recorded(config.out, drive)) for town in planned]
    missing, total = sum(map(len, towns)), sum(map(len, planned))
    if 0 < missing < total and not config.resume:
        raise StorageError(
            f"{config.out}: holds {total - missing} of {total} drives of an unfinished collection; "
            "give --resume to record the others"
        )
    return [town for town in towns if town]


def _is_recorded(folder: Path, scenario: Scenario) -> bool:
    """Whether the drive's file is there and whole."""
    path = episode_path(folder, scenario)
    try:
        return path.exists() and read_header(path).scenario == scenario
    except EpisodeError:
        return False


def _record(config: CollectConfig, towns: Sequence[tuple[Scenario, ...]], total: int) -> Recording:
    """Record drives over several processes."""
    count = sum(map(len, towns))
    workers = min(config.workers or available_cores(), len(towns))
    started, drives, steps = time.monotonic(), 0, 0
    failures: list[str] = []
    _remove_leftovers(config.out, towns)
    try:
        with (
            progress("collecting", total, "drives", already=total - count) as advance,
            run_units(make_recorder, config, towns, workers) as results,
        ):
            for finished in results:
                if isinstance(finished.failure, WorkerError):
                    failures.append(str(finished.failure))
                    continue
                drives, steps = drives + len(finished.unit), steps + sum(finished.result)
                advance(len(finished.unit), f"{steps / (time.monotonic() - started):.0f} steps/s")
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"interrupted; give --resume to go on with the drives in {config.out}") from None
    finally:
        _remove_leftovers(config.out, towns)
    if failures:
        raise WorkerError(f"{count - drives} drives are missing, try again with --resume: {'; '.join(failures)}")
    return Recording(drives, steps, time.monotonic() - started, workers)


def _remove_leftovers(folder: Path, towns: Sequence[tuple[Scenario, ...]]) -> None:
    """Remove what killed processes left of these drives' files."""
    for town in towns:
        for scenario in town:
            remove_partial(episode_path(folder, scenario))
