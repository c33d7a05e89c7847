"""How a policy is built: what it sees, which network looks at it, which head answers."""

from dataclasses import dataclass
from typing import Literal

from navsim.errors import ConfigError

Sense = Literal["camera", "road_map", "route_map", "speed"]

_LEAST = 1e-7  # of widths: what float32 still tells apart in the range


@dataclass(frozen=True)
class PolicyConfig:
    """What the network sees and how it answers."""

    network: Literal["compact"] = "compact"
    """Which network, see `agents.policies.policy.NETWORKS`."""
    head: Literal["mixture", "gaussian", "bins", "truncated_mixture", "point"] = "mixture"
    """Which distribution the network answers with, see `agents.policies.heads.HEADS`."""
    inputs: tuple[Sense, ...] = ("camera", "road_map", "route_map")
    """What the network sees. `speed` is off: the car slows down before curves, so that it gives the curve away."""
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
    hidden: int = 128
    """Width of the first fully connected layer."""

    def __post_init__(self) -> None:
        if not self.inputs or len(set(self.inputs)) < len(self.inputs):
            raise ConfigError(f"policy.inputs must name at least one sense, each once, got {list(self.inputs)}")
        for name, low, high in (("components", 1, 64), ("bins", 2, 4096), ("hidden", 8, 4096)):
            if not low <= getattr(self, name) <= high:
                raise ConfigError(f"policy.{name} must be {low} to {high}, got {getattr(self, name)}")
        for name in ("scale_floor", "label_width", "point_width", "max_curvature"):
            if not _LEAST <= getattr(self, name) <= 1:
                raise ConfigError(f"policy.{name} must be {_LEAST} to 1, got {getattr(self, name)}")
