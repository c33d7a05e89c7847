"""Frames to learn from as tensors, gathered in batches by index, and which of them an epoch takes.

The frames lie on the device that trains or, as `MappedSamples`, in a file that is mapped into memory; no frame needs
Python of its own. N: frames of all drives, n: frames of an epoch, B: frames of a batch, C: cameras, H and W: height and
width [px], S: side of a map [px].
"""

import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import islice, pairwise
from typing import Annotated

import numpy as np
import torch
from annotated_types import Ge, Le
from numpy.typing import NDArray
from torch import Tensor

from agents.policies.networks.observation_batch import ObservationBatch, ObservationSpec
from navsim.config import Constrained
from navsim.geometry import Array
from navsim.seeding import generator

READ_AHEAD = 4
"""Number of batches that are read from a file ahead of their use."""
_FINGERPRINT_FRAMES = 256
Indices = NDArray[np.int64]
"""Numbers of frames."""


@dataclass(frozen=True, eq=False)
class Samples:
    """N labelled frames on one device."""

    observations: ObservationBatch
    """Observations of the car, as recorded."""
    labels: Tensor
    """The expert's curvatures (N,) float32 [1/m]."""
    is_informative: Tensor
    """Which frames ask for more than lane keeping (N,) bool, see `agents.training.dataset.informative_frames`."""
    classes: Tensor | None = field(default=None, kw_only=True)
    """Class of each pixel of the images (N, C, H, W) uint8, if it is learned."""

    def __len__(self) -> int:
        """Number of frames, N."""
        return len(self.labels)

    def __getitem__(self, index: Tensor | slice) -> "Samples":
        """Gather frames by their numbers (B,) or a slice; the numbers may lie on the CPU."""
        if isinstance(index, Tensor):
            index = index.to(self.labels.device, non_blocking=True)
        classes = None if self.classes is None else _chosen(self.classes, index)
        return Samples(
            self.observations[index], _chosen(self.labels, index), _chosen(self.is_informative, index), classes=classes
        )

    def to(self, device: torch.device) -> "Samples":
        """Copy to `device`, unless they lie there."""
        classes = None if self.classes is None else self.classes.to(device)
        return Samples(
            self.observations.to(device), self.labels.to(device), self.is_informative.to(device), classes=classes
        )

    @property
    def fingerprint(self) -> str:
        """Short text that differs, almost surely, for other frames or labels."""
        numbers = torch.linspace(0, len(self) - 1, min(len(self), _FINGERPRINT_FRAMES)).round().long()
        some = self[numbers].observations
        crc = 0
        for part in (self.labels, some.images, some.road_map, some.route_map, some.speed):
            crc = zlib.crc32(part.cpu().numpy().tobytes(), crc)
        return f"{len(self)}-{crc:08x}"


@dataclass(frozen=True, eq=False)
class MappedSamples(Samples):
    """N labelled frames whose pictures lie in a mapped file; gathered batches lie on `device`."""

    records: Tensor
    """Bytes of the file (N, bytes) uint8: for each frame its images, road map, route map and, if stored, classes."""
    device: torch.device
    """Device of gathered batches."""

    @classmethod
    def of(
        cls, records: Tensor, spec: ObservationSpec, speed: Tensor, labels: Tensor, is_informative: Tensor
    ) -> "MappedSamples":
        """View a file's bytes (N, bytes) as pictures of the shapes of `spec`."""
        observations = observations_of_records(records, spec, speed)
        return cls(observations, labels, is_informative, records, torch.device("cpu"))

    def __getitem__(self, index: Tensor | slice) -> Samples:
        """Read frames by their numbers (B,) or a slice and copy them to the device."""
        index = index.cpu() if isinstance(index, Tensor) else index
        return self._samples(self._read(index), index)

    def batches(self, indices: Sequence[Tensor]) -> Iterator[Samples]:
        """Gather one batch after another, while a thread reads the next ones.

        Args:
            indices: Numbers (B,) of each batch's frames.
        """
        if not indices:
            return
        waiting = iter(torch.split(torch.cat([*indices]).cpu(), [len(index) for index in indices]))
        with ThreadPoolExecutor(1, "read-ahead") as reader:
            coming = deque((index, reader.submit(self._read, index)) for index in islice(waiting, READ_AHEAD))
            while coming:
                index, records = coming.popleft()
                coming.extend((later, reader.submit(self._read, later)) for later in islice(waiting, 1))
                yield self._samples(records.result(), index)

    def to(self, device: torch.device) -> "MappedSamples":
        """Return the same file with `device` as the device of gathered batches."""
        return replace(
            self, labels=self.labels.to(device), is_informative=self.is_informative.to(device), device=device
        )

    def _read(self, index: Tensor | slice) -> Tensor:
        """Copy records (B, bytes) into memory; for a GPU into pinned memory, which it fetches by itself."""
        if isinstance(index, slice):
            index = torch.arange(len(self))[index]
        pinned = self.device.type == "cuda"
        records = torch.empty((len(index), self.records.shape[1]), dtype=torch.uint8, pin_memory=pinned)
        return torch.index_select(self.records, 0, index, out=records)

    def _samples(self, records: Tensor, index: Tensor | slice) -> Samples:
        """Build samples on the device from the records that were read."""
        spec, speed = self.observations.spec, _chosen(self.observations.speed, index)
        records = records.to(self.device, non_blocking=True)
        there = observations_of_records(records, spec, speed.to(self.device))
        observations = ObservationBatch(
            there.images.contiguous(), there.road_map.contiguous(), there.route_map.contiguous(), there.speed
        )
        if isinstance(index, Tensor):
            index = index.to(self.labels.device, non_blocking=True)
        labels, is_informative = _chosen(self.labels, index), _chosen(self.is_informative, index)
        return Samples(observations, labels, is_informative, classes=classes_of_records(records, spec))


def record_bytes(spec: ObservationSpec, classes: bool = False) -> int:
    """Return the bytes of one frame's pictures, with or without the classes of the images' pixels."""
    return spec.cameras * spec.height * spec.width * (4 if classes else 3) + 2 * spec.map_size**2


def observations_of_records(records: Tensor, spec: ObservationSpec, speed: Tensor) -> ObservationBatch:
    """View records (B, bytes), as in `MappedSamples`, as pictures; nothing is copied."""
    count, size = len(records), spec.map_size
    image_bytes = spec.cameras * spec.height * spec.width * 3
    images, road_map, route_map = torch.split(records[:, : record_bytes(spec)], [image_bytes, size**2, size**2], dim=1)
    return ObservationBatch(
        images.view(count, spec.cameras, spec.height, spec.width, 3),
        road_map.view(count, size, size),
        route_map.view(count, size, size),
        speed,
    )


def classes_of_records(records: Tensor, spec: ObservationSpec) -> Tensor | None:
    """Copy the classes (B, C, H, W) out of records (B, bytes), as in `MappedSamples`; None if they are not stored."""
    rest = records[:, record_bytes(spec) :]
    return rest.reshape(len(records), spec.cameras, spec.height, spec.width) if rest.shape[1] else None


def _chosen(values: Tensor, index: Tensor | slice) -> Tensor:
    """Select values (N, ...) by number or slice."""
    return values.index_select(0, index) if isinstance(index, Tensor) else values[index]


class BatchPrefetcher:
    """Returns batches of samples; announced batches of a mapped file are read ahead."""

    def __init__(self, samples: Samples) -> None:
        """Start without announced batches."""
        self._samples = samples
        self._expected = deque[Tensor]()
        self._batches: Iterator[Samples] = iter(())

    def prefetch(self, indices: Sequence[Tensor]) -> None:
        """Announce the next batches in their order; replaces earlier announcements.

        Args:
            indices: Numbers (B,) of each batch's frames, in the memory that `get` will be given.
        """
        if isinstance(self._samples, MappedSamples):
            self._expected, self._batches = deque(indices), self._samples.batches(indices)

    def get(self, index: Tensor) -> Samples:
        """Return the frames `index` (B,), announced or not."""
        # Comparing the numbers themselves would have to wait for a GPU.
        if self._expected and _same_memory(self._expected[0], index):
            self._expected.popleft()
            return next(self._batches)
        return self._samples[index]


def _same_memory(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors are the same numbers at the same place in memory."""
    return one.data_ptr() == other.data_ptr() and one.shape == other.shape and one.dtype is other.dtype


@dataclass(frozen=True)
class BalanceConfig(Constrained):
    """How much more often sharp curves, which are rare, are shown than they occur in the data."""

    strength: Annotated[float, Ge(0), Le(1)] = 0.0
    """Strength of the balancing: 0 leaves the frames as they come, 1 shows every range of |label| equally often."""
    bins: Annotated[int, Ge(2), Le(1000)] = 8
    """Number of ranges of |label|, of equal width up to the largest."""
    unbiased: bool = True
    """Whether a frame that is shown more often weighs less in the loss, in inverse proportion (importance sampling).
    Then balancing changes only the noise of the gradient. Without it the policy learns P(theta | I, M) of a world in
    which the expert turns more often: of two exits, the one with the sharper turn gains."""


@dataclass(frozen=True, eq=False)
class Draw:
    """The frames of one epoch."""

    index: Indices
    """Numbers (n,) of the frames in the data, in the order of the epoch."""
    weights: NDArray[np.float32]
    """Weights (n,) of the frames' losses, 1 on average over the data."""


class FrameSampler:
    """Draws the frames of an epoch, by the seed and the epoch's number alone."""

    def __init__(
        self,
        labels: Array,
        is_informative: NDArray[np.bool_],
        lane_keeping_fraction: float,
        balance: BalanceConfig,
        seed: int,
    ) -> None:
        """Compute the frames' probabilities.

        Args:
            labels: Curvatures (N,) [1/m].
            is_informative: Which frames (N,) are always taken.
            lane_keeping_fraction: Share of the other frames that an epoch has.
            balance: How sharp curves are preferred.
            seed: Seed of the run.
        """
        self._seed = seed
        self._informative, self._lane_keeping = np.flatnonzero(is_informative), np.flatnonzero(~is_informative)
        lane_keeping = round(lane_keeping_fraction * len(self._lane_keeping))
        self.frames_per_epoch = max(len(self._informative) + lane_keeping, 1)
        self._balance = balance
        wanted = np.where(is_informative, 1.0, lane_keeping_fraction)
        self._wanted = wanted / wanted.sum()
        self._shown = balanced(self._wanted, labels, balance) if balance.strength > 0 else self._wanted

    def draw(self, epoch: int) -> Draw:
        """Draw the frames of epoch `epoch`."""
        rng = generator(self._seed, "order", epoch)
        if self._balance.strength > 0:
            index = systematic_draw(self._shown, self.frames_per_epoch, rng)
            weights = self._wanted[index] / self._shown[index] if self._balance.unbiased else np.ones(len(index))
            return Draw(index, weights.astype(np.float32))
        count = self.frames_per_epoch - len(self._informative)
        lane_keeping = rng.permutation(self._lane_keeping)[:count]
        index = rng.permutation(np.concatenate([self._informative, lane_keeping]))
        return Draw(index, np.ones(len(index), np.float32))


def balanced(probabilities: Array, labels: Array, config: BalanceConfig) -> Array:
    """Shift probabilities (N,) of frames from frequent ranges of |label| to rare ones.

    A range of probability p gets one in proportion to p ** (1 - strength); within a range, frames keep their shares.

    Args:
        probabilities: Probabilities of the frames (N,), summing to 1.
        labels: Labels of the frames (N,) [1/m].
        config: Strength of the shift.
    """
    sizes = np.abs(labels)
    widest = sizes.max(initial=0.0) or 1.0
    bins = np.minimum((sizes / widest * config.bins).astype(int), config.bins - 1)
    mass = np.bincount(bins, probabilities, minlength=config.bins)
    shifted = probabilities * mass[bins] ** -config.strength
    return np.asarray(shifted / shifted.sum())


def systematic_draw(probabilities: Array, count: int, rng: np.random.Generator) -> Indices:
    """Draw `count` numbers by probabilities (N,); each occurs `count` times its probability, rounded up or down.

    Systematic sampling (Madow and Madow, 1944) varies less than independent draws.
    """
    shuffled = rng.permutation(len(probabilities))
    ends = np.cumsum(probabilities[shuffled])
    marks = (rng.random() + np.arange(count)) / count * ends[-1]
    places = np.minimum(np.searchsorted(ends, marks, side="right"), len(ends) - 1)
    return np.asarray(rng.permutation(shuffled[places]), np.int64)


def split_slice(whole: slice, count: int) -> list[slice]:
    """Cut a slice into up to `count` non-empty parts whose lengths differ by at most one."""
    length = whole.stop - whole.start
    ends = [whole.start + length * i // count for i in range(count + 1)]
    return [slice(first, last) for first, last in pairwise(ends) if last > first]
