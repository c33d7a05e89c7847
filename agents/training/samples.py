"""Labelled situations as tensors, gathered in batches by index, without any Python per situation.

They lie on the device that trains, or, as `MappedSamples`, in a file that is mapped into memory. N: situations of all
drives, B: of a batch, C: cameras, H and W: height and width [px], S: side of a map [px].
"""

import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import islice

import torch
from torch import Tensor

from agents.policies.networks.observation_batch import ObservationBatch, ObservationSpec

READ_AHEAD = 4
"""How many batches are read from a file before they are asked for."""
_LOOKED_AT = 256
"""Situations whose images are part of a fingerprint."""


@dataclass(frozen=True, eq=False)
class Samples:
    """N labelled situations on one device."""

    senses: ObservationBatch
    """What was sensed."""
    labels: Tensor
    """The expert's curvatures (N,) float32 [1/m]."""
    is_informative: Tensor
    """Which situations ask for more than holding the lane (N,) bool, see `is_demanding`."""
    classes: Tensor | None = field(default=None, kw_only=True)
    """What each pixel of the images shows (N, C, H, W) uint8, where that is learned, too."""

    def __len__(self) -> int:
        """Number of situations, N."""
        return len(self.labels)

    def __getitem__(self, index: Tensor | slice) -> "Samples":
        """Gather situations by their numbers (B,) or a slice; the numbers may lie on the CPU."""
        if isinstance(index, Tensor):
            index = index.to(self.labels.device, non_blocking=True)
        classes = None if self.classes is None else _chosen(self.classes, index)
        return Samples(
            self.senses[index], _chosen(self.labels, index), _chosen(self.is_informative, index), classes=classes
        )

    def to(self, device: torch.device) -> "Samples":
        """Copy to `device`, unless they are there."""
        classes = None if self.classes is None else self.classes.to(device)
        return Samples(self.senses.to(device), self.labels.to(device), self.is_informative.to(device), classes=classes)

    @property
    def fingerprint(self) -> str:
        """A short text that differs, in all likelihood, for other frames or labels."""
        some = self[torch.linspace(0, len(self) - 1, min(len(self), _LOOKED_AT)).round().long()].senses
        parts = (self.labels, some.images, some.road_map, some.route_map, some.speed)
        crc = 0
        for part in parts:
            crc = zlib.crc32(part.cpu().numpy().tobytes(), crc)
        return f"{len(self)}-{crc:08x}"


@dataclass(frozen=True, eq=False)
class MappedSamples(Samples):
    """N labelled situations whose pictures lie in a mapped file; what is gathered of them lies on `device`."""

    records: Tensor
    """The file (N, bytes) uint8: of each situation the images, the road map, the route map and, if they are in it, the
    classes, one after another."""
    device: torch.device
    """Where gathered batches are wanted."""

    @classmethod
    def of(
        cls, records: Tensor, spec: ObservationSpec, speed: Tensor, labels: Tensor, is_informative: Tensor
    ) -> "MappedSamples":
        """Look at a file's bytes (N, bytes) as pictures of the shapes of `spec`."""
        senses = senses_of_records(records, spec, speed)
        return cls(senses, labels, is_informative, records, torch.device("cpu"))

    def __getitem__(self, index: Tensor | slice) -> Samples:
        """Read situations by their numbers (B,) or a slice and bring them to the device."""
        index = index.cpu() if isinstance(index, Tensor) else index
        return self._samples(self._read(index), index)

    def batches(self, indices: Sequence[Tensor]) -> Iterator[Samples]:
        """Gather one batch after another, while a thread reads those that come next.

        Args:
            indices: The numbers (B,) of each batch's situations.
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
        """The same file, with `device` as the one where batches are wanted."""
        return replace(
            self, labels=self.labels.to(device), is_informative=self.is_informative.to(device), device=device
        )

    def _read(self, index: Tensor | slice) -> Tensor:
        """Copy records (B, bytes) into memory, for a GPU into such as it can fetch by itself."""
        if isinstance(index, slice):
            index = torch.arange(len(self))[index]
        pinned = self.device.type == "cuda"
        records = torch.empty((len(index), self.records.shape[1]), dtype=torch.uint8, pin_memory=pinned)
        return torch.index_select(self.records, 0, index, out=records)

    def _samples(self, records: Tensor, index: Tensor | slice) -> Samples:
        """The situations that were read, on the device."""
        speed = _chosen(self.senses.speed, index)
        records = records.to(self.device, non_blocking=True)
        there = senses_of_records(records, self.senses.spec, speed.to(self.device))
        classes = classes_of_records(records, self.senses.spec)
        senses = ObservationBatch(
            there.images.contiguous(), there.road_map.contiguous(), there.route_map.contiguous(), there.speed
        )
        if isinstance(index, Tensor):
            index = index.to(self.labels.device, non_blocking=True)
        return Samples(senses, _chosen(self.labels, index), _chosen(self.is_informative, index), classes=classes)


def record_bytes(spec: ObservationSpec, classes: bool = False) -> int:
    """Bytes of the pictures of one situation, with or without the classes of the images' pixels."""
    return spec.cameras * spec.height * spec.width * (4 if classes else 3) + 2 * spec.map_size**2


def senses_of_records(records: Tensor, spec: ObservationSpec, speed: Tensor) -> ObservationBatch:
    """Look at records (B, bytes), as in `MappedSamples`, as pictures; nothing is copied."""
    count, size = len(records), spec.map_size
    pictures, shown = spec.cameras * spec.height * spec.width * 3, record_bytes(spec)
    images, road_map, route_map = torch.split(records[:, :shown], [pictures, size**2, size**2], dim=1)
    return ObservationBatch(
        images.view(count, spec.cameras, spec.height, spec.width, 3),
        road_map.view(count, size, size),
        route_map.view(count, size, size),
        speed,
    )


def classes_of_records(records: Tensor, spec: ObservationSpec) -> Tensor | None:
    """Copy the classes (B, C, H, W) out of records (B, bytes), as in `MappedSamples`; None if they are not in them."""
    rest = records[:, record_bytes(spec) :]
    return rest.reshape(len(records), spec.cameras, spec.height, spec.width) if rest.shape[1] else None


def _chosen(values: Tensor, index: Tensor | slice) -> Tensor:
    """Values (N, ...) by number or slice."""
    return values.index_select(0, index) if isinstance(index, Tensor) else values[index]
