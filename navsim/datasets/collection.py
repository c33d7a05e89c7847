"""Collection: the expert drives with steering noise, and each drive becomes one file of a data folder.

The missing files of a folder are written by several processes. Settings alone decide the drives, a unit of work is a
few drives of one town, and each file appears complete or not at all. So an interrupted collection can be continued and
gives the same data as an uninterrupted one. Rerendering and DAgger fill their folders in the same way.
"""

import time
import weakref
from collections.abc import Callable, Hashable, Sequence
from contextlib import ExitStack, closing
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from navsim.config import to_mapping, updated_keys
from navsim.datasets.collection_config import COUNTS, CollectConfig, data_settings, parse_shard, planned_towns
from navsim.datasets.dataset import (
    DESCRIPTION_NAME,
    DatasetDescription,
    episode_path,
    open_dataset,
    read_description,
    write_description,
)
from navsim.datasets.episode_files import read_header, write_episode
from navsim.datasets.statistics import Statistics, episode_statistics
from navsim.errors import EpisodeError, StorageError
from navsim.parallel import WorkerError, available_cores, run_units
from navsim.progress import progress
from navsim.provenance import git_revision, software_versions
from navsim.run_folder import (
    Difference,
    Values,
    check_resume,
    check_settings,
    check_unused,
    differences,
    locked_folder,
    one_at_a_time,
)
from navsim.simulation.config import position_fixes
from navsim.simulation.episode_rerenderer import EpisodeRerenderer
from navsim.simulation.expert import LaneExpert
from navsim.simulation.rollout import RolloutSlot, drive_batch
from navsim.simulation.scenario import Scenario, check_routes
from navsim.simulation.simulation import simulations
from navsim.storage import remove_partial, write_json

STATISTICS_NAME = "statistics.json"
"""Name of the statistics in a data folder."""
DriveGroup = tuple[Scenario, ...]
"""Drives of one town: the unit of work."""
Recorder = Callable[[DriveGroup], list[int]]
"""Function that writes the files of some drives and returns their numbers of steps."""
Job = TypeVar("Job", bound=Hashable)


@dataclass(frozen=True)
class RecordingStats:
    """Amount and speed of one run's recording."""

    drives: int
    """Number of drives."""
    steps: int
    """Number of recorded steps."""
    seconds: float
    """Wall time with the start of the processes [s]."""
    workers: int
    """Number of processes."""

    @property
    def steps_per_second(self) -> float:
        """Number of recorded steps per second of wall time."""
        return self.steps / self.seconds if self.seconds else 0.0


@dataclass(frozen=True)
class Plan:
    """Drives of a data folder, and how they are recorded."""

    out: Path
    """Path of the data folder."""
    towns: tuple[DriveGroup, ...]
    """Drives of the folder, town by town."""
    action: str
    """Description for the progress display, such as "collecting"."""
    workers: int | None
    """Number of processes; None takes one per core."""
    resume: bool
    """Whether to continue an interrupted run in the folder."""


@dataclass(frozen=True)
class CollectionResult:
    """Content of a data folder after a run."""

    recording: RecordingStats
    """Amount and speed of this run's recording; zero if nothing was missing."""
    statistics: Statistics
    """Statistics of all drives in the folder."""


def claim_data_folder(folder: Path, description: DatasetDescription, resume: bool = False) -> None:
    """Create the data folder, or check that the existing one has the same settings.

    A collection of more towns or routes extends the folder: its description gets the larger numbers.

    Args:
        folder: The data folder.
        description: Description of the folder with all drives.
        resume: Whether the folder may be extended.

    Raises:
        ConfigError: Naming the settings that differ.
        StorageError: If the folder holds something else, or is to be extended without `resume`.
    """
    if not (folder / DESCRIPTION_NAME).exists():
        check_unused(folder, "data", "give another --out")
        remove_partial(folder / DESCRIPTION_NAME)
        write_description(folder, description)
        return
    before = read_description(folder)
    stored, wanted = _settings(before), _settings(description)
    check_settings(folder, stored, wanted, "data", "give another --out", may_differ=_is_growth)
    growth = differences(stored, wanted)
    if growth and not resume:
        raise StorageError(f"{folder}: holds fewer drives ({growth[0]}); --resume adds the others")
    if growth:
        write_description(folder, replace(before, collection=description.collection))


def _settings(description: DatasetDescription) -> Values:
    """Return all settings that decide the drives of a data folder, under today's keys."""
    collection: Values = deepcopy(updated_keys(CollectConfig, description.collection))
    rendering = collection
    while "rendered_from" in rendering:
        rendering["rendered_from"].pop("folder", None)  # the source may have been moved
        rendering = rendering["rendered_from"].get("collection", {})
    return {"simulation": to_mapping(description.simulation), **collection}


def _is_growth(found: Difference) -> bool:
    """Whether a collection has more towns or routes than before, or the source of a rendering has."""
    counts = isinstance(found.stored, int) and isinstance(found.wanted, int) and found.stored < found.wanted
    return counts and found.key.replace("rendered_from.collection.", "") in COUNTS


def run_plan(plan: Plan, make: Callable[[Job], Recorder], job: Job) -> CollectionResult:
    """Write the files of all drives that are missing in the folder, and the folder's statistics.

    Args:
        plan: Drives of the folder; `claim_data_folder` must have been called.
        make: Function of a module that each process calls once to make its recorder.
        job: Argument of `make`.

    Raises:
        StorageError: If the work was begun before and `plan.resume` is off, or the disk is full; files written so far
            are complete and stay.
        WorkerError: If the process of a drive died at each attempt; all other drives are recorded.
        KeyboardInterrupt: After Ctrl-C, with the way to continue.
    """
    missing = _missing(plan)
    recording = _record_missing(plan, missing, make, job) if missing else RecordingStats(0, 0, 0.0, 0)
    with one_at_a_time(plan.out):  # the last of several shards sees the drives of all
        statistics = episode_statistics(open_dataset(plan.out).episodes(images=False))
        path = plan.out / STATISTICS_NAME
        if recording.drives or not path.exists():
            speed = to_mapping(recording) | {"steps_per_second": recording.steps_per_second}
            write_json(path, to_mapping(statistics) | {"recording": speed})
    return CollectionResult(recording, statistics)


def _missing(plan: Plan) -> list[DriveGroup]:
    """Return the drives that are not in the folder, town by town.

    Raises:
        StorageError: If some are there and some are missing, and `plan.resume` is off.
    """
    towns = [tuple(drive for drive in town if not _is_recorded(plan.out, drive)) for town in plan.towns]
    missing, total = sum(map(len, towns)), sum(map(len, plan.towns))
    if 0 < missing < total:
        check_resume(plan.out, plan.resume, f"{total - missing} of {total} drives of an unfinished run")
    return [town for town in towns if town]


def _is_recorded(folder: Path, scenario: Scenario) -> bool:
    """Whether the drive's file exists and can be read."""
    path = episode_path(folder, scenario)
    try:
        return path.exists() and read_header(path).scenario == scenario
    except EpisodeError:
        return False


def _record_missing(
    plan: Plan, towns: Sequence[DriveGroup], make: Callable[[Job], Recorder], job: Job
) -> RecordingStats:
    """Record drives in several processes."""
    count, total = sum(map(len, towns)), sum(map(len, plan.towns))
    workers = min(plan.workers or available_cores(), len(towns))
    started, drives, steps = time.monotonic(), 0, 0
    failures: list[str] = []
    _remove_leftovers(plan.out, towns)
    try:
        with (
            progress(plan.action, total, "drives", already=total - count) as advance,
            run_units(make, job, towns, workers) as results,
        ):
            for finished in results:
                if isinstance(finished.failure, WorkerError):
                    failures.append(str(finished.failure))
                    continue
                drives, steps = drives + len(finished.unit), steps + sum(finished.result)
                advance(len(finished.unit), f"{steps / (time.monotonic() - started):.0f} steps/s")
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"interrupted; give --resume to go on with the drives in {plan.out}") from None
    finally:
        _remove_leftovers(plan.out, towns)
    if failures:
        raise WorkerError(f"{count - drives} drives are missing, try again with --resume: {'; '.join(failures)}")
    return RecordingStats(drives, steps, time.monotonic() - started, workers)


def _remove_leftovers(folder: Path, towns: Sequence[DriveGroup]) -> None:
    """Remove partial files of these drives, which killed processes leave."""
    for town in towns:
        for scenario in town:
            remove_partial(episode_path(folder, scenario))


NO_RENDERER = "none"
"""Renderer in the metadata of drives without images."""


def collect(config: CollectConfig) -> CollectionResult:
    """Record all drives that are missing in the folder and write its statistics.

    With `config.resume` a folder with fewer towns or routes, of the same settings otherwise, is extended.

    Raises:
        ConfigError: If the folder holds data of other settings.
        StorageError: If the folder holds something else, or an unfinished collection and `config.resume` is off, or
            another process records some of these drives into it, or the disk is full; drives recorded so far are
            complete and stay.
        TownError: If a real town cannot be built, or has fewer routes than are wanted.
        WorkerError: If the process of a drive died at each attempt; all other drives are recorded.
        KeyboardInterrupt: After Ctrl-C, with the way to continue.
    """
    towns = tuple(planned_towns(config))
    check_routes(scenario for town in towns for scenario in town)
    plan = Plan(config.out, towns, "collecting", config.workers, config.resume)
    with locked_folder(config.out, part=parse_shard(config.shard)):
        with one_at_a_time(config.out):
            prepare_folder(config)
        return run_plan(plan, make_recorder, config)


def prepare_folder(config: CollectConfig) -> None:
    """Create the data folder, or check that the existing one has the same settings, or fewer drives to resume.

    Raises:
        ConfigError: Naming the settings that differ.
        StorageError: If the folder holds something else, or fewer drives and `config.resume` is off.
    """
    settings = {key: value for key, value in data_settings(config).items() if key != "simulation"}
    description = DatasetDescription(config.simulation, settings, software_versions(), git_revision())
    claim_data_folder(config.out, description, config.resume)


def make_recorder(config: CollectConfig) -> Recorder:
    """Start simulations and return a function that records drives in one town."""
    stack = ExitStack()
    # Drives without images need no OpenGL, which may not be available.
    simulation = config.simulation if config.images else replace(config.simulation, renderer="tiny")
    routes = max(config.routes_per_town, config.routes_per_real_town)
    cars = stack.enter_context(simulations(simulation, min(config.num_envs, routes)))
    slots = [RolloutSlot(car, LaneExpert(config.simulation.expert, config.simulation.vehicle)) for car in cars]
    rerenderer = stack.enter_context(closing(EpisodeRerenderer(simulation, cars[0].renderer, cars[0].towns)))
    renderer = cars[0].renderer_name if config.images else NO_RENDERER
    settings = {"simulation": to_mapping(config.simulation), "noise": to_mapping(config.noise)}
    metadata: dict[str, Any] = {**settings, "renderer": renderer}

    def record(scenarios: DriveGroup) -> list[int]:
        steps = []
        for episode in drive_batch(slots, scenarios, config.noise, sense=config.images):
            if not config.images:
                episode = replace(episode, gps=position_fixes(simulation, episode.scenario, episode.poses[:-1]))
            if "classes" in config.channels:
                episode = replace(episode, classes=rerenderer.classes(episode))
            if "objects" in config.channels:
                episode = replace(episode, objects=rerenderer.objects(episode))
            write_episode(episode, episode_path(config.out, episode.scenario), metadata)
            steps.append(len(episode))
        return steps

    weakref.finalize(record, stack.close)  # closed when no reference to the function is left
    return record
