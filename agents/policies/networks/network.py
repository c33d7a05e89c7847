"""What all networks share: how they read their inputs. B: batch, C: cameras, H and W: height and width [px].

The frame of several networks: one trunk shared by the cameras, one over the maps, then what fuses them. B: batch.

Many maps for one image: what depends on the map alone is computed once for each map. U: maps, H: width of a layer.

A network's first fully connected layer is linear in what it joins, and the layer norm in front of it needs no more than
a sum and a sum of squares from either side. So of each map are kept the H numbers that it adds to that layer, and these
two; a frame then costs H numbers for each map in place of all features.
"""

import torch
from torch import Tensor, nn

from agents.policies.networks.config import PolicyConfig
from agents.policies.networks.encoders import Trunk
from agents.policies.networks.observation_batch import Inputs, ObservationSpec
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

    def __init__(self, config: PolicyConfig, spec: ObservationSpec) -> None:
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


class SharedTrunks(Network):
    """A network whose cameras share one trunk; both maps, drawn at the same pose, are channels of one picture."""

    def __init__(self, config: PolicyConfig, spec: ObservationSpec) -> None:
        """Build the trunks; see `Network` for the arguments."""
        super().__init__(config, spec)
        self.pictured = 0
        """Length of the trunks' features, all cameras' together."""
        if self._camera:
            self.camera_trunk = self.make_camera_trunk((spec.height, spec.width))
            self.pictured += spec.cameras * self.camera_trunk.features
        if self._map_channels:
            self.map_trunk = self.make_map_trunk(len(self._map_channels), (spec.map_size, spec.map_size))
            self.pictured += self.map_trunk.features

    def make_camera_trunk(self, size: tuple[int, int]) -> Trunk:
        """Layers over one camera's images of `size` (H, W) [px]."""
        raise NotImplementedError

    def make_map_trunk(self, channels: int, size: tuple[int, int]) -> Trunk:
        """Layers over `channels` maps of `size` (S, S) [px]."""
        raise NotImplementedError

    @property
    def gathered(self) -> int:
        """Length of all that is sensed, side by side."""
        return self.pictured + int(self._speed)

    def look(self, inputs: Inputs) -> list[Tensor]:
        """Features of the cameras (B, F), or none if they are not seen."""
        return [self._seen(self.camera_trunk, inputs)] if self._camera else []

    def read_maps(self, inputs: Inputs) -> list[Tensor]:
        """Features of the maps (B, F), or none if they are not seen."""
        return [self.map_trunk(self._maps(inputs))] if self._map_channels else []


class CachedMapEncoder:
    """What `Network.join` does, for one frame with many maps, in two steps; a copy of the weights as they are now."""

    def __init__(self, network: Network, cameras: int, maps: int) -> None:
        """Take apart the layers after the trunks.

        Args:
            network: Sees maps.
            cameras: Length of its cameras' features, all of them together.
            maps: Length of its maps' features.
        """
        first = network.fuse[0]
        if not isinstance(first, nn.Linear):
            raise TypeError(f"fuse must begin with a fully connected layer, got {type(first).__name__}")
        self._rest, self._norm = network.fuse[1:], network.norm
        self._pictured = cameras + maps
        weight, bias = first.weight.detach(), first.bias.detach()
        pictures, self._of_speed = weight[:, : self._pictured], weight[:, self._pictured :]
        if self._norm is not None:
            bias = bias + pictures @ self._norm.bias.detach()
            pictures = pictures * self._norm.weight.detach()
        self._of_cameras, self._of_maps = pictures[:, :cameras], pictures[:, cameras:]
        self._total, self._bias = pictures.sum(dim=1), bias

    def keep(self, maps: Tensor) -> Tensor:
        """What to keep (U, H + 2) of the features (U, F) of maps."""
        sums = maps.sum(dim=1, keepdim=True), maps.square().sum(dim=1, keepdim=True)
        return torch.cat([maps @ self._of_maps.T, *sums], dim=1)

    def join(self, seen: Tensor, kept: Tensor, speed: Tensor) -> Tensor:
        """The network's features (U, `features`).

        Args:
            seen: Features of the one frame's cameras (1, F); (1, 0) if the network sees none.
            kept: What `keep` returned (U, H + 2).
            speed: As in `Inputs` (1, 1).
        """
        values = kept[:, :-2] + seen @ self._of_cameras.T
        if self._norm is not None:
            mean = (kept[:, -2:-1] + seen.sum()) / self._pictured
            variance = (kept[:, -1:] + seen.square().sum()) / self._pictured - mean.square()
            values = (values - mean * self._total) * torch.rsqrt(variance + self._norm.eps)
        told = speed[:, : self._of_speed.shape[1]] @ self._of_speed.T
        joined: Tensor = self._rest(values + told + self._bias)
        return joined
