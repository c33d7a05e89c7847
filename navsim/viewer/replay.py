"""Replay of recorded drives, step by step, and the check that this version of the simulator drives them identically.

A replay shows the recorded states, commands and labels, whatever has changed since. The check drives the recorded
commands again in the recorded simulation and compares every pose bit by bit.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from navsim.datasets.dataset import IDENTITY_NAME
from navsim.datasets.episode_files import EpisodeHeader, read_episode, read_header
from navsim.drivers.protocol import Decision
from navsim.errors import EpisodeError
from navsim.geometry import Pose
from navsim.provenance import DISTRIBUTION, software_versions
from navsim.roads.routing import Progress
from navsim.sensing.observation import Observation
from navsim.simulation.config import SimulationConfig, simulation_settings
from navsim.simulation.episode import Episode
from navsim.simulation.episode_rerenderer import EpisodeRerenderer
from navsim.simulation.rollout import RolloutStep
from navsim.simulation.simulation import Simulation, TimeStep
from navsim.world.vehicle import VehicleState


@dataclass(frozen=True, eq=False)
class RecordedDrive:
    """A drive from a file, with the settings of its simulation."""

    path: Path
    """File of the drive."""
    header: EpisodeHeader
    """Header of the file."""
    episode: Episode
    """Arrays of the drive, with images if they were recorded."""
    simulation: SimulationConfig
    """Settings of car, sensors and rules."""


def read_recording(path: Path) -> RecordedDrive:
    """Read a drive of a data folder or of an evaluation.

    Raises:
        EpisodeError: If the file is missing, damaged or not a drive, or its simulation is unknown.
    """
    header = read_header(path)
    return RecordedDrive(path, header, read_episode(path), _simulation(path, header))


def check_replay(simulation: Simulation, recording: RecordedDrive) -> str:
    """Drive the recorded commands again, without rendering, and compare.

    Args:
        simulation: Simulation with the recording's settings.
        recording: Recorded drive.

    Returns:
        Empty if every pose and the outcome are the same, bit by bit; else a line with the first difference.

    Raises:
        TownError: If the town cannot be built.
    """
    episode = recording.episode
    state = simulation.begin(episode.scenario, sense=False)
    for index in range(len(episode.poses)):
        here, there = state.state.pose, episode.poses[index]
        distance = float(np.hypot(here.x - there[0], here.y - there[1]))
        if (here.x, here.y, here.heading) != tuple(there.tolist()):
            time = float(episode.times[index])
            return _report(recording, f"poses differ from {time:.1f} s on, there by {distance:.2g} m")
        if index < len(episode):
            if state.outcome is not None:
                return _report(recording, f"the drive ends after {state.state.time:.1f} s ({state.outcome})")
            state = simulation.advance(float(episode.commands[index]))
    if state.outcome is not episode.outcome:
        return _report(recording, f"the outcome is {state.outcome}, not {episode.outcome}")
    return ""


def play(simulation: Simulation, recording: RecordedDrive, on_step: Callable[[RolloutStep], None]) -> Episode:
    """Call a function with each step of a recorded drive, as `navsim.simulation.rollout.drive` does while driving.

    Args:
        simulation: Simulation with the recording's settings; begun for its town and route, but not driven.
        recording: Recorded drive.
        on_step: Function that takes each step.

    Raises:
        TownError: If the town cannot be built.
    """
    simulation.begin(recording.episode.scenario, sense=False)
    episode = with_images(recording)
    for index in range(len(episode)):
        on_step(rollout_step(episode, recording.simulation, index))
    return episode


def with_images(recording: RecordedDrive) -> Episode:
    """Return the drive with images and maps, rendered again if they were not recorded."""
    episode = recording.episode
    if len(episode.images):
        return episode
    redrawer = EpisodeRerenderer(recording.simulation)
    try:
        return redrawer.rerender(episode)
    finally:
        redrawer.close()


def rollout_step(episode: Episode, simulation: SimulationConfig, index: int) -> RolloutStep:
    """Return control step `index` of a drive with images."""
    fix, command, speed = (
        Pose(*episode.gps[index].tolist()),
        float(episode.commands[index]),
        float(episode.speeds[index]),
    )
    images = episode.images[index]
    observation = Observation(
        images,
        episode.road_maps[index],
        episode.route_maps[index],
        speed,
        fix,
        simulation.cameras,
        side=episode.side,
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
        float(episode.route_offsets[index]),
    )
    density = np.asarray(episode.densities[index], float) if len(episode.densities) else None
    decision = Decision(command, episode.grid if density is not None else None, density)
    return RolloutStep(
        TimeStep(observation, state, progress, None, images), decision, command, float(episode.labels[index])
    )


def _simulation(path: Path, header: EpisodeHeader) -> SimulationConfig:
    """Return the settings of a drive's simulation: from its header, or from the evaluation that its file belongs to.

    Raises:
        EpisodeError: If there are none, or they cannot be read.
    """
    values = header.metadata.get("simulation") or _evaluation_settings(path)
    if values is None:
        raise EpisodeError(
            f"{path}: its simulation is unknown: not in its header, and not in the folder of an evaluation"
        )
    return simulation_settings(values, path)


def _evaluation_settings(path: Path) -> Any:
    """Return the simulation in the evaluation's file in one of the parent folders; None if there is none."""
    for folder in path.absolute().parents[:4]:
        note = folder / IDENTITY_NAME
        if note.exists():
            try:
                return json.loads(note.read_bytes()).get("simulation")
            except (OSError, ValueError, AttributeError) as error:
                raise EpisodeError(f"{note}: cannot be read: {error}") from None
    return None


def _report(recording: RecordedDrive, difference: str) -> str:
    """Return a line about a replay that differs."""
    there, here = recording.header.versions.get(DISTRIBUTION, "unknown"), software_versions()[DISTRIBUTION]
    other = "" if there == here else f" (recorded by version {there}, this is {here})"
    return f"this version drives differently: {difference}{other}; the recorded states are shown"
