"""Many maps for one image: what depends on the map alone is computed once for each map. U: maps, H: width of a layer.

A network's first fully connected layer is linear in what it joins, and the layer norm in front of it needs no more than
a sum and a sum of squares from either side. So of each map are kept the H numbers that it adds to that layer, and these
two; a frame then costs H numbers for each map in place of all features.
"""

import torch
from torch import Tensor, nn

from agents.policies.networks.network import Network


class MapSide:
    """What `Network.join` does, for one frame with many maps, in two steps; a copy of the weights as they are now."""

    def __init__(self, network: Network, cameras: int, maps: int) -> None:
        """Take apart the layers after the trunks.

        Args:
            network: Sees maps.
            cameras: Length of its cameras' features, all of them together.
            maps: Length of its maps' features.
        """
        first = network.fuse[0]
        if not isinstance(first, nn.Linear):
            raise TypeError(f"fuse must begin with a fully connected layer, got {type(first).__name__}")
        self._rest, self._norm = network.fuse[1:], network.norm
        self._pictured = cameras + maps
        weight, bias = first.weight.detach(), first.bias.detach()
        pictures, self._of_speed = weight[:, : self._pictured], weight[:, self._pictured :]
        if self._norm is not None:
            bias = bias + pictures @ self._norm.bias.detach()
            pictures = pictures * self._norm.weight.detach()
        self._of_cameras, self._of_maps = pictures[:, :cameras], pictures[:, cameras:]
        self._total, self._bias = pictures.sum(dim=1), bias

    def keep(self, maps: Tensor) -> Tensor:
        """What to keep (U, H + 2) of the features (U, F) of maps."""
        sums = maps.sum(dim=1, keepdim=True), maps.square().sum(dim=1, keepdim=True)
        return torch.cat([maps @ self._of_maps.T, *sums], dim=1)

    def join(self, seen: Tensor, kept: Tensor, speed: Tensor) -> Tensor:
        """The network's features (U, `features`).

        Args:
            seen: Features of the one frame's cameras (1, F); (1, 0) if the network sees none.
            kept: What `keep` returned (U, H + 2).
            speed: As in `Inputs` (1, 1).
        """
        values = kept[:, :-2] + seen @ self._of_cameras.T
        if self._norm is not None:
            mean = (kept[:, -2:-1] + seen.sum()) / self._pictured
            variance = (kept[:, -1:] + seen.square().sum()) / self._pictured - mean.square()
            values = (values - mean * self._total) * torch.rsqrt(variance + self._norm.eps)
        told = speed[:, : self._of_speed.shape[1]] @ self._of_speed.T
        joined: Tensor = self._rest(values + told + self._bias)
        return joined
