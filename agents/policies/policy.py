"""The networks that steer: senses in, a distribution over curvature out. B: batch, C: cameras, K: components."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.policies.distributions import SteeringMixture
from agents.policies.encoders import ConvLayer, convolutions, feature_count
from agents.policies.senses import Inputs, Senses, SensesSpec, scale_senses
from navsim.errors import ConfigError

Sense = Literal["camera", "road_map", "route_map", "speed"]


@dataclass(frozen=True)
class PolicyConfig:
    """What the network sees and how it answers."""

    network: Literal["compact"] = "compact"
    """Which network, see `POLICIES`."""
    inputs: tuple[Sense, ...] = ("camera", "road_map", "route_map")
    """What the network sees. `speed` is off: the car slows down before curves, so that it gives the curve away."""
    blind: bool = False
    """Black out the camera images, in training and in driving: the control that must fail."""
    components: int = 3
    """Number of Gaussians, K; a crossing has three exits."""
    scale_floor: float = 0.01
    """Least standard deviation of a component, as a share of `max_curvature`."""
    max_curvature: float = 0.2
    """Largest curvature of the vehicle, and of the labels [1/m]."""
    hidden: int = 128
    """Width of the first fully connected layer."""

    def __post_init__(self) -> None:
        if not self.inputs or len(set(self.inputs)) < len(self.inputs):
            raise ConfigError(f"policy.inputs must name at least one sense, each once, got {list(self.inputs)}")
        for name, low, high in (("components", 1, 64), ("hidden", 8, 4096)):
            if not low <= getattr(self, name) <= high:
                raise ConfigError(f"policy.{name} must be {low} to {high}, got {getattr(self, name)}")
        if not 0 < self.scale_floor < 1 or not 0 < self.max_curvature <= 1:
            raise ConfigError(
                "policy.scale_floor must lie within (0, 1) and policy.max_curvature within (0, 1], "
                f"got {self.scale_floor} and {self.max_curvature}"
            )


class CompactPolicy(nn.Module):
    """One convolutional trunk shared by the cameras, one over both maps, layer norm, fully connected layers."""

    _CAMERA = (ConvLayer(24, 5, 2), ConvLayer(32, 5, 2), ConvLayer(48, 3, 2), ConvLayer(64, 3, 2))
    _MAP = (ConvLayer(16, 5, 2), ConvLayer(32, 3, 2), ConvLayer(32, 3, 2), ConvLayer(32, 3, 2))

    def __init__(self, config: PolicyConfig, spec: SensesSpec) -> None:
        """Draw the initial weights from torch's global generator.

        Args:
            config: What the network sees and how it answers.
            spec: Shapes of what it senses.

        Raises:
            ConfigError: If the pictures are too small for the convolutions.
        """
        super().__init__()
        self.config = config
        self.spec = spec
        self.map_channels = [i for i, name in enumerate(("road_map", "route_map")) if name in config.inputs]
        features = 0
        if "camera" in config.inputs:
            self.camera_trunk = convolutions(3, self._CAMERA)
            features += spec.cameras * feature_count(self._CAMERA, (spec.height, spec.width))
        if self.map_channels:
            self.map_trunk = convolutions(len(self.map_channels), self._MAP)
            features += feature_count(self._MAP, (spec.map_size, spec.map_size))
        speeds = int("speed" in config.inputs)
        self.norm = nn.LayerNorm(features) if features else nn.Identity()
        self.fuse = nn.Sequential(
            nn.Linear(features + speeds, config.hidden), nn.ReLU(), nn.Linear(config.hidden, 64), nn.ReLU()
        )
        self.head = nn.Linear(64, 3 * config.components)
        self._spread_components()

    def _spread_components(self) -> None:
        """Let the components start apart, with scales of a tenth of the range."""
        count = self.config.components
        with torch.no_grad():
            self.head.weight.mul_(0.1)
            self.head.bias.zero_()
            self.head.bias[count : 2 * count] = torch.linspace(-0.5, 0.5, count + 2)[1:-1]
            self.head.bias[2 * count :] = -2.2

    def forward(self, inputs: Inputs) -> Tensor:
        """Return the head's outputs (B, 3K) in float32, whatever type autocast runs the layers in."""
        features = []
        if "camera" in self.config.inputs:
            # All black pictures have the same features: one of them stands for the batch.
            images = torch.zeros_like(inputs.images[:1]) if self.config.blind else inputs.images
            # (B, C, H, W, 3) in memory is channels-last (B * C, 3, H, W) already: no copy.
            pictures = images.flatten(0, 1).permute(0, 3, 1, 2)
            seen = self.camera_trunk(pictures).reshape(len(images), -1)
            features.append(seen.expand(len(inputs.images), -1))
        if self.map_channels:
            maps = inputs.maps if len(self.map_channels) == 2 else inputs.maps[:, self.map_channels]
            features.append(self.map_trunk(maps.contiguous(memory_format=torch.channels_last)))
        fused = [self.norm(torch.cat(features, dim=1))] if features else []
        if "speed" in self.config.inputs:
            fused.append(inputs.speed)
        hidden = self.fuse(torch.cat(fused, dim=1))
        with torch.autocast(hidden.device.type, enabled=False):
            return functional.linear(hidden.float(), self.head.weight.float(), self.head.bias.float())

    def distribution(self, inputs: Inputs) -> SteeringMixture:
        """Return the distribution over curvature for scaled inputs."""
        return SteeringMixture.from_outputs(self(inputs), self.config.max_curvature, self.config.scale_floor)

    def steer(self, senses: Senses) -> SteeringMixture:
        """Return the distribution over curvature for senses as recorded."""
        return self.distribution(scale_senses(senses, torch.float32))


Policy = CompactPolicy
"""Any of the networks of `POLICIES`."""

POLICIES: dict[str, type[Policy]] = {"compact": CompactPolicy}
"""The networks by name."""


def build_policy(config: PolicyConfig, spec: SensesSpec, seed: int) -> Policy:
    """Build a network with initial weights that depend on `seed` alone; torch's global generator is left as it was.

    Raises:
        ConfigError: If the pictures are too small for the network.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        policy = POLICIES[config.network](config, spec)
    for parameter in policy.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return policy


def parameter_count(policy: nn.Module) -> int:
    """Number of trained values."""
    return sum(math.prod(parameter.shape) for parameter in policy.parameters())
