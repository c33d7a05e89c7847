"""Recorded drives played again, moment by moment, and the check that this version drives them in the very same way.

What is shown are the recorded states, commands and labels, so that a replay is what was driven whatever has changed
since. The check drives the recorded commands anew in the recorded simulation and compares every pose bit by bit.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from navsim.datasets.dataset import IDENTITY_NAME, simulation_settings
from navsim.datasets.episode_files import EpisodeHeader, read_episode, read_header
from navsim.drivers.protocol import Decision
from navsim.errors import EpisodeError
from navsim.geometry import Pose
from navsim.provenance import DISTRIBUTION, software_versions
from navsim.roads.routing import Progress
from navsim.sensing.observation import Observation
from navsim.simulation.config import SimulationConfig
from navsim.simulation.episode import Episode
from navsim.simulation.episode_rerenderer import EpisodeRerenderer
from navsim.simulation.rollout import RolloutStep
from navsim.simulation.simulation import Simulation, TimeStep
from navsim.world.vehicle import VehicleState


@dataclass(frozen=True, eq=False)
class RecordedDrive:
    """A drive from a file, with the simulation that it was driven in."""

    path: Path
    """The file."""
    header: EpisodeHeader
    """What it says about the drive."""
    episode: Episode
    """The drive, with images if they were recorded."""
    simulation: SimulationConfig
    """The car, its senses and the rules."""


def read_recording(path: Path) -> RecordedDrive:
    """Read a drive that was collected, or that an evaluation has kept.

    Raises:
        EpisodeError: If the file is missing, damaged or no drive, or nothing tells its simulation.
    """
    header = read_header(path)
    return RecordedDrive(path, header, read_episode(path), _simulation(path, header))


def check_replay(simulation: Simulation, recording: RecordedDrive) -> str:
    """Drive the recorded commands anew, without drawing, and compare.

    Args:
        simulation: Of the recording's settings.
        recording: The drive.

    Returns:
        Empty if every pose and the outcome are the same bit by bit, else a line that says where they differ first.

    Raises:
        TownError: If the town cannot be built.
    """
    episode = recording.episode
    situation = simulation.begin(episode.scenario, sense=False)
    for index in range(len(episode.poses)):
        here, there = situation.state.pose, episode.poses[index]
        distance = float(np.hypot(here.x - there[0], here.y - there[1]))
        if (here.x, here.y, here.heading) != tuple(there.tolist()):
            time = float(episode.times[index])
            return _words(recording, f"poses differ from {time:.1f} s on, there by {distance:.2g} m")
        if index < len(episode):
            if situation.outcome is not None:
                return _words(recording, f"the drive ends after {situation.state.time:.1f} s ({situation.outcome})")
            situation = simulation.advance(float(episode.commands[index]))
    if situation.outcome is not episode.outcome:
        return _words(recording, f"the outcome is {situation.outcome}, not {episode.outcome}")
    return ""


def play(simulation: Simulation, recording: RecordedDrive, on_step: Callable[[RolloutStep], None]) -> Episode:
    """Hand the moments of a recorded drive to a function, as `navsim.simulation.rollout.drive` does while driving.

    Args:
        simulation: Of the recording's settings; it is begun, so that it knows town and route, but not driven.
        recording: The drive.
        on_step: Takes each moment.

    Raises:
        TownError: If the town cannot be built.
    """
    simulation.begin(recording.episode.scenario, sense=False)
    episode = with_images(recording)
    for index in range(len(episode)):
        on_step(moment(episode, recording.simulation, index))
    return episode


def with_images(recording: RecordedDrive) -> Episode:
    """The drive with images and maps: the recorded ones, or the same drawn anew."""
    episode = recording.episode
    if len(episode.images):
        return episode
    redrawer = EpisodeRerenderer(recording.simulation)
    try:
        return redrawer.rerender(episode)
    finally:
        redrawer.close()


def moment(episode: Episode, simulation: SimulationConfig, index: int) -> RolloutStep:
    """Control step `index` of a drive with images, as it was."""
    fix, command, speed = (
        Pose(*episode.gps[index].tolist()),
        float(episode.commands[index]),
        float(episode.speeds[index]),
    )
    images = episode.images[index]
    observation = Observation(
        images, episode.road_maps[index], episode.route_maps[index], speed, fix, simulation.cameras
    )
    state = VehicleState(
        time=float(episode.times[index]),
        pose=episode.pose(index),
        speed=speed,
        curvature=command,
        yaw_rate=command * speed,
        lateral_speed=0.0,
        wheel_angle=0.0,
    )
    station = float(episode.stations[index])
    progress = Progress(
        station,
        float(episode.offsets[index]),
        float(episode.heading_errors[index]),
        min(station / episode.route_length, 1.0),
    )
    density = np.asarray(episode.densities[index], float) if len(episode.densities) else None
    decision = Decision(command, episode.grid if density is not None else None, density)
    return RolloutStep(
        TimeStep(observation, state, progress, None, images), decision, command, float(episode.labels[index])
    )


def _simulation(path: Path, header: EpisodeHeader) -> SimulationConfig:
    """The settings that a drive was driven in: its own, or those that the evaluation around it tells.

    Raises:
        EpisodeError: If there are none, or they cannot be read.
    """
    values = header.metadata.get("simulation") or _evaluations(path)
    if values is None:
        raise EpisodeError(f"{path}: does not tell its simulation, and lies in no folder of an evaluation")
    return simulation_settings(values, path)


def _evaluations(path: Path) -> Any:
    """The simulation that `evaluation.json` names in a folder around a drive; None if there is none."""
    for folder in path.absolute().parents[:4]:
        note = folder / IDENTITY_NAME
        if note.exists():
            try:
                return json.loads(note.read_text()).get("simulation")
            except (OSError, ValueError, AttributeError) as error:
                raise EpisodeError(f"{note}: cannot be read: {error}") from None
    return None


def _words(recording: RecordedDrive, difference: str) -> str:
    """One line on a replay that differs."""
    there, here = recording.header.versions.get(DISTRIBUTION, "unknown"), software_versions()[DISTRIBUTION]
    other = "" if there == here else f" (recorded by version {there}, this is {here})"
    return f"this version drives it otherwise: {difference}{other}; the recorded states are shown"
