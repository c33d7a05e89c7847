"""What a network of perception learns: the loss of its task on labelled pictures. B: pictures of a batch."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from agents.perception.config import PerceptionConfig
from agents.perception.pictures import PictureData, Pictures
from agents.policies.checkpoint import CheckpointFormat
from agents.policies.networks.observation_batch import scale_images
from agents.training.augmentation import ImageAugmenter
from agents.training.config import choose_device, choose_dtype
from agents.training.logger import History, Stopwatch
from agents.training.run_folder import RunFolder
from agents.training.runtime import torch_settings
from agents.training.samples import Draw
from agents.training.task import BatchLoss, BatchPart, EndedEpoch, TrainingTask
from agents.training.trainer import Trainer, run_training
from navsim.config import to_mapping
from navsim.datasets.dataset import folders_text
from navsim.errors import CheckpointError
from navsim.provenance import software_versions
from navsim.seeding import derived_seed, generator
from navsim.sensing.camera import Camera

L = TypeVar("L")
N = TypeVar("N", bound=nn.Module)

BatchLosses = Callable[[N, Tensor, Tensor, Tensor], dict[str, Tensor]]
"""Function from a network, images (B, 3, H, W), the numbers (B,) of their pictures and which of them are mirrored left
and right (B,) to the terms of the loss; may draw from torch's own generator."""


@dataclass(frozen=True, kw_only=True)
class NetworkInfo:
    """Header of a checkpoint, without what the network is built from."""

    class_names: tuple[str, ...]
    """Classes that the network distinguishes, in order."""
    cameras: tuple[Camera, ...] = ()
    """Cameras of the training pictures."""
    run: dict[str, Any] = field(default_factory=dict)
    """Resolved configuration of the training run."""
    progress: dict[str, Any] = field(default_factory=dict)
    """History of the training, and the values that the trainer needs to continue."""
    versions: dict[str, str] = field(default_factory=dict)
    """Versions of the packages that trained the network."""


@dataclass(frozen=True)
class Validation:
    """Scores of a network on the validation pictures."""

    record: dict[str, Any]
    """Scores for the epoch's record."""
    curves: Mapping[str, Mapping[str, float | None]]
    """Points of curves, by group and name."""


@dataclass(frozen=True)
class Objective(Generic[L, N]):
    """Network, loss and score of a task of perception."""

    networks: CheckpointFormat[Any, N]
    """Kind of checkpoint, which builds the network."""
    info: NetworkInfo
    """Header of the checkpoints; the run adds cameras, configuration, progress and versions."""
    losses: Callable[[Pictures[L], torch.device], BatchLosses[N]]
    """Function that copies the labels of pictures to a device and returns the loss of their batches."""
    validate: Callable[[N, Pictures[L], torch.dtype], Validation]
    """Function that scores a network in evaluation mode, whose layers compute in a type."""
    score_key: Callable[[Mapping[str, Any]], float]
    """Function from an epoch's record to its score; the largest one is the best."""
    score_name: str
    """Name of that score."""
    float_pictures: bool = False
    """Whether pictures are float32 where the layers compute in bfloat16."""


class PictureTask(TrainingTask[N], Generic[L, N]):
    """A network that learns from labelled pictures."""

    unit = "pictures"
    sum_dtype = torch.float32

    def __init__(self, config: PerceptionConfig, objective: Objective[L, N], data: PictureData[L]) -> None:
        """Build the network and copy the pictures to the device.

        Raises:
            ConfigError: If the device or the network is not available.
        """
        self.config, self.objective, self.format = config, objective, objective.networks
        self.device = choose_device(config)
        self.dtype = choose_dtype(config, self.device)
        self.header = dataclasses.replace(
            objective.info, cameras=data.simulation.cameras, run=to_mapping(config), versions=software_versions()
        )
        self.data_name = f"{data.train.fingerprint}/{data.validation.fingerprint}"
        self.network = objective.networks.build(self.header, derived_seed(config.seed, "weights")).to(self.device)
        self.module = self.network
        self.frames_per_epoch = len(data.train)
        self._images = torch.from_numpy(data.train.images).to(self.device)
        self._losses = objective.losses(data.train, self.device)
        self._validation = data.validation
        self._augmenter = ImageAugmenter(config.augmentation, derived_seed(config.seed, "noise"), self.device)

    def draw(self, epoch: int) -> Draw:
        """Draw the order of all pictures for epoch `epoch`."""
        order = generator(self.config.seed, "order", epoch).permutation(len(self._images))
        return Draw(order, np.ones(len(order), np.float32))

    def layer_seed(self, step: int, rank: int) -> int:  # noqa: ARG002 - one process trains
        """Return the seed of losses that draw samples."""
        return derived_seed(self.config.seed, "samples", step)

    def losses(self, module: nn.Module, part: BatchPart, watch: Stopwatch) -> BatchLoss:  # noqa: ARG002 - never wrapped
        """Gather, vary and score a part of a batch."""
        with watch.part("augmentation"):
            chosen = generator(self.config.seed, "mirrored", part.step).random(part.batch_size) < self.config.mirrored
            mirrored = torch.from_numpy(chosen[part.first :][: len(part.index)]).to(self.device)
            images = self._varied(part, mirrored)
        bfloat16 = self.dtype is torch.bfloat16
        with watch.part("forward"), torch.autocast(self.device.type, torch.bfloat16, enabled=bfloat16):
            terms = self._losses(self.network, images, part.index, mirrored)
        return BatchLoss(torch.stack([*terms.values()]).sum(), terms)

    def validate(self, epoch: EndedEpoch[N]) -> dict[str, Any]:
        """Score the network on the validation pictures."""
        with epoch.watch.part("validation"):
            found = self.objective.validate(epoch.network, self._validation, self.dtype)
        for group, values in found.curves.items():
            epoch.logger.log_scalars(group, values, epoch.step)
        return {
            "epoch": epoch.number,
            "step": epoch.step,
            **(epoch.losses if len(epoch.losses) == 1 else {"losses": dict(epoch.losses)}),
            **found.record,
            "pictures_per_second": round(epoch.rate, 1),
        }

    def score_key(self, record: Mapping[str, Any]) -> float:
        """Return the score of an epoch."""
        return self.objective.score_key(record)

    def best_text(self, record: Mapping[str, Any]) -> str:
        """Describe the score of the best epoch."""
        return f"{self.objective.score_name} {self.score_key(record):.3f}"

    def check_header(self, path: Path, header: NetworkInfo) -> None:
        """Raise CheckpointError if the checkpoint was trained with other cameras."""
        if header.cameras != self.header.cameras:
            raise CheckpointError(f"{path}: was trained on other cameras than {folders_text(self.config.data)} now has")

    @property
    def facts(self) -> dict[str, object]:
        """Sizes of the data."""
        return {"pictures": len(self._images), "validation_pictures": len(self._validation)}

    def _varied(self, part: BatchPart, mirrored: Tensor) -> Tensor:
        """Return a part's pictures as varied images (B, 3, H, W), those of `mirrored` (B,) mirrored left and right."""
        pictures = self._images[part.index]
        pictures = torch.where(mirrored[:, None, None, None], pictures.flip(2), pictures)
        seed = derived_seed(self.config.seed, "augmentation", part.step)
        self._augmenter.restart(seed, part.first, part.batch_size)
        scaled = scale_images(pictures, torch.float32 if self.objective.float_pictures else self.dtype)
        return self._augmenter.images(scaled[:, None])[:, 0].permute(0, 3, 1, 2)


def train_network(
    config: PerceptionConfig, objective: Objective[L, N], data: PictureData[L], folder: RunFolder
) -> History:
    """Train a network, or continue from the folder's last checkpoint if there is one.

    Raises:
        KeyboardInterrupt: After Ctrl-C, once the state is saved; its text says how to continue.
        ConfigError: If the configuration cannot be used, memory does not suffice, or the loss stops being finite.
        CheckpointError: If the last checkpoint is damaged or was trained on other pictures.
        StorageError: If a file cannot be written.
    """
    with torch_settings(False, choose_device(config)):
        trainer = Trainer(PictureTask(config, objective, data), config, folder)
        return run_training(trainer, finished=False)  # it is finished when it is evaluated
