"""Training by several processes, on one machine or many, as `torchrun` starts them.

Each process takes its slice of every batch; gradients are averaged over all frames before each step, so that all
processes hold the same weights and the result is that of one process, but for rounding. The first process alone
validates, drives, prints and writes; all of them must see the same data, and to resume, the same run folder.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from navsim.errors import ConfigError

T = TypeVar("T")

# The others wait for the first process while it validates and drives. A process that dies is torchrun's to notice.
_PATIENCE = timedelta(hours=2)


@dataclass(frozen=True)
class ProcessGroup:
    """The processes that train together, seen from one of them."""

    rank: int = 0
    """Number of this process, from 0."""
    size: int = 1
    """How many there are."""
    local_rank: int = 0
    """Number of this process among those of its machine, which is that of its GPU."""

    @property
    def first(self) -> bool:
        """Whether this is the process that validates, prints and writes."""
        return self.rank == 0

    @property
    def alone(self) -> bool:
        """Whether there is no other process."""
        return self.size == 1

    def share(self, count: int) -> slice:
        """This process's share of `count` things; the shares differ by one at most."""
        return slice(self.rank * count // self.size, (self.rank + 1) * count // self.size)

    def wrap_ddp(self, module: nn.Module) -> nn.Module:
        """Give a module the same weights in all processes, and let its gradients be averaged over them."""
        return module if self.alone else DistributedDataParallel(module)

    def sum(self, values: Tensor) -> Tensor:
        """The sum of all processes' values."""
        if self.alone:
            return values
        total = values.clone()
        distributed.all_reduce(total)
        return total

    def any(self, mine: bool) -> bool:
        """Whether it is so in any process."""
        return mine if self.alone else bool(self.sum(torch.tensor(int(mine))))

    def broadcast(self, value: T) -> T:
        """The first process's value, in all of them."""
        if self.alone:
            return value
        box = [value]
        distributed.broadcast_object_list(box)
        return box[0]

    def all_gather(self, value: T) -> list[T]:
        """The values of all processes, by their rank."""
        if self.alone:
            return [value]
        values: list[T] = [value] * self.size
        distributed.all_gather_object(values, value)
        return values


ALONE = ProcessGroup()
"""One process that trains by itself."""


@contextmanager
def process_group(cuda: bool) -> Iterator[ProcessGroup]:
    """Meet the other processes that `torchrun` has started, if it has.

    Args:
        cuda: Whether training happens on GPUs; each process takes the one of its local rank.

    Yields:
        The group; `ALONE` if the process was started by itself.

    Raises:
        ConfigError: If there are more processes than GPUs on this machine.
    """
    if not distributed.is_torchelastic_launched():
        yield ALONE
        return
    rank, size, local = (int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
    if cuda:
        if local >= torch.cuda.device_count():
            raise ConfigError(
                f"process {local} of this machine has no GPU of its own, there are {torch.cuda.device_count()}: "
                "give torchrun --nproc-per-node as many as that, or train with device = cpu"
            )
        torch.cuda.set_device(local)
    # Small talk between the processes takes the CPU's way, gradients that of the device.
    distributed.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo", timeout=_PATIENCE)
    try:
        yield ProcessGroup(rank, size, local)
    finally:
        distributed.destroy_process_group()
