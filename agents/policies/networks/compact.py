"""A small network of our own, made to learn and drive fast on a CPU. B: batch, C: cameras."""

import torch
from torch import Tensor, nn

from agents.policies.encoders import ConvLayer, convolutions, feature_count
from agents.policies.senses import Inputs, SensesSpec
from agents.policies.settings import PolicyConfig


class CompactNetwork(nn.Module):
    """One convolutional trunk shared by the cameras, one over both maps, layer norm, fully connected layers."""

    _CAMERA = (ConvLayer(24, 5, 2), ConvLayer(32, 5, 2), ConvLayer(48, 3, 2), ConvLayer(64, 3, 2))
    _MAP = (ConvLayer(16, 5, 2), ConvLayer(32, 3, 2), ConvLayer(32, 3, 2), ConvLayer(32, 3, 2))
    features = 64
    """Length of what `forward` returns."""

    def __init__(self, config: PolicyConfig, spec: SensesSpec) -> None:
        """Draw the initial weights from torch's global generator.

        Args:
            config: What the network sees.
            spec: Shapes of what it senses.

        Raises:
            ConfigError: If the pictures are too small for the convolutions.
        """
        super().__init__()
        self._config = config
        self._map_channels = [i for i, name in enumerate(("road_map", "route_map")) if name in config.inputs]
        features = 0
        if "camera" in config.inputs:
            self.camera_trunk = convolutions(3, self._CAMERA)
            features += spec.cameras * feature_count(self._CAMERA, (spec.height, spec.width))
        if self._map_channels:
            self.map_trunk = convolutions(len(self._map_channels), self._MAP)
            features += feature_count(self._MAP, (spec.map_size, spec.map_size))
        speeds = int("speed" in config.inputs)
        self.norm = nn.LayerNorm(features) if features else nn.Identity()
        self.fuse = nn.Sequential(
            nn.Linear(features + speeds, config.hidden), nn.ReLU(), nn.Linear(config.hidden, self.features), nn.ReLU()
        )

    def forward(self, inputs: Inputs) -> Tensor:
        """Return features (B, `features`)."""
        features = []
        if "camera" in self._config.inputs:
            # All black pictures have the same features: one of them stands for the batch.
            images = torch.zeros_like(inputs.images[:1]) if self._config.blind else inputs.images
            # (B, C, H, W, 3) in memory is channels-last (B * C, 3, H, W) already: no copy.
            pictures = images.flatten(0, 1).permute(0, 3, 1, 2)
            seen = self.camera_trunk(pictures).reshape(len(images), -1)
            features.append(seen.expand(len(inputs.images), -1))
        if self._map_channels:
            maps = inputs.maps if len(self._map_channels) == 2 else inputs.maps[:, self._map_channels]
            features.append(self.map_trunk(maps.contiguous(memory_format=torch.channels_last)))
        fused = [self.norm(torch.cat(features, dim=1))] if features else []
        if "speed" in self._config.inputs:
            fused.append(inputs.speed)
        seen_and_drawn: Tensor = self.fuse(torch.cat(fused, dim=1))
        return seen_and_drawn
