"""A network without any notion of space, to contrast with convolutions. B: batch."""

from torch import Tensor

from agents.policies.networks.config import PolicyConfig
from agents.policies.networks.encoders import rectified
from agents.policies.networks.network import Network
from agents.policies.networks.observation_batch import Inputs, SensesSpec


class FullyConnectedNetwork(Network):
    """All pixels as one vector, then two fully connected layers (MIT 6.S191's lecture on computer vision).

    It has a weight of its own for each pixel and cannot know that neighbours belong together: what the lecture shows
    before it introduces convolutions. The widths are ours.
    """

    _HIDDEN = 128
    features = 64
    """Length of what `forward` returns."""

    def __init__(self, config: PolicyConfig, spec: SensesSpec) -> None:
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
