"""A plain training loop as a baseline of speed: a data set that returns one sample after another.

Worker processes, one per core, read each sample from the episodes' arrays, scale and augment it, and convert it to
float32. `DataLoader` stacks samples to batches. The network runs in float32, with weights and images in torch's default
order (channels first). C: cameras, H and W: height and width [px], S: side of a map [px].
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from agents.policies.networks.observation_batch import Inputs, ObservationSpec
from agents.policies.policy import Policy, build_policy
from agents.training.augmentation import AugmentationConfig
from agents.training.config import TrainConfig
from agents.training.packed import right_hand_episodes
from agents.training.policy_task import steering_loss
from navsim.datasets import dataset as recorded
from navsim.sensing.roadmap import MapSpec

Sample = tuple[Tensor, Tensor, Tensor, Tensor]
"""Images (C, 3, H, W), maps (2, S, S), speed (1,) and label (), all float32."""

_ARRAYS = ("images", "road_maps", "route_maps", "speeds", "labels")


def decode(dataset: recorded.Dataset, folder: Path) -> list[Path]:
    """Write the arrays of each episode as .npy files in a folder of its own; return the folders."""
    folders = []
    for episode in right_hand_episodes(dataset):
        target = folder / episode.scenario.name
        target.mkdir(parents=True)
        for name in _ARRAYS:
            np.save(target / f"{name}.npy", getattr(episode, name)[: len(episode)])
        folders.append(target)
    return folders


class EpisodeDataset(Dataset[Sample]):
    """The frames of decoded episodes, one at a time."""

    def __init__(self, folders: Sequence[Path], augmentation: AugmentationConfig, map_spec: MapSpec) -> None:
        """Open the arrays without reading them."""
        self._episodes = [[np.load(folder / f"{name}.npy", mmap_mode="r") for name in _ARRAYS] for folder in folders]
        self._ends = np.cumsum([len(arrays[0]) for arrays in self._episodes])
        self._augmentation, self._map_spec = augmentation, map_spec

    def __len__(self) -> int:
        """Return the number of frames."""
        return int(self._ends[-1])

    def __getitem__(self, index: int) -> Sample:
        """Read, scale and augment one frame."""
        episode = int(np.searchsorted(self._ends, index, side="right"))
        frame = index - (int(self._ends[episode - 1]) if episode else 0)
        images, road_map, route_map, speed, label = (array[frame] for array in self._episodes[episode])
        scaled = _tensor(images).permute(0, 3, 1, 2).contiguous() / 127.5 - 1
        maps = torch.stack([_tensor(road_map), _tensor(route_map)]) / 255
        return (
            augmented_images(scaled, self._augmentation),
            augmented_maps(maps, self._augmentation, self._map_spec),
            torch.tensor([float(speed) / 10]),
            torch.tensor(float(label)),
        )


def augmented_images(images: Tensor, config: AugmentationConfig) -> Tensor:
    """Change brightness, contrast, colours and noise of the images (C, 3, H, W) of one frame, as `Augmenter` does."""
    bright = config.brightness * torch.randn(())
    gain = 1 + config.contrast * torch.randn(()) + config.colour * torch.randn(3, 1, 1)
    noise = config.noise * torch.rand(()) * torch.randn_like(images)
    return images * gain.clamp(min=0.1) + bright + noise


def augmented_maps(maps: Tensor, config: AugmentationConfig, spec: MapSpec) -> Tensor:
    """Shift, rotate and sometimes blank the maps (2, S, S) of one frame, as `Augmenter` does."""
    turn = math.radians(config.map_turn_deg) * torch.randn(())
    across, down = config.map_shift / (spec.metres_per_pixel * spec.size_px / 2) * torch.randn(2)
    c, s, car = turn.cos(), turn.sin(), 2 * spec.ego_row / spec.size_px - 1
    motion = torch.stack([torch.stack([c, -s, across + s * car]), torch.stack([s, c, down + car - c * car])])
    grid = functional.affine_grid(motion[None], [1, *maps.shape], align_corners=False)
    kept = float(torch.rand(()) >= config.map_dropout)
    return functional.grid_sample(maps[None], grid, padding_mode="border", align_corners=False)[0] * kept


class PlainLoop:
    """Network, optimiser and loader of the plain loop."""

    def __init__(self, config: TrainConfig, dataset: Dataset[Sample], spec: ObservationSpec, workers: int) -> None:
        """Set up network, optimiser and loader as tutorials do.

        Args:
            config: The network, the batch size and the optimiser's settings.
            dataset: The frames.
            spec: Their shapes.
            workers: Number of processes that read samples.
        """
        self._config = config
        self._policy = plain_policy(config, spec)
        self._optimizer = torch.optim.AdamW(
            self._policy.parameters(), lr=config.optimizer.learning_rate, weight_decay=config.optimizer.weight_decay
        )
        self._loader = DataLoader(
            dataset,
            config.batch_size,
            shuffle=True,
            num_workers=workers,
            drop_last=True,
            persistent_workers=workers > 0,
        )

    def steps(self) -> Iterator[float]:
        """Train without end; yield the loss of each step."""
        self._policy.train()
        while True:
            for images, maps, speed, labels in self._loader:
                # A view as (B, C, H, W, 3), the network's order; in memory they stay channels first.
                inputs = Inputs(images.permute(0, 1, 3, 4, 2), maps, speed)
                answer = self._policy.predict(inputs)
                loss = steering_loss(
                    answer.distribution, labels, self._policy.config, self._config.loss, command=answer.command
                ).total
                self._optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
                nn.utils.clip_grad_norm_(self._policy.parameters(), self._config.optimizer.max_gradient_norm)
                self._optimizer.step()
                yield loss.item()


def plain_policy(config: TrainConfig, spec: ObservationSpec) -> Policy:
    """Return the network with its weights in torch's default order."""
    policy = build_policy(config.policy, spec, config.seed)
    for parameter in policy.parameters():
        parameter.data = parameter.data.contiguous()
    return policy


def _tensor(values: NDArray[np.uint8]) -> Tensor:
    """Return a copy in float32."""
    return torch.from_numpy(values.astype(np.float32))
