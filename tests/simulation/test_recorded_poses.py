"""Short drives against recorded ones: the same seed gives the same drive with every Python and build of PyBullet.

On one machine (x86-64) Python 3.11 to 3.13, PyBullet 3.2.7 and its fork 3.2.8 gave the same bits. Numpy's sines differ
in the last bit between processors with and without AVX-512, hence the bound.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from navsim.simulation.expert import LaneExpert, SteeringNoise
from navsim.simulation.rollout import drive
from navsim.simulation.scenario import Scenario
from navsim.simulation.simulation import Simulation
from navsim.simulation.termination import Rules
from tests.simulation.conftest import SMALL

RECORDED = json.loads((Path(__file__).parent / "recorded_poses.json").read_text())
"""Poses (x [m], y [m], heading [rad]) at the start and after each of 100 control steps, by the name of the town."""
BOUND = 1e-6
"""Largest allowed difference of a coordinate [m] or a heading [rad]."""


def expert_poses(town: str) -> list[list[float]]:
    """Drive 10 s in a town, with noise on the steering; return the poses."""
    with Simulation(replace(SMALL, renderer="tiny", rules=Rules(time_limit=9.9))) as simulation:
        expert = LaneExpert(simulation.config.expert, simulation.config.vehicle)
        noise = SteeringNoise(bursts_per_minute=20.0)
        episode = drive(simulation, expert, Scenario(town, route=0, seed=3), noise=noise, sense=False)
    poses: list[list[float]] = episode.poses.tolist()
    return poses


@pytest.mark.parametrize("town", RECORDED)
def test_poses_are_those_recorded_with_other_pythons(town: str) -> None:
    poses = np.array(expert_poses(town))
    assert poses.shape == (101, 3)
    difference = np.abs(poses - np.array(RECORDED[town])).max()
    print(f"{town}: largest difference {difference:g}")
    assert difference <= BOUND


if __name__ == "__main__":  # record again
    text = json.dumps({town: expert_poses(town) for town in ("grid-test-1", "village-test-0")}, indent=0)
    (Path(__file__).parent / "recorded_poses.json").write_text(text + "\n", encoding="utf-8")
