from collections.abc import Iterator

import numpy as np
import pytest

from navsim.errors import ConfigError
from navsim.rendering.tiny import TinyRenderer
from navsim.sensing.camera import Camera
from navsim.visualization.canvas import BACKGROUND
from navsim.visualization.contact_sheet import CLASS_COLOURS, GAP, Channel, SheetView, contact_sheet
from navsim.world.scenery.meshes import SemanticClass

CAMERA = Camera("picture", 96, 64)
VIEWS = [SheetView("train-0"), SheetView("village-train-0", "fog", 1), SheetView("train-0", "", 2)]


@pytest.fixture(scope="module")
def renderer() -> Iterator[TinyRenderer]:
    made = TinyRenderer()
    yield made
    made.close()


def test_views_stand_in_rows(renderer: TinyRenderer) -> None:
    sheet = contact_sheet(VIEWS, CAMERA, renderer, 2)
    assert sheet.shape == (2 * 64 + GAP, 2 * 96 + GAP, 3)
    pictures = [sheet[40:64, :96], sheet[40:64, -96:], sheet[-24:, :96]]
    assert all(picture.std() > 3 for picture in pictures)
    assert (sheet[-24:, -90:] == BACKGROUND).all()  # an empty place


def test_classes_have_their_colours(renderer: TinyRenderer) -> None:
    sheet = contact_sheet(VIEWS[:1], CAMERA, renderer, 1, Channel.CLASSES)
    below = sheet[30:].reshape(-1, 3)  # the caption above has other colours
    assert {tuple(colour) for colour in below.tolist()} <= set(CLASS_COLOURS.values())
    assert (below == CLASS_COLOURS[SemanticClass.ROAD]).all(axis=1).mean() > 0.2


def test_near_is_bright(renderer: TinyRenderer) -> None:
    sheet = contact_sheet(VIEWS[:1], CAMERA, renderer, 1, Channel.DEPTH)
    assert sheet[-3:].astype(float).mean() > 1.3 * sheet[28:34].astype(float).mean()


def test_invalid_sheets_are_refused(renderer: TinyRenderer) -> None:
    with pytest.raises(ConfigError, match="at least one view"):
        contact_sheet([], CAMERA, renderer, 2)
    with pytest.raises(ConfigError, match="fraction must be at least 0 and at most 1, got inf"):
        SheetView(fraction=np.inf)
