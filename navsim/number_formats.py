"""Numbers as text, written the same way in every table, page and message; `MISSING` stands for a value of None."""

MISSING = "-"
"""Text of a missing value."""


def number(value: float | None, digits: int = 2, unit: str = "", *, signed: bool = False) -> str:
    """Return a value as text, such as `0.11`, `0.11 m`, `12.3/km` or `+0.11`.

    Args:
        value: The value; None is missing.
        digits: Number of digits after the point.
        unit: Unit; one that begins with a letter or digit follows after a space.
        signed: Whether a positive value has its sign.
    """
    if value is None:
        return MISSING
    space = " " if unit[:1].isalnum() else ""
    return f"{value:{'+' if signed else ''}.{digits}f}{space}{unit}"


def percent(share: float | None, digits: int = 0, *, signed: bool = False) -> str:
    """Return a share as a percentage, such as `83%`."""
    return number(None if share is None else 100 * share, digits, "%", signed=signed)


def share(count: int, total: int) -> str:
    """Return a count with its total, such as `38 of 40`; missing if the total is 0."""
    return f"{count} of {total}" if total else MISSING


def interval(ends: tuple[float, float] | None, digits: int = 2, unit: str = "", *, signed: bool = False) -> str:
    """Return an interval as text, such as `0.10 to 0.14 m`."""
    if ends is None:
        return MISSING
    low, high = ends
    return f"{number(low, digits, signed=signed)} to {number(high, digits, unit, signed=signed)}"


def percent_interval(ends: tuple[float, float] | None, digits: int = 0, *, signed: bool = False) -> str:
    """Return an interval of shares, such as `83% to 99%`."""
    if ends is None:
        return MISSING
    return " to ".join(percent(end, digits, signed=signed) for end in ends)


def percent_with_interval(value: float, ends: tuple[float, float], digits: int = 0, *, signed: bool = False) -> str:
    """Return a share or a difference of shares with its interval, such as `+8% (-2% to +17%)`."""
    return f"{percent(value, digits, signed=signed)} ({percent_interval(ends, digits, signed=signed)})"


def with_interval(
    value: float | None, ends: tuple[float, float] | None, digits: int = 2, unit: str = "", *, signed: bool = False
) -> str:
    """Return a value with its interval, such as `0.12 m (0.10 to 0.14)`; a value without one stands alone."""
    text = number(value, digits, unit, signed=signed)
    return text if value is None or ends is None else f"{text} ({interval(ends, digits, signed=signed)})"


def share_with_interval(count: int, total: int, ends: tuple[float, float]) -> str:
    """Return a share with its interval, such as `38 of 40 (83% to 99%)`; missing if the total is 0."""
    return f"{share(count, total)} ({percent_interval(ends)})" if total else MISSING


def metres(value: float | None, digits: int = 2, *, signed: bool = False) -> str:
    """Return a length given in metres, such as `0.11 m`."""
    return number(value, digits, "m", signed=signed)


def km(value: float | None, digits: int = 2) -> str:
    """Return a distance given in kilometres, such as `13.20 km`."""
    return number(value, digits, "km")


def per_km(value: float | None, digits: int = 2) -> str:
    """Return a rate given in 1/km, such as `0.46/km`."""
    return number(value, digits, "/km")


def seconds(value: float | None, digits: int = 1) -> str:
    """Return a time given in seconds, such as `4.2 s`."""
    return number(value, digits, "s")


def milliseconds(value: float | None, digits: int = 2) -> str:
    """Return a time given in seconds as milliseconds, such as `3.10 ms`."""
    return number(None if value is None else 1000 * value, digits, "ms")


def thousands(value: float | None, digits: int = 0) -> str:
    """Return a large number with commas, such as `378,123`."""
    return MISSING if value is None else f"{value:,.{digits}f}"
