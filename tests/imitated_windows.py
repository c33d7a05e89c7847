"""An imitation of Windows on another system: what Windows lacks is missing here, too."""

import errno
import importlib
import os
import pkgutil
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing import resource_tracker
from pathlib import Path
from types import ModuleType
from typing import Any

MODULES = {"fcntl", "grp", "posix", "pty", "pwd", "readline", "resource", "syslog", "termios", "tty"}
"""Modules of the standard library that Windows lacks."""
_OF_OS = (
    "chown chroot fork forkpty getegid geteuid getgid getloadavg getpgid getpgrp getpriority getsid getuid killpg "
    "mkfifo nice posix_fadvise pread pwrite register_at_fork sched_getaffinity sched_setaffinity sendfile setpgid "
    "setpriority setsid sysconf uname wait wait4 waitid"
)
_OF_SIGNAL = (
    "SIGALRM SIGBUS SIGCHLD SIGCONT SIGHUP SIGKILL SIGPIPE SIGQUIT SIGSTOP SIGTSTP SIGUSR1 SIGUSR2 SIG_BLOCK "
    "SIG_SETMASK SIG_UNBLOCK alarm getitimer pause pthread_kill pthread_sigmask setitimer siginterrupt "
    "sigwait"
)
ATTRIBUTES = {"os": frozenset(_OF_OS.split()), "signal": frozenset(_OF_SIGNAL.split())}
"""Attributes of modules that Windows lacks."""
_LIBRARIES = (
    "captum.attr cv2 filelock gymnasium imageio_ffmpeg matplotlib.pyplot moderngl multiprocessing.popen_spawn_posix "
    "networkx onnxruntime osmium pyarrow.parquet pybullet pydantic rich.console rich.progress safetensors.torch "
    "scipy.signal scipy.stats scoringrules shapely tensorboard torch torch.distributed torch.utils.tensorboard tyro "
    "yaml"
)


def imitate_windows() -> None:
    """Imitate Windows for the project in this process, which has not imported it yet."""
    for library in _LIBRARIES.split():
        with suppress(ModuleNotFoundError):  # of the extra that trains
            importlib.import_module(library)
    resource_tracker.ensure_running()  # by which Python starts processes here
    for module, names in ((os, ATTRIBUTES["os"]), (signal, ATTRIBUTES["signal"])):
        for name in names & set(dir(module)):
            delattr(module, name)
    os.open = _without_folders
    sys.modules |= dict.fromkeys(MODULES)  # type: ignore[arg-type] # to import one of them fails
    system, sys.platform = sys.platform, "win32"
    project = [module for name in ("navsim", "agents") for module in _with_submodules(importlib.import_module(name))]
    sys.platform = system
    for module in project:
        if getattr(module, "sys", None) is sys:
            module.sys = OtherSys("win32")  # type: ignore[attr-defined]


def _with_submodules(package: ModuleType) -> Iterator[ModuleType]:
    yield package
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        yield importlib.import_module(found.name)


class OtherSys(ModuleType):
    """The module `sys`, of another system."""

    def __init__(self, platform: str) -> None:
        super().__init__("sys")
        self.__dict__["platform"] = platform

    def __getattr__(self, name: str) -> Any:
        return getattr(sys, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(sys, name, value)


_open = os.open


def _without_folders(path: Any, *arguments: Any, **options: Any) -> int:
    """Open a file, but no folder."""
    if not options and Path(os.fsdecode(path)).is_dir():  # `shutil.rmtree` may, which has another way on Windows
        raise PermissionError(errno.EACCES, "Permission denied", os.fsdecode(path))
    return _open(path, *arguments, **options)
