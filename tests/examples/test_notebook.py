"""The notebook "Learn to drive in 20 minutes": its cells run one after another, with drives of a few seconds."""

import json
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest

from navsim.simulation.config import SimulationConfig
from navsim.simulation.termination import Rules

NOTEBOOK = Path("examples/learn_to_drive.ipynb")


def cells() -> list[dict[str, Any]]:
    """Cells of the notebook."""
    found: list[dict[str, Any]] = json.loads(NOTEBOOK.read_text())["cells"]
    return found


def code_cells() -> list[str]:
    """Sources of the code cells; the first holds the parameters."""
    return ["".join(cell["source"]) for cell in cells() if cell["cell_type"] == "code"]


def test_it_is_stored_without_outputs() -> None:
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in cells() if "outputs" in cell)


def test_the_parameters_stand_in_its_first_cell(tmp_path: Path) -> None:
    names: dict[str, Any] = {}
    exec(code_cells()[0], names)  # noqa: S102 - the project's own notebook
    assert {key for key in names if key.isupper()} == set(small_parameters(tmp_path))


def small_parameters(folder: Path) -> dict[str, Any]:
    """Values in place of those of the first cell: one short drive per split, one epoch."""
    return {
        "FOLDER": folder,
        "TRAIN_TOWNS": 1,
        "VALIDATION_TOWNS": 1,
        "ROUTES_PER_TOWN": 1,
        "EPOCHS": 1,
        "UNSEEN_TOWN": "test-3",
        "SIMULATION": SimulationConfig(rules=Rules(time_limit=6.0)),
    }


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore:FigureCanvasAgg is non-interactive")
def test_its_cells_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    matplotlib.use("agg")
    names = small_parameters(tmp_path)
    for source in code_cells()[1:]:
        exec(source, names)  # noqa: S102 - the project's own notebook
    figures = [plt.figure(number) for number in plt.get_fignums()]
    plt.close("all")
    assert len(figures) == 7
    assert all(figure.axes for figure in figures)
    assert names["densities"].shape == (3, 401)
    np.testing.assert_allclose(names["densities"].sum(dim=1) * 0.001, 1, atol=0.05)
    assert names["history"].epochs[-1]["epoch"] == 1
    assert len(names["steps"]) == len(names["episode"].commands) > 10
    assert "mean distance from the lane's centre" in capsys.readouterr().out
