"""The training loop: draw a batch, augment it, predict, score, step; validate and save after every epoch.

What a step does depends on the seed, the step and the weights before it alone, so that a run continued from a
checkpoint ends with the same weights as one that was never stopped.
"""

import dataclasses
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from agents.policies.policy import build_policy, parameter_count
from agents.policies.senses import scale_senses, senses_spec
from agents.training.augmentation import Augmenter
from agents.training.checkpoint import CheckpointInfo, restore_training, save_checkpoint
from agents.training.config import TrainConfig, choose_device, choose_dtype
from agents.training.dataset import TrainingData
from agents.training.interruption import StopRequest, stop_on_interrupt
from agents.training.journal import History, Journal
from agents.training.losses import Scores, score, steering_loss
from agents.training.optimization import learning_rate, make_optimizer, set_learning_rate
from agents.training.pictures import draw_predictions
from agents.training.run_folder import RunFolder, begin_run
from navsim.config import from_mapping, to_mapping
from navsim.errors import CheckpointError, ConfigError
from navsim.progress import Advance, progress
from navsim.randomness import derived_seed, generator

_LOG_STEPS = 20
_VALIDATION_BATCH = 512


def train(config: TrainConfig, data: TrainingData, folder: RunFolder) -> History:
    """Train a policy, or continue from the folder's last checkpoint if there is one.

    Raises:
        KeyboardInterrupt: After Ctrl-C, once the state is saved; its text says how to continue.
        ConfigError: If the configuration cannot be used, or the loss stops being finite.
        CheckpointError: If the last checkpoint is damaged or was trained on other data.
        StorageError: If a file cannot be written; the last checkpoint stays as it was.
    """
    trainer = Trainer(config, data, folder)
    begin_run(config, folder)
    steps, batch = trainer.steps, trainer.batch_size
    done = trainer.history.step * batch
    with (
        stop_on_interrupt() as stop,
        Journal(folder, trainer.history.step) as journal,
        progress("training", steps * batch, "images", done) as advance,
    ):
        while trainer.history.step < steps:
            trainer.epoch(journal, stop, advance)
            if stop.made and trainer.history.step < steps:
                trainer.save_last()
                raise KeyboardInterrupt(
                    f"stopped after step {trainer.history.step} of {steps}, saved in {folder.last}; "
                    "the same command with --resume continues"
                )
        journal.save(trainer.history, finished=True, facts=trainer.facts)
    return trainer.history


class Trainer:
    """Owns what changes while a policy learns: weights, optimiser and history."""

    def __init__(self, config: TrainConfig, data: TrainingData, folder: RunFolder) -> None:
        """Build the network, or restore it with its optimiser from the folder's last checkpoint.

        Raises:
            ConfigError: If the configuration cannot be used.
            CheckpointError: If the last checkpoint is damaged or was trained on other data.
        """
        self._config, self._folder = config, folder
        self._device = choose_device(config)
        self._dtype = choose_dtype(config, self._device)
        self._info = CheckpointInfo(config.policy, data.cameras, data.map, to_mapping(config), {}, data.versions)
        self._data_name = f"{data.train.fingerprint}/{data.validation.fingerprint}"
        self._train, self._validation = data.train.to(self._device), data.validation.to(self._device)
        demanding = data.train.demanding.cpu().numpy()
        self._demanding, self._quiet = np.flatnonzero(demanding), np.flatnonzero(~demanding)
        self._frames_per_epoch = len(self._demanding) + round(config.quiet_share * len(self._quiet))
        spec = senses_spec(data.cameras, data.map)
        self.policy = build_policy(config.policy, spec, derived_seed(config.seed, "weights")).to(self._device)
        self._optimizer = make_optimizer(self.policy, config.optimizer)
        noise_seed = derived_seed(config.seed, "noise")
        self._augment = Augmenter(config.augmentation, data.map, noise_seed, self._device)
        self.history = self._restored() if folder.last.exists() else History()

    @property
    def batch_size(self) -> int:
        """Frames per step; all of them if they are fewer than a batch."""
        return min(self._config.batch_size, self._frames_per_epoch)

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in the data; the rest waits for an epoch of another order."""
        return self._frames_per_epoch // self.batch_size

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        return self._config.epochs * self.steps_per_epoch

    @property
    def facts(self) -> dict[str, object]:
        """What does not change during the run."""
        return {
            "parameters": parameter_count(self.policy),
            "frames": len(self._train),
            "validation_frames": len(self._validation),
            "device": str(self._device),
            "precision": str(self._dtype).removeprefix("torch."),
        }

    def epoch(self, journal: Journal, stop: StopRequest, advance: Advance) -> None:
        """Take the steps that are left of the current epoch, then validate and save; ends early if `stop` is made."""
        number, first = divmod(self.history.step, self.steps_per_epoch)
        order = self._order(number)
        self.policy.train()
        started, losses = time.monotonic(), list[Tensor]()
        for position in range(first, self.steps_per_epoch):
            losses.append(self._step(order[position * self.batch_size :][: self.batch_size]))
            if (self.history.step % _LOG_STEPS) == 0:
                self._log(journal, losses[-_LOG_STEPS:])
            advance(self.batch_size, f"epoch {number + 1}/{self._config.epochs}, {self._standing()}")
            if stop.made and position + 1 < self.steps_per_epoch:
                return
        rate = len(losses) * self.batch_size / (time.monotonic() - started)
        self._finish_epoch(number + 1, float(torch.stack(losses).mean()), rate, journal)

    def save_last(self) -> None:
        """Save all that is needed to continue."""
        save_checkpoint(self._folder.last, self._info_now(), self.policy, self._optimizer)

    def validate(self) -> Scores:
        """Score the policy on the validation frames, without augmentation."""
        log_probs, chosen = [], []
        with self._predicting():
            for start in range(0, len(self._validation), _VALIDATION_BATCH):
                part = self._validation[slice(start, start + _VALIDATION_BATCH)]
                answer = self.policy.answer(scale_senses(part.senses, self._dtype))
                log_probs.append(answer.distribution.log_prob(part.labels))
                chosen.append(answer.steering)
        return score(torch.cat(log_probs), torch.cat(chosen), self._validation.labels)

    def _step(self, index: Tensor) -> Tensor:
        """Take one step on the frames `index`; returns the loss."""
        step, settings = self.history.step, self._config.optimizer
        set_learning_rate(self._optimizer, learning_rate(step, self.steps, settings))
        self._augment.restart(derived_seed(self._config.seed, "augmentation", step))
        batch = self._train[index]
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._dtype is torch.bfloat16):
            distribution = self.policy.distribution(self._augment(scale_senses(batch.senses, self._dtype)))
        loss = steering_loss(distribution, batch.labels).total
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        nn.utils.clip_grad_norm_(self.policy.parameters(), settings.max_gradient_norm)
        self._optimizer.step()
        self.history.step += 1
        return loss.detach()

    def _order(self, epoch: int) -> Tensor:
        """The frames in the order of an epoch."""
        rng = generator(self._config.seed, "order", epoch)
        quiet = rng.permutation(self._quiet)[: self._frames_per_epoch - len(self._demanding)]
        return torch.from_numpy(rng.permutation(np.concatenate([self._demanding, quiet]))).to(self._device)

    def _log(self, journal: Journal, losses: list[Tensor]) -> None:
        """Write the mean loss of the last steps and the learning rate."""
        loss = self._finite(float(torch.stack(losses).mean()))
        rate = learning_rate(self.history.step - 1, self.steps, self._config.optimizer)
        journal.curves("train", {"nll": loss, "learning_rate": rate}, self.history.step)

    def _finite(self, loss: float) -> float:
        """The loss itself.

        Raises:
            ConfigError: If it is not finite.
        """
        if not math.isfinite(loss):
            raise ConfigError(
                f"the loss is {loss} at step {self.history.step}; lower optimizer.learning_rate "
                f"(now {self._config.optimizer.learning_rate})"
            )
        return loss

    def _finish_epoch(self, number: int, train_nll: float, rate: float, journal: Journal) -> None:
        """Validate, note the scores, and save."""
        scores, step = self.validate(), self.history.step
        self._finite(train_nll + scores.nll)
        best = self.history.add(number, scores, train_nll, rate)
        journal.curves("validation", dataclasses.asdict(scores), step)
        journal.curves("speed", {"images_per_second": rate}, step)
        if self._config.pictures:
            with self._predicting():
                picture = draw_predictions(self.policy, self._validation, self._info.cameras, self._config.pictures)
            journal.picture("validation/fans", picture, step)
        if best:
            save_checkpoint(self._folder.best, self._info_now(), self.policy)
        self.save_last()
        journal.save(self.history, finished=False, facts=self.facts)

    def _info_now(self) -> CheckpointInfo:
        """The checkpoint's header at this moment."""
        progress_now = {"history": dataclasses.asdict(self.history), "data": self._data_name}
        return dataclasses.replace(self._info, progress=progress_now)

    def _restored(self) -> History:
        """Load weights and optimiser from the last checkpoint; returns the history in it."""
        found = restore_training(self._folder.last, self.policy, self._optimizer).progress
        if found.get("data") != self._data_name:
            raise CheckpointError(f"{self._folder.last}: was trained on other data than {self._config.data} now holds")
        return from_mapping(History, found["history"], str(self._folder.last))

    def _standing(self) -> str:
        """The best score in a few words."""
        best = self.history.best_nll
        return "not validated yet" if best is None else f"best validation nll {best:.3f}"

    @contextmanager
    def _predicting(self) -> Iterator[None]:
        """The policy set for prediction, without gradients."""
        self.policy.eval()
        with (
            torch.inference_mode(),
            torch.autocast(self._device.type, torch.bfloat16, enabled=self._dtype is torch.bfloat16),
        ):
            yield
