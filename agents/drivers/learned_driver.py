"""Whether a policy and a car belong together. No torch.

What all learned drivers share: a memory for each car, and one pass of the network for several cars. No torch.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from navsim.drivers.action_selection import ActingConfig, ActionDistribution, ActionMemory, decision, select_action
from navsim.drivers.protocol import Decision
from navsim.errors import CheckpointError
from navsim.geometry import Pose
from navsim.sensing.camera import Camera
from navsim.sensing.observation import Observation
from navsim.sensing.roadmap import MapSpec


def check_fit(path: Path, trained: tuple[Sequence[Camera], MapSpec], given: tuple[Sequence[Camera], MapSpec]) -> None:
    """Refuse to drive with other senses than the policy of the file `path` was trained with.

    Args:
        path: The policy's file, for the error.
        trained: Cameras and map patches that it was trained with.
        given: Those of the car.

    Raises:
        CheckpointError: If they differ.
    """
    (cameras, map_spec), (own_cameras, own_map) = trained, given
    if tuple(cameras) != tuple(own_cameras):
        words = f"made for cameras {cameras_in_words(cameras)}; given are {cameras_in_words(own_cameras)}"
        raise CheckpointError(f"{path}: {words}")
    if map_spec != own_map:
        raise CheckpointError(f"{path}: made for the map {map_spec}; given is {own_map}")


def cameras_in_words(cameras: Sequence[Camera]) -> str:
    """Cameras in short: names, sizes, fields of view and places."""
    words = (
        f"{c.name} {c.width}x{c.height} fov {c.fov_deg:g} deg at {c.position}, yaw {c.yaw_deg:g}, pitch {c.pitch_deg:g}"
        for c in cameras
    )
    return f"[{'; '.join(words)}]"


CARS = 8
"""For how many cars a learned driver decides in one pass, unless it is told otherwise."""
_ALONE = -1  # the car of `begin` and `drive`


class LearnedDriver(ABC):
    """Drives by what a network sees coming; a `navsim.drivers.protocol.BatchDriver`."""

    def __init__(self, name: str, acting: ActingConfig, cars: int = CARS) -> None:
        """Begin a drive of seed 0.

        Args:
            name: Name in tables and files.
            acting: How commands are taken from distributions.
            cars: For how many cars it decides in one pass.
        """
        self.name = name
        self._cars = cars
        self._acting = acting
        self._memories = {_ALONE: ActionMemory(0)}

    @abstractmethod
    def look(self, observations: Sequence[Observation]) -> list[ActionDistribution]:
        """What the network says of each observation."""

    def begin(self, seed: int) -> None:
        """Forget the last drive."""
        self.begin_car(_ALONE, seed)

    def drive(self, observation: Observation) -> Decision:
        """Choose the command; the decision carries the density."""
        return self._decide(_ALONE, self.look([observation])[0])

    def begin_car(self, car: int, seed: int) -> None:
        """Forget the last drive of `car`."""
        self._memories[car] = ActionMemory(seed)

    def drive_cars(self, observations: Mapping[int, Observation]) -> dict[int, Decision]:
        """Choose the commands of several cars, so many of them in one pass as it was made for.

        Passes that are not full are filled up with copies: numeric libraries round differently for batches of different
        sizes, and a drive must not depend on what is driven beside it.
        """
        cars, seen = list(observations), list(observations.values())
        answers: list[ActionDistribution] = []
        for first in range(0, len(seen), self._cars):
            part = seen[first : first + self._cars]
            answers += self.look(part + part[:1] * (self._cars - len(part)))[: len(part)]
        return {car: self._decide(car, answer) for car, answer in zip(cars, answers, strict=True)}

    def _decide(self, car: int, outlook: ActionDistribution) -> Decision:
        """Act on what was seen, and remember it."""
        chosen, self._memories[car] = select_action(self._acting, outlook, self._memories[car])
        return decision(outlook, chosen)


def blank_observation(cameras: Sequence[Camera], map_spec: MapSpec) -> Observation:
    """Black pictures of equal size and empty maps, to set a network going with before time matters."""
    images = np.zeros((len(cameras), cameras[0].height, cameras[0].width, 3), np.uint8)
    patch = np.zeros((map_spec.size_px, map_spec.size_px), np.uint8)
    return Observation(images, patch, patch, 0.0, Pose(0.0, 0.0, 0.0), tuple(cameras))
