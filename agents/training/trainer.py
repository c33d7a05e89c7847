"""All that changes while a policy learns, and the one step that changes it. B: frames of a batch."""

import dataclasses
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from agents.policies.checkpoint import (
    CheckpointInfo,
    load_policy,
    read_info,
    restore_training,
    save_checkpoint,
)
from agents.policies.networks.config import check_sensors
from agents.policies.networks.observation_batch import observation_spec, scale_observations
from agents.policies.policy import Policy, build_policy, parameter_count
from agents.training.augmentation import Augmenter, NoisyCameras
from agents.training.config import TrainConfig, choose_device, choose_dtype
from agents.training.dataset import TrainingData
from agents.training.distributed import ALONE, ProcessGroup
from agents.training.logger import History, Means, Stopwatch
from agents.training.losses import build_decoder
from agents.training.optimization import learning_rate
from agents.training.run_folder import RunFolder
from agents.training.sampling import BatchPrefetcher, FrameSampler, parts
from agents.training.train_state import PolicyTrainState
from navsim.config import from_mapping, to_mapping
from navsim.errors import CheckpointError, ConfigError
from navsim.run_folder import differences
from navsim.seeding import derived_seed

_WATCHED_STEPS = 20  # on a GPU the parts of one step in so many are timed


class Trainer:
    """Owns weights, optimiser and history, and keeps them in the run's folder."""

    def __init__(
        self,
        config: TrainConfig,
        data: TrainingData,
        folder: RunFolder,
        group: ProcessGroup = ALONE,
        start: Path | None = None,
    ) -> None:
        """Build the network, or restore it with its optimiser from the folder's last checkpoint.

        Args:
            config: What to do.
            data: What to learn from.
            folder: Where the run is kept.
            group: The processes that train together.
            start: Checkpoint with the weights to begin with; None draws them.

        Raises:
            ConfigError: If the configuration cannot be used.
            CheckpointError: If the last checkpoint is damaged or was trained on other data.
        """
        self.config, self.folder, self.group = config, folder, group
        self.device = choose_device(config)
        self.dtype = choose_dtype(config, self.device)
        self._header = CheckpointInfo(config.policy, data.cameras, data.map, to_mapping(config), {}, data.versions)
        self._data_name = f"{data.train.fingerprint}/{data.validation.fingerprint}"
        self._feed = BatchPrefetcher(data.train.to(self.device))
        self._frames, self._validation_frames = len(data.train), len(data.validation)
        labels, is_informative = data.train.labels.cpu().numpy(), data.train.is_informative.cpu().numpy()
        self.sampler = FrameSampler(
            labels.astype(np.float64), is_informative, config.lane_keeping_fraction, config.balance, config.seed
        )
        self._check_shares()
        spec, seed = observation_spec(data.cameras, data.map), derived_seed(config.seed, "weights")
        policy = load_policy(start, data.cameras, data.map) if start else build_policy(config.policy, spec, seed)
        policy = policy.to(self.device)
        decoder = build_decoder(policy, derived_seed(config.seed, "decoder")) if config.loss.segmentation else None
        self._learner = PolicyTrainState(
            policy, config.loss, config.optimizer, config.ema, self.dtype, group, config.compile, decoder
        )
        noise_seed = derived_seed(config.seed, "noise")
        self._augment = Augmenter(config.augmentation, data.map, noise_seed, self.device)
        self._cameras = NoisyCameras(data.world.camera_noise, self.device)
        self.parts, self.clock, self.rate = Stopwatch(self.device), Stopwatch(self.device), 0.0
        self.history, self.losses, self.recent = History(), Means(), Means()
        if folder.last.exists():
            self._restore()
        self._check_others()

    @property
    def policy(self) -> Policy:
        """The network to drive by: its weights are the average of those that are trained."""
        return self._learner.average.network

    @property
    def batch_size(self) -> int:
        """Frames per step; all of them if they are fewer than a batch."""
        return min(self.config.batch_size, self.sampler.frames_per_epoch)

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in an epoch; the rest waits for an epoch of another order."""
        return self.sampler.frames_per_epoch // self.batch_size

    @property
    def steps(self) -> int:
        """Steps of the whole run, unless it stops early."""
        return self.config.epochs * self.steps_per_epoch

    @property
    def epoch(self) -> int:
        """The epoch under way, counted from 0."""
        return len(self.history.epochs)

    @property
    def position(self) -> int:
        """Steps taken of the epoch under way."""
        return self.history.step - self.epoch * self.steps_per_epoch

    @property
    def done(self) -> bool:
        """Whether all epochs have ended, or so many in vain that the run stops early."""
        return self.epoch >= self.config.epochs or 0 < self.config.patience <= self.history.epochs_without_improvement()

    @property
    def facts(self) -> dict[str, object]:
        """What does not change during the run."""
        return {
            "parameters": parameter_count(self.policy),
            "frames": self._frames,
            "validation_frames": self._validation_frames,
            "device": str(self.device),
            "precision": str(self.dtype).removeprefix("torch."),
            "processes": self.group.size,
        }

    def prefetch(self, index: Tensor) -> None:
        """Say which frames (steps * B,) the next steps will be taken on, so that they can be read ahead."""
        shares = ((batch, self.group.share(len(batch))) for batch in torch.split(index, self.batch_size))
        self._feed.prefetch([batch[part] for batch, mine in shares for part in parts(mine, self.config.accumulate)])

    def step(self, index: Tensor, weights: Tensor) -> None:
        """Take one step on the frames `index` with loss `weights`, both (B,); this process computes its share of them.

        The share is computed in parts, each of them as it would be within the whole batch.
        """
        step, seed, watch = self.history.step, self.config.seed, self.parts
        watch.watching = self.device.type == "cpu" or step % _WATCHED_STEPS == 0
        torch.manual_seed(derived_seed(seed, "layers", step, self.group.rank))  # for layers that draw, such as dropout
        mine, losses = self.group.share(len(index)), dict[str, Tensor]()
        for part in parts(mine, self.config.accumulate):
            with watch.part("frames"):
                frames = self._feed.get(index[part])
            with watch.part("augmentation"):
                self._cameras.restart(derived_seed(seed, "camera noise", step), part.start, len(index))
                self._augment.restart(derived_seed(seed, "augmentation", step), part.start, len(index))
                inputs = self._augment(scale_observations(self._cameras(frames.senses), self.dtype))
            with watch.part("forward"):
                share = (part.stop - part.start) / len(index)
                terms = self._learner.losses(inputs, frames.labels, weights[part], frames.classes)
                terms = {name: term * share for name, term in terms.items()}
            with watch.part("backward"):
                self._learner.add_gradients(terms["total"], last=part.stop == mine.stop)
            losses = {name: term.detach() + losses.get(name, 0.0) for name, term in terms.items()}
        with watch.part("update"):
            norm = self._learner.update(step, learning_rate(step, self.steps, self.config.optimizer))
        self.history.step += 1
        self.losses.add(losses)
        self.recent.add(losses | {"gradient_norm": norm / self.group.size})  # the same in all processes

    def take_over(self, history: History) -> None:
        """Go on with the first process's history; if an epoch has ended in it, its losses are done with."""
        ended = len(history.epochs) * self.steps_per_epoch == self.history.step
        self.history = history
        if ended:
            self.losses = Means()

    @property
    def info(self) -> CheckpointInfo:
        """The header of a checkpoint at this moment."""
        return dataclasses.replace(self._header, progress={"history": dataclasses.asdict(self.history)})

    def save(self) -> None:
        """Save all that is needed to continue; all processes call it, the first one writes."""
        means = {name: {"sums": m.sums(self.group), "count": m.count} for name, m in self._means.items()}
        if self.group.first:
            progress = self.info.progress | {"data": self._data_name, "means": means}
            info = dataclasses.replace(self._header, progress=progress)
            save_checkpoint(self.folder.last, info, self.policy, self._learner)

    @property
    def _means(self) -> dict[str, Means]:
        return {"losses": self.losses, "recent": self.recent}

    def _restore(self) -> None:
        """Take up weights, optimiser and history from the last checkpoint."""
        path = self.folder.last
        info = read_info(path)
        check_sensors(path, (info.cameras, info.map), (self._header.cameras, self._header.map))
        found = restore_training(path, self._learner).progress
        if found.get("data") != self._data_name:
            raise CheckpointError(f"{path}: was trained on other data than {self.config.data} now holds")
        self.history = from_mapping(History, found["history"], str(path))
        self.losses, self.recent = (
            Means.shared(found["means"][name]["sums"], found["means"][name]["count"], self.group)
            for name in ("losses", "recent")
        )

    def _check_shares(self) -> None:
        """Raise ConfigError if there are not enough frames in a step for every part of every process."""
        if self.batch_size < self.group.size * self.config.accumulate:
            raise ConfigError(
                f"a step has {self.batch_size} frames, too few for {self.group.size} processes that compute them in "
                f"{self.config.accumulate} parts each; raise batch_size or lower accumulate"
            )

    def _check_others(self) -> None:
        """Raise ConfigError if another process was told otherwise, or sees other data or another run folder."""
        states = self.group.all_gather(
            {"frames": self._data_name, "step": self.history.step, **to_mapping(self.config)}
        )
        for rank, state in enumerate(states):
            for found in differences(states[0], state):
                raise ConfigError(
                    f"process {rank} has another {found.key} than process 0: {found.wanted!r}, not {found.stored!r}; "
                    "all machines must be given the same options and see the same data and run_dir"
                )
