"""Learning to tell classes apart: epochs over labelled pictures, the best one kept. B: batch, K: classes."""

import dataclasses
import math
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.policies.policy import parameter_count
from agents.segmentation.checkpoint import (
    Learned,
    SegmentationInfo,
    restore_learned,
    save_learned,
    save_segmentation,
)
from agents.segmentation.config import SegmentationConfig
from agents.segmentation.network import build_segmentation_network, network_inputs
from agents.segmentation.pictures import LabelledPictures, SegmentationData
from agents.segmentation.prediction import predicted_classes, score_pictures
from agents.segmentation.scores import SegmentationScores
from agents.training.augmentation import ImageAugmenter
from agents.training.averaging import WeightAverage
from agents.training.config import choose_device, choose_dtype
from agents.training.determinism import torch_rules
from agents.training.interruption import StopRequest, stop_on_interrupt
from agents.training.journal import Journal
from agents.training.learner import explained_shortage
from agents.training.optimization import learning_rate, make_optimizer, set_learning_rate
from agents.training.run_folder import RunFolder, begin_run
from navsim.config import from_mapping, to_mapping
from navsim.errors import CheckpointError, ConfigError
from navsim.geometry import Array
from navsim.progress import Advance, progress
from navsim.randomness import derived_seed, generator
from navsim.recording.versions import software_versions
from navsim.world.meshes import CLASS_NAMES


@dataclass
class SegmentationHistory:
    """What is known of the run so far; travels in the checkpoint."""

    step: int = 0
    """Steps taken."""
    best_epoch: int = 0
    """Number of the epoch of greatest validation mean IoU, counted from 1."""
    epochs: list[dict[str, Any]] = field(default_factory=list)
    """For each epoch that ended: epoch, step, loss, validation scores, pictures per second."""

    @property
    def best(self) -> dict[str, Any] | None:
        """The record of the best epoch; None before the first has ended."""
        return self.epochs[self.best_epoch - 1] if self.epochs else None

    def add(self, step: int, loss: float, scores: SegmentationScores, pictures_per_second: float) -> bool:
        """Note an epoch; returns whether it is the best so far."""
        best = self.best is None or scores.mean_iou > self.best["validation"]["mean_iou"]
        number = len(self.epochs) + 1
        self.epochs.append(
            {
                "epoch": number,
                "step": step,
                "loss": loss,
                "validation": to_mapping(scores),
                "pictures_per_second": round(pictures_per_second, 1),
            }
        )
        if best:
            self.best_epoch = number
        return best


class SegmentationTrainer:
    """Owns weights, optimiser and history, and keeps them in the run's folder.

    What a step does depends on the seed, the step and the weights before it alone.
    """

    def __init__(self, config: SegmentationConfig, data: SegmentationData, folder: RunFolder) -> None:
        """Build the network, or restore it with its optimiser from the folder's last checkpoint.

        Raises:
            ConfigError: If the device cannot be had.
            CheckpointError: If the last checkpoint is damaged or of other pictures.
        """
        self.config, self.folder = config, folder
        self.device = choose_device(config)
        self.dtype = choose_dtype(config, self.device)
        network = build_segmentation_network(config.network, len(CLASS_NAMES), derived_seed(config.seed, "weights"))
        network = network.to(self.device)
        average = WeightAverage(network, config.ema)
        self.learned = Learned(average, network, make_optimizer(network, config.optimizer))
        self._images = torch.from_numpy(data.train.images).to(self.device)
        self._classes = torch.from_numpy(data.train.classes).to(self.device)
        self._validation = data.validation
        weights = class_weights(class_shares(data.train), config.balance)
        self._weights = torch.tensor(weights, dtype=torch.float32, device=self.device)
        self._augment = ImageAugmenter(config.augmentation, derived_seed(config.seed, "noise"), self.device)
        self.history = SegmentationHistory()
        cameras = data.simulation.cameras
        self._header = SegmentationInfo(
            config.network, CLASS_NAMES, cameras, to_mapping(config), {}, software_versions()
        )
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

    def step(self, index: Tensor) -> Tensor:
        """Take one step on the pictures `index` (B,); returns the loss."""
        config, step = self.config, self.history.step
        pictures, classes = self._images[index], self._classes[index]
        if config.mirrored:
            chosen = generator(config.seed, "mirrored", step).random(len(index)) < config.mirrored
            mirrored = torch.from_numpy(chosen).to(self.device)[:, None, None]
            pictures = torch.where(mirrored[..., None], pictures.flip(2), pictures)
            classes = torch.where(mirrored, classes.flip(2), classes)
        self._augment.restart(derived_seed(config.seed, "augmentation", step))
        scaled = network_inputs(pictures, self.dtype).permute(0, 2, 3, 1)[:, None]
        images = self._augment.images(scaled)[:, 0].permute(0, 3, 1, 2)
        network, optimizer = self.learned.network.train(), self.learned.optimizer
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.dtype is torch.bfloat16):
            scores = network(images)
        loss = functional.cross_entropy(scores.float(), classes.long(), self._weights)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        nn.utils.clip_grad_norm_(network.parameters(), config.optimizer.max_gradient_norm)
        set_learning_rate(optimizer, learning_rate(step, config.epochs * self.steps_per_epoch, config.optimizer))
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        self.learned.average.update(step)
        self.history.step += 1
        return loss.detach()

    def take_epoch(self, stop: StopRequest, advance: Advance) -> float:
        """Take the steps of an epoch; returns the mean loss.

        Raises:
            KeyboardInterrupt: If `stop` was made; what the epoch has brought so far is lost.
            ConfigError: If the loss stops being finite.
        """
        order = generator(self.config.seed, "order", self.epoch).permutation(len(self._images))
        losses = torch.zeros(())
        for position in range(self.steps_per_epoch):
            if stop.made:
                raise KeyboardInterrupt(
                    f"stopped in epoch {self.epoch + 1} of {self.config.epochs}; the same command with --resume "
                    "continues after the last whole one"
                )
            batch = order[position * self.batch_size : (position + 1) * self.batch_size]
            losses = losses + self.step(torch.from_numpy(batch).to(self.device)).cpu()
            advance(self.batch_size, self._standing())
        loss = float(losses) / self.steps_per_epoch
        if not math.isfinite(loss):
            raise ConfigError(f"the loss is {loss} in epoch {self.epoch + 1}; lower optimizer.learning_rate")
        return loss

    def validate(self) -> SegmentationScores:
        """Score the average of the weights on pictures of other towns."""
        predicted = predicted_classes(self.learned.average.network, self._validation.images, self.dtype)
        return score_pictures(self._validation, predicted, generator(self.config.seed, "validation"))

    def save(self, best: bool) -> None:
        """Save all that is needed to continue, and the network for use if it is the best."""
        info = dataclasses.replace(self._header, progress={"history": dataclasses.asdict(self.history)})
        if best:
            save_segmentation(self.folder.best, info, self.learned.average.network)
        save_learned(self.folder.last, info, self.learned)

    def _restore(self) -> None:
        info = restore_learned(self.folder.last, self.learned)
        if info.cameras != self._header.cameras:
            raise CheckpointError(f"{self.folder.last}: was trained on other cameras than {self.config.data} now has")
        self.history = from_mapping(SegmentationHistory, info.progress["history"], str(self.folder.last))

    def _standing(self) -> str:
        """Epoch and best score in a few words."""
        best = self.history.best
        score = "not validated yet" if best is None else f"best validation mIoU {best['validation']['mean_iou']:.3f}"
        return f"epoch {self.epoch + 1}/{self.config.epochs}, {score}"


def train_segmentation(config: SegmentationConfig, data: SegmentationData, folder: RunFolder) -> SegmentationHistory:
    """Train a network, or continue after the last whole epoch in the folder.

    Raises:
        KeyboardInterrupt: After Ctrl-C; its text says how to continue.
        ConfigError: If the configuration cannot be used, memory does not suffice, or the loss stops being finite.
        CheckpointError: If the last checkpoint is damaged or of other pictures.
        StorageError: If a file cannot be written.
    """
    with torch_rules(False, choose_device(config)), stop_on_interrupt() as stop:
        trainer = SegmentationTrainer(config, data, folder)
        begin_run(config, folder)
        total, done = config.epochs * trainer.steps_per_epoch * trainer.batch_size, trainer.history.step
        with (
            explained_shortage(config.batch_size, accumulate=1),
            Journal(folder, done) as journal,
            progress("training", total, "pictures", done * trainer.batch_size) as advance,
        ):
            while trainer.epoch < config.epochs:
                started = time.monotonic()
                loss = trainer.take_epoch(stop, advance)
                rate = trainer.steps_per_epoch * trainer.batch_size / (time.monotonic() - started)
                scores = trainer.validate()
                best = trainer.history.add(trainer.history.step, loss, scores, rate)
                trainer.save(best)
                _report(journal, trainer, loss, scores)
    return trainer.history


def class_shares(pictures: LabelledPictures) -> Array:
    """Share (K,) of each class in the pixels."""
    counts = np.bincount(pictures.classes.ravel(), minlength=len(CLASS_NAMES))
    return np.asarray(counts / counts.sum())


def class_weights(shares: Array, balance: float) -> Array:
    """Weights (K,) of the classes' pixels in the loss, 1 on average over the pixels; 0 for classes that are not there.

    Args:
        shares: Share (K,) of each class in the pixels.
        balance: 0 weighs all pixels alike, 1 all classes.
    """
    there = shares > 0
    weights = np.where(there, np.where(there, shares, 1.0) ** -balance, 0.0)
    return np.asarray(weights / (weights * shares).sum())


def _report(journal: Journal, trainer: SegmentationTrainer, loss: float, scores: SegmentationScores) -> None:
    """Write an epoch's curves and the run's metrics."""
    step = trainer.history.step
    journal.curves("train", {"loss": loss}, step)
    journal.curves("validation", {"mean_iou": scores.mean_iou, "accuracy": scores.accuracy}, step)
    journal.curves("validation_iou", {score.name: score.iou for score in scores.classes}, step)
    journal.save(trainer.history, finished=False, facts=trainer.facts)
