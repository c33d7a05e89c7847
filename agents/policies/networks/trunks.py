"""The frame of several networks: one trunk shared by the cameras, one over the maps, then what fuses them. B: batch."""

from torch import Tensor

from agents.policies.networks.config import PolicyConfig
from agents.policies.networks.encoders import Trunk
from agents.policies.networks.network import Network
from agents.policies.networks.observation_batch import Inputs, SensesSpec


class SharedTrunks(Network):
    """A network whose cameras share one trunk; both maps, drawn at the same pose, are channels of one picture."""

    def __init__(self, config: PolicyConfig, spec: SensesSpec) -> None:
        """Build the trunks; see `Network` for the arguments."""
        super().__init__(config, spec)
        self.pictured = 0
        """Length of the trunks' features, all cameras' together."""
        if self._camera:
            self.camera_trunk = self.make_camera_trunk((spec.height, spec.width))
            self.pictured += spec.cameras * self.camera_trunk.features
        if self._map_channels:
            self.map_trunk = self.make_map_trunk(len(self._map_channels), (spec.map_size, spec.map_size))
            self.pictured += self.map_trunk.features

    def make_camera_trunk(self, size: tuple[int, int]) -> Trunk:
        """Layers over one camera's images of `size` (H, W) [px]."""
        raise NotImplementedError

    def make_map_trunk(self, channels: int, size: tuple[int, int]) -> Trunk:
        """Layers over `channels` maps of `size` (S, S) [px]."""
        raise NotImplementedError

    @property
    def gathered(self) -> int:
        """Length of all that is sensed, side by side."""
        return self.pictured + int(self._speed)

    def look(self, inputs: Inputs) -> list[Tensor]:
        """Features of the cameras (B, F), or none if they are not seen."""
        return [self._seen(self.camera_trunk, inputs)] if self._camera else []

    def read_maps(self, inputs: Inputs) -> list[Tensor]:
        """Features of the maps (B, F), or none if they are not seen."""
        return [self.map_trunk(self._maps(inputs))] if self._map_channels else []
