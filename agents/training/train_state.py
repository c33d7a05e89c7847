"""What changes while a network learns: its weights, their moving average and the optimiser.

What learns: the weights, their moving average and the optimiser. B: batch.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from agents.policies.checkpoint import load_weights, named_tensors
from agents.policies.networks.observation_batch import Inputs
from agents.policies.policy import Policy
from agents.training.distributed import ProcessGroup, without_exchange
from agents.training.losses import LossConfig, SegmentationDecoder, picture_layer, steering_loss
from agents.training.optimization import EmaConfig, OptimizerConfig, WeightAverage, make_optimizer, set_learning_rate
from navsim.errors import CheckpointError, ConfigError

_OPTIMIZER = "optimizer."
N = TypeVar("N", bound=nn.Module)


class TrainState(Generic[N]):
    """A network that learns; the weights to validate, use and keep are those of `average`."""

    def __init__(
        self,
        network: N,
        optimizer: OptimizerConfig,
        ema: EmaConfig,
        more: Mapping[str, nn.Module] = MappingProxyType({}),
    ) -> None:
        """Take up a network that lies on the device already.

        Args:
            network: The network, which will change.
            optimizer: How it changes.
            ema: How its average follows.
            more: What is trained besides and not kept for use, by what its names in checkpoints begin with.
        """
        self._parts: dict[str, nn.Module] = {"trained.": network, **more}
        trained = nn.ModuleList(self._parts.values())
        self.network = network
        self.average = WeightAverage(network, ema)
        self.optimizer = make_optimizer(trained, optimizer)
        self._parameters = [*trained.parameters()]
        self._most = optimizer.max_gradient_norm

    @property
    def averaged(self) -> N:
        """The network with the averaged weights."""
        return self.average.network

    def update(self, step: int, rate: float) -> Tensor:
        """Take step `step` with the gradients added since the last one; returns their norm, before it was clipped."""
        norm = nn.utils.clip_grad_norm_(self._parameters, self._most)
        set_learning_rate(self.optimizer, rate)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.average.update(step)
        return norm

    def tensors(self) -> dict[str, Tensor]:
        """What it needs to continue besides the average: the trained weights and the optimiser's state."""
        tensors = optimizer_tensors(self.optimizer)
        for prefix, network in self._parts.items():
            tensors |= named_tensors(prefix, network)
        return tensors

    def restore(self, path: Path, tensors: Mapping[str, Tensor]) -> None:
        """Take up what `tensors` gave, as it is in the file at `path`.

        Raises:
            CheckpointError: If it is of another network, or not there.
        """
        check_continuable(path, tensors)
        for prefix, network in self._parts.items():
            load_weights(path, network, tensors, prefix)
        restore_optimizer(self.optimizer, tensors)


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's state as tensors named by the parameter's number and the quantity."""
    return {
        f"{_OPTIMIZER}{index}.{name}": value
        for index, state in optimizer.state_dict()["state"].items()
        for name, value in state.items()
    }


def check_continuable(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Raise CheckpointError if the file at `path`, of which these are the `tensors`, holds no state of an optimiser."""
    if not any(name.startswith(_OPTIMIZER) for name in tensors):
        raise CheckpointError(f"{path}: holds no optimiser state; continue from last.safetensors")


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Give an optimiser the state that `optimizer_tensors` made tensors of."""
    state = {key.removeprefix(_OPTIMIZER): value for key, value in tensors.items() if key.startswith(_OPTIMIZER)}
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    layout = optimizer.state_dict()
    layout["state"] = {index: {} for index in range(len(parameters))}
    for key, value in state.items():
        index, name = key.split(".")
        # The fused optimiser walks through memory: state must lie there in its parameter's order (channels last).
        parameter = parameters[int(index)]
        fits = value.shape == parameter.shape
        layout["state"][int(index)][name] = torch.empty_like(parameter.detach()).copy_(value) if fits else value
    optimizer.load_state_dict(layout)


class PolicyLoss(nn.Module):
    """A policy and its loss as one module, which can be compiled and shared between processes."""

    def __init__(
        self, policy: Policy, loss: LossConfig, dtype: torch.dtype, decoder: SegmentationDecoder | None = None
    ) -> None:
        """Score `policy`, whose layers compute in `dtype`, by `loss`, which is computed in float32.

        With a `decoder`, what the policy's camera trunk sees is scored besides.
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
            inputs: B situations.
            labels: The expert's curvatures (B,) [1/m].
            weights: Weights of the situations (B,).
            classes: With a decoder, what each pixel of the images shows (B, C, H, W) uint8.
        """
        self._pictures.clear()
        with torch.autocast(labels.device.type, torch.bfloat16, enabled=self._dtype is torch.bfloat16):
            answer = self.policy.predict(inputs)
            seen = None if self.decoder is None else self.decoder.loss(self._pictures.pop(), _wanted(classes))
        parts = steering_loss(
            answer.distribution, labels, self.policy.config, self._config, command=answer.command, weights=weights
        )
        if seen is not None:
            parts = parts.joined("segmentation", seen, self._config.segmentation)
        return parts.named()


def _wanted(classes: Tensor | None) -> Tensor:
    if classes is None:
        raise ValueError("a decoder needs the classes of the images' pixels")
    return classes


class PolicyTrainState(TrainState[Policy]):
    """A policy that learns; the weights to validate, drive and keep are those of `average`."""

    def __init__(
        self,
        policy: Policy,
        loss: LossConfig,
        optimizer: OptimizerConfig,
        ema: EmaConfig,
        dtype: torch.dtype,
        group: ProcessGroup,
        compiled: bool = False,
        decoder: SegmentationDecoder | None = None,
    ) -> None:
        """Take up a policy that lies on the device already.

        Args:
            policy: The network, which will change.
            loss: What is minimised besides the head's own loss.
            optimizer: How it changes.
            ema: How its average follows.
            dtype: Type of the layers' arithmetic.
            group: The processes that learn together.
            compiled: Whether to compile the network and the loss.
            decoder: What tells classes from the policy's camera trunk, for `loss.segmentation`.
        """
        scored = PolicyLoss(policy, loss, dtype, decoder)
        super().__init__(policy, optimizer, ema, {} if decoder is None else {"decoder.": decoder})
        self.decoder = decoder
        self._group = group
        self._shared = group.wrap_ddp(scored)
        self._compiled = compiled
        self._loss = torch.compile(self._shared) if compiled else self._shared

    def losses(
        self, inputs: Inputs, labels: Tensor, weights: Tensor, classes: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Predict and score a part of a batch (B situations); see `PolicyLoss` for the arguments.

        Raises:
            ConfigError: If the network is to be compiled and cannot be.
        """
        self.network.train()
        try:
            losses: dict[str, Tensor] = self._loss(inputs, labels, weights, classes)
        except RuntimeError as error:
            if self._compiled and _cannot_compile(error):
                words = " ".join(str(error).split())[:200]
                raise ConfigError(f"compile = true: cannot be done here ({words}); leave it off") from None
            raise
        return losses

    def add_gradients(self, total: Tensor, last: bool) -> None:
        """Add the gradients of a part's loss, weighed by its share in the batch; the last part exchanges them.

        Processes average their gradients, so that each has to weigh its shares by their number.
        """
        with without_exchange(self._shared, not last):
            (total * self._group.size).backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped


def _cannot_compile(error: RuntimeError) -> bool:
    """Whether it was the compiler that failed, for instance because there is none."""
    from torch._dynamo.exc import BackendCompilerFailed  # slow to import, and seldom needed

    return isinstance(error, BackendCompilerFailed)


@contextmanager
def oom_as_config_error(batch_size: int, accumulate: int) -> Iterator[None]:
    """Turn a lack of memory inside the block into one line that says what helps.

    Raises:
        ConfigError: If memory did not suffice.
    """
    try:
        yield
    except RuntimeError as error:  # torch has a class of its own for GPUs alone
        if isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error):
            where = "GPU memory" if isinstance(error, torch.OutOfMemoryError) else "memory"
            raise ConfigError(
                f"out of {where} at batch_size {batch_size} with accumulate {accumulate}: raise accumulate, which "
                "computes a batch in more parts with the same result, or lower batch_size"
            ) from None
        raise
