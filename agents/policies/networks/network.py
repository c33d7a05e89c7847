"""The base of all networks, with a cache for features that depend on the map alone.

B: batch, C: cameras, H and W: height and width [px]; in `CachedMapEncoder` U: maps, H: width of a layer.
"""

import torch
from torch import Tensor, nn

from agents.policies.networks.config import PolicyConfig
from agents.policies.networks.encoders import Trunk
from agents.policies.networks.observation_batch import Inputs, ObservationSpec
from navsim.errors import ConfigError

MAPS = ("road_map", "route_map")
"""Names of the maps, in the order of their channels in `Inputs.maps`."""
_MAX_WEIGHTS = 10**9


class Branch(nn.Module):
    """Further layers beside a network that predict a command of its own."""

    features: int
    """Length of what `forward` returns."""

    def forward(self, features: Tensor, inputs: Inputs) -> Tensor:
        """Compute features (B, `features`) for the command from the network's features (B, ...) and the inputs."""
        raise NotImplementedError


class Network(nn.Module):
    """Computes from the inputs the features that a head reads.

    The features of one situation depend on the others of the batch by rounding alone, in training too. A blind network
    has the same layers and gets black images. Layers read the batch size from `shape[0]`: `len` would fix it in an
    exported graph.
    """

    features: int
    """Length of what `forward` returns."""
    fuse: nn.Sequential
    """Fully connected layers over the concatenated features; the first is a `nn.Linear`."""
    norm: nn.LayerNorm | None
    """Normalisation of the images' and maps' features in front of `fuse`, if the network has one."""
    branch: Branch | None
    """Layers for a command beside the head's distribution, if the network has any."""

    def __init__(self, config: PolicyConfig, spec: ObservationSpec) -> None:
        """Draw the initial weights from torch's global generator.

        Args:
            config: Inputs of the network.
            spec: Shapes of the observations.

        Raises:
            ConfigError: If the images are too small or too large for the network.
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
        return self.join([*self.encode_images(inputs), *self.encode_maps(inputs)], inputs.speed)

    def encode_images(self, inputs: Inputs) -> list[Tensor]:
        """Return the features of the cameras (B, F), or no tensor if the network has no camera."""
        raise NotImplementedError

    def encode_maps(self, inputs: Inputs) -> list[Tensor]:
        """Return the features of the maps (B, F), or no tensor if the network has no map.

        They depend on the maps alone, so that the features of one map serve for many images, and the other way round.
        """
        raise NotImplementedError

    def join(self, encoded: list[Tensor], speed: Tensor) -> Tensor:
        """Return features (B, `features`): all features concatenated, normalised and passed through `fuse`.

        Args:
            encoded: Tensors that `encode_images` and `encode_maps` returned, in this order.
            speed: As in `Inputs` (B, 1).
        """
        visual = [self.norm(torch.cat(encoded, dim=1))] if self.norm is not None else encoded
        features: Tensor = self.fuse(torch.cat([*visual, *([speed] if self._speed else [])], dim=1))
        return features

    def _images(self, inputs: Inputs) -> Tensor:
        """Return images (B, C, H, W, 3); a blind network's are (1, C, H, W, 3), one black situation for the batch."""
        return torch.zeros_like(inputs.images[:1]) if self._blind else inputs.images

    def _encode_cameras(self, trunk: nn.Module, inputs: Inputs) -> Tensor:
        """Return features (B, C * F) of the images of all cameras by one trunk that returns F features."""
        images = self._images(inputs)
        # (B, C, H, W, 3) in memory is channels-last (B * C, 3, H, W) already: no copy.
        features: Tensor = trunk(images.flatten(0, 1).permute(0, 3, 1, 2))
        return features.reshape(images.shape[0], -1).expand(inputs.images.shape[0], -1)

    def _used_maps(self, inputs: Inputs) -> Tensor:
        """Return the maps among the network's inputs (B, 1 or 2, S, S), channels-last."""
        maps = inputs.maps if len(self._map_channels) == len(MAPS) else inputs.maps[:, self._map_channels]
        return maps.contiguous(memory_format=torch.channels_last)

    def _check_weights(self, inputs: int, outputs: int) -> None:
        """Raise ConfigError if a fully connected layer would have more than 1e9 weights, too many to train."""
        if inputs * outputs > _MAX_WEIGHTS:
            spec = self._spec
            raise ConfigError(
                f"{spec.cameras} images of {spec.width}x{spec.height} px and maps of {spec.map_size}x"
                f"{spec.map_size} px are too large for this network: a fully connected layer would have "
                f"{inputs * outputs:.1e} weights, at most {_MAX_WEIGHTS:.0e} are allowed"
            )


class SharedTrunks(Network):
    """A network whose cameras share one trunk; both maps, drawn at the same pose, are channels of one image."""

    def __init__(self, config: PolicyConfig, spec: ObservationSpec) -> None:
        """Build the trunks; see `Network` for the arguments."""
        super().__init__(config, spec)
        self.visual_features = 0
        """Length of the trunks' features, all cameras together."""
        if self._camera:
            self.camera_trunk = self.make_camera_trunk((spec.height, spec.width))
            self.visual_features += spec.cameras * self.camera_trunk.features
        if self._map_channels:
            self.map_trunk = self.make_map_trunk(len(self._map_channels), (spec.map_size, spec.map_size))
            self.visual_features += self.map_trunk.features

    def make_camera_trunk(self, size: tuple[int, int]) -> Trunk:
        """Build the layers over one camera's images of `size` (H, W) [px]."""
        raise NotImplementedError

    def make_map_trunk(self, channels: int, size: tuple[int, int]) -> Trunk:
        """Build the layers over `channels` maps of `size` (S, S) [px]."""
        raise NotImplementedError

    @property
    def input_features(self) -> int:
        """Length of the concatenated features, the speed included."""
        return self.visual_features + int(self._speed)

    def encode_images(self, inputs: Inputs) -> list[Tensor]:
        """Return the features of the cameras (B, F), or no tensor if the network has no camera."""
        return [self._encode_cameras(self.camera_trunk, inputs)] if self._camera else []

    def encode_maps(self, inputs: Inputs) -> list[Tensor]:
        """Return the features of the maps (B, F), or no tensor if the network has no map."""
        return [self.map_trunk(self._used_maps(inputs))] if self._map_channels else []


class CachedMapEncoder:
    """`Network.join` in two steps, for one frame with many maps; holds a copy of the current weights.

    The first fully connected layer is linear in the features that it joins, and the layer norm in front of it needs
    only a sum and a sum of squares from the images and from the maps. So each map is reduced to its H contributions to
    that layer and these two sums; a frame then costs H numbers for each map in place of all features.
    """

    def __init__(self, network: Network, cameras: int, maps: int) -> None:
        """Split the layers after the trunks.

        Args:
            network: A network that sees maps.
            cameras: Length of its cameras' features, all of them together.
            maps: Length of its maps' features.
        """
        first = network.fuse[0]
        if not isinstance(first, nn.Linear):
            raise TypeError(f"fuse must begin with a fully connected layer, got {type(first).__name__}")
        self._rest, self._norm = network.fuse[1:], network.norm
        self._visual_features = cameras + maps
        weight, bias = first.weight.detach(), first.bias.detach()
        pictures, self._of_speed = weight[:, : self._visual_features], weight[:, self._visual_features :]
        if self._norm is not None:
            bias = bias + pictures @ self._norm.bias.detach()
            pictures = pictures * self._norm.weight.detach()
        self._of_cameras, self._of_maps = pictures[:, :cameras], pictures[:, cameras:]
        self._total, self._bias = pictures.sum(dim=1), bias

    def encode(self, maps: Tensor) -> Tensor:
        """Reduce the features (U, F) of maps to the (U, H + 2) numbers that `join` needs."""
        sums = maps.sum(dim=1, keepdim=True), maps.square().sum(dim=1, keepdim=True)
        return torch.cat([maps @ self._of_maps.T, *sums], dim=1)

    def join(self, images: Tensor, encoded: Tensor, speed: Tensor) -> Tensor:
        """Return the network's features (U, `features`).

        Args:
            images: Features of the frame's cameras (1, F); (1, 0) if the network has no camera.
            encoded: Result of `encode` for the maps (U, H + 2).
            speed: As in `Inputs` (1, 1).
        """
        values = encoded[:, :-2] + images @ self._of_cameras.T
        if self._norm is not None:
            mean = (encoded[:, -2:-1] + images.sum()) / self._visual_features
            variance = (encoded[:, -1:] + images.square().sum()) / self._visual_features - mean.square()
            values = (values - mean * self._total) * torch.rsqrt(variance + self._norm.eps)
        from_speed = speed[:, : self._of_speed.shape[1]] @ self._of_speed.T
        joined: Tensor = self._rest(values + from_speed + self._bias)
        return joined
