"""Three small networks: a fast one of our own, PilotNet, and fully connected layers without convolutions. B: batch."""

from torch import Tensor, nn

from agents.policies.networks.config import PolicyConfig
from agents.policies.networks.encoders import ConvLayer, Trunk, convolutions, rectified
from agents.policies.networks.network import Network, SharedTrunks
from agents.policies.networks.observation_batch import Inputs, ObservationSpec


class CompactNetwork(SharedTrunks):
    """One convolutional trunk shared by the cameras, one over both maps, layer norm, fully connected layers.

    Ours, made to train and drive fast on a CPU. The trunks' last outputs are averaged down to 3x8 (cameras) and 4x4
    (maps), so that larger images need no more weights: three cameras of 200x80 px with both maps stay below 1 M
    parameters.
    """

    _CAMERA = (ConvLayer(24, 5, 2), ConvLayer(32, 5, 2), ConvLayer(48, 3, 2), ConvLayer(64, 3, 2))
    _MAP = (ConvLayer(16, 5, 2), ConvLayer(32, 3, 2), ConvLayer(32, 3, 2), ConvLayer(32, 3, 2))
    _HIDDEN = 128
    features = 64
    """Length of what `forward` returns."""

    def __init__(self, config: PolicyConfig, spec: ObservationSpec) -> None:
        """Draw the initial weights; see `Network` for arguments and errors."""
        super().__init__(config, spec)
        hidden = config.hidden or self._HIDDEN
        self.norm = nn.LayerNorm(self.visual_features) if self.visual_features else None
        self.fuse = nn.Sequential(
            nn.Linear(self.input_features, hidden), nn.ReLU(), nn.Linear(hidden, self.features), nn.ReLU()
        )

    def make_camera_trunk(self, size: tuple[int, int]) -> Trunk:
        """Build four convolutions over one camera's images of `size` (H, W) [px]."""
        return convolutions(3, self._CAMERA, size, max_size=(3, 8))

    def make_map_trunk(self, channels: int, size: tuple[int, int]) -> Trunk:
        """Build four convolutions over `channels` maps of `size` (S, S) [px]."""
        return convolutions(channels, self._MAP, size, max_size=(4, 4))


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


class FullyConnectedNetwork(Network):
    """All pixels as one vector, then two fully connected layers (MIT 6.S191's lecture on computer vision).

    Each pixel has its own weights, and the network cannot know which pixels are neighbours. The lecture shows it before
    it introduces convolutions. The widths are ours.
    """

    _HIDDEN = 128
    features = 64
    """Length of what `forward` returns."""

    def __init__(self, config: PolicyConfig, spec: ObservationSpec) -> None:
        """Draw the initial weights; see `Network` for arguments and errors."""
        super().__init__(config, spec)
        hidden = config.hidden or self._HIDDEN
        pixels = 3 * spec.cameras * spec.height * spec.width if self._camera else 0
        pixels += len(self._map_channels) * spec.map_size**2 + int(self._speed)
        self._check_weights(pixels, hidden)
        self.fuse = rectified(pixels, hidden, self.features)

    def encode_images(self, inputs: Inputs) -> list[Tensor]:
        """Return the pixels of the cameras (B, F), or no tensor if the network has no camera."""
        return [self._images(inputs).flatten(1).expand(inputs.images.shape[0], -1)] if self._camera else []

    def encode_maps(self, inputs: Inputs) -> list[Tensor]:
        """Return the pixels of the maps (B, F), or no tensor if the network has no map."""
        return [inputs.maps[:, self._map_channels].flatten(1)] if self._map_channels else []
