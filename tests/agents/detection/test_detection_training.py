"""Learning from small folders: it learns, repeats bit by bit, resumes, and refuses what it cannot use."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from agents.detection.checkpoint import DetectionInfo, build_detector, load_detector, save_detector
from agents.detection.config import CountedConfig, DetectionConfig
from agents.detection.interface import ABSENT, IGNORED, Targets
from agents.detection.overlay import COLOURS, detection_sheet
from agents.detection.pictures import counted_classes, load_detection_data
from agents.detection.prediction import found_objects
from agents.detection.report import score_rows, scores_page
from agents.detection.running import read_results, run_detection, score_pictures
from agents.detection.training import CLASS_NAMES, DetectionTrainer, mirrored, train_detector
from agents.segmentation.config import HeldOutConfig
from agents.training.interruption import StopRequest
from agents.training.optimization import OptimizerConfig
from agents.training.run_folder import RunFolder
from navsim.config import load_config
from navsim.errors import CheckpointError, ConfigError, EpisodeError
from navsim.recording.dataset import DatasetDescription, write_description
from navsim.recording.plan import CollectConfig
from navsim.sensing.camera import Camera
from tests.agents.detection.boxed import CAMERA, SIMULATION, boxed_folder, boxed_pictures
from tests.agents.small_runs import small_folder

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four towns to learn from, two to validate on."""
    return boxed_folder(tmp_path_factory.mktemp("boxed") / "data")


def small_config(data: Path, run: Path, **changes: object) -> DetectionConfig:
    """A run of two epochs of three steps."""
    config = DetectionConfig(
        data=data,
        run_dir=run,
        every=1,
        validate_every=6,
        epochs=2,
        optimizer=OptimizerConfig(learning_rate=3e-3, max_gradient_norm=5.0),
        device="cpu",
        precision="float32",
    )
    return replace(config, **changes)  # type: ignore[arg-type]


def silent(count: float = 1, note: str = "") -> None:
    """Progress that nobody looks at."""


def learn(config: DetectionConfig) -> RunFolder:
    folder = RunFolder(config.run_dir)
    data = load_detection_data(config.data, config.every, config.validate_every, config.counted)
    train_detector(config, data, folder)
    return folder


@pytest.fixture(scope="module")
def learned(data: Path, tmp_path_factory: pytest.TempPathFactory) -> DetectionConfig:
    """A short run that was made."""
    config = small_config(data, tmp_path_factory.mktemp("run") / "detector")
    learn(config)
    return config


def test_pictures_are_each_so_many_th_frame_with_their_objects(data: Path) -> None:
    everything = load_detection_data(data, 1, 1, CountedConfig())
    some = load_detection_data(data, 5, 6, CountedConfig())
    assert (len(everything.train), len(everything.validation)) == (48, 24)
    assert (len(some.train), len(some.validation)) == (12, 4)
    np.testing.assert_array_equal(some.train.images[:3], everything.train.images[[0, 5, 10]])
    for number, frame in enumerate([0, 5, 10, 12, 17, 22]):
        one, other = some.train.targets, everything.train.targets
        there = other.classes[frame] != ABSENT
        assert torch.equal(one.boxes[number][one.classes[number] != ABSENT], other.boxes[frame][there])
    assert some.train.towns.tolist() == [f"train-{i}" for i in range(4) for _ in range(3)]


def test_small_and_hidden_objects_are_not_counted() -> None:
    columns = [(0, 0, 2, 5.0, 5.0, 20.0, 5.0 + height, visible) for height, visible in ((8, 0.3), (7, 1), (30, 0.29))]
    assert counted_classes(np.array(columns), CountedConfig(8, 0.3)).tolist() == [2, IGNORED, IGNORED]
    assert counted_classes(np.array(columns), CountedConfig(0, 0.0)).tolist() == [2, 2, 2]


def test_mirrored_boxes_stay_on_their_objects() -> None:
    pictures = boxed_pictures(8)
    images, chosen = torch.from_numpy(pictures.images), torch.tensor([True, False] * 4)
    turned, targets = mirrored(images, pictures.targets, chosen)
    assert torch.equal(turned[1::2], images[1::2])
    checked = 0
    for image, boxes, classes in zip(turned, targets.boxes, targets.classes, strict=True):
        for (x0, y0, x1, y1), kind in zip(boxes.int().tolist(), classes.tolist(), strict=True):
            if kind >= 0:
                inside = image[y0:y1, x0:x1].reshape(-1, 3).float()
                assert inside.std(dim=0).max() == 0  # one colour to the very edges
                checked += 1
    assert checked > 6


@pytest.mark.slow
def test_it_learns_to_find_what_it_is_shown(data: Path, tmp_path: Path) -> None:
    folder = learn(small_config(data, tmp_path / "run", epochs=14, batch_size=8))
    detector, info = load_detector(folder.best)
    assert info.class_names == ("car", "pedestrian", "sign")
    fresh = boxed_pictures(40, seed=77)
    found = found_objects(detector, fresh.images)
    scores = score_pictures(fresh, found, np.random.default_rng(0))
    assert scores.mean.ap50 is not None
    assert scores.mean.ap50.value > 0.6
    assert scores.mean.objects == int((fresh.targets.classes >= 0).sum())
    rows = score_rows({"": scores, "fog": scores})
    assert [row[1] for row in rows] == ["class", *CLASS_NAMES, "mean", *CLASS_NAMES, "mean"]
    assert f"{scores.mean.ap50.value:.2f} (" in scores_page({"": scores}, "About.")
    sheet = detection_sheet(fresh, found, 3, "Title")
    assert all((sheet == colour).all(axis=-1).any() for colour in COLOURS)
    history = folder.read_metrics()
    assert history["best_epoch"] == 1 + np.argmax([row["mean_ap50"] for row in history["epochs"]])


def test_the_same_seed_gives_the_same_bits_and_another_one_others(learned: DetectionConfig, tmp_path: Path) -> None:
    again = learn(replace(learned, run_dir=tmp_path / "again"))
    other = learn(replace(learned, run_dir=tmp_path / "other", seed=1, epochs=1))
    weights = [load_file(folder.last) for folder in (RunFolder(learned.run_dir), again, other)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert not torch.equal(weights[0]["network.regions.name.weight"], weights[2]["network.regions.name.weight"])


def test_a_run_that_is_resumed_ends_with_the_same_bits(learned: DetectionConfig, tmp_path: Path) -> None:
    config = replace(learned, run_dir=tmp_path / "broken")
    loaded, folder = load_detection_data(config.data, 1, 6, config.counted), RunFolder(config.run_dir)
    trainer = DetectionTrainer(config, loaded, folder)
    trainer.save(trainer.history.add(trainer.take_epoch(StopRequest(), silent), trainer.validate(), 1.0))
    learn(replace(config, resume=True))
    there, here = load_file(RunFolder(learned.run_dir).last), load_file(folder.last)
    assert there.keys() == here.keys()
    assert all(torch.equal(there[name], here[name]) for name in there)


def test_ctrl_c_keeps_the_last_whole_epoch(learned: DetectionConfig, tmp_path: Path) -> None:
    config = replace(learned, run_dir=tmp_path / "stopped")
    loaded = load_detection_data(config.data, 1, 6, config.counted)
    trainer, stop = DetectionTrainer(config, loaded, RunFolder(config.run_dir)), StopRequest()
    stop.make()
    with pytest.raises(KeyboardInterrupt, match="stopped in epoch 1 of 2; the same command with --resume"):
        trainer.take_epoch(stop, silent)
    assert trainer.history.step == 0


def test_other_cameras_are_not_continued_with(learned: DetectionConfig) -> None:
    loaded = load_detection_data(learned.data, 1, 6, learned.counted)
    turned = replace(loaded.simulation, cameras=(replace(CAMERA, yaw_deg=5.0),))
    with pytest.raises(CheckpointError, match="was trained on other cameras"):
        DetectionTrainer(learned, replace(loaded, simulation=turned), RunFolder(learned.run_dir))


def test_a_checkpoint_answers_as_its_detector_and_foreign_ones_are_refused(tmp_path: Path) -> None:
    detector, path = build_detector("own", 3, CAMERA, 1).eval(), tmp_path / "best.safetensors"
    save_detector(path, DetectionInfo("own", CLASS_NAMES, (CAMERA,), {"seed": 0}), detector)
    loaded, info = load_detector(path)
    images = boxed_pictures(2).images
    one, other = found_objects(loaded, images)[0], found_objects(detector, images)[0]
    assert torch.equal(one.boxes, other.boxes)
    assert (info.detector, info.cameras, info.run) == ("own", (CAMERA,), {"seed": 0})
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="damaged"):
        load_detector(path)
    save_detector(path, DetectionInfo("own", CLASS_NAMES[:2], (CAMERA,)), detector)
    with pytest.raises(CheckpointError, match="holds another network"):
        load_detector(path)


def test_drives_without_objects_are_refused_with_what_helps(tmp_path: Path) -> None:
    folder = small_folder(tmp_path / "plain")
    with pytest.raises(EpisodeError, match=r"train-0-.*without objects; collect with channels: \[objects\]"):
        load_detection_data(folder, 1, 1, CountedConfig())


def test_pictures_of_other_sizes_are_refused(tmp_path: Path) -> None:
    folder = boxed_folder(tmp_path / "odd", 1, 1)
    odd = replace(SIMULATION, cameras=(Camera(width=60, height=32),))
    write_description(folder, DatasetDescription(odd, {"seed": 0}, {"numpy": "2"}, "unknown"))
    with pytest.raises(EpisodeError, match="images are"):
        load_detection_data(folder, 1, 1, CountedConfig())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"mirrored": -0.1}, "mirrored must be 0 to 1"),
        ({"every": 0}, "every must be 1 to 1000000, got 0"),
        ({"batch_size": 1}, "batch_size must be 2"),
    ],
)
def test_values_out_of_range_are_named(change: dict[str, float], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        DetectionConfig(**change)  # type: ignore[arg-type]


def test_counted_values_out_of_range_are_named() -> None:
    with pytest.raises(ConfigError, match=r"least_visible of 0 to 1, got 8 and 1\.5"):
        CountedConfig(least_visible=1.5)


def test_the_projects_own_configuration_learns_from_the_projects_own_data() -> None:
    config = load_config(DetectionConfig, ROOT / "configs" / "train" / "detection.yaml")
    other = load_config(DetectionConfig, ROOT / "configs" / "train" / "faster_rcnn.yaml")
    collection = load_config(CollectConfig, ROOT / "configs" / "collect" / "detection.yaml")
    assert config.data == other.data == collection.out
    assert collection.channels == ("objects",)
    assert (config.detector, other.detector) == ("own", "torchvision")
    assert config.run_dir != other.run_dir
    assert set(collection.generators) == set(HeldOutConfig().generators)
    assert Targets.of([torch.zeros(0, 4)], [torch.zeros(0)]).classes.shape == (1, 1)


def test_a_run_ends_with_scores_and_pictures_from_held_out_towns(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held_out = HeldOutConfig(towns=2, every=150, conditions=("", "fog"), overlays=1)
    config = small_config(data, tmp_path / "run", epochs=1, held_out=held_out, counted=CountedConfig(0, 0.0))
    run_detection(config, Console(width=200))
    assert "Objects found in" in capsys.readouterr().out
    folder = RunFolder(config.run_dir)
    found = read_results(folder)
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
    run_detection(config, Console(width=200))
    assert "this run is done" in capsys.readouterr().out
