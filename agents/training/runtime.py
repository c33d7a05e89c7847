"""The environment of a run: torch's settings, memory and the place of the data, Ctrl-C.

Ctrl-C is a request: the current step is finished and saved first.
"""

import ctypes
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Literal

import torch

from navsim.errors import ConfigError


@contextmanager
def torch_settings(deterministic: bool, device: torch.device) -> Iterator[None]:
    """Set torch's switches inside the block; afterwards restore them and torch's global generators.

    Args:
        deterministic: Whether to allow only operations that give the same bits every time. Otherwise cuDNN also tries
            which algorithm is the fastest.
        device: Device of the work.
    """
    before, tried = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # required by cuBLAS, which reads it when it starts
    torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.benchmark = not deterministic
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            yield
    finally:
        torch.use_deterministic_algorithms(before)
        torch.backends.cudnn.benchmark = tried


Storage = Literal["auto", "device", "mapped"]
"""Place of the data: `device`, in its memory; `mapped`, in a mapped file; `auto`, mapped if it does not fit."""
DEVICE_SHARE = 0.6
"""Share of the device's free memory that the data may take; network, activations and others need the rest."""
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # mallopt(3)
_LARGEST = 2**31 - 1
_LIMITLESS = 2**62


def keep_freed_memory() -> bool:
    """Let the C library keep freed memory for the next step instead of returning it to the system.

    A step frees and takes hundreds of megabytes. If the system maps and clears their pages each time, that costs a
    fifth of the training rate on a CPU (measured). It holds for the whole process.

    Returns:
        Whether the C library has this setting; only glibc has it.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(_TRIM_THRESHOLD, _LARGEST)) and bool(mallopt(_MMAP_MAX, 0))


def free_memory(device: torch.device) -> int:
    """Return the free memory [bytes] of `device`; on the CPU, within the limits of system and container."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return min(_system_memory(Path("/proc/meminfo")), group_memory(Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")))


def choose_storage(wanted: Storage, needed: int, free: int, device: torch.device) -> Literal["device", "mapped"]:
    """Choose the place of the data.

    Args:
        wanted: Place in the configuration.
        needed: Size of the data [bytes].
        free: Free memory of the device [bytes].
        device: The device, for the message.

    Raises:
        ConfigError: If the device is asked for and the data does not fit there.
    """
    fits = needed <= DEVICE_SHARE * free
    if wanted == "device" and not fits:
        raise ConfigError(
            f"storage = 'device': the data needs {needed / 1e9:.2f} GB, {DEVICE_SHARE:.0%} of the {free / 1e9:.2f} GB "
            f"free on {device} may be taken; 'mapped' keeps it in a file"
        )
    return "device" if fits and wanted != "mapped" else "mapped"


def group_memory(membership: Path, root: Path) -> int:
    """Return the memory [bytes] that control groups (version 2) leave this process; very much without a limit.

    Args:
        membership: The kernel's file that names the process's group.
        root: Mount point of the groups.
    """
    try:
        lines = membership.read_text(encoding="utf-8").splitlines()
    except OSError:
        return _LIMITLESS
    name = next((line.removeprefix("0::/") for line in lines if line.startswith("0::/")), "")
    groups = [root / name, *(root / name).parents]
    return min(_group_room(group) for group in groups if group.is_relative_to(root))


def _group_room(group: Path) -> int:
    """Return the memory left below the limit of one group; the file cache counts as free, as it can be dropped."""
    try:
        limit = (group / "memory.max").read_text(encoding="utf-8").strip()
        used = int((group / "memory.current").read_text(encoding="utf-8"))
        statistics = dict(line.split() for line in (group / "memory.stat").read_text(encoding="utf-8").splitlines())
    except OSError:
        return _LIMITLESS
    return _LIMITLESS if limit == "max" else max(int(limit) - used + int(statistics["inactive_file"]), 0)


def _system_memory(path: Path) -> int:
    """Return the memory that the system has without swapping [bytes]; very much where it is unknown."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return _LIMITLESS
    kilobytes = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(kilobytes[0]) * 1024 if kilobytes else _LIMITLESS


class StopRequest:
    """A request to stop, which may be made at any time."""

    def __init__(self) -> None:
        """Start without a request."""
        self.made = False

    def make(self) -> None:
        """Ask to stop after the current step."""
        self.made = True


@contextmanager
def stop_on_interrupt() -> Iterator[StopRequest]:
    """Turn the first Ctrl-C (SIGINT) inside the block into a `StopRequest`; a second one stops at once.

    Outside the main thread, where signals cannot be caught, no request is made.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    previous = signal.getsignal(signal.SIGINT)

    def handle(_number: int, _frame: FrameType | None) -> None:
        request.make()
        signal.signal(signal.SIGINT, previous)

    signal.signal(signal.SIGINT, handle)
    try:
        yield request
    finally:
        signal.signal(signal.SIGINT, previous)


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
