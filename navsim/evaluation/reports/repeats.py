"""The same drives twice: how many ended otherwise, and how many differ in anything that was measured."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from navsim.errors import ConfigError
from navsim.simulation.scenario import Outcome

_TIMES = ("seconds", "decision_ms")  # what a drive takes on a machine is no property of the drive


@dataclass(frozen=True)
class Repeat:
    """One driver's drives, set beside the same drives of another run."""

    drives: int
    """How many drives there are in both."""
    changed: tuple[str, ...]
    """Names of those that ended otherwise, with their part before them where there are parts."""
    differing: int
    """How many differ in any measure but time, those that ended otherwise among them."""
    arrived_first: int
    """How many of `changed` arrived in the first run only."""
    arrived_second: int
    """How many of `changed` arrived in the second run only."""


def repeat(first: Mapping[str, Any], second: Mapping[str, Any], junctions_only: bool = False) -> Repeat:
    """Set two results of one suite side by side, drive by drive.

    Args:
        first: What one `results.json` holds (`navsim.evaluation.reports.results.results_mapping`).
        second: What the other one holds.
        junctions_only: Whether to leave out the routes along lanes.

    Raises:
        ConfigError: If they are not of the same drives.
    """
    one, other = _rows(first, junctions_only), _rows(second, junctions_only)
    if first.get("fingerprint") != second.get("fingerprint") or one.keys() != other.keys():
        raise ConfigError("the two results are not of the same drives by the same drivers")
    changed = [key for key, row in one.items() if row["outcome"] != other[key]["outcome"]]
    return Repeat(
        drives=len(one),
        changed=tuple("/".join(filter(None, key[1:])) for key in changed),
        differing=sum(_measured(row) != _measured(other[key]) for key, row in one.items()),
        arrived_first=sum(one[key]["outcome"] == Outcome.ARRIVED for key in changed),
        arrived_second=sum(other[key]["outcome"] == Outcome.ARRIVED for key in changed),
    )


def _rows(results: Mapping[str, Any], junctions_only: bool) -> dict[tuple[str, str, str], Mapping[str, Any]]:
    """Rows of the drives by driver, part and name."""
    rows = [row for row in results["drives"] if row["scenario"]["junctions"] or not junctions_only]
    return {(row["driver"], row["part"], row["name"]): row for row in rows}


def _measured(row: Mapping[str, Any]) -> dict[str, Any]:
    """What was measured of a drive, without what it took."""
    return {key: value for key, value in row.items() if key not in _TIMES}
