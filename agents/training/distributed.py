"""Training by several processes, on one machine or many, as `torchrun` starts them.

Each process takes its slice of every batch. Gradients are averaged over all frames before each step, so all processes
hold the same weights, and the result is that of one process within rounding. The first process validates, drives,
prints and writes. All processes must see the same data and, to resume, the same run folder.
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

# The others wait while the first process validates and drives; torchrun notices a process that dies.
_PATIENCE = timedelta(hours=2)


@dataclass(frozen=True)
class ProcessGroup:
    """The processes that train together, from the view of one of them."""

    rank: int = 0
    """Number of this process, from 0."""
    size: int = 1
    """Number of processes."""
    local_rank: int = 0
    """Number of this process on its machine, from 0; also the number of its GPU."""

    @property
    def first(self) -> bool:
        """Whether this is the process that validates, prints and writes."""
        return self.rank == 0

    @property
    def alone(self) -> bool:
        """Whether this is the only process."""
        return self.size == 1

    def share(self, count: int) -> slice:
        """Return this process's share of `count` items; shares differ by at most one."""
        return slice(self.rank * count // self.size, (self.rank + 1) * count // self.size)

    def wrap_ddp(self, module: nn.Module) -> nn.Module:
        """Wrap a module so that all processes have the same weights and average the gradients."""
        return module if self.alone else DistributedDataParallel(module)

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum of all processes' values."""
        if self.alone:
            return values
        total = values.clone()
        distributed.all_reduce(total)
        return total

    def any(self, mine: bool) -> bool:
        """Return whether the value is true in any process."""
        return mine if self.alone else bool(self.sum(torch.tensor(int(mine))))

    def broadcast(self, value: T) -> T:
        """Return the first process's value, in all processes."""
        if self.alone:
            return value
        box = [value]
        distributed.broadcast_object_list(box)
        return box[0]

    def all_gather(self, value: T) -> list[T]:
        """Return the values of all processes, by rank."""
        if self.alone:
            return [value]
        values: list[T] = [value] * self.size
        distributed.all_gather_object(values, value)
        return values


ALONE = ProcessGroup()
"""A single process."""


@contextmanager
def process_group(cuda: bool) -> Iterator[ProcessGroup]:
    """Join the other processes of `torchrun`, if it started this process.

    Args:
        cuda: Whether training uses GPUs; each process takes the GPU of its local rank.

    Yields:
        The group; `ALONE` without torchrun.

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
    # Gradients go over the device's backend, small messages over the CPU's.
    distributed.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo", timeout=_PATIENCE)
    try:
        yield ProcessGroup(rank, size, local)
        # Gloo's threads outlive the group once it has served DDP. One that still frees a tensor while the interpreter
        # ends aborts the process (PyTorch #179291), so all wait until the last message is done.
        distributed.barrier()
    finally:
        distributed.destroy_process_group()
