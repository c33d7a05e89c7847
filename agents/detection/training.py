"""Learning to find objects: epochs over pictures with boxes, the best one kept. B: batch, G: objects of a picture."""

import dataclasses
import math
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from agents.detection.checkpoint import (
    DetectionInfo,
    Learned,
    build_detector,
    restore_learned,
    save_detector,
    save_learned,
)
from agents.detection.config import DetectionConfig
from agents.detection.interface import Targets
from agents.detection.pictures import DetectionData
from agents.detection.precision import average_precision
from agents.detection.prediction import found_objects, rank_found
from agents.policies.policy import parameter_count
from agents.segmentation.network import network_inputs
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
from navsim.progress import Advance, progress
from navsim.randomness import derived_seed, generator
from navsim.recording.versions import software_versions
from navsim.world.meshes import ObjectClass

CLASS_NAMES = tuple(ObjectClass)


@dataclass
class DetectionHistory:
    """What is known of the run so far; travels in the checkpoint."""

    step: int = 0
    """Steps taken."""
    best_epoch: int = 0
    """Number of the epoch of greatest validation AP50, counted from 1."""
    epochs: list[dict[str, Any]] = field(default_factory=list)
    """For each epoch that ended: epoch, step, losses, validation AP50 by class and on average, pictures per second."""

    @property
    def best(self) -> dict[str, Any] | None:
        """The record of the best epoch; None before the first has ended."""
        return self.epochs[self.best_epoch - 1] if self.epochs else None

    def add(self, losses: dict[str, float], ap50: dict[str, float], pictures_per_second: float) -> bool:
        """Note an epoch; returns whether it is the best so far."""
        mean = float(np.mean([*ap50.values()])) if ap50 else 0.0
        best = self.best is None or mean > self.best["mean_ap50"]
        number = len(self.epochs) + 1
        record = {"epoch": number, "step": self.step, "losses": losses, "ap50": ap50, "mean_ap50": mean}
        self.epochs.append(record | {"pictures_per_second": round(pictures_per_second, 1)})
        if best:
            self.best_epoch = number
        return best


class DetectionTrainer:
    """Owns weights, optimiser and history, and keeps them in the run's folder.

    What a step does depends on the seed, the step and the weights before it alone.
    """

    def __init__(self, config: DetectionConfig, data: DetectionData, folder: RunFolder) -> None:
        """Build the detector, or restore it with its optimiser from the folder's last checkpoint.

        Raises:
            ConfigError: If the device or the detector cannot be had.
            CheckpointError: If the last checkpoint is damaged or of other pictures.
        """
        self.config, self.folder = config, folder
        self.device = choose_device(config)
        self.dtype = choose_dtype(config, self.device)
        cameras = data.simulation.cameras
        seed = derived_seed(config.seed, "weights")
        network = build_detector(config.detector, len(CLASS_NAMES), cameras[0], seed).to(self.device)
        average = WeightAverage(network, config.ema)
        self.learned = Learned(average, network, make_optimizer(network, config.optimizer))
        self._images = torch.from_numpy(data.train.images).to(self.device)
        targets = data.train.targets
        self._targets = Targets(targets.boxes.to(self.device), targets.classes.to(self.device))
        self._validation = data.validation
        self._augment = ImageAugmenter(config.augmentation, derived_seed(config.seed, "noise"), self.device)
        self.history = DetectionHistory()
        self._header = DetectionInfo(config.detector, CLASS_NAMES, cameras, to_mapping(config), {}, software_versions())
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
        pictures, targets = self._images[index], Targets(self._targets.boxes[index], self._targets.classes[index])
        chosen = generator(config.seed, "mirrored", step).random(len(index)) < config.mirrored
        pictures, targets = mirrored(pictures, targets, torch.from_numpy(chosen).to(self.device))
        self._augment.restart(derived_seed(config.seed, "augmentation", step))
        scaled = network_inputs(pictures, torch.float32).permute(0, 2, 3, 1)[:, None]
        images = self._augment.images(scaled)[:, 0].permute(0, 3, 1, 2)
        torch.manual_seed(derived_seed(config.seed, "samples", step))  # of anchors and regions
        network, optimizer = self.learned.network.train(), self.learned.optimizer
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.dtype is torch.bfloat16):
            terms = network.losses(images, targets)
        torch.stack([*terms.values()]).sum().backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        nn.utils.clip_grad_norm_(network.parameters(), config.optimizer.max_gradient_norm)
        set_learning_rate(optimizer, learning_rate(step, config.epochs * self.steps_per_epoch, config.optimizer))
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        self.learned.average.update(step)
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
        if not math.isfinite(sum(losses.values())):
            raise ConfigError(f"the loss is {losses} in epoch {self.epoch + 1}; lower optimizer.learning_rate")
        return losses

    def validate(self) -> dict[str, float]:
        """AP50 of the average of the weights on pictures of other towns, for each class that is there."""
        found = found_objects(self.learned.average.network, self._validation.images, self.dtype)
        ranks = rank_found(self._validation, found, len(CLASS_NAMES))
        scores = {name: average_precision(each)[0] for name, each in zip(CLASS_NAMES, ranks, strict=True)}
        return {str(name): float(score) for name, score in scores.items() if not np.isnan(score)}

    def save(self, best: bool) -> None:
        """Save all that is needed to continue, and the detector for use if it is the best."""
        info = dataclasses.replace(self._header, progress={"history": dataclasses.asdict(self.history)})
        if best:
            save_detector(self.folder.best, info, self.learned.average.network)
        save_learned(self.folder.last, info, self.learned)

    def _restore(self) -> None:
        info = restore_learned(self.folder.last, self.learned)
        if info.cameras != self._header.cameras:
            raise CheckpointError(f"{self.folder.last}: was trained on other cameras than {self.config.data} now has")
        self.history = from_mapping(DetectionHistory, info.progress["history"], str(self.folder.last))

    def _standing(self) -> str:
        """Epoch and best score in a few words."""
        best = self.history.best
        score = "not validated yet" if best is None else f"best validation AP50 {best['mean_ap50']:.3f}"
        return f"epoch {self.epoch + 1}/{self.config.epochs}, {score}"


def train_detector(config: DetectionConfig, data: DetectionData, folder: RunFolder) -> DetectionHistory:
    """Train a detector, or continue after the last whole epoch in the folder.

    Raises:
        KeyboardInterrupt: After Ctrl-C; its text says how to continue.
        ConfigError: If the configuration cannot be used, memory does not suffice, or the loss stops being finite.
        CheckpointError: If the last checkpoint is damaged or of other pictures.
        StorageError: If a file cannot be written.
    """
    with torch_rules(False, choose_device(config)), stop_on_interrupt() as stop:
        trainer = DetectionTrainer(config, data, folder)
        begin_run(config, folder)
        total, done = config.epochs * trainer.steps_per_epoch * trainer.batch_size, trainer.history.step
        with (
            explained_shortage(config.batch_size, accumulate=1),
            Journal(folder, done) as journal,
            progress("training", total, "pictures", done * trainer.batch_size) as advance,
        ):
            while trainer.epoch < config.epochs:
                started = time.monotonic()
                losses = trainer.take_epoch(stop, advance)
                rate = trainer.steps_per_epoch * trainer.batch_size / (time.monotonic() - started)
                ap50 = trainer.validate()
                trainer.save(trainer.history.add(losses, ap50, rate))
                journal.curves("train", losses, trainer.history.step)
                journal.curves("validation_ap50", ap50, trainer.history.step)
                journal.save(trainer.history, finished=False, facts=trainer.facts)
    return trainer.history


def mirrored(pictures: Tensor, targets: Targets, chosen: Tensor) -> tuple[Tensor, Targets]:
    """Mirror the chosen ones (B,) of pictures (B, H, W, 3) left and right, with their boxes."""
    width = pictures.shape[2]
    x0, y0, x1, y1 = targets.boxes.unbind(dim=-1)
    turned = torch.stack([width - x1, y0, width - x0, y1], dim=-1)
    pictures = torch.where(chosen[:, None, None, None], pictures.flip(2), pictures)
    return pictures, Targets(torch.where(chosen[:, None, None], turned, targets.boxes), targets.classes)
