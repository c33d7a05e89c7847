"""The finished drives of an evaluation on disk, one file each."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from navsim.config import from_mapping
from navsim.datasets.episode_files import read_episode, read_header, write_episode
from navsim.errors import EpisodeError
from navsim.evaluation.metrics.calibration import label_transforms
from navsim.evaluation.metrics.drives import Drive
from navsim.simulation.scenario import Scenario, StartOffset
from navsim.simulation.town import is_osm_town, town_by_content

DRIVES_NAME = "drives"
"""Name of the folder with the finished drives."""


def drive_name(scenario: Scenario) -> str:
    """Return a file name for one drive: the scenario's, with the start where that is not the route's own."""
    start = scenario.start
    shifted = f"-start{start.lateral:+g}m{start.heading_deg:+g}deg" if start != StartOffset() else ""
    return f"{scenario.name}{shifted}"


def row_name(row: Mapping[str, Any]) -> str:
    """Return the name of a drive in `results.json`, by the content of its map.

    Names of earlier versions hold the map's path, and keep it if the file has gone.
    """
    if not is_osm_town(row["scenario"].get("town", "")):
        return str(row["name"])
    return drive_name(from_mapping(Scenario, row["scenario"], "results.json"))


def drive_path(folder: Path, driver: str, scenario: Scenario) -> Path:
    """Return the path of a finished drive below `folder`."""
    return folder / driver / f"{drive_name(scenario)}.parquet"


def save_drive(folder: Path, drive: Drive, conditions: Mapping[str, Any] | None = None) -> None:
    """Keep a finished drive, whole or not at all.

    Args:
        folder: Folder of the finished drives.
        drive: The drive.
        conditions: Plain values of the conditions under which it was driven, for replays.

    Raises:
        StorageError: If it cannot be written.
        ValueError: If the drive broke off.
    """
    if drive.episode is None:
        raise ValueError(f"{drive.driver} on {drive.scenario.name} broke off: {drive.error}")
    times = {"seconds": drive.seconds, "decision_us": [round(1e6 * taken) for taken in drive.decision_seconds]}
    write_episode(drive.episode, drive_path(folder, drive.driver, drive.scenario), {**(conditions or {}), **times})


def load_drive(folder: Path, driver: str, scenario: Scenario) -> Drive:
    """Read a finished drive.

    Raises:
        EpisodeError: If it is missing, damaged or of another scenario.
    """
    path = drive_path(folder, driver, scenario)
    episode = read_episode(path, images=False, distributions=True)
    if episode.scenario != scenario:
        raise EpisodeError(f"{path}: holds a drive of {episode.scenario}, not of {scenario}; remove it to drive again")
    times = read_header(path).metadata
    decisions = tuple(taken / 1e6 for taken in times.get("decision_us", ()))  # missing in files of earlier versions
    transforms = label_transforms(episode)  # a thousandth of the size of the distributions, which are not kept
    episode = replace(episode, grid=np.zeros(0), densities=np.zeros((0, 0), np.float32))
    return Drive(driver, scenario, episode, float(times["seconds"]), decision_seconds=decisions, transforms=transforms)


def kept_drives(folder: Path, results: Mapping[str, Any]) -> tuple[Drive, ...]:
    """Read the drives of a finished evaluation, in the order of its results, without images and distributions.

    Args:
        folder: Folder of the evaluation.
        results: Content of its `results.json`.

    Raises:
        EpisodeError: If a drive is missing or damaged.
    """
    return tuple(_kept_drive(folder / DRIVES_NAME, row, results.get("maps", {})) for row in results["drives"])


def _kept_drive(folder: Path, row: Mapping[str, Any], maps: Mapping[str, str]) -> Drive:
    scenario, driver, part = from_mapping(Scenario, row["scenario"], "results.json"), row["driver"], row["part"]
    if scenario.town in maps:
        scenario = replace(scenario, town=town_by_content(scenario.town, Path(maps[scenario.town])))
    if "error" in row:
        return Drive(driver, scenario, None, 0.0, row["error"], part=part)
    path = folder / part / driver / f"{row['name']}.parquet"
    episode = read_episode(path, images=False, distributions=False)
    return Drive(driver, scenario, episode, row["seconds"], part=part)
