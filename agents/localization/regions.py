"""Credible regions as large as other drives say they must be.

A belief's own 50% region holds the true position in 50% of the cases only if all that the filter assumes is so. Drives
through validation towns say in what share of the cases a region of each level holds it, and so which level to take for
a region that holds it in 50%: split conformal prediction (Vovk, Gammerman, Shafer, "Algorithmic Learning in a Random
World", 2005). All drives count alike, since moments of one err alike.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from agents.localization.running import Tracks
from navsim.errors import ConfigError
from navsim.geometry import Array
from navsim.simulation.scenario import Scenario
from navsim.storage import write_json

SHARES = np.linspace(0.05, 0.95, 19)
"""Shares of the true positions for which levels are kept."""


@dataclass(frozen=True, eq=False)
class Regions:
    """How large regions must be, for each case and method."""

    levels: Mapping[tuple[str, str], Array]
    """By case and method: the level of the region that held each of `SHARES` of the true positions (19,)."""

    def calibrated(self, case: str, method: str, levels: Array) -> Array:
        """Which regions just hold positions that lie at levels (U,) of their beliefs, in shares of other drives.

        Raises:
            ConfigError: If nothing is known of that case and method.
        """
        known = self.levels.get((case, method))
        if known is None:
            raise ConfigError(f"the levels tell nothing of case {case}, method {method}: calibrate with both")
        return np.asarray(np.interp(levels, [0.0, *known, 1.0], [0.0, *SHARES, 1.0]))


def fit_regions(tracks: Mapping[Scenario, Tracks]) -> Regions:
    """Learn how large regions must be from drives that are not judged, all of them counting alike."""
    first = next(iter(tracks.values()))
    pairs = [(case, method) for case, methods in first.items() for method in methods]
    found: dict[tuple[str, str], Array] = {}
    for case, method in pairs:
        drives = [each[case][method].levels for each in tracks.values()]
        # As many values of each drive, so that long ones do not count more.
        values = np.concatenate([np.quantile(levels, np.linspace(0, 1, 101)) for levels in drives])
        found[case, method] = np.quantile(values, SHARES)
    return Regions(found)


def write_regions(path: Path, regions: Regions, about: Mapping[str, Any]) -> None:
    """Write regions as JSON, with plain values about where they come from.

    Raises:
        StorageError: If that fails.
    """
    rows = [{"case": case, "method": name, "levels": row.tolist()} for (case, name), row in regions.levels.items()]
    write_json(path, {"shares": SHARES.tolist(), "regions": rows, **about})


def read_regions(path: Path) -> Regions:
    """Read what `write_regions` wrote.

    Raises:
        ConfigError: If the file is missing, or holds something else.
    """
    try:
        values = json.loads(path.read_text())
        found = {(row["case"], row["method"]): np.array(row["levels"], float) for row in values["regions"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"levels {path}: cannot be read ({error}); make it with --action calibrate") from None
    if not all(len(row) == len(SHARES) and (np.diff([0.0, *row, 1.0]) >= 0).all() for row in found.values()):
        raise ConfigError(f"levels {path}: each row must hold {len(SHARES)} levels from 0 to 1, increasing")
    return Regions(found)
