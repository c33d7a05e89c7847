"""A small network of our own, made to learn and drive fast on a CPU. B: batch."""

from torch import nn

from agents.policies.networks.config import PolicyConfig
from agents.policies.networks.encoders import ConvLayer, Trunk, convolutions
from agents.policies.networks.observation_batch import SensesSpec
from agents.policies.networks.trunks import SharedTrunks


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

    def __init__(self, config: PolicyConfig, spec: SensesSpec) -> None:
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
