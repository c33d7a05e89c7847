"""The published networks: the source's, and PilotNet. B: batch.

Sources: Amini, Rosman, Karaman, Rus, ICRA 2019, arXiv 1811.10119, figures 2 and 3. Bojarski et al. 2016, arXiv
1604.07316.
"""

import torch
from torch import Tensor, nn

from agents.policies.networks.config import PolicyConfig
from agents.policies.networks.encoders import ConvLayer, Trunk, convolutions, rectified
from agents.policies.networks.network import MAPS, Branch, Network, SharedTrunks
from agents.policies.networks.observation_batch import Inputs, ObservationSpec
from navsim.errors import ConfigError

_ROAD, _ROUTE = (MAPS.index(name) for name in ("road_map", "route_map"))


class Amini2019(Network):
    """The source's network: a column of convolutions per camera and for the unrouted map, then layers of 1000 and 100.

    The distribution does not depend on the routed map. With `route_map` among the inputs, a branch beside the head
    predicts one deterministic command. It is trained jointly, and the distribution stays that of the unrouted map.

    With three cameras of 200x80 px, both maps of 50x50 px and a mixture of three these are the source's 25.7 M
    parameters. The layers of 1000 and 100 hold 97.5% of them, the convolutions of the columns 0.24 M.

    The source does not state its padding. We use none, since no other choice gives these numbers (zeros around the
    images would make it 51 M). Ours, too: rectifiers after all layers, and the speed in front of the layer of 1000.
    """

    _CAMERA = (
        ConvLayer(24, 5, 2, padded=False),
        ConvLayer(36, 5, 2, padded=False),
        ConvLayer(48, 3, 2, padded=False),
        ConvLayer(64, 3, 1, padded=False),
    )
    _ROAD_MAP = _CAMERA[:3]
    features = 100
    """Length of what `forward` returns."""

    def __init__(self, config: PolicyConfig, spec: ObservationSpec) -> None:
        """Draw the initial weights; see `Network` for arguments and errors.

        Raises:
            ConfigError: Also if the routed map is the only input, since the distribution never depends on it.
        """
        super().__init__(config, spec)
        self._road_map = "road_map" in config.inputs
        if not (self._camera or self._road_map or self._speed):
            raise ConfigError(
                f"policy.inputs = {list(config.inputs)}: the distribution of amini2019 never sees the route; "
                "it needs the camera, the road_map or the speed as well"
            )
        input_features = int(self._speed)
        if self._camera:
            size = (spec.height, spec.width)
            columns = [convolutions(3, self._CAMERA, size) for _ in range(spec.cameras)]
            self.camera_columns = nn.ModuleList(columns)
            input_features += sum(column.features for column in columns)
        if self._road_map:
            self.road_map_column = convolutions(1, self._ROAD_MAP, (spec.map_size, spec.map_size))
            input_features += self.road_map_column.features
        self._check_weights(input_features, 1000)
        self.fuse = rectified(input_features, 1000, self.features)
        if "route_map" in config.inputs:
            self.branch = RouteBranch(self.features, spec)

    def encode_images(self, inputs: Inputs) -> list[Tensor]:
        """Return the features of each camera (B, F), or no tensor if the network has no camera."""
        if not self._camera:
            return []
        images = self._images(inputs)
        columns = enumerate(self.camera_columns)
        encoded = [column(images[:, camera].permute(0, 3, 1, 2)) for camera, column in columns]
        return [features.expand(inputs.images.shape[0], -1) for features in encoded]

    def encode_maps(self, inputs: Inputs) -> list[Tensor]:
        """Return the features of the unrouted map (B, F), or no tensor without it; the route is the branch's input."""
        return [self.road_map_column(_one_map(inputs, _ROAD))] if self._road_map else []


class RouteBranch(Branch):
    """Convolutions over the routed map; their output and the network's features pass through a layer of 100."""

    _ROUTE_MAP = (ConvLayer(24, 5, 2, padded=False), ConvLayer(36, 5, 2, padded=False))
    features = 100
    """Length of what `forward` returns."""

    def __init__(self, features: int, spec: ObservationSpec) -> None:
        """Draw the initial weights for a network of `features` features and maps as in `spec`."""
        super().__init__()
        self.column = convolutions(1, self._ROUTE_MAP, (spec.map_size, spec.map_size))
        self.fuse = rectified(self.column.features + features, self.features)

    def forward(self, features: Tensor, inputs: Inputs) -> Tensor:
        """Compute features (B, `features`) from the network's features (B, F) and the inputs."""
        fused: Tensor = self.fuse(torch.cat([self.column(_one_map(inputs, _ROUTE)), features], dim=1))
        return fused


def _one_map(inputs: Inputs, channel: int) -> Tensor:
    """Return one of the maps (B, 1, S, S)."""
    return inputs.maps[:, channel : channel + 1].contiguous(memory_format=torch.channels_last)


class PilotNet(SharedTrunks):
    """PilotNet (Bojarski et al. 2016, arXiv 1604.07316): five unpadded convolutions, then layers of 100, 50 and 10.

    With one camera of 200x66 px, no map and a head of one output these are the published 252 k parameters of figure 4.
    Images smaller than 61x61 px leave no pixel for the last kernel.

    Ours, where the source is silent or differs: rectifiers after all layers; RGB in place of YUV; further cameras
    through the same convolutions; a small column for the maps (16, 32 and 32 channels), whose features and the speed
    join in front of the layer of 100.
    """

    _CAMERA = (
        ConvLayer(24, 5, 2, padded=False),
        ConvLayer(36, 5, 2, padded=False),
        ConvLayer(48, 5, 2, padded=False),
        ConvLayer(64, 3, 1, padded=False),
        ConvLayer(64, 3, 1, padded=False),
    )
    _MAP = (ConvLayer(16, 5, 2), ConvLayer(32, 3, 2), ConvLayer(32, 3, 2))
    features = 10
    """Length of what `forward` returns."""

    def __init__(self, config: PolicyConfig, spec: ObservationSpec) -> None:
        """Draw the initial weights; see `Network` for arguments and errors."""
        super().__init__(config, spec)
        self._check_weights(self.input_features, 100)
        self.fuse = rectified(self.input_features, 100, 50, self.features)

    def make_camera_trunk(self, size: tuple[int, int]) -> Trunk:
        """Build the five convolutions over one camera's images of `size` (H, W) [px]."""
        return convolutions(3, self._CAMERA, size)

    def make_map_trunk(self, channels: int, size: tuple[int, int]) -> Trunk:
        """Build our three convolutions over `channels` maps of `size` (S, S) [px]."""
        return convolutions(channels, self._MAP, size)
