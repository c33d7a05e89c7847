"""Drives of a policy and the expert in turns, recorded with the expert's label at every frame."""

import weakref
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from agents.drivers.driver import PolicyDriver
from agents.policies.checkpoint import weights_digest
from agents.training.rounds import DaggerConfig
from navsim.config import to_mapping
from navsim.datasets.dataset import DatasetDescription, episode_path
from navsim.datasets.files import write_episode
from navsim.datasets.production import Maker, Plan, Recording, Work, claim_folder, produce
from navsim.drivers.mixture import Mixture
from navsim.simulation.batched_rollout import Crew, drive_together, simulations
from navsim.simulation.simulation import SimulationConfig
from navsim.versions import git_revision, software_versions


@dataclass(frozen=True)
class MixedDriving:
    """Who drives in a round, in what, and where the drives are kept; one file each, which this and a route decide."""

    out: Path
    """The data folder."""
    simulation: SimulationConfig
    """The car, its senses and the rules."""
    checkpoint: Path
    """The policy."""
    share: float
    """Share of the windows in which the expert drives."""
    window: float
    """Length of a window [s]."""
    worlds: int
    """Cars in a process."""

    def mixture(self) -> Mixture:
        """Make who drives one car.

        Raises:
            CheckpointError: If the policy's file is unusable or was made for other cameras or another map.
        """
        driver = PolicyDriver(self.checkpoint, self.simulation.cameras, self.simulation.map)
        return Mixture(driver, self.share, max(1, round(self.window / self.simulation.control_step)))

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the drives beside simulation and routes."""
        policy = weights_digest(self.checkpoint)
        return {"driver": "policy and expert in turns", "policy": policy, "share": self.share, "window": self.window}


def record_round(config: DaggerConfig, seed: int, number: int, driving: MixedDriving) -> Recording:
    """Record every drive of a round that is not yet in its folder. A drive that fails is kept like any other.

    Args:
        config: The rounds.
        seed: Of the training run.
        number: Of the round, counted from 1.
        driving: Who drives.

    Raises:
        ConfigError: If the folder holds drives of another policy or other settings.
        StorageError: If the disk is full; drives recorded so far are whole and stay.
        WorkerError: If the process of a drive died whenever it was tried; all other drives are recorded.
        KeyboardInterrupt: After Ctrl-C, with words on how to go on.
    """
    works = config.works(seed, number)
    settings = driving.settings | {"round": number, "seed": seed, "routes": config.routes, "towns": config.towns}
    description = DatasetDescription(driving.simulation, settings, software_versions(), git_revision())
    claim_folder(driving.out, description)
    plan = Plan(driving.out, works, f"round {number}: driving", config.workers, resume=True)
    crew = replace(driving, worlds=min(driving.worlds, max(map(len, works))))
    return produce(plan, make_recorder, crew)[0]


def make_recorder(driving: MixedDriving) -> Maker:
    """Start simulations and return the function that records drives in one town and tells their numbers of steps."""
    stack = ExitStack()
    cars = stack.enter_context(simulations(driving.simulation, driving.worlds))
    crews = [Crew(car, driving.mixture()) for car in cars]
    metadata = driving.settings | {
        "simulation": to_mapping(driving.simulation),
        "renderer": cars[0].renderer_name,
    }

    def record(scenarios: Work) -> list[int]:
        steps = []
        for episode in drive_together(crews, scenarios):
            write_episode(episode, episode_path(driving.out, episode.scenario), metadata)
            steps.append(len(episode))
        return steps

    weakref.finalize(record, stack.close)  # the cars go when nobody can drive them any more
    return record
