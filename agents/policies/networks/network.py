"""What all networks share: how they read their inputs. B: batch, C: cameras, H and W: height and width [px]."""

import torch
from torch import Tensor, nn

from agents.policies.networks.config import PolicyConfig
from agents.policies.networks.observation_batch import Inputs, SensesSpec
from navsim.errors import ConfigError

MAPS = ("road_map", "route_map")
"""The maps in the order of their channels in `Inputs.maps`."""
_MOST_WEIGHTS = 10**9


class Branch(nn.Module):
    """Further layers beside a network, for a command of its own."""

    features: int
    """Length of what `forward` returns."""

    def forward(self, features: Tensor, inputs: Inputs) -> Tensor:
        """From the network's features (B, ...) and the inputs to features (B, `features`) for the command."""
        raise NotImplementedError


class Network(nn.Module):
    """From inputs to the features that a head reads.

    What it returns for one situation depends on the others of the batch by rounding alone, in training too. A blind
    network has the same layers and is given black images. `shape[0]` tells the size of a batch where `len` would fix it
    in an exported graph.
    """

    features: int
    """Length of what `forward` returns."""
    fuse: nn.Sequential
    """Fully connected layers over all that is sensed; a `nn.Linear` comes first."""
    norm: nn.LayerNorm | None
    """Over the pictures' features in front of `fuse`, if the network has one."""
    branch: Branch | None
    """Layers for a command that stands beside the head's distribution, if the network has any."""

    def __init__(self, config: PolicyConfig, spec: SensesSpec) -> None:
        """Draw the initial weights from torch's global generator.

        Args:
            config: What the network sees.
            spec: Shapes of what it senses.

        Raises:
            ConfigError: If the pictures are too small or too large for the network.
        """
        super().__init__()
        self.branch, self.norm = None, None
        self._spec = spec
        self._blind = config.blind
        self._camera = "camera" in config.inputs
        self._speed = "speed" in config.inputs
        self._map_channels = [i for i, name in enumerate(MAPS) if name in config.inputs]

    def forward(self, inputs: Inputs) -> Tensor:
        """Return features (B, `features`)."""
        return self.join([*self.look(inputs), *self.read_maps(inputs)], inputs.speed)

    def look(self, inputs: Inputs) -> list[Tensor]:
        """Features of the cameras (B, F), or none if they are not seen."""
        raise NotImplementedError

    def read_maps(self, inputs: Inputs) -> list[Tensor]:
        """Features of the maps (B, F), or none if they are not seen.

        They depend on nothing else, so that the features of one map serve for many images, and the other way round.
        """
        raise NotImplementedError

    def join(self, seen: list[Tensor], speed: Tensor) -> Tensor:
        """Return features (B, `features`): all that is sensed side by side, the pictures' normed, through `fuse`.

        Args:
            seen: What `look` and `read_maps` returned, in this order.
            speed: As in `Inputs` (B, 1).
        """
        pictured = [self.norm(torch.cat(seen, dim=1))] if self.norm is not None else seen
        features: Tensor = self.fuse(torch.cat([*pictured, *([speed] if self._speed else [])], dim=1))
        return features

    def _images(self, inputs: Inputs) -> Tensor:
        """Images (B, C, H, W, 3); of a blind network (1, C, H, W, 3), one black situation for the whole batch."""
        return torch.zeros_like(inputs.images[:1]) if self._blind else inputs.images

    def _seen(self, trunk: nn.Module, inputs: Inputs) -> Tensor:
        """Features (B, C * F) of the images of all cameras by one trunk that returns F features."""
        images = self._images(inputs)
        # (B, C, H, W, 3) in memory is channels-last (B * C, 3, H, W) already: no copy.
        features: Tensor = trunk(images.flatten(0, 1).permute(0, 3, 1, 2))
        return features.reshape(images.shape[0], -1).expand(inputs.images.shape[0], -1)

    def _maps(self, inputs: Inputs) -> Tensor:
        """Those of the maps that are seen (B, 1 or 2, S, S), channels-last."""
        maps = inputs.maps if len(self._map_channels) == len(MAPS) else inputs.maps[:, self._map_channels]
        return maps.contiguous(memory_format=torch.channels_last)

    def _check_weights(self, inputs: int, outputs: int) -> None:
        """Raise ConfigError if a fully connected layer would be larger than any machine that we know could train."""
        if inputs * outputs > _MOST_WEIGHTS:
            spec = self._spec
            raise ConfigError(
                f"{spec.cameras} pictures of {spec.width}x{spec.height} px and maps of {spec.map_size}x"
                f"{spec.map_size} px are too large for this network: a fully connected layer would have "
                f"{inputs * outputs:.1e} weights, at most {_MOST_WEIGHTS:.0e} are allowed"
            )
