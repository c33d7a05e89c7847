"""The engine of all training: it takes the steps of an epoch, validates and saves, until all epochs are done.

What is learned is a `TrainingTask`: a policy (`agents.training.policy_task`) or a network of perception
(`agents.perception.training`). A step depends on the seed, its number and the weights before it alone. So a run that is
continued from a checkpoint ends with the same weights as one that was never stopped. B: frames of a batch.
"""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from agents.policies.policy import parameter_count
from agents.training.config import TrainingRunConfig
from agents.training.distributed import ALONE, ProcessGroup
from agents.training.logger import History, Means, Stopwatch, TrainingLogger
from agents.training.optimization import TrainState, check_finite, learning_rate
from agents.training.run_folder import RunFolder, begin_run
from agents.training.runtime import StopRequest, oom_as_config_error, stop_on_interrupt
from agents.training.samples import split_slice
from agents.training.task import BatchLoss, BatchPart, EndedEpoch, TrainingTask
from navsim.config import to_mapping
from navsim.datasets.dataset import folders_text
from navsim.errors import CheckpointError, ConfigError
from navsim.progress import Advance, progress
from navsim.run_folder import differences

N = TypeVar("N", bound=nn.Module)

_LOG_STEPS = 20
_AGREE_STEPS = 8  # steps after which several processes ask each other whether one was interrupted
_TIMED_STEPS = 20  # on a GPU the parts of one step in this many are timed


class Trainer(Generic[N]):
    """Owns weights, optimiser and history of a run, and keeps them in the run's folder."""

    def __init__(
        self, task: TrainingTask[N], config: TrainingRunConfig, folder: RunFolder, group: ProcessGroup = ALONE
    ) -> None:
        """Start with the task's network, or restore it with its optimiser from the folder's last checkpoint.

        Args:
            task: What is learned.
            config: The settings of the run.
            folder: Where the run is kept.
            group: The processes that train together.

        Raises:
            ConfigError: If a step has too few frames for all parts, or another process has other settings or data.
            CheckpointError: If the last checkpoint is damaged or was trained on other data.
        """
        self.task, self.config, self.folder, self.group = task, config, folder, group
        self.batch_size = min(config.batch_size, task.frames_per_epoch)
        self._parts = split_slice(group.share(self.batch_size), task.accumulate)
        self._check_parts()
        self.state = TrainState(task.network, config.optimizer, config.ema, task.modules)
        self._shared = group.wrap_ddp(task.module)
        self._module: nn.Module = torch.compile(self._shared) if task.compiled else self._shared  # type: ignore[assignment]
        self.step_watch, self.epoch_watch, self.rate = Stopwatch(task.device), Stopwatch(task.device), 0.0
        self.history, self.losses, self.recent = History(), Means(dtype=task.sum_dtype), Means()
        if folder.last.exists():
            self._restore()
        self._check_others()

    @property
    def network(self) -> N:
        """The network to validate and to use; its weights are the average of those that are trained."""
        return self.state.averaged

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in an epoch; an epoch of another order takes the rest."""
        return self.task.frames_per_epoch // self.batch_size

    @property
    def steps(self) -> int:
        """Steps of the whole run, unless it stops early."""
        return self.config.epochs * self.steps_per_epoch

    @property
    def epoch(self) -> int:
        """Number of the current epoch, counted from 0."""
        return len(self.history.epochs)

    @property
    def position(self) -> int:
        """Steps taken in the current epoch."""
        return self.history.step - self.epoch * self.steps_per_epoch

    @property
    def done(self) -> bool:
        """Whether all epochs have ended, or enough without improvement to stop early."""
        patience = self.task.patience
        return self.epoch >= self.config.epochs or 0 < patience <= self.history.epochs_without_improvement()

    @property
    def metrics(self) -> dict[str, Any]:
        """All that is noted of the run."""
        return {
            "parameters": parameter_count(self.network),
            **self.task.facts,
            "device": str(self.task.device),
            "precision": str(self.task.dtype).removeprefix("torch."),
            **self._history_mapping,
        }

    def prefetch(self, index: Tensor) -> None:
        """Note the frames (steps * B,) of the coming steps, so that they can be read ahead."""
        batches = torch.split(index, self.batch_size)
        self.task.prefetch([batch[part] for batch in batches for part in self._parts])

    def step(self, index: Tensor, weights: Tensor) -> None:
        """Take one step on the frames `index` with loss `weights`, both (B,); this process computes its share.

        The share is computed in parts, each as it would be within the whole batch.
        """
        step, watch = self.history.step, self.step_watch
        watch.watching = self.task.device.type == "cpu" or step % _TIMED_STEPS == 0
        self.state.network.train()
        torch.manual_seed(self.task.layer_seed(step, self.group.rank))
        sums = dict[str, Tensor]()
        total = torch.zeros((), device=self.task.device)
        for part in self._parts:
            loss = self._losses(BatchPart(index[part], weights[part], step, part.start, len(index)))
            share = (part.stop - part.start) / len(index)
            with watch.part("backward"):
                self._add_gradients(loss.total * share, last=part == self._parts[-1])
            total = total + loss.total.detach() * share
            sums = {name: term.detach() * share + sums.get(name, 0.0) for name, term in loss.terms.items()}
        with watch.part("update"):
            norm = self.state.update(step, learning_rate(step, self.steps, self.config.optimizer))
        self.history.step += 1
        self.losses.add(sums)
        self.recent.add(sums | {"total": total, "gradient_norm": norm / self.group.size})  # the same in all processes

    def adopt_history(self, history: History) -> None:
        """Adopt the first process's history; the losses of an epoch that ended in it are done."""
        if len(history.epochs) * self.steps_per_epoch == self.history.step:
            self.losses = Means(dtype=self.task.sum_dtype)
        self.history = history

    @property
    def header(self) -> Any:
        """The header of a checkpoint at this moment."""
        return dataclasses.replace(self.task.header, progress={"history": self._history_mapping})

    def save_network(self, path: Path) -> None:
        """Write the network to use, without what is needed to continue.

        Raises:
            StorageError: If the file cannot be written.
        """
        self.task.format.save(path, self.header, self.network)

    def save(self) -> None:
        """Save all that is needed to continue; all processes call it, the first one writes."""
        means = {name: {"sums": m.sums(self.group), "count": m.count} for name, m in self._means.items()}
        if self.group.first:
            header = self.header
            more = header.progress | {"data": self.task.data_name, "means": means}
            header = dataclasses.replace(header, progress=more)
            self.task.format.save(self.folder.last, header, self.network, self.state)

    @property
    def _history_mapping(self) -> dict[str, Any]:
        return self.task.best_scores(self.history.best) | dataclasses.asdict(self.history)

    @property
    def _means(self) -> dict[str, Means]:
        return {"losses": self.losses, "recent": self.recent}

    def _losses(self, part: BatchPart) -> BatchLoss:
        """Compute the loss of a part.

        Raises:
            ConfigError: If the module is to be compiled and cannot be.
        """
        try:
            return self.task.losses(self._module, part, self.step_watch)
        except RuntimeError as error:
            if self.task.compiled and _cannot_compile(error):
                text = " ".join(str(error).split())[:200]
                raise ConfigError(f"compile = true: cannot be done here ({text}); leave it off") from None
            raise

    def _add_gradients(self, total: Tensor, last: bool) -> None:
        """Add the gradients of a part's loss, weighed by its share in the batch; the last part exchanges them.

        Processes average their gradients, so each weighs its shares by the number of processes.
        """
        shared = self._shared
        with shared.no_sync() if isinstance(shared, DistributedDataParallel) and not last else nullcontext():
            (total * self.group.size).backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped

    def _restore(self) -> None:
        """Read weights, optimiser and history from the last checkpoint."""
        path, task = self.folder.last, self.task
        task.check_header(path, task.format.read(path, tensors=False)[0])
        found = task.format.restore(path, self.state).progress
        if found.get("data", task.data_name) != task.data_name:
            raise CheckpointError(f"{path}: was trained on other data than {folders_text(self.config.data)} now holds")
        self.history = History.of(found["history"], str(path))
        if "means" in found:
            self.losses, self.recent = (
                Means.shared(**found["means"][name], group=self.group, dtype=means.dtype)
                for name, means in self._means.items()
            )

    def _check_parts(self) -> None:
        """Raise ConfigError if there are not enough frames in a step for every part of every process."""
        if self.batch_size < self.group.size * self.task.accumulate:
            raise ConfigError(
                f"a step has {self.batch_size} frames, too few for {self.group.size} processes that compute them in "
                f"{self.task.accumulate} parts each; raise batch_size or lower accumulate"
            )

    def _check_others(self) -> None:
        """Raise ConfigError if another process has other settings, or sees other data or another run folder."""
        own = {"frames": self.task.data_name, "step": self.history.step, **to_mapping(self.config)}
        states = self.group.all_gather(own)
        for rank, state in enumerate(states):
            for found in differences(states[0], state):
                raise ConfigError(
                    f"process {rank} has another {found.key} than process 0: {found.wanted!r}, not {found.stored!r}; "
                    "all machines must be given the same options and see the same data and run_dir"
                )


def run_training(trainer: Trainer[N], finished: bool = True) -> History:
    """Train, or continue from the folder's last checkpoint.

    Args:
        trainer: The run.
        finished: Whether the run is finished when all epochs are done.

    Raises:
        KeyboardInterrupt: After Ctrl-C, once the state is saved; its text says how to continue.
        ConfigError: If memory does not suffice, or the loss stops being finite.
        StorageError: If a file cannot be written; the last checkpoint stays as it was.
    """
    folder, group = trainer.folder, trainer.group
    if group.first:
        begin_run(trainer.config, folder)
    with (
        stop_on_interrupt() as stop,
        oom_as_config_error(trainer.config.batch_size, trainer.task.accumulate),
        TrainingLogger(folder, trainer.history.step, silent=not group.first) as logger,
        _show_progress(trainer) as advance,
    ):
        while not trainer.done:
            if take_steps(trainer, logger, stop, advance):
                validate_epoch(trainer, logger, stop, advance)
            trainer.save()
            logger.save(trainer.metrics, finished=False)
            if group.any(stop.made) and not trainer.done:
                raise KeyboardInterrupt(
                    f"stopped after step {trainer.history.step} of {trainer.steps}, saved in {folder.last}; "
                    "the same command with --resume continues"
                )
        logger.save(trainer.metrics, finished)
    return trainer.history


def take_steps(trainer: Trainer[Any], logger: TrainingLogger, stop: StopRequest, advance: Advance) -> bool:
    """Take the remaining steps of the current epoch; returns whether all were taken before `stop` was made."""
    draw, task, note = trainer.task.draw(trainer.epoch), trainer.task, _progress_note(trainer)
    index, weights = (torch.from_numpy(values).to(task.device) for values in (draw.index, draw.weights))
    size, first, last = trainer.batch_size, trainer.position, trainer.steps_per_epoch
    trainer.prefetch(index[first * size : last * size])
    trainer.epoch_watch = Stopwatch(task.device)
    with trainer.epoch_watch.part("training"):
        for position in range(first, last):
            batch = slice(position * size, (position + 1) * size)
            trainer.step(index[batch], weights[batch])
            if trainer.history.step % _LOG_STEPS == 0:
                _log(trainer, logger)
            advance(size, note)
            if position + 1 < last and _should_stop(trainer, stop):
                return False
    trainer.rate = (last - first) * size / trainer.epoch_watch.seconds["training"]
    return True


def validate_epoch(trainer: Trainer[Any], logger: TrainingLogger, stop: StopRequest, advance: Advance) -> None:
    """Validate what an epoch has brought, note it, and keep the network if it is the best.

    If the validation is stopped, the epoch is not noted and will be validated again. The first process validates for
    all.
    """
    losses, task = trainer.losses.means(trainer.group), trainer.task
    check_finite(losses.get("total", sum(losses.values())), trainer.history.step, trainer.config.optimizer)
    if trainer.group.first:
        epoch = EndedEpoch(
            trainer.epoch + 1,
            trainer.history.step,
            trainer.network,
            losses,
            trainer.rate,
            trainer.epoch_watch,
            trainer.step_watch.shares(),
            trainer.folder,
            trainer.save_network,
            logger,
            lambda: stop.made,
            advance,
        )
        record = task.validate(epoch)
        if record is not None and trainer.history.add(record, task.score_key):
            trainer.save_network(trainer.folder.best)
    trainer.adopt_history(trainer.group.broadcast(trainer.history))


def _log(trainer: Trainer[Any], logger: TrainingLogger) -> None:
    """Write the mean losses of the last steps and the learning rate."""
    means, step = trainer.recent.means(trainer.group), trainer.history.step
    trainer.recent = Means()
    check_finite(means["total"], step, trainer.config.optimizer)
    rate = learning_rate(step - 1, trainer.steps, trainer.config.optimizer)
    logger.log_scalars("train", means | {"learning_rate": rate}, step)


def _should_stop(trainer: Trainer[Any], stop: StopRequest) -> bool:
    """Whether to stop now; all processes come to the same answer."""
    if trainer.group.size == 1:
        return stop.made
    return trainer.history.step % _AGREE_STEPS == 0 and trainer.group.any(stop.made)


def _progress_note(trainer: Trainer[Any]) -> str:
    """Describe the current epoch and the best score so far."""
    best = trainer.history.best
    score = "not validated yet" if best is None else f"best validation {trainer.task.best_text(best)}"
    return f"epoch {trainer.epoch + 1}/{trainer.config.epochs}, {score}"


@contextmanager
def _show_progress(trainer: Trainer[Any]) -> Iterator[Advance]:
    """Show the progress of the block, in the first process alone."""
    if not trainer.group.first:
        yield lambda count=1, note="": None  # noqa: ARG005 - what others report is the same
        return
    total, done = trainer.steps * trainer.batch_size, trainer.history.step * trainer.batch_size
    with progress("training", total, trainer.task.unit, done) as advance:
        yield advance


def _cannot_compile(error: RuntimeError) -> bool:
    """Whether the compiler failed, for instance because there is none."""
    from torch._dynamo.exc import BackendCompilerFailed  # slow to import, and seldom needed

    return isinstance(error, BackendCompilerFailed)
