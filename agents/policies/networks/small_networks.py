"""A small network of our own, made to learn and drive fast on a CPU. B: batch.

PilotNet (Bojarski et al. 2016, arXiv 1604.07316). B: batch.

A network without any notion of space, to contrast with convolutions. B: batch.
"""

from torch import Tensor, nn

from agents.policies.networks.config import PolicyConfig
from agents.policies.networks.encoders import ConvLayer, Trunk, convolutions, rectified
from agents.policies.networks.network import Network, SharedTrunks
from agents.policies.networks.observation_batch import Inputs, ObservationSpec


class CompactNetwork(SharedTrunks):
    """One convolutional trunk shared by the cameras, one over both maps, layer norm, fully connected layers.

    The trunks' last outputs are averaged down to 3x8 (cameras) and 4x4 (maps), so that larger pictures cost no more
    weights: three cameras of 200x80 px with both maps stay below 1 M parameters.
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
        self.norm = nn.LayerNorm(self.pictured) if self.pictured else None
        self.fuse = nn.Sequential(
            nn.Linear(self.gathered, hidden), nn.ReLU(), nn.Linear(hidden, self.features), nn.ReLU()
        )

    def make_camera_trunk(self, size: tuple[int, int]) -> Trunk:
        """Four convolutions over one camera's images of `size` (H, W) [px]."""
        return convolutions(3, self._CAMERA, size, most=(3, 8))

    def make_map_trunk(self, channels: int, size: tuple[int, int]) -> Trunk:
        """Four convolutions over `channels` maps of `size` (S, S) [px]."""
        return convolutions(channels, self._MAP, size, most=(4, 4))


class PilotNet(SharedTrunks):
    """The layers of figure 4: five unpadded convolutions, then fully connected layers of 100, 50 and 10.

    With one camera of 200x66 px, no map and a head of one output these are the published 252 k parameters. Smaller
    pictures than 61x61 px leave nothing for the last kernel. Ours, as the source does not say or has none: rectifiers
    after all layers; RGB where it has YUV; further cameras through the same convolutions; a small column for the
    maps (16, 32 and 32 channels), whose features and the speed join in front of the layer of 100.
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
        self._check_weights(self.gathered, 100)
        self.fuse = rectified(self.gathered, 100, 50, self.features)

    def make_camera_trunk(self, size: tuple[int, int]) -> Trunk:
        """The five convolutions, over one camera's images of `size` (H, W) [px]."""
        return convolutions(3, self._CAMERA, size)

    def make_map_trunk(self, channels: int, size: tuple[int, int]) -> Trunk:
        """Three convolutions of ours over `channels` maps of `size` (S, S) [px]."""
        return convolutions(channels, self._MAP, size)


class FullyConnectedNetwork(Network):
    """All pixels as one vector, then two fully connected layers (MIT 6.S191's lecture on computer vision).

    It has a weight of its own for each pixel and cannot know that neighbours belong together: what the lecture shows
    before it introduces convolutions. The widths are ours.
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

    def look(self, inputs: Inputs) -> list[Tensor]:
        """Pixels of the cameras (B, F), or none if they are not seen."""
        return [self._images(inputs).flatten(1).expand(inputs.images.shape[0], -1)] if self._camera else []

    def read_maps(self, inputs: Inputs) -> list[Tensor]:
        """Pixels of the maps (B, F), or none if they are not seen."""
        return [inputs.maps[:, self._map_channels].flatten(1)] if self._map_channels else []
