"""PilotNet (Bojarski et al. 2016, arXiv 1604.07316). B: batch."""

from agents.policies.networks.config import PolicyConfig
from agents.policies.networks.encoders import ConvLayer, Trunk, convolutions, rectified
from agents.policies.networks.observation_batch import SensesSpec
from agents.policies.networks.trunks import SharedTrunks


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

    def __init__(self, config: PolicyConfig, spec: SensesSpec) -> None:
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
