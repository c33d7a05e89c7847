"""What a policy learns: its loss on recorded drives, L = -log P(label | images, map) (Amini et al., ICRA 2019).

B: frames of a batch, K: components of a mixture, C: cameras, H and W: height and width [px].
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from agents.policies.checkpoint import POLICY_FORMAT, CheckpointInfo, load_policy
from agents.policies.distributions.base import SteeringDistribution
from agents.policies.distributions.mixture import SteeringMixture, TruncatedMixture
from agents.policies.networks.config import PolicyConfig, check_sensors
from agents.policies.networks.observation_batch import Inputs, observation_spec, scale_observations
from agents.policies.policy import HEADS, Policy, build_policy
from agents.training.augmentation import Augmenter, NoisyCameras
from agents.training.closed_loop import ClosedLoop
from agents.training.config import LossConfig, TrainConfig, choose_device, choose_dtype
from agents.training.dataset import TrainingData
from agents.training.decoder import SegmentationDecoder, build_decoder, picture_layer
from agents.training.distributed import ALONE, ProcessGroup
from agents.training.logger import History, Stopwatch
from agents.training.run_folder import RunFolder
from agents.training.runtime import torch_settings
from agents.training.samples import BatchPrefetcher, Draw, FrameSampler
from agents.training.task import BatchLoss, BatchPart, EndedEpoch, TrainingTask
from agents.training.trainer import Trainer, run_training
from agents.training.validation import Validator, score_key
from navsim.config import to_mapping
from navsim.seeding import derived_seed


@dataclass(frozen=True, eq=False)
class LossParts:
    """The terms of the loss, each a scalar averaged over the batch."""

    nll: Tensor
    """Negative log-likelihood of the labels [nats], of a density over curvature in 1/m; minimised by most heads."""
    terms: Mapping[str, Tensor]
    """Terms that are minimised, by name, before weighting."""
    weights: Mapping[str, float]
    """Weight of each term."""

    def joined(self, name: str, term: Tensor, weight: float) -> "LossParts":
        """Return these terms and one more."""
        return LossParts(self.nll, {**self.terms, name: term}, {**self.weights, name: weight})

    @property
    def total(self) -> Tensor:
        """Weighted sum of the terms, which is minimised."""
        return torch.stack([self.weights[name] * term for name, term in self.terms.items()]).sum()

    def named(self) -> dict[str, Tensor]:
        """Return the likelihood, the terms and their total by name."""
        return {"nll": self.nll, **self.terms, "total": self.total}


def steering_loss(
    distribution: SteeringDistribution,
    labels: Tensor,
    policy: PolicyConfig,
    loss: LossConfig,
    *,
    command: Tensor | None = None,
    weights: Tensor | None = None,
) -> LossParts:
    """Score a batch by the head's own loss and the regularisers that are on.

    A network with a command adds its squared error, as in the source (Amini et al., ICRA 2019).

    Args:
        distribution: Predictions of the policy's head for B frames.
        labels: The expert's curvatures (B,) [1/m].
        policy: The head and its settings.
        loss: Weights of further terms, which the head must have, see `check_loss`.
        command: Commands (B,) [1/m] of a network with a branch for the route.
        weights: Weights (B,) of the frames, 1 on average over the data; None weighs all alike.
    """
    head = HEADS[policy.head]

    def averaged(costs: Tensor) -> Tensor:
        return (costs if weights is None else weights * costs).mean()

    terms = {head.loss_name: averaged(head.loss(distribution, labels, policy))}
    regularisers = {name: getattr(loss, name) for name in _REGULARISERS if getattr(loss, name)}
    terms |= {name: _REGULARISERS[name](distribution, loss) for name in regularisers}
    shares = {head.loss_name: 1.0} | regularisers
    if command is not None:
        terms["command"] = averaged(((command - labels) / policy.max_curvature).square())
        shares["command"] = loss.command
    if "nll" in terms:
        nll = terms["nll"]
    else:
        with torch.no_grad():
            nll = averaged(-distribution.log_prob(labels))
    return LossParts(nll, terms, shares)


def _weight_norm(mixture: SteeringMixture | TruncatedMixture, loss: LossConfig) -> Tensor:
    """Return the mean L_p norm of the weights, computed from logarithms: for p < 1 the slope of phi^p is unbounded."""
    power = loss.weight_norm_power
    return (torch.logsumexp(power * mixture.log_weights, dim=-1) / power).exp().mean()


def _log_scale(mixture: SteeringMixture | TruncatedMixture, loss: LossConfig) -> Tensor:
    """Return the mean squared distance of the scales' logarithms from the target."""
    return (mixture.scales.log() - loss.log_scale_target).square().mean()


_REGULARISERS: dict[str, Callable[..., Tensor]] = {"weight_norm": _weight_norm, "log_scale": _log_scale}
"""Functions of a mixture and a LossConfig, by the names of `REGULARISERS`."""


class PolicyLoss(nn.Module):
    """A policy and its loss as one module, which can be compiled and shared between processes."""

    def __init__(
        self, policy: Policy, loss: LossConfig, dtype: torch.dtype, decoder: SegmentationDecoder | None = None
    ) -> None:
        """Hold the parts of the loss.

        Args:
            policy: The policy.
            loss: Further terms; the loss is computed in float32.
            dtype: Type of the layers' arithmetic.
            decoder: Decoder on the policy's camera trunk, which adds a loss of segmentation.
        """
        super().__init__()
        self.policy = policy
        self.decoder = decoder
        self._config = loss
        self._dtype = dtype
        self._pictures: list[Tensor] = []
        if decoder is not None:
            picture_layer(policy).register_forward_hook(lambda _layer, _given, made: self._pictures.append(made))

    def forward(
        self, inputs: Inputs, labels: Tensor, weights: Tensor, classes: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Return the terms of the loss and their `total`, scalars averaged over the batch.

        Args:
            inputs: Inputs of B frames.
            labels: The expert's curvatures (B,) [1/m].
            weights: Weights of the frames (B,).
            classes: Class of each pixel of the images (B, C, H, W) uint8, for a decoder.
        """
        self._pictures.clear()
        with torch.autocast(labels.device.type, torch.bfloat16, enabled=self._dtype is torch.bfloat16):
            output = self.policy.predict(inputs)
            segmentation = None if self.decoder is None else self.decoder.loss(self._pictures.pop(), _wanted(classes))
        parts = steering_loss(
            output.distribution, labels, self.policy.config, self._config, command=output.command, weights=weights
        )
        if segmentation is not None:
            parts = parts.joined("segmentation", segmentation, self._config.segmentation)
        return parts.named()


def _wanted(classes: Tensor | None) -> Tensor:
    if classes is None:
        raise ValueError("a decoder needs the classes of the images' pixels")
    return classes


class PolicyTask(TrainingTask[Policy]):
    """A policy that learns from recorded drives."""

    format = POLICY_FORMAT

    def __init__(
        self,
        config: TrainConfig,
        data: TrainingData,
        group: ProcessGroup = ALONE,
        closed_loop: ClosedLoop | None = None,
        start: Path | None = None,
    ) -> None:
        """Build the policy and copy the frames to the device.

        Args:
            config: The settings of the run.
            data: The frames.
            group: The processes that train together.
            closed_loop: Routes to drive for validation; None drives none.
            start: Checkpoint with the initial weights; None draws them.

        Raises:
            ConfigError: If the settings cannot be used.
            CheckpointError: If `start` is unusable, or was trained with other cameras or another map.
        """
        self.config, self._data = config, data
        self.device = choose_device(config)
        self.dtype = choose_dtype(config, self.device)
        self.accumulate, self.patience, self.compiled = config.accumulate, config.patience, config.compile
        self.header = CheckpointInfo(config.policy, data.cameras, data.map, to_mapping(config), {}, data.versions)
        self.data_name = f"{data.train.fingerprint}/{data.validation.fingerprint}"
        self._processes = group.size
        self._prefetcher = BatchPrefetcher(data.train.to(self.device))
        labels, is_informative = data.train.labels.cpu().numpy(), data.train.is_informative.cpu().numpy()
        self._sampler = FrameSampler(
            labels.astype(np.float64), is_informative, config.lane_keeping_fraction, config.balance, config.seed
        )
        self.frames_per_epoch = self._sampler.frames_per_epoch
        spec, seed = observation_spec(data.cameras, data.map), derived_seed(config.seed, "weights")
        policy = load_policy(start, data.cameras, data.map) if start else build_policy(config.policy, spec, seed)
        self.network = policy.to(self.device)
        decoder = None
        if config.loss.segmentation:
            decoder = build_decoder(self.network, derived_seed(config.seed, "decoder"))
            self.modules = {"decoder.": decoder}
        self.module = PolicyLoss(self.network, config.loss, self.dtype, decoder)
        self._augmenter = Augmenter(config.augmentation, data.map, derived_seed(config.seed, "noise"), self.device)
        self._cameras = NoisyCameras(data.simulation_config.camera_noise, self.device)
        self._validator = Validator(config, data, self.device, self.dtype, closed_loop) if group.first else None

    def draw(self, epoch: int) -> Draw:
        """Draw the frames of epoch `epoch`, see `FrameSampler`."""
        return self._sampler.draw(epoch)

    def prefetch(self, indices: Sequence[Tensor]) -> None:
        """Announce the frames of the next steps, see `BatchPrefetcher`."""
        self._prefetcher.prefetch(indices)

    def layer_seed(self, step: int, rank: int) -> int:
        """Return the seed of the layers that draw, such as dropout."""
        return derived_seed(self.config.seed, "layers", step, rank)

    def losses(self, module: nn.Module, part: BatchPart, watch: Stopwatch) -> BatchLoss:
        """Gather, augment and score a part of a batch; it is augmented as it would be within the whole batch."""
        seed = self.config.seed
        with watch.part("frames"):
            frames = self._prefetcher.get(part.index)
        with watch.part("augmentation"):
            self._cameras.restart(derived_seed(seed, "camera noise", part.step), part.first, part.batch_size)
            self._augmenter.restart(derived_seed(seed, "augmentation", part.step), part.first, part.batch_size)
            inputs = self._augmenter(scale_observations(self._cameras(frames.observations), self.dtype))
        with watch.part("forward"):
            terms: dict[str, Tensor] = module(inputs, frames.labels, part.weights, frames.classes)
        return BatchLoss(terms["total"], terms)

    def validate(self, epoch: EndedEpoch[Policy]) -> dict[str, Any] | None:
        """Score the policy on the validation frames and let it drive where the settings ask for it."""
        if self._validator is None:
            raise ValueError("only the first process validates")
        return self._validator.validate(epoch)

    def score_key(self, record: Mapping[str, Any]) -> tuple[float, ...]:
        """Return what makes an epoch better, see `validation.score_key`."""
        return score_key(record)

    def best_text(self, record: Mapping[str, Any]) -> str:
        """Describe NLL and arrivals of the best epoch."""
        drives = record["closed_loop"]
        arrivals = "" if drives is None else f", arrived {drives['arrived']}/{drives['routes']}"
        return f"nll {record['validation']['nll']:.3f}{arrivals}"

    def best_scores(self, record: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return the best epoch's NLL [nats]."""
        return {"best_nll": None if record is None else record["validation"]["nll"]}

    def check_header(self, path: Path, header: CheckpointInfo) -> None:
        """Raise CheckpointError if the checkpoint was trained with other cameras or another map."""
        check_sensors(path, (header.cameras, header.map), (self._data.cameras, self._data.map))

    @property
    def facts(self) -> dict[str, object]:
        """Sizes of the data, and the number of processes."""
        frames = {"frames": len(self._data.train), "validation_frames": len(self._data.validation)}
        return {**frames, "processes": self._processes}


def policy_trainer(
    config: TrainConfig,
    data: TrainingData,
    folder: RunFolder,
    group: ProcessGroup = ALONE,
    start: Path | None = None,
    closed_loop: ClosedLoop | None = None,
) -> Trainer[Policy]:
    """Build the trainer of a policy; see `PolicyTask` and `Trainer` for arguments and errors."""
    return Trainer(PolicyTask(config, data, group, closed_loop, start), config, folder, group)


def train(
    config: TrainConfig, data: TrainingData, folder: RunFolder, group: ProcessGroup = ALONE, start: Path | None = None
) -> History:
    """Train a policy, or continue from the folder's last checkpoint if there is one.

    Args:
        config: The settings of the run.
        data: The frames.
        folder: Where the run is kept.
        group: The processes that train together; all of them call this with the same arguments.
        start: Checkpoint with the weights of a new run; None draws them.

    Raises:
        KeyboardInterrupt: After Ctrl-C, once the state is saved; its text says how to continue.
        ConfigError: If the settings cannot be used, memory does not suffice, or the loss stops being finite.
        CheckpointError: If the last checkpoint is damaged or was trained on other data.
        StorageError: If a file cannot be written; the last checkpoint stays as it was.
    """
    drives = config.closed_loop if group.first else replace(config.closed_loop, every=0)
    with (
        torch_settings(config.deterministic, choose_device(config)),
        ClosedLoop(drives, data.simulation_config) as closed_loop,
    ):
        return run_training(policy_trainer(config, data, folder, group, start, closed_loop))
