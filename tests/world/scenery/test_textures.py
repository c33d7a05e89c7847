import cv2
import numpy as np
import pytest

from navsim.geometry import Array
from navsim.seeding import generator
from navsim.world.scenery.appearance import Appearance, appearance_of
from navsim.world.scenery.facades import CELL, FLOORS, Facade, paint_facades
from navsim.world.scenery.presets import RoadMaterial
from navsim.world.scenery.textures import (
    ATLAS_SIZE,
    PATCH_SIZE,
    SLAB,
    TILE,
    Paint,
    Textures,
    paint_textures,
    palette_uv,
)


def painted(look: Appearance) -> Textures:
    return paint_textures(look, generator(1, "paint"))


def road(material: RoadMaterial, roughness: float = 0.0) -> Array:
    """Return tone of the road's tile (H, W), 1 for its plain colour."""
    tile = painted(Appearance(road_material=material, roughness=roughness, asphalt=(120, 120, 120))).asphalt
    return tile[..., 0].astype(float) / 120.0


def test_the_palette_holds_the_appearance() -> None:
    look = Appearance()
    atlas = painted(look).atlas
    for cell, colour in (
        (Paint.MARKING, look.marking),
        (Paint.CROWN + 1, look.crowns[1]),
        (Paint.CAR + 5, look.cars[5]),
    ):
        u, v = palette_uv(int(cell))
        assert tuple(atlas[int(v * ATLAS_SIZE), int(u * ATLAS_SIZE)]) == colour


def test_repeating_tiles_keep_their_mean_colour_and_meet_at_the_edges() -> None:
    look = Appearance(roughness=0.05)
    ground = painted(look).ground.astype(float)
    assert ground.mean(axis=(0, 1)) == pytest.approx(look.ground, rel=0.03)
    inside = np.abs(np.diff(ground, axis=0)).max()
    assert np.abs(ground[0] - ground[-1]).max() <= inside + 3


def test_even_asphalt_is_plain_and_rough_asphalt_is_as_rough_as_asked() -> None:
    assert np.ptp(road(RoadMaterial.ASPHALT)) == 0.0
    rough = road(RoadMaterial.ASPHALT, 0.06)
    assert rough.mean() == pytest.approx(1.0, abs=0.01)
    assert rough.std() == pytest.approx(np.hypot(0.06, 0.03), rel=0.1)  # patches, and grain of half as much


def test_cracks_are_thin_and_go_on_in_the_next_tile() -> None:
    tile = road(RoadMaterial.CRACKED)
    assert tile.shape == (2 * TILE, 2 * TILE)
    dark = tile < 0.8
    assert 0.003 < dark.mean() < 0.05
    pixel = PATCH_SIZE / (2 * TILE)
    depth = cv2.distanceTransform(np.pad(dark, 1).astype(np.uint8), cv2.DIST_L2, 5) * pixel  # from a crack's edge [m]
    assert np.quantile(depth[depth > 0], 0.99) < 0.08
    first_row, last_row = np.flatnonzero(dark[0]), np.flatnonzero(dark[-1])
    assert len(first_row)
    assert all(np.abs(last_row - column).min() <= 6 for column in first_row)


def test_concrete_has_joints_around_every_slab() -> None:
    tile = road(RoadMaterial.CONCRETE)
    step = round(TILE * SLAB / PATCH_SIZE)
    joints = np.zeros(TILE, dtype=bool)
    joints[::step] = True
    assert (tile[joints].mean(axis=1) < 0.7).all()
    assert (tile[np.ix_(~joints, ~joints)] > 0.8).all()


def test_mended_roads_have_lighter_and_darker_patches() -> None:
    tile = road(RoadMaterial.PATCHED)
    assert len(np.unique(np.round(tile, 2))) > 4
    assert (tile == 1.0).mean() > 0.2


@pytest.mark.parametrize("spec", ["night+clear", "night+overcast", "night+rain", "dusk+fog"])
def test_the_dark_leaves_lines_and_road_apart(spec: str) -> None:
    for seed in range(10):
        look = appearance_of(f"{spec}+even", generator(seed, "look"))
        line, tar = np.array(look.marking), np.array(look.asphalt)
        assert look.ambient * (line - tar).max() > 25  # yellow ones have little blue


def lit_share(lit: float) -> float:
    """Return share of a facade's cells that are lit."""
    look = Appearance(lit_windows=lit)
    picture = paint_facades(look, generator(1, "facades"))[: FLOORS * CELL * len(Facade)].astype(float)
    return float((picture[..., 0] - picture[..., 2] > 90).mean())


def test_windows_are_lit_at_night() -> None:
    assert lit_share(0.6) > 1.5 * lit_share(0.2) > 1.5 * lit_share(0.0)


def test_walls_and_roofs_have_their_own_colours() -> None:
    look = Appearance()
    picture = paint_facades(look, generator(1, "facades")).astype(float)
    for kind in Facade:
        wall = picture[kind * FLOORS * CELL + 3 : kind * FLOORS * CELL + 5, 3:5].mean(axis=(0, 1))
        assert wall == pytest.approx(look.facades[kind], rel=0.2)
        top = (len(Facade) * FLOORS + kind) * CELL
        roof = picture[top : top + CELL].mean(axis=(0, 1))
        assert roof == pytest.approx(look.roofs[kind], rel=0.12)


def test_same_seed_same_pictures() -> None:
    look = appearance_of("cracked+night", generator(1, "look"))
    first, second = painted(look), painted(look)
    for name in ("atlas", "facades", "asphalt", "footway", "ground"):
        assert getattr(first, name).tobytes() == getattr(second, name).tobytes(), name
