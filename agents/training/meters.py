"""What is measured while training runs: mean losses, and where the time goes."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from agents.training.distributed import ALONE, Group

Sums = dict[str, float]
"""Plain values of a `Means`."""


class Means:
    """Running means of named numbers, kept on the device so that nothing has to wait for them."""

    def __init__(self, sums: Mapping[str, float] | None = None, count: int = 0) -> None:
        """Go on from the sums of `count` steps."""
        self._sums = {name: torch.tensor(value, dtype=torch.float64) for name, value in (sums or {}).items()}
        self.count = count

    @staticmethod
    def shared(sums: Mapping[str, float], count: int, group: Group) -> "Means":
        """Go on from sums over all processes, which the first one carries on."""
        return Means(sums if group.first else dict.fromkeys(sums, 0.0), count)

    def add(self, values: Mapping[str, Tensor]) -> None:
        """Add the values of one step, scalars; of a group of processes, each adds its part."""
        for name, value in values.items():
            value = value.detach().double()
            self._sums[name] = self._sums[name].to(value.device) + value if name in self._sums else value
        self.count += 1

    def sums(self, group: Group = ALONE) -> Sums:
        """The sums over all processes, each of which must ask."""
        if not self._sums:
            return {}
        names = sorted(self._sums)
        total = group.sum(torch.stack([self._sums[name] for name in names]))
        return dict(zip(names, total.tolist(), strict=True))

    def means(self, group: Group = ALONE) -> Sums:
        """The means over all steps; none before the first."""
        return {name: value / self.count for name, value in self.sums(group).items()}


class Stopwatch:
    """Adds up the time of the parts of the work [s]."""

    def __init__(self, device: torch.device) -> None:
        """Start at zero.

        Args:
            device: Where the work is done. A GPU works on while the program goes ahead, so that a part's time is known
                only after waiting for it; see `watching`.
        """
        self._device = device
        self.watching = True
        """Whether parts are timed; on a GPU it costs speed, so have it on in few steps."""
        self.seconds: dict[str, float] = {}
        """Time of each part so far."""

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Time what is done inside the block."""
        if not self.watching:
            yield
            return
        self._wait()
        started = time.perf_counter()
        try:
            yield
        finally:
            self._wait()
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started

    def shares(self) -> dict[str, float]:
        """Each part's share of the time of all parts."""
        total = sum(self.seconds.values())
        return {name: value / total for name, value in self.seconds.items()} if total > 0 else {}

    def _wait(self) -> None:
        """Wait until the device has done what was asked of it."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
