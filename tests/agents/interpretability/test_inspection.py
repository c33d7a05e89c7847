"""A whole inspection of small policies on real and made-up drives: the page, its fallbacks, its errors."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest

from agents.interpretability.frames import choose_frames, drives_of_files, drives_of_folder, frames_to_show
from agents.interpretability.inspection import InspectConfig, Inspection, inspect_policy
from agents.interpretability.page import Headline, Page, PageSection, Picture, PictureRow, page_html
from agents.interpretability.sections import write_inspection
from agents.policies.checkpoint import save_checkpoint
from agents.policies.policy import Policy
from navsim.datasets.collection import collect
from navsim.datasets.dataset import episode_path
from navsim.datasets.episode_files import write_episode
from navsim.errors import CheckpointError, ConfigError, EpisodeError
from navsim.roads.generators.towns import Split
from navsim.sensing.camera import Camera
from navsim.tables import Table
from tests.agents.small_runs import CAMERAS, MAP, add_episode, small_episode, small_folder, small_info, small_policy
from tests.commands import Finished, run_command
from tests.datasets.synthetic_episodes import SHORT_COLLECTION

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Short real drives with the small cameras and maps."""
    folder = tmp_path_factory.mktemp("drives") / "data"
    simulation = dataclasses.replace(SHORT_COLLECTION.simulation, cameras=CAMERAS, map=MAP)
    collect(dataclasses.replace(SHORT_COLLECTION, out=folder, simulation=simulation, routes_per_town=2))
    return folder


def checkpoint(folder: Path, **changes: Any) -> Path:
    """Save an untrained policy."""
    policy: Policy = small_policy(**changes)
    save_checkpoint(folder / "best.safetensors", small_info(policy), policy)
    return folder / "best.safetensors"


def inspect(folder: Path, data: Path, **changes: Any) -> Inspection:
    return inspect_policy(InspectConfig(checkpoint(folder, **changes), data, frames=4, shown=2))


@pytest.fixture(scope="module")
def inspection(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Inspection:
    return inspect(tmp_path_factory.mktemp("policy"), data)


@pytest.fixture(scope="module")
def page(inspection: Inspection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_inspection(inspection, tmp_path_factory.mktemp("page") / "out")


def test_the_page_has_all_sections(inspection: Inspection, page: Path) -> None:
    html = page.read_text()
    for heading in (
        "Filters: by hand and learned",
        "Feature maps of every layer",
        "Layers",
        "Saliency",
        "Can the saliency be believed?",
        "Where the saliency lies",
        "What the decision depends on",
    ):
        assert f">{heading}</h2>" in html
    for text in ("strong edge detect", "camera_trunk.6: 2 x 2 x 64", "integrated gradients", "lane edges and lines"):
        assert text in html
    pictures = sorted(path.stem for path in (page.parent / "pictures").iterdir())
    assert html.count("<img ") == len(pictures)
    assert len(pictures) > 30
    numbers = json.loads((page.parent / "numbers.json").read_text())["numbers"]
    assert numbers["frames"] == 4
    assert {row["method"] for row in numbers["sanity"]} == {"VisualBackProp", "Grad-CAM", "integrated gradients"}
    assert numbers["layers"]["parameters"] == inspection.numbers.layers.parameters


def test_the_page_is_self_contained(page: Path) -> None:
    html = page.read_text()
    assert set(re.findall(r'(?:src|href)="(data:image/png;base64,|#|[^"]*)', html)) == {"data:image/png;base64,", "#"}
    assert "<script" not in html
    assert 'name="viewport"' in html


def test_rerendered_drives_match_their_recording(inspection: Inspection) -> None:
    assert inspection.numbers.notes == ()
    rows = {row.region for row in inspection.numbers.regions["camera"]}
    assert {"lane edges and lines", "road surface", "sky"} <= rows
    parts = [r for r in inspection.numbers.regions["map"] if r.method == "Grad-CAM" and r.frames == 4]
    assert sum(row.pixels for row in parts) <= 1 + 1e-9


def test_the_same_settings_give_the_same_numbers(inspection: Inspection) -> None:
    again = inspect_policy(inspection.config)
    assert dataclasses.replace(again.numbers, overlay_ms=0) == dataclasses.replace(inspection.numbers, overlay_ms=0)


@pytest.mark.parametrize(
    ("changes", "note", "senses", "unseen"),
    [
        ({"blind": True}, "this policy is blind", {"map"}, set()),
        ({"inputs": ("road_map",)}, "this policy sees no camera", {"map"}, {"the route"}),
        pytest.param(
            {"inputs": ("camera",)}, "this policy sees no map", {"camera"}, {"other roads"}, marks=pytest.mark.slow
        ),
        ({"network": "fully_connected"}, "this policy has no convolutions", {"camera", "map"}, set()),
        ({"inputs": ("speed",)}, "this policy sees no map", set(), {"other roads"}),
    ],
)
def test_missing_results_are_noted(
    data: Path, tmp_path: Path, changes: dict[str, Any], note: str, senses: set[str], unseen: set[str]
) -> None:
    found = inspect(tmp_path, data, **changes)
    assert any(text.startswith(note) for text in found.numbers.notes)
    assert set(found.removals) == senses
    assert {row.region for row in found.numbers.regions.get("map", [])}.isdisjoint(unseen)
    assert note in write_inspection(found, tmp_path / "out").read_text()
    assert (found.numbers.contrast is None) == (changes.get("network") == "fully_connected")


def test_drives_that_rerender_differently_are_noted(tmp_path: Path) -> None:
    found = inspect(tmp_path, small_folder(tmp_path / "data"))
    assert "the rerendered drives differ from their recording" in found.numbers.notes[0]
    assert set(found.numbers.regions) == {"map"}


def test_single_drives_by_their_files(data: Path, tmp_path: Path) -> None:
    files = tuple(sorted((data / "validation").iterdir()))
    path = checkpoint(tmp_path)
    found = inspect_policy(InspectConfig(path, episode=files[:1], frames=3, shown=1))
    assert (found.numbers.drives, found.numbers.frames) == (1, 3)
    assert found.frames.names[0].startswith("validation-0-route0")
    assert InspectConfig(path).folder == tmp_path / "best-inspection"


def test_frames_are_spread_over_the_drives(data: Path) -> None:
    drives = drives_of_folder(data, Split.VALIDATION)
    frames = choose_frames(drives, 10)
    assert len(frames) == 10
    assert len({name.split(",")[0] for name in frames.names}) == 2
    assert len(choose_frames(drives, 5000)) == sum(header.steps for header in drives.headers.values())
    shown = frames_to_show(frames, 4)
    assert len(set(shown)) == 4
    assert len(frames_to_show(frames, 40)) == 10


def test_drives_shorter_than_a_second(tmp_path: Path) -> None:
    folder = small_folder(tmp_path / "data")
    short = small_episode("validation-1", steps=9)
    add_episode(folder, short)
    assert drives_of_folder(folder, Split.VALIDATION).notes == ("1 drives shorter than 1 s were left out",)
    lone = tmp_path / "lone.parquet"
    settings = {"simulation": json.loads((folder / "dataset.json").read_text())["simulation"]}
    write_episode(short, lone, settings)
    with pytest.raises(EpisodeError, match=r"lone.parquet: is a drive of 0.9 s; at least 1 s are needed"):
        drives_of_files([lone])
    episode_path(folder, small_episode("validation-0").scenario).unlink()
    with pytest.raises(EpisodeError, match="holds no validation drive of at least 1 s"):
        drives_of_folder(folder, Split.VALIDATION)


def test_drives_that_do_not_fit(data: Path, tmp_path: Path) -> None:
    silent = tmp_path / "silent.parquet"
    write_episode(small_episode("validation-0"), silent, {})
    with pytest.raises(EpisodeError, match=r"silent.parquet: has no camera settings; give its data folder"):
        drives_of_files([silent])
    own = next(iter((data / "validation").iterdir()))
    other = tmp_path / "other.parquet"
    cameras = [dataclasses.asdict(Camera("rear", 32, 32, yaw_deg=180.0))]
    settings = json.loads((data / "dataset.json").read_text())["simulation"] | {"cameras": cameras}
    write_episode(small_episode("validation-0"), other, {"simulation": settings})
    with pytest.raises(EpisodeError, match=r"other.parquet: was recorded with other cameras or maps than"):
        drives_of_files([own, other])
    with pytest.raises(CheckpointError, match=r"made for cameras .front.* given are .rear"):
        inspect_policy(InspectConfig(checkpoint(tmp_path), episode=(other,)))
    blank = tmp_path / "blank.parquet"
    settings |= {"cameras": [dataclasses.asdict(CAMERAS[0])]}
    write_episode(small_episode("validation-0", images=False), blank, {"simulation": settings})
    with pytest.raises(EpisodeError, match=r"was recorded without images; scripts/rerender.py draws them"):
        inspect_policy(InspectConfig(checkpoint(tmp_path), episode=(blank,)))


@pytest.mark.parametrize(("name", "value"), [("frames", 1), ("shown", 0), ("seed", -1)])
def test_numbers_out_of_range(name: str, value: int) -> None:
    with pytest.raises(ConfigError, match=rf"{name} must be .* got {value}"):
        InspectConfig(**{name: value})  # type: ignore[arg-type]


def test_text_on_a_page_is_escaped() -> None:
    picture = Picture("a", b"png", "<b>bold</b> & more")
    section = PageSection("One", "one", ("x < y",), (PictureRow((picture,)),), (Table(("a",), (("<td>",),)),))
    html = page_html(Page("A & B", {"file": "<x>"}, (Headline("1", "0 to 2", "n"),), ("<note>",), (section,)))
    for text in (
        "&lt;b&gt;bold&lt;/b&gt; &amp; more",
        "x &lt; y",
        "&lt;td&gt;",
        "A &amp; B",
        "&lt;x&gt;",
        "&lt;note&gt;",
    ):
        assert text in html
    assert "cG5n" in html  # the picture's bytes


def run(*arguments: str | Path) -> Finished:
    """Run the command."""
    return run_command("inspect-policy", *map(str, arguments), env={"COLUMNS": "120"})


def test_the_script_writes_the_page_and_says_where(data: Path, tmp_path: Path) -> None:
    done = run(checkpoint(tmp_path), "--data", data, "--frames", "3", "--shown", "1", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert f"written: {tmp_path / 'out' / 'index.html'}, with its pictures" in done.stdout
    assert "95% interval" in done.stdout
    assert (tmp_path / "out" / "index.html").stat().st_size > 50_000


def test_a_missing_checkpoint_is_one_line(tmp_path: Path) -> None:
    done = run(tmp_path / "none.safetensors", "--data", tmp_path)
    assert done.returncode == 2
    assert done.stderr == f"error: {tmp_path / 'none.safetensors'}: no such checkpoint file\n"
    assert list(tmp_path.iterdir()) == []
