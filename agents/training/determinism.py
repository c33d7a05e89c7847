"""What torch is allowed to do, for the time of a run."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def torch_rules(deterministic: bool, device: torch.device) -> Iterator[None]:
    """Set torch's switches inside the block, and leave them and its global generators as they were.

    Args:
        deterministic: Allow only operations that give the same bits every time, and no choice between algorithms by
            trying which is the fastest. Otherwise cuDNN tries.
        device: Where the work is done.
    """
    before, tried = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS asks for it; read when it starts
    torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.benchmark = not deterministic
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            yield
    finally:
        torch.use_deterministic_algorithms(before)
        torch.backends.cudnn.benchmark = tried
