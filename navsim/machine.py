"""On which machine a benchmark was run."""

import platform
from pathlib import Path

from navsim.parallel import available_cores


def machine() -> dict[str, str | int]:
    """The processor's name, how many of its cores may be used, and the system."""
    return {"processor": processor(Path("/proc/cpuinfo")), "cores": available_cores(), "system": platform.platform()}


def processor(path: Path) -> str:
    """The processor's name as the kernel's file tells it, else as Python does."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
