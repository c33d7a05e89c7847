"""A detector that learns from small folders, up to the report of its scores."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from rich.console import Console

from agents.perception.config import HeldOutConfig
from agents.perception.detection.features import ABSENT, IGNORED, Targets
from agents.perception.detection.pictures import (
    COLOURS,
    CountedConfig,
    DetectionConfig,
    check_size,
    counted_classes,
    detection_sheet,
    objects_source,
)
from agents.perception.detection.precision import DetectionScores
from agents.perception.detection.task import (
    CLASS_NAMES,
    DETECTORS,
    DetectionInfo,
    build_detector,
    detection_task,
    found_objects,
    mirrored,
    score_pictures,
    score_table,
)
from agents.perception.run import read_results, run_task, score_page
from agents.training.run_folder import RunFolder
from navsim.config import load_config
from navsim.datasets.collection_config import CollectConfig
from navsim.datasets.dataset import DatasetDescription, write_description
from navsim.errors import CheckpointError, ConfigError, EpisodeError
from navsim.sensing.camera import Camera
from tests.agents.perception.detection.boxed import CAMERA, SIMULATION, boxed_folder, boxed_pictures, small_detection
from tests.agents.perception.learning import learn
from tests.agents.small_runs import small_folder
from tests.datasets.synthetic_episodes import spread

ROOT = Path(__file__).parents[4]
SOURCE = objects_source(CountedConfig())


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four towns to learn from, two to validate on."""
    return boxed_folder(tmp_path_factory.mktemp("boxed") / "data")


def test_pictures_are_every_nth_frame_with_their_objects(data: Path) -> None:
    everything = SOURCE.load(data, 1, 1)
    some = SOURCE.load(data, 5, 6)
    assert (len(everything.train), len(everything.validation)) == (48, 24)
    assert (len(some.train), len(some.validation)) == (12, 4)
    np.testing.assert_array_equal(some.train.images[:3], everything.train.images[[0, 5, 10]])
    for number, frame in enumerate([0, 5, 10, 12, 17, 22]):
        one, other = some.train.labels, everything.train.labels
        there = other.classes[frame] != ABSENT
        assert torch.equal(one.boxes[number][one.classes[number] != ABSENT], other.boxes[frame][there])
    assert some.train.towns.tolist() == [f"train-{i}" for i in range(4) for _ in range(3)]


def test_several_folders_are_one_with_the_pictures_of_all(data: Path, tmp_path: Path) -> None:
    spread(data, tmp_path / "one", tmp_path / "other")
    whole = SOURCE.load(data, 1, 1)
    for folders in ((tmp_path / "one", tmp_path / "other"), (tmp_path / "other", tmp_path / "one")):
        parts = SOURCE.load(folders, 1, 1)
        assert parts.train.fingerprint == whole.train.fingerprint
        assert parts.validation.fingerprint == whole.validation.fingerprint
        assert parts.train.towns.tolist() == whole.train.towns.tolist()
        assert torch.equal(parts.train.labels.boxes, whole.train.labels.boxes)


def test_small_and_hidden_objects_are_not_counted() -> None:
    columns = [(0, 0, 2, 5.0, 5.0, 20.0, 5.0 + height, visible) for height, visible in ((8, 0.3), (7, 1), (30, 0.29))]
    assert counted_classes(np.array(columns), CountedConfig(8, 0.3)).tolist() == [2, IGNORED, IGNORED]
    assert counted_classes(np.array(columns), CountedConfig(0, 0.0)).tolist() == [2, 2, 2]


def test_mirrored_boxes_stay_on_their_objects() -> None:
    pictures = boxed_pictures(8)
    targets = mirrored(pictures.labels, torch.tensor([True, False] * 4), pictures.images.shape[2])
    images = torch.from_numpy(pictures.images)
    images[::2] = images[::2].flip(2)
    checked = 0
    for image, boxes, classes in zip(images, targets.boxes, targets.classes, strict=True):
        for (x0, y0, x1, y1), kind in zip(boxes.int().tolist(), classes.tolist(), strict=True):
            if kind >= 0:
                inside = image[y0:y1, x0:x1].reshape(-1, 3).float()
                assert inside.std(dim=0).max() == 0  # one colour to the very edges
                checked += 1
    assert checked > 6


@pytest.mark.slow
def test_it_learns_to_detect_what_it_is_shown(data: Path, tmp_path: Path) -> None:
    folder = learn(detection_task(small_detection(data, tmp_path / "run", epochs=14, batch_size=8)))
    detector, info = DETECTORS.load(folder.best)
    assert info.class_names == ("car", "pedestrian", "sign")
    fresh = boxed_pictures(40, seed=77)
    found = found_objects(detector, fresh.images)
    scores = score_pictures(fresh, found, np.random.default_rng(0))
    assert scores.mean.ap50 is not None
    assert scores.mean.ap50.value > 0.6
    assert scores.mean.objects == int((fresh.labels.classes >= 0).sum())
    table = score_table({"": scores, "fog": scores})
    assert [[row[1] for row in section.rows] for section in table.sections] == [[*CLASS_NAMES, "mean"]] * 2
    assert f"{scores.mean.ap50.value:.2f} (" in score_page(table, "About.")
    sheet = detection_sheet(fresh, found, 3, "Title")
    assert all((sheet == colour).all(axis=-1).any() for colour in COLOURS)


def test_a_checkpoint_detects_like_its_detector_and_holds_no_other(tmp_path: Path) -> None:
    detector, path = build_detector(3, 1).eval(), tmp_path / "best.safetensors"
    info = DetectionInfo(detector="own", class_names=CLASS_NAMES, cameras=(CAMERA,))
    DETECTORS.save(path, info, detector)
    loaded, found = DETECTORS.load(path)
    images = boxed_pictures(2).images
    one, other = found_objects(loaded, images)[0], found_objects(detector, images)[0]
    assert torch.equal(one.boxes, other.boxes)
    assert found == info
    DETECTORS.save(path, replace(info, class_names=CLASS_NAMES[:2]), detector)
    with pytest.raises(CheckpointError, match="holds another network"):
        DETECTORS.load(path)


def test_drives_without_objects_are_refused_with_what_helps(tmp_path: Path) -> None:
    folder = small_folder(tmp_path / "plain")
    with pytest.raises(EpisodeError, match=r"train-0-.*without objects; collect with channels: \[objects\]"):
        SOURCE.load(folder, 1, 1)


def test_pictures_of_other_sizes_are_refused(tmp_path: Path) -> None:
    folder = boxed_folder(tmp_path / "odd", 1, 1)
    odd = replace(SIMULATION, cameras=(Camera(width=60, height=32),))
    write_description(folder, DatasetDescription(odd, {"seed": 0}, {"numpy": "2"}, "unknown"))
    with pytest.raises(EpisodeError, match="images are"):
        SOURCE.load(folder, 1, 1)
    with pytest.raises(ConfigError, match=r"multiples of 16 px, got 60x32"):
        check_size(odd.cameras[0])


def test_values_out_of_range_are_named() -> None:
    with pytest.raises(ConfigError, match="validate_every must be at least 1, got 0"):
        DetectionConfig(validate_every=0)
    with pytest.raises(ConfigError, match=r"min_visible must be at least 0 and at most 1, got 1\.5"):
        CountedConfig(min_visible=1.5)


def test_a_configuration_with_the_removed_detector_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "old.yaml"
    path.write_text("task: detection\ndetector: torchvision\n")
    with pytest.raises(ConfigError, match=r"^.*old\.yaml: detector = 'torchvision': input should be 'own'$"):
        load_config(DetectionConfig, path)


def test_the_projects_own_configuration_learns_from_the_projects_own_data() -> None:
    config = load_config(DetectionConfig, ROOT / "configs" / "train" / "detection.yaml")
    collection = load_config(CollectConfig, ROOT / "configs" / "collect" / "detection.yaml")
    assert config.data == collection.out
    assert collection.channels == ("objects",)
    assert config.detector == "own"
    assert set(collection.generators) == set(HeldOutConfig().generators)
    assert Targets.of([torch.zeros(0, 4)], [torch.zeros(0)]).classes.shape == (1, 1)


def test_a_run_ends_with_scores_and_pictures_from_held_out_towns(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held_out = HeldOutConfig(towns=2, every=150, conditions=("", "fog"), overlays=1)
    config = small_detection(data, tmp_path / "run", epochs=1, held_out=held_out, counted=CountedConfig(0, 0.0))
    run_task(detection_task(config), Console(width=200))
    assert "Objects found in" in capsys.readouterr().out
    folder = RunFolder(config.run_dir)
    found = read_results(folder, DetectionScores)
    assert list(found) == ["", "fog"]
    for scores in found.values():
        assert scores.towns == 2
        assert set(scores.classes) == {"car", "pedestrian", "sign"}
        assert scores.mean.objects == sum(part.objects for part in scores.classes.values()) > 0
    assert found[""].pictures == found["fog"].pictures  # of the same places
    page = (config.run_dir / "results.md").read_text()
    assert page.startswith("# Objects found in")
    assert "| fog | car |" in page
    for name in ("training-looks", "fog"):
        sheet = cv2.imread(str(config.run_dir / "overlays" / f"{name}.png"))
        assert sheet is not None
        assert sheet.shape[1] == 2 * 3 * CAMERA.width + 6
    assert folder.finished
    run_task(detection_task(config), Console(width=200))
    assert "this run is done" in capsys.readouterr().out
