"""Learning from labelled pictures: epochs over them, the best one kept. N: pictures, B: pictures of a batch."""

import dataclasses
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from agents.perception.config import PerceptionConfig
from agents.perception.pictures import PictureData, Pictures
from agents.policies.checkpoint import CheckpointFormat
from agents.policies.networks.observation_batch import scale_images
from agents.policies.policy import parameter_count
from agents.training.augmentation import ImageAugmenter
from agents.training.config import choose_device, choose_dtype
from agents.training.logger import TrainingLogger
from agents.training.optimization import check_finite, learning_rate
from agents.training.run_folder import RunFolder, begin_run
from agents.training.runtime import StopRequest, stop_on_interrupt, torch_settings
from agents.training.train_state import TrainState, oom_as_config_error
from navsim.config import from_mapping, to_mapping
from navsim.errors import CheckpointError
from navsim.progress import Advance, progress
from navsim.provenance import software_versions
from navsim.seeding import derived_seed, generator
from navsim.sensing.camera import Camera

L = TypeVar("L")
N = TypeVar("N", bound=nn.Module)

BatchLosses = Callable[[N, Tensor, Tensor, Tensor], dict[str, Tensor]]
"""Terms of the loss of a network that is shown images (B, 3, H, W), with the numbers (B,) of their pictures and which
of them are mirrored left and right (B,); may draw from torch's own generator."""


@dataclass(frozen=True, kw_only=True)
class NetworkInfo:
    """What a checkpoint's header says, besides how the network is built."""

    class_names: tuple[str, ...]
    """What it tells apart, in order."""
    cameras: tuple[Camera, ...] = ()
    """Cameras whose pictures it learned from."""
    run: dict[str, Any] = field(default_factory=dict)
    """Resolved configuration of the training run."""
    progress: dict[str, Any] = field(default_factory=dict)
    """How far training was."""
    versions: dict[str, str] = field(default_factory=dict)
    """Software that trained it."""


@dataclass(frozen=True)
class Validation:
    """What a network is worth on the validation pictures."""

    record: dict[str, Any]
    """What is noted of the epoch."""
    curves: Mapping[str, Mapping[str, float | None]]
    """Points of curves, by group and name."""


@dataclass(frozen=True)
class TrainingTask(Generic[L, N]):
    """What is learned from labelled pictures."""

    networks: CheckpointFormat[Any, N]
    """Builds the network, writes it and reads it."""
    info: NetworkInfo
    """The header of its checkpoints; the run adds cameras, configuration, progress and versions."""
    losses: Callable[[Pictures[L], torch.device], BatchLosses[N]]
    """Takes the labels to a device, and says how the loss of a batch of their pictures is computed there."""
    validate: Callable[[N, Pictures[L], torch.dtype], Validation]
    """Scores a network, in evaluation mode, whose layers compute in a type."""
    score_key: Callable[[Mapping[str, Any]], float]
    """What makes an epoch better than another, from what was noted of it."""
    measure: str
    """What that is called."""
    float_pictures: bool = False
    """Whether pictures are float32 where the layers compute in bfloat16."""


@dataclass
class TaskHistory:
    """What is known of the run so far; travels in the checkpoint."""

    step: int = 0
    """Steps taken."""
    best_epoch: int = 0
    """Number of the best epoch, counted from 1."""
    epochs: list[dict[str, Any]] = field(default_factory=list)
    """For each epoch that ended: epoch, step, losses, what its validation notes, pictures per second."""

    @property
    def best(self) -> dict[str, Any] | None:
        """The record of the best epoch; None before the first has ended."""
        return self.epochs[self.best_epoch - 1] if self.epochs else None


class PictureTrainer(Generic[L, N]):
    """Owns weights, optimiser and history, and keeps them in the run's folder.

    What a step does depends on the seed, the step and the weights before it alone.
    """

    def __init__(
        self, config: PerceptionConfig, lesson: TrainingTask[L, N], data: PictureData[L], folder: RunFolder
    ) -> None:
        """Build the network, or restore it with its optimiser from the folder's last checkpoint.

        Raises:
            ConfigError: If the device or the network cannot be had.
            CheckpointError: If the last checkpoint is damaged or of other pictures.
        """
        self.config, self.lesson, self.folder = config, lesson, folder
        self.device = choose_device(config)
        self.dtype = choose_dtype(config, self.device)
        self._header = dataclasses.replace(
            lesson.info, cameras=data.simulation.cameras, run=to_mapping(config), versions=software_versions()
        )
        network = lesson.networks.build(self._header, derived_seed(config.seed, "weights")).to(self.device)
        self.learned = TrainState(network, config.optimizer, config.ema)
        self._images = torch.from_numpy(data.train.images).to(self.device)
        self._losses = lesson.losses(data.train, self.device)
        self._validation = data.validation
        self._augment = ImageAugmenter(config.augmentation, derived_seed(config.seed, "noise"), self.device)
        self.history = TaskHistory()
        if folder.last.exists():
            self._restore()

    @property
    def batch_size(self) -> int:
        """Pictures per step; all of them if they are fewer than a batch."""
        return min(self.config.batch_size, len(self._images))

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in an epoch."""
        return len(self._images) // self.batch_size

    @property
    def epoch(self) -> int:
        """The epoch under way, counted from 0."""
        return len(self.history.epochs)

    @property
    def facts(self) -> dict[str, object]:
        """What does not change during the run."""
        return {
            "parameters": parameter_count(self.learned.network),
            "pictures": len(self._images),
            "validation_pictures": len(self._validation),
            "device": str(self.device),
            "precision": str(self.dtype).removeprefix("torch."),
        }

    def step(self, index: Tensor) -> dict[str, Tensor]:
        """Take one step on the pictures `index` (B,); returns the terms of the loss."""
        config, step = self.config, self.history.step
        chosen = generator(config.seed, "mirrored", step).random(len(index)) < config.mirrored
        mirrored = torch.from_numpy(chosen).to(self.device)
        images = self._shown(index, mirrored)
        torch.manual_seed(derived_seed(config.seed, "samples", step))  # for losses that draw
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.dtype is torch.bfloat16):
            terms = self._losses(self.learned.network.train(), images, index, mirrored)
        torch.stack([*terms.values()]).sum().backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self.learned.update(step, learning_rate(step, config.epochs * self.steps_per_epoch, config.optimizer))
        self.history.step += 1
        return {name: term.detach() for name, term in terms.items()}

    def take_epoch(self, stop: StopRequest, advance: Advance) -> dict[str, float]:
        """Take the steps of an epoch; returns the mean terms of the loss.

        Raises:
            KeyboardInterrupt: If `stop` was made; what the epoch has brought so far is lost.
            ConfigError: If the loss stops being finite.
        """
        order = generator(self.config.seed, "order", self.epoch).permutation(len(self._images))
        sums: dict[str, Tensor] = {}
        for position in range(self.steps_per_epoch):
            if stop.made:
                raise KeyboardInterrupt(
                    f"stopped in epoch {self.epoch + 1} of {self.config.epochs}; the same command with --resume "
                    "continues after the last whole one"
                )
            batch = order[position * self.batch_size : (position + 1) * self.batch_size]
            terms = self.step(torch.from_numpy(batch).to(self.device))
            sums = {name: sums.get(name, 0.0) + term for name, term in terms.items()}
            advance(self.batch_size, self._standing())
        losses = {name: float(total) / self.steps_per_epoch for name, total in sums.items()}
        check_finite(sum(losses.values()), self.history.step, self.config.optimizer)
        return losses

    def end_epoch(self, losses: Mapping[str, float], pictures_per_second: float) -> Validation:
        """Validate the average of the weights, note the epoch, and save; returns what the validation found."""
        history, score_key = self.history, self.lesson.score_key
        found = self.lesson.validate(self.learned.average.network, self._validation, self.dtype)
        row = {
            "epoch": self.epoch + 1,
            "step": history.step,
            **(losses if len(losses) == 1 else {"losses": losses}),
            **found.record,
            "pictures_per_second": round(pictures_per_second, 1),
        }
        best = history.best is None or score_key(row) > score_key(history.best)
        history.epochs.append(row)
        if best:
            history.best_epoch = len(history.epochs)
        self._save(best)
        return found

    def _shown(self, index: Tensor, mirrored: Tensor) -> Tensor:
        """Pictures `index` (B,) as images (B, 3, H, W), those of `mirrored` (B,) turned around, and varied."""
        pictures = self._images[index]
        pictures = torch.where(mirrored[:, None, None, None], pictures.flip(2), pictures)
        self._augment.restart(derived_seed(self.config.seed, "augmentation", self.history.step))
        scaled = scale_images(pictures, torch.float32 if self.lesson.float_pictures else self.dtype)
        return self._augment.images(scaled[:, None])[:, 0].permute(0, 3, 1, 2)

    def _save(self, best: bool) -> None:
        """Save all that is needed to continue, and the network for use if it is the best."""
        info = dataclasses.replace(self._header, progress={"history": dataclasses.asdict(self.history)})
        network, networks = self.learned.average.network, self.lesson.networks
        if best:
            networks.save(self.folder.best, info, network)
        networks.save(self.folder.last, info, network, self.learned)

    def _restore(self) -> None:
        info = self.lesson.networks.restore(self.folder.last, self.learned)
        if info.cameras != self._header.cameras:
            raise CheckpointError(f"{self.folder.last}: was trained on other cameras than {self.config.data} now has")
        self.history = from_mapping(TaskHistory, info.progress["history"], str(self.folder.last))

    def _standing(self) -> str:
        """Epoch and best score in a few words."""
        best, lesson = self.history.best, self.lesson
        score = (
            "not validated yet" if best is None else f"best validation {lesson.measure} {lesson.score_key(best):.3f}"
        )
        return f"epoch {self.epoch + 1}/{self.config.epochs}, {score}"


def train_network(
    config: PerceptionConfig, lesson: TrainingTask[L, N], data: PictureData[L], folder: RunFolder
) -> TaskHistory:
    """Train a network, or continue after the last whole epoch in the folder.

    Raises:
        KeyboardInterrupt: After Ctrl-C; its text says how to continue.
        ConfigError: If the configuration cannot be used, memory does not suffice, or the loss stops being finite.
        CheckpointError: If the last checkpoint is damaged or of other pictures.
        StorageError: If a file cannot be written.
    """
    with torch_settings(False, choose_device(config)), stop_on_interrupt() as stop:
        trainer = PictureTrainer(config, lesson, data, folder)
        begin_run(config, folder)
        history, pictures = trainer.history, trainer.steps_per_epoch * trainer.batch_size
        with (
            oom_as_config_error(config.batch_size, accumulate=1),
            TrainingLogger(folder, history.step) as logger,
            progress("training", config.epochs * pictures, "pictures", trainer.epoch * pictures) as advance,
        ):
            while trainer.epoch < config.epochs:
                started = time.monotonic()
                losses = trainer.take_epoch(stop, advance)
                found = trainer.end_epoch(losses, pictures / (time.monotonic() - started))
                for group, values in {"train": losses, **found.curves}.items():
                    logger.log_scalars(group, values, history.step)
                logger.save(history, finished=False, facts=trainer.facts)
    return history
