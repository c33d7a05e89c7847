"""What changes while a network learns: its weights, their moving average and the optimiser."""

from collections.abc import Mapping
from pathlib import Path
from typing import Generic, TypeVar

from torch import Tensor, nn

from agents.training.averaging import EmaConfig, WeightAverage
from agents.training.optimization import OptimizerConfig, make_optimizer, set_learning_rate
from agents.training.tensors import (
    check_continuable,
    load_weights,
    named_tensors,
    optimizer_tensors,
    restore_optimizer,
)

_TRAINED = "trained."

N = TypeVar("N", bound=nn.Module)


class Learned(Generic[N]):
    """A network that learns; the weights to validate, use and keep are those of `average`."""

    def __init__(
        self, network: N, optimizer: OptimizerConfig, ema: EmaConfig, trained: nn.Module | None = None
    ) -> None:
        """Take up a network that lies on the device already.

        Args:
            network: The network, which will change.
            optimizer: How it changes.
            ema: How its average follows.
            trained: What holds the parameters that are trained, those of the network among them; None means these.
        """
        whole: nn.Module = network if trained is None else trained
        self.network = network
        self.average = WeightAverage(network, ema)
        self.optimizer = make_optimizer(whole, optimizer)
        self._trained = [*whole.parameters()]
        self._most = optimizer.max_gradient_norm

    def update(self, step: int, rate: float) -> Tensor:
        """Take step `step` with the gradients added since the last one; returns their norm, before it was clipped."""
        norm = nn.utils.clip_grad_norm_(self._trained, self._most)
        set_learning_rate(self.optimizer, rate)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.average.update(step)
        return norm


def learned_tensors(learned: Learned[N]) -> dict[str, Tensor]:
    """What training needs to continue besides the average: the trained weights and the optimiser's state."""
    return named_tensors(_TRAINED, learned.network) | optimizer_tensors(learned.optimizer)


def restore_learned(path: Path, learned: Learned[N], tensors: Mapping[str, Tensor], prefix: str) -> None:
    """Give a network that learns the state that is in a checkpoint.

    Args:
        path: The file, for errors.
        learned: What takes up the state.
        tensors: Those of `learned_tensors`, and the average of the weights.
        prefix: What the names of the average begin with.

    Raises:
        CheckpointError: If they are of another network, or there is no state of an optimiser.
    """
    check_continuable(path, tensors)
    load_weights(path, learned.network, tensors, _TRAINED)
    load_weights(path, learned.average.network, tensors, prefix)
    restore_optimizer(learned.optimizer, tensors)
