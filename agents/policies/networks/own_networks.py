"""Our own networks: a fast one, a larger one with residual blocks, and one without convolutions. B: batch."""

from collections.abc import Sequence

from torch import Tensor, nn

from agents.policies.networks.config import PolicyConfig
from agents.policies.networks.encoders import (
    ConvLayer,
    Trunk,
    convolution,
    convolutions,
    output_size,
    pooling,
    rectified,
)
from agents.policies.networks.network import Network, SharedTrunks
from agents.policies.networks.observation_batch import Inputs, ObservationSpec

_GROUP = 16  # channels normalised together


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
