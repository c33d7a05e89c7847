"""Extracts: every format and name, any order of objects, deleted objects, errors in one line."""

import bz2
import gzip
from pathlib import Path

import numpy as np
import osmium
import pytest

from navsim.errors import TownError
from navsim.roads.osm.reader import read_extract
from navsim.roads.osm.segments import Projection
from tests.roads.osm.osm_documents import Document, coordinates, grid


def written(document: Document, path: Path) -> Path:
    """Write the document in the format of the file's suffix."""
    plain = document.write(path.parent / "plain.osm")
    suffix = path.suffix.lower()
    if suffix == ".pbf":
        packed = path.parent / "packed.pbf"
        with osmium.SimpleWriter(str(packed)) as writer:
            for thing in osmium.FileProcessor(str(plain)):
                writer.add(thing)
        return packed.rename(path)
    data = plain.read_bytes()
    path.write_bytes({".bz2": bz2.compress(data), ".gz": gzip.compress(data)}.get(suffix, data))
    return path


@pytest.mark.parametrize(
    "name",
    [
        *("a.osm", "a.osm.bz2", "a.osm.gz", "a.osm.pbf", "a.pbf", "a.osm.xml", "a.xml", "a.osm.xml.gz"),
        *("a.OSM", "a.Osm.Gz", "a.osm.BZ2", "a.PBF", "old.town.2024-11-30.v2.osm.xml", "a.osm (1)", "map"),
    ],
)
def test_every_name_gives_the_same(tmp_path: Path, name: str) -> None:
    document = grid(2, 2)
    extract = read_extract(written(document, tmp_path / name))
    assert [street.nodes for street in extract.streets] == [(1, 2), (3, 4), (1, 3), (2, 4)]
    for number, place in document.nodes.items():
        assert extract.coordinates[number] == pytest.approx(coordinates(*place), abs=1e-7)


@pytest.mark.parametrize("suffix", [".osm.gz", ".osm.bz2", ".pbf"])
def test_the_content_decides_the_format(tmp_path: Path, suffix: str) -> None:
    misnamed = written(grid(2, 2), tmp_path / f"a{suffix}").rename(tmp_path / "misnamed.osm")
    assert len(read_extract(misnamed).streets) == 4


@pytest.mark.parametrize("name", ["a.osm", "a.osm.gz", "a.osm.bz2", "a.osm.pbf"])
def test_bounds_are_read_from_every_format(tmp_path: Path, name: str) -> None:
    document = grid(2, 2)
    document.bounds = [(0.0, 0.0, 50.0, 60.0)]
    plain = document.write(tmp_path / "bounds.osm")
    path = tmp_path / name
    if name.endswith(".pbf"):
        header = osmium.io.Header()
        (west, south), (east, north) = coordinates(0.0, 0.0), coordinates(50.0, 60.0)
        header.add_box(osmium.osm.Box(west, south, east, north))
        with osmium.SimpleWriter(str(path), header=header) as writer:
            for thing in osmium.FileProcessor(str(plain)):
                writer.add(thing)
    else:
        written(document, path)
    (bounds,) = read_extract(path).bounds
    assert bounds == pytest.approx((*coordinates(0.0, 0.0), *coordinates(50.0, 60.0)), abs=1e-6)


def test_bounds_of_several_downloads(tmp_path: Path) -> None:
    document = grid(2, 2)
    assert read_extract(document.write(tmp_path / "a.osm")).bounds == ()
    document.bounds = [(0.0, 0.0, 50.0, 60.0), (40.0, 0.0, 90.0, 60.0), (0.0, 0.0, 50.0, 60.0), (9.0, 0.0, 9.0, 5.0)]
    extract = read_extract(document.write(tmp_path / "a.osm"))
    assert len(extract.bounds) == 2  # each once, without the empty one
    old = document.xml().splitlines()
    south, west, north, east = 47.0, 8.0, 48.0, 9.0
    old[2:6] = [f'<bound box="{south},{west},{north},{east}" origin="Osmosis"/>']
    (tmp_path / "old.osm").write_text("\n".join(old))
    assert read_extract(tmp_path / "old.osm").bounds == ((west, south, east, north),)


def test_of_several_versions_the_last_one_counts(tmp_path: Path) -> None:
    lines = grid(2, 2).xml().splitlines()
    street = '<tag k="highway" v="{}"/></way>'
    later = [
        f'<way id="1" version="2"><nd ref="1"/><nd ref="4"/>{street.format("primary")}',
        '<way id="2" version="2" visible="false"></way>',
        f'<way id="3" version="2"><nd ref="1"/><nd ref="3"/>{street.format("footway")}',
        '<node id="4" version="2" visible="false"/>',
    ]
    path = tmp_path / "history.osm"
    path.write_text("\n".join([*lines[:-1], *later, lines[-1]]))
    extract = read_extract(path)
    assert [street.nodes for street in extract.streets] == [(1, 4), (2, 4)]
    assert sorted(extract.coordinates) == [1, 2]


def test_the_order_of_objects_does_not_matter(tmp_path: Path) -> None:
    lines = grid(2, 2).xml().splitlines()
    nodes = [line for line in lines if line.startswith("<node")]
    ways = [line for line in lines if line.startswith("<way")]
    path = tmp_path / "mixed.osm"
    path.write_text("\n".join([lines[0], lines[1], *ways, *nodes[::-1], lines[-1]]))
    assert len(read_extract(path).coordinates) == 4


def test_buildings_of_ways_and_relations(tmp_path: Path) -> None:
    document = grid(2, 2)
    corners = [document.node(*place) for place in [(10, 10), (20, 10), (20, 20), (10, 20)]]
    document.way([*corners, corners[0]], {"building": "yes", "height": "7"})
    others = [document.node(*place) for place in [(40, 10), (60, 10), (60, 30), (40, 30)]]
    outer = document.way([*others, others[0]], {})
    document.relations.append(([outer], {"type": "multipolygon", "building": "yes", "building:levels": "3"}))
    document.way(corners, {"building": "yes"})  # not closed
    buildings = read_extract(document.write(tmp_path / "a.osm")).buildings
    assert [building.height for building in buildings] == [7.0, 9.0]
    assert buildings[1].nodes == (*others, others[0])
    for mark in ('visible="false"', "action='delete'"):
        document.marks = {"relation 1": mark}
        assert len(read_extract(document.write(tmp_path / "a.osm")).buildings) == 1
        document.marks = {f"way {outer}": mark}
        assert [building.height for building in read_extract(document.write(tmp_path / "a.osm")).buildings] == [7.0]


def test_new_objects_of_editors_have_negative_numbers(tmp_path: Path) -> None:
    path = tmp_path / "edited.osm"
    path.write_text(grid(2, 2).xml().replace('id="', 'id="-').replace('ref="', 'ref="-'))
    extract = read_extract(path)
    assert sorted(extract.coordinates) == [-4, -3, -2, -1]
    assert len(extract.streets) == 4


def test_missing_nodes_are_missing(tmp_path: Path) -> None:
    document = grid(2, 2)
    del document.nodes[4]
    extract = read_extract(document.write(tmp_path / "a.osm"))
    assert sorted(extract.coordinates) == [1, 2, 3]
    assert (3, 4) in [street.nodes for street in extract.streets]


@pytest.mark.parametrize(
    ("name", "data", "text"),
    [
        ("town.txt", b"Town", "which is XML, also packed with gzip or bzip2, or PBF: "),
        ("town.zip", b"PK\x03\x04", "cannot be read as an OpenStreetMap extract"),
        ("empty.osm", b"", "cannot be read as an OpenStreetMap extract"),
        ("empty.osm.pbf", b"", "it is empty"),
        ("bounds.osm", b"<osm version='0.6'><bounds minlat='1'/><bound/></osm>", "has no street that cars may use"),
        ("words.osm", b"hello", "cannot be read as an OpenStreetMap extract"),
        ("other.osm", b"<html></html>", "cannot be read as an OpenStreetMap extract"),
        ("words.osm.pbf", b"hello, this is none", "cannot be read as an OpenStreetMap extract"),
        ("words.osm.bz2", b"hello, this is none", "cannot be read as an OpenStreetMap extract"),
        ("words.osm.gz", b"hello, this is none", "cannot be read as an OpenStreetMap extract"),
        ("cut.osm", grid().xml().encode()[:900], "cannot be read as an OpenStreetMap extract"),
        ("cut.osm.gz", gzip.compress(grid().xml().encode())[:300], "cannot be read as an OpenStreetMap extract"),
        ("cut.osm.bz2", bz2.compress(grid().xml().encode())[:300], "cannot be read as an OpenStreetMap extract"),
        ("nothing.osm", b"<osm version='0.6'></osm>", "has no street that cars may use"),
    ],
)
def test_refusals_are_one_line_that_names_the_file(tmp_path: Path, name: str, data: bytes, text: str) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(TownError) as refusal:
        read_extract(path)
    message = str(refusal.value)
    assert message.startswith(str(path))
    assert text in message
    assert "\n" not in message


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TownError, match=r"none\.osm: no such"):
        read_extract(tmp_path / "none.osm")
    (tmp_path / "folder.osm").mkdir()
    with pytest.raises(TownError, match="is a folder"):
        read_extract(tmp_path / "folder.osm")


def test_ways_without_any_of_their_nodes_are_refused(tmp_path: Path) -> None:
    document = grid()
    document.nodes.clear()
    with pytest.raises(TownError, match="but not their nodes"):
        read_extract(document.write(tmp_path / "a.osm"))


def test_streets_near_a_pole_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "pole.osm"
    path.write_text(grid().xml().replace('lat="47', 'lat="87'))
    with pytest.raises(TownError, match=r"latitude must be at most 84 degrees, got 87\.4"):
        read_extract(path)


def test_the_projection_keeps_distances() -> None:
    # Geodesic distances on WGS 84 between points about 5 km from the centre (Vincenty's formulae).
    plane = Projection(8.5, 47.4)
    assert plane.to_plane([(8.5, 47.4)])[0] == pytest.approx([0.0, 0.0], abs=1e-6)
    for place in [(8.56, 47.4), (8.5, 47.44), (8.45, 47.36), (8.56, 47.44)]:
        assert np.hypot(*plane.to_plane([place])[0]) == pytest.approx(vincenty((8.5, 47.4), place), rel=1e-5)
    corner, other = plane.to_plane([(8.56, 47.44), (8.45, 47.36)])
    assert np.hypot(*(corner - other)) == pytest.approx(vincenty((8.56, 47.44), (8.45, 47.36)), rel=1e-5)


def test_the_projection_at_the_date_line_and_in_the_south() -> None:
    plane = Projection(179.999, -36.0)
    east, south = plane.to_plane([(-179.999, -36.0), (179.999, -36.01)])
    assert east[0] == pytest.approx(vincenty((0.0, -36.0), (0.002, -36.0)), rel=1e-5)
    assert south == pytest.approx([0.0, -vincenty((0.0, -36.0), (0.0, -36.01))], rel=1e-5)


def vincenty(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Return the geodesic length between two (longitude, latitude) [deg] by Vincenty (Survey Review XXIII, 1975)."""
    a, f = 6378137.0, 1 / 298.257223563
    b = a * (1 - f)
    (lon1, lat1), (lon2, lat2) = np.deg2rad(one), np.deg2rad(other)
    u1, u2, around = np.arctan((1 - f) * np.tan(lat1)), np.arctan((1 - f) * np.tan(lat2)), lon2 - lon1
    lam = around
    for _ in range(50):
        sin_s = np.hypot(np.cos(u2) * np.sin(lam), np.cos(u1) * np.sin(u2) - np.sin(u1) * np.cos(u2) * np.cos(lam))
        cos_s = np.sin(u1) * np.sin(u2) + np.cos(u1) * np.cos(u2) * np.cos(lam)
        sigma = np.arctan2(sin_s, cos_s)
        sin_a = np.cos(u1) * np.cos(u2) * np.sin(lam) / sin_s
        cos2_a = 1 - sin_a**2
        cos_m = cos_s - 2 * np.sin(u1) * np.sin(u2) / cos2_a
        c = f / 16 * cos2_a * (4 + f * (4 - 3 * cos2_a))
        bend = sigma + c * sin_s * (cos_m + c * cos_s * (2 * cos_m**2 - 1))
        lam = around + (1 - c) * f * sin_a * bend
    u = cos2_a * (a**2 - b**2) / b**2
    big_a = 1 + u / 16384 * (4096 + u * (-768 + u * (320 - 175 * u)))
    big_b = u / 1024 * (256 + u * (-128 + u * (74 - 47 * u)))
    part = cos_s * (2 * cos_m**2 - 1) - big_b / 6 * cos_m * (4 * sin_s**2 - 3) * (4 * cos_m**2 - 3)
    return float(b * big_a * (sigma - big_b * sin_s * (cos_m + big_b / 4 * part)))
