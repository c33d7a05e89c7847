"""How a policy is built: what it sees, which network looks at it, which head answers."""

from dataclasses import dataclass
from typing import Literal

from navsim.config import check_limits
from navsim.errors import ConfigError

Sense = Literal["camera", "road_map", "route_map", "speed"]

_LEAST = 1e-7  # of widths: what float32 still tells apart in the range


@dataclass(frozen=True)
class PolicyConfig:
    """What the network sees and how it answers."""

    network: Literal["compact", "amini2019", "pilotnet", "fully_connected", "residual"] = "compact"
    """Which network, see `agents.policies.policy.NETWORKS`."""
    head: Literal["mixture", "gaussian", "bins", "truncated_mixture", "point"] = "mixture"
    """Which distribution the network answers with, see `agents.policies.heads.HEADS`."""
    inputs: tuple[Sense, ...] = ("camera", "road_map", "route_map")
    """What the network sees. `speed` is off: the car slows down before curves, so that it gives the curve away.
    `amini2019` keeps the route from its distribution: `route_map` adds its branch with a command of its own."""
    blind: bool = False
    """Black out the camera images, in training and in driving: the control that must fail."""
    components: int = 3
    """Number of Gaussians of the mixtures, K; a crossing has three exits."""
    scale_floor: float = 0.01
    """Least standard deviation of a Gaussian, as a share of `max_curvature`."""
    bins: int = 161
    """Number of bins over the range of curvature; if it is odd, one of them is centred on straight ahead."""
    label_width: float = 0.01
    """Standard deviation of the blur of the bins' labels, as a share of `max_curvature`."""
    point_width: float = 0.05
    """Standard deviation of the Gaussian about a point prediction, as a share of `max_curvature`; not learned."""
    max_curvature: float = 0.2
    """Largest curvature of the vehicle, and of the labels [1/m]."""
    hidden: int | None = None
    """Width of the first fully connected layer; without a number 128, of `residual` 256. The layers of `amini2019` and
    `pilotnet` are the published ones: they take no number."""

    def __post_init__(self) -> None:
        if not self.inputs or len(set(self.inputs)) < len(self.inputs):
            raise ConfigError(f"policy.inputs must name at least one sense, each once, got {list(self.inputs)}")
        check_limits(self, {"components": (1, 64), "bins": (2, 4096)}, "policy.")
        for name in ("scale_floor", "label_width", "point_width", "max_curvature"):
            if not _LEAST <= getattr(self, name) <= 1:
                raise ConfigError(f"policy.{name} must be {_LEAST} to 1, got {getattr(self, name)}")
        if self.hidden is not None and self.network in ("amini2019", "pilotnet"):
            raise ConfigError(f"policy.hidden = {self.hidden}: the layers of {self.network} are the published ones")
        if self.hidden is not None and not 8 <= self.hidden <= 4096:
            raise ConfigError(f"policy.hidden must be 8 to 4096, or left out, got {self.hidden}")
