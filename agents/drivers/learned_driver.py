"""Base of all learned drivers: a memory for each car, and one network pass for several cars. No torch."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import numpy as np

from navsim.drivers.action_selection import ActingConfig, ActionDistribution, ActionMemory, decision, select_action
from navsim.drivers.protocol import Decision
from navsim.geometry import Pose
from navsim.sensing.camera import Camera
from navsim.sensing.observation import Observation
from navsim.sensing.roadmap import MapSpec

BATCH_CARS = 8
"""Default number of cars for which a learned driver decides in one pass."""
_SINGLE_CAR = -1  # key of the car of `begin` and `drive`


class LearnedDriver(ABC):
    """Drives by a network's distribution over steering; a `navsim.drivers.protocol.BatchDriver`."""

    def __init__(self, name: str, acting: ActingConfig, cars: int = BATCH_CARS) -> None:
        """Begin a drive of seed 0.

        Args:
            name: Name in tables and files.
            acting: How commands are chosen from distributions.
            cars: Number of cars for which the driver decides in one pass.
        """
        self.name = name
        self._cars = cars
        self._acting = acting
        self._memories = {_SINGLE_CAR: ActionMemory(0)}

    @abstractmethod
    def predict(self, observations: Sequence[Observation]) -> list[ActionDistribution]:
        """Return the network's distribution for each observation."""

    def begin(self, seed: int) -> None:
        """Forget the last drive."""
        self.begin_car(_SINGLE_CAR, seed)

    def drive(self, observation: Observation) -> Decision:
        """Choose the command; the decision includes the density."""
        return self._decide(_SINGLE_CAR, self.predict([observation])[0])

    def begin_car(self, car: int, seed: int) -> None:
        """Forget the last drive of `car`."""
        self._memories[car] = ActionMemory(seed)

    def drive_cars(self, observations: Mapping[int, Observation]) -> dict[int, Decision]:
        """Choose the commands of several cars, in passes of a fixed number of cars.

        Passes that are not full are padded with copies. Numeric libraries round differently for batches of different
        sizes, and a drive must not depend on the drives in the same batch.
        """
        cars, seen = list(observations), list(observations.values())
        distributions: list[ActionDistribution] = []
        for first in range(0, len(seen), self._cars):
            part = seen[first : first + self._cars]
            distributions += self.predict(part + part[:1] * (self._cars - len(part)))[: len(part)]
        return {car: self._decide(car, distribution) for car, distribution in zip(cars, distributions, strict=True)}

    def _decide(self, car: int, distribution: ActionDistribution) -> Decision:
        """Choose a command and update the car's memory."""
        chosen, self._memories[car] = select_action(self._acting, distribution, self._memories[car])
        return decision(distribution, chosen)


def blank_observation(cameras: Sequence[Camera], map_spec: MapSpec) -> Observation:
    """Return black images of equal size and empty maps, to warm up a network before time matters."""
    images = np.zeros((len(cameras), cameras[0].height, cameras[0].width, 3), np.uint8)
    patch = np.zeros((map_spec.size_px, map_spec.size_px), np.uint8)
    return Observation(images, patch, patch, 0.0, Pose(0.0, 0.0, 0.0), tuple(cameras))
