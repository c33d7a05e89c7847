"""Your own network, trained by `navsim train --policy.network examples.own_network:TinyNetwork`.

Two small convolutional trunks, one for the cameras and one for the maps, and two fully connected layers. The base class
`SharedTrunks` reads the inputs that the settings name and joins the features of the trunks.
"""

from torch import nn

from agents.policies.networks.config import PolicyConfig
from agents.policies.networks.encoders import ConvLayer, Trunk, convolutions
from agents.policies.networks.network import SharedTrunks
from agents.policies.networks.observation_batch import ObservationSpec


class TinyNetwork(SharedTrunks):
    """Three convolutions over each camera, two over the maps, two fully connected layers."""

    CAMERA_LAYERS = (ConvLayer(16, 5, 2), ConvLayer(24, 3, 2), ConvLayer(32, 3, 2))
    MAP_LAYERS = (ConvLayer(8, 5, 2), ConvLayer(16, 3, 2))
    features = 32
    """Length of what `forward` returns."""

    def __init__(self, config: PolicyConfig, spec: ObservationSpec) -> None:
        """Build the layers for the settings in `config` and observations of the shapes in `spec`."""
        super().__init__(config, spec)
        hidden = config.hidden or 64
        self.fuse = nn.Sequential(
            nn.Linear(self.input_features, hidden), nn.ReLU(), nn.Linear(hidden, self.features), nn.ReLU()
        )

    def make_camera_trunk(self, size: tuple[int, int]) -> Trunk:
        """Build the layers over one camera's images of `size` (H, W) [px]."""
        return convolutions(3, self.CAMERA_LAYERS, size, max_size=(3, 6))

    def make_map_trunk(self, channels: int, size: tuple[int, int]) -> Trunk:
        """Build the layers over `channels` maps of `size` (S, S) [px]."""
        return convolutions(channels, self.MAP_LAYERS, size, max_size=(4, 4))
