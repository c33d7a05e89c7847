"""Settings of a policy: its inputs, its network and its head; and the check of its sensors. No torch."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, get_args

from annotated_types import Ge, Le

from navsim.config import Constrained
from navsim.drivers.plugin import is_plugin_name
from navsim.errors import CheckpointError, ConfigError
from navsim.sensing.camera import Camera
from navsim.sensing.roadmap import MapSpec

Sense = Literal["camera", "road_map", "route_map", "speed"]
NetworkName = Literal["compact", "amini2019", "pilotnet", "fully_connected", "residual"]

_MIN_WIDTH = 1e-7  # smallest difference that float32 resolves within the range of curvature


@dataclass(frozen=True)
class PolicyConfig(Constrained):
    """Inputs, network and head of a policy."""

    network: NetworkName | str = "compact"
    """Architecture of the network: a name in `agents.policies.policy.NETWORKS`, or module and class of your own,
    such as `package.module:Class`."""
    head: Literal["mixture", "gaussian", "bins", "truncated_mixture", "point"] = "mixture"
    """Kind of distribution that the policy predicts, see `agents.policies.policy.HEADS`."""
    inputs: tuple[Sense, ...] = ("camera", "road_map", "route_map")
    """Inputs of the network. `speed` is off: the car slows down before curves, so that the speed reveals the curve. In
    `amini2019` the distribution never depends on the route: `route_map` adds a branch with a command of its own."""
    blind: bool = False
    """Whether the camera images are black, in training and in driving: the control that must fail."""
    components: Annotated[int, Ge(1), Le(64)] = 3
    """Number of Gaussians in the mixtures, K; a crossing has three exits."""
    scale_floor: Annotated[float, Ge(_MIN_WIDTH), Le(1)] = 0.01
    """Smallest standard deviation of a Gaussian, as a share of `max_curvature`."""
    bins: Annotated[int, Ge(2), Le(4096)] = 161
    """Number of bins over the range of curvature; if it is odd, one bin is centred on straight ahead."""
    label_width: Annotated[float, Ge(_MIN_WIDTH), Le(1)] = 0.01
    """Standard deviation of the blur of the bins' labels, as a share of `max_curvature`."""
    point_width: Annotated[float, Ge(_MIN_WIDTH), Le(1)] = 0.05
    """Standard deviation of the Gaussian about a point prediction, as a share of `max_curvature`; not learned."""
    max_curvature: Annotated[float, Ge(_MIN_WIDTH), Le(1)] = 0.2
    """Largest curvature of the vehicle, and of the labels [1/m]."""
    hidden: Annotated[int, Ge(8), Le(4096)] | None = None
    """Width of the first fully connected layer; None: 128, for `residual` 256. The layers of `amini2019` and `pilotnet`
    are the published ones and have no such setting."""

    def __post_init__(self) -> None:
        super().__post_init__()
        names = get_args(NetworkName)
        if self.network not in names and not is_plugin_name(self.network):
            close = difflib.get_close_matches(self.network, names, n=1)
            hint = f" (perhaps you meant {close[0]!r})" if close else ""
            raise ConfigError(
                f"policy.network = {self.network!r}{hint}: must be one of {', '.join(names)}, or your own module:Class"
            )
        if not self.inputs or len(set(self.inputs)) < len(self.inputs):
            raise ConfigError(f"policy.inputs must name at least one input, each once, got {list(self.inputs)}")
        if self.hidden is not None and self.network in ("amini2019", "pilotnet"):
            raise ConfigError(f"policy.hidden = {self.hidden}: the layers of {self.network} are the published ones")


def check_sensors(
    path: Path, trained: tuple[Sequence[Camera], MapSpec], given: tuple[Sequence[Camera], MapSpec]
) -> None:
    """Refuse sensors that differ from those with which the policy at `path` was trained.

    Args:
        path: File of the policy, for the error.
        trained: Cameras and map patches of the training data.
        given: Cameras and map patches of the car.

    Raises:
        CheckpointError: If they differ.
    """
    (cameras, map_spec), (own_cameras, own_map) = trained, given
    if tuple(cameras) != tuple(own_cameras):
        raise CheckpointError(
            f"{path}: made for cameras {_cameras_text(cameras)}; given are {_cameras_text(own_cameras)}"
        )
    if map_spec != own_map:
        raise CheckpointError(f"{path}: made for the map {map_spec}; given is {own_map}")


def _cameras_text(cameras: Sequence[Camera]) -> str:
    """Return the names, sizes, fields of view and mounts of cameras as text."""
    texts = (
        f"{c.name} {c.width}x{c.height} fov {c.fov_deg:g} deg at {c.position}, yaw {c.yaw_deg:g}, pitch {c.pitch_deg:g}"
        for c in cameras
    )
    return f"[{'; '.join(texts)}]"
