"""A larger network for the GPU: residual blocks with group normalisation. B: batch."""

from collections.abc import Sequence

from torch import Tensor, nn

from agents.policies.networks.config import PolicyConfig
from agents.policies.networks.encoders import ConvLayer, Trunk, convolution, output_size, pooling, rectified
from agents.policies.networks.network import SharedTrunks
from agents.policies.networks.observation_batch import ObservationSpec

_GROUP = 16  # channels normalised together


class Sum(nn.Module):
    """Adds two feature maps; a module, so that a layer table can follow the data through it."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Return a + b."""
        return a + b


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut (He et al. 2016, "Deep residual learning", figure 5).

    Group normalisation (Wu and He 2018) takes the place of batch normalisation: it normalises each situation by itself,
    in training as in driving. So batches of one and unequal batches on several devices need no special treatment.
    """

    def __init__(self, channels: int, layer: ConvLayer) -> None:
        """Map `channels` channels to the layer's; the first convolution takes its stride."""
        super().__init__()
        width = layer.channels
        self.main = nn.Sequential(
            convolution(channels, layer),
            nn.GroupNorm(width // _GROUP, width),
            nn.ReLU(inplace=True),
            convolution(width, layer._replace(stride=1)),
            nn.GroupNorm(width // _GROUP, width),
        )
        self.skip = nn.Sequential()
        if (channels, layer.stride) != (width, 1):
            self.skip = nn.Sequential(
                convolution(channels, layer._replace(kernel=1)), nn.GroupNorm(width // _GROUP, width)
            )
        self.sum = Sum()
        self.rectify = nn.ReLU(inplace=True)

    def forward(self, pictures: Tensor) -> Tensor:
        """Map feature maps (B, channels, H, W) to (B, width, H / stride, W / stride)."""
        result: Tensor = self.rectify(self.sum(self.main(pictures), self.skip(pictures)))
        return result


class ResidualNetwork(SharedTrunks):
    """A small residual network shared by the cameras, a smaller one over the maps, two fully connected layers.

    All channels are multiples of 16, for tensor cores. A 1x1 convolution reduces the channels of the last outputs,
    which are averaged down to 3x8 (cameras) and 4x4 (maps).
    """

    _STEM = ConvLayer(32, 5, 2)
    _CAMERA = tuple(ConvLayer(width, 3, stride) for width in (64, 128, 256) for stride in (2, 1))
    _MAP = (ConvLayer(64, 3, 2), ConvLayer(128, 3, 2))
    _NECK = ConvLayer(64, 1, 1)
    _HIDDEN = 256
    features = 128
    """Length of what `forward` returns."""

    def __init__(self, config: PolicyConfig, spec: ObservationSpec) -> None:
        """Draw the initial weights; see `Network` for arguments and errors."""
        super().__init__(config, spec)
        self.fuse = rectified(self.input_features, config.hidden or self._HIDDEN, self.features)

    def make_camera_trunk(self, size: tuple[int, int]) -> Trunk:
        """Build six residual blocks over one camera's images of `size` (H, W) [px]."""
        return self._trunk(3, self._CAMERA, size, (3, 8))

    def make_map_trunk(self, channels: int, size: tuple[int, int]) -> Trunk:
        """Build two residual blocks over `channels` maps of `size` (S, S) [px]."""
        return self._trunk(channels, self._MAP, size, (4, 4))

    def _trunk(
        self, channels: int, blocks: Sequence[ConvLayer], size: tuple[int, int], max_size: tuple[int, int]
    ) -> Trunk:
        """Build a convolution, residual blocks and the reduction to few features."""
        modules: list[nn.Module] = [
            convolution(channels, self._STEM),
            nn.GroupNorm(self._STEM.channels // _GROUP, self._STEM.channels),
            nn.ReLU(inplace=True),
        ]
        width = self._STEM.channels
        for block in blocks:
            modules.append(ResidualBlock(width, block))
            width = block.channels
        pools, grid = pooling(output_size((self._STEM, *blocks), size), max_size)
        modules += [convolution(width, self._NECK), nn.ReLU(inplace=True), *pools, nn.Flatten()]
        return Trunk(*modules, features=self._NECK.channels * grid[0] * grid[1])
