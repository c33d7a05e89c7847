"""The training loop: take the steps of an epoch, judge what came of it, save; until all epochs are done.

What a step does depends on the seed, the step and the weights before it alone, so that a run continued from a
checkpoint ends with the same weights as one that was never stopped.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch

from agents.policies.checkpoint import save_checkpoint
from agents.scoring.calibration import score
from agents.training.closed_loop import ClosedLoop
from agents.training.config import TrainConfig, choose_device
from agents.training.dataset import TrainingData
from agents.training.distributed import ALONE, ProcessGroup
from agents.training.logger import History, Means, Stopwatch, TrainingLogger
from agents.training.optimization import check_finite, learning_rate
from agents.training.run_folder import RunFolder, begin_run
from agents.training.runtime import StopRequest, stop_on_interrupt, torch_settings
from agents.training.train_state import oom_as_config_error
from agents.training.trainer import Trainer
from agents.training.validation import Validator
from navsim.progress import Advance, progress

_LOG_STEPS = 20
_AGREE_STEPS = 8  # several processes ask each other so often whether one of them was interrupted


def train(
    config: TrainConfig, data: TrainingData, folder: RunFolder, group: ProcessGroup = ALONE, start: Path | None = None
) -> History:
    """Train a policy, or continue from the folder's last checkpoint if there is one.

    Args:
        config: What to do.
        data: What to learn from.
        folder: Where to keep it.
        group: The processes that train together; all of them call this with the same arguments.
        start: Checkpoint with the weights that a new run begins with; None draws them.

    Raises:
        KeyboardInterrupt: After Ctrl-C, once the state is saved; its text says how to continue.
        ConfigError: If the configuration cannot be used, memory does not suffice, or the loss stops being finite.
        CheckpointError: If the last checkpoint is damaged or was trained on other data.
        StorageError: If a file cannot be written; the last checkpoint stays as it was.
    """
    with (
        torch_settings(config.deterministic, choose_device(config)),
        ClosedLoop(config.closed_loop if group.first else replace(config.closed_loop, every=0), data.world) as course,
        stop_on_interrupt() as stop,
    ):
        trainer = Trainer(config, data, folder, group, start)
        validator = Validator(data, trainer.device, trainer.dtype, course) if group.first else None
        if group.first:
            begin_run(config, folder)
        with (
            oom_as_config_error(config.batch_size, config.accumulate),
            TrainingLogger(folder, trainer.history.step, silent=not group.first) as logger,
            _shown(trainer) as advance,
        ):
            while not trainer.done:
                if take_steps(trainer, logger, stop, advance):
                    validate_epoch(trainer, validator, logger, stop, advance)
                trainer.save()
                logger.save(trainer.history, finished=False, facts=trainer.facts)
                if group.any(stop.made) and not trainer.done:
                    raise KeyboardInterrupt(
                        f"stopped after step {trainer.history.step} of {trainer.steps}, saved in {folder.last}; "
                        "the same command with --resume continues"
                    )
            logger.save(trainer.history, finished=True, facts=trainer.facts)
    return trainer.history


def take_steps(trainer: Trainer, logger: TrainingLogger, stop: StopRequest, advance: Advance) -> bool:
    """Take the steps that are left of the current epoch; returns whether all were taken before `stop` was made."""
    draw = trainer.sampler.draw(trainer.epoch)
    index, weights = (torch.from_numpy(values).to(trainer.device) for values in (draw.index, draw.weights))
    size, first, last = trainer.batch_size, trainer.position, trainer.steps_per_epoch
    trainer.prefetch(index[first * size : last * size])
    trainer.clock = Stopwatch(trainer.device)
    with trainer.clock.part("training"):
        for position in range(first, last):
            batch = slice(position * size, (position + 1) * size)
            trainer.step(index[batch], weights[batch])
            if trainer.history.step % _LOG_STEPS == 0:
                _log(trainer, logger)
            advance(size, _standing(trainer))
            if position + 1 < last and _agreed(trainer, stop):
                return False
    trainer.rate = (last - first) * size / trainer.clock.seconds["training"]
    return True


def validate_epoch(
    trainer: Trainer, validator: Validator | None, logger: TrainingLogger, stop: StopRequest, advance: Advance
) -> None:
    """Validate what an epoch has brought, let it drive, note it, and keep it if it is the best.

    If the drives are broken off, the epoch is not noted and will be judged anew. The first process has the examiner and
    judges for all.
    """
    losses = trainer.losses.means(trainer.group)
    check_finite(losses["total"], trainer.history.step, trainer.config.optimizer)
    if validator is not None:
        with trainer.clock.part("validation"):
            samples = validator.validate(trainer.policy)
        scores = score(samples)
        check_finite(scores.nll, trainer.history.step, trainer.config.optimizer)
        due = trainer.config.closed_loop.due(trainer.epoch + 1, trainer.config.epochs)
        drives = validator.drive(trainer, stop, advance) if due else None
        if drives is not None or not due:
            seconds = trainer.clock.seconds
            best = trainer.history.add(trainer.epoch + 1, scores, losses, drives, seconds, trainer.rate)
            validator.report(logger, trainer, samples, scores)
            if best:
                save_checkpoint(trainer.folder.best, trainer.info, trainer.policy)
    trainer.take_over(trainer.group.broadcast(trainer.history))


def _log(trainer: Trainer, logger: TrainingLogger) -> None:
    """Write the mean losses of the last steps and the learning rate."""
    means, step = trainer.recent.means(trainer.group), trainer.history.step
    trainer.recent = Means()
    check_finite(means["total"], step, trainer.config.optimizer)
    rate = learning_rate(step - 1, trainer.steps, trainer.config.optimizer)
    logger.log_scalars("train", means | {"learning_rate": rate}, step)


def _agreed(trainer: Trainer, stop: StopRequest) -> bool:
    """Whether to stop now; all processes come to the same answer."""
    if trainer.group.alone:
        return stop.made
    return trainer.history.step % _AGREE_STEPS == 0 and trainer.group.any(stop.made)


def _standing(trainer: Trainer) -> str:
    """Epoch and best score in a few words."""
    best = trainer.history.best
    score = "not validated yet" if best is None else f"best validation nll {best['validation']['nll']:.3f}"
    drives = None if best is None else best["closed_loop"]
    arrivals = "" if drives is None else f", arrived {drives['arrived']}/{drives['routes']}"
    return f"epoch {trainer.epoch + 1}/{trainer.config.epochs}, {score}{arrivals}"


@contextmanager
def _shown(trainer: Trainer) -> Iterator[Advance]:
    """Show the progress of the block, in the first process alone."""
    if not trainer.group.first:
        yield lambda count=1, note="": None  # noqa: ARG005 - what others report is the same
        return
    total, done = trainer.steps * trainer.batch_size, trainer.history.step * trainer.batch_size
    with progress("training", total, "images", done) as advance:
        yield advance
