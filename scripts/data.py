"""Look at recorded data: `python scripts/data.py info|verify|statistics FOLDER`."""

from navsim.cli import check_libraries, run_script

check_libraries()

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from navsim.datasets.dataset import checked_episodes, episode_files, open_dataset, read_description
from navsim.datasets.statistics import episode_statistics, statistics_table
from navsim.errors import EpisodeError
from navsim.progress import progress
from navsim.tables import Table

Folder = Annotated[Path, tyro.conf.Positional]


def info(folder: Folder) -> None:
    """Say what a data folder holds and how it was made; reads no frames.

    Args:
        folder: The data folder.
    """
    dataset = open_dataset(folder)
    headers = list(dataset.headers.values())
    size = sum(path.stat().st_size for path in dataset.headers)
    simulation, description = dataset.description.simulation, dataset.description
    cameras = ", ".join(f"{camera.name} {camera.width}x{camera.height}" for camera in simulation.cameras)
    rows = {
        "episodes": f"{len(dataset)} in {len({header.scenario.town for header in headers})} towns",
        "frames": str(dataset.frames),
        "size": f"{size / 1e6:.1f} MB, {size / dataset.frames / 1e3:.1f} kB per frame",
        "cameras": cameras,
        "channels": _counted(name for header in headers for name in header.channels) or "no pictures",
        "map": f"{simulation.map.size_px} px of {simulation.map.metres_per_pixel} m",
        "drivers": _counted(header.driver for header in headers),
        "renderers": _counted(str(header.metadata.get("renderer")) for header in headers),
        "outcomes": _counted(str(header.outcome) for header in headers),
        "git revision": description.git_revision,
        "versions": ", ".join(f"{name} {number}" for name, number in description.versions.items()),
    }
    settings = dict(description.collection)
    if "rendered_from" in settings:
        rows["rendered from"] = str(settings.pop("rendered_from")["folder"])
    rows["settings"] = ", ".join(f"{name} {value}" for name, value in settings.items())
    Console().print(Table(("", ""), list(rows.items()), title=str(folder), text_columns=2).rich())


def verify(folder: Folder) -> None:
    """Read every file of a data folder whole and name the damaged ones.

    Args:
        folder: The data folder.

    Raises:
        EpisodeError: If there are damaged ones.
    """
    read_description(folder)
    files, bad = len(episode_files(folder)), []
    with progress("verifying", files, "episodes") as advance:
        for _, error in checked_episodes(folder):
            bad += [] if error is None else [str(error)]
            advance()
    if bad:
        raise EpisodeError(f"{len(bad)} of {files} episodes are damaged; remove them: " + "; ".join(bad))
    Console().print(f"{folder}: all {files} episodes are whole", highlight=False, soft_wrap=True)


def statistics(folder: Folder) -> None:
    """Count what was driven: kilometres, junctions, outcomes, steering.

    Args:
        folder: The data folder.
    """
    dataset = open_dataset(folder)
    Console().print(statistics_table(episode_statistics(dataset.episodes(images=False))).rich())


def main() -> None:
    """Do what the command line says."""
    verbs = {"info": info, "verify": verify, "statistics": statistics}
    tyro.extras.subcommand_cli_from_dict(verbs, description="Look at recorded data.")


def _counted(names: Iterable[str]) -> str:
    """How often each name occurs, in words."""
    return ", ".join(f"{count} {name}" for name, count in Counter(names).most_common())


if __name__ == "__main__":
    run_script(main)
