"""Whether there is a display to open a window on."""

import os
import socket

from navsim.errors import DisplayError


def require_display(otherwise: str = "run without --gui or under xvfb-run") -> None:
    """Check that an X display answers: PyBullet ends the whole process where none does.

    Args:
        otherwise: What can be done without one, for the error.

    Raises:
        DisplayError: If DISPLAY is not set or nobody listens there.
    """
    display = os.environ.get("DISPLAY", "")
    if not display:
        raise DisplayError(f"a window needs a display, but DISPLAY is not set; {otherwise}")
    host, _, rest = display.rpartition(":")
    number = rest.split(".")[0]
    addresses: list[tuple[socket.AddressFamily, str | tuple[str, int]]]
    if host in ("", "unix"):
        name = f"/tmp/.X11-unix/X{number}"  # noqa: S108 where every X server listens
        addresses = [(socket.AF_UNIX, "\0" + name), (socket.AF_UNIX, name)]
    else:
        addresses = [(socket.AF_INET, (host, 6000 + int(number)))] if number.isdigit() else []
    if not any(_answers(family, address) for family, address in addresses):
        raise DisplayError(f"a window needs a display, but nothing answers on DISPLAY={display!r}; {otherwise}")


def _answers(family: socket.AddressFamily, address: str | tuple[str, int]) -> bool:
    """Whether a server accepts a connection at `address` within a second."""
    with socket.socket(family, socket.SOCK_STREAM) as connection:
        connection.settimeout(1.0)
        try:
            connection.connect(address)
        except OSError:
            return False
    return True
