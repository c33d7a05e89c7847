"""Recording of single drives into a data folder, such as those of a person at the keyboard.

Labels are the expert's commands at the true states, as in all data, so that any drive can be learned from.
"""

from dataclasses import replace
from pathlib import Path

from navsim.config import to_mapping
from navsim.datasets.dataset import (
    DESCRIPTION_NAME,
    DatasetDescription,
    episode_path,
    read_description,
    write_description,
)
from navsim.datasets.episode_files import write_episode
from navsim.provenance import git_revision, software_versions
from navsim.run_folder import check_settings, check_unused
from navsim.simulation.config import SimulationConfig
from navsim.simulation.episode import Episode
from navsim.simulation.scenario import Scenario

KEYBOARD = "keyboard"
"""Name of a person who drives."""


class DriveRecorder:
    """Adds drives to a data folder; all files in it are complete at any time."""

    def __init__(self, folder: Path, simulation: SimulationConfig, renderer: str) -> None:
        """Create the folder, or continue one of the same simulation.

        Args:
            folder: The data folder.
            simulation: Settings of all drives in the folder.
            renderer: Name of the renderer of the images.

        Raises:
            ConfigError: If the folder holds drives of another simulation.
            StorageError: If the folder holds something else.
            EpisodeError: If its description is damaged.
        """
        self._folder = folder
        self._metadata = {"simulation": to_mapping(simulation), "noise": None, "renderer": renderer}
        self.recorded: tuple[Path, ...] = ()
        """Paths of the files that were added."""
        if (folder / DESCRIPTION_NAME).exists():
            stored = to_mapping(read_description(folder).simulation)
            check_settings(folder, stored, to_mapping(simulation), "drives", "record into another folder")
            return
        check_unused(folder, "drives", "record into another folder")
        collection = {"driver": KEYBOARD}
        write_description(folder, DatasetDescription(simulation, collection, software_versions(), git_revision()))

    def fresh(self, scenario: Scenario) -> Scenario:
        """Return the scenario with the first seed, from its own on, that is not in the folder yet."""
        seeds = range(scenario.seed, scenario.seed + 1_000_000)
        tries = (replace(scenario, seed=seed) for seed in seeds)
        return next(each for each in tries if not episode_path(self._folder, each).exists())

    def add(self, episode: Episode, driver: str = KEYBOARD) -> Path:
        """Write a drive with its images, under the name of its driver.

        Raises:
            StorageError: If it cannot be written.
        """
        path = episode_path(self._folder, episode.scenario)
        write_episode(replace(episode, driver=driver), path, self._metadata)
        self.recorded = (*self.recorded, path)
        return path
