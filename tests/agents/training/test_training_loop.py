import json
import math
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]

from agents.policies.checkpoint import load_policy, read_info
from agents.policies.policy import build_policy
from agents.scoring.calibration import score
from agents.training.config import TrainConfig, choose_device, choose_dtype
from agents.training.logger import History, TrainingLogger
from agents.training.optimization import EmaConfig, OptimizerConfig
from agents.training.policy_task import policy_trainer, train
from agents.training.run_folder import RunFolder, open_run
from agents.training.runtime import StopRequest, stop_on_interrupt
from agents.training.samples import BalanceConfig
from agents.training.trainer import Trainer, take_steps
from agents.training.validation import Validator, draw_predictions, spread_frames
from navsim.errors import CheckpointError, ConfigError
from navsim.seeding import derived_seed
from navsim.sensing.camera import CameraNoise
from navsim.simulation.config import SimulationConfig
from tests.agents.small_runs import CAMERAS, MAP, SPEC, small_config, small_data, small_policy, small_samples


def run(config: TrainConfig, **data: int) -> History:
    """Open the folder and train."""
    return train(config, small_data(**data), open_run(config))


def without_times(history: History) -> list[dict[str, object]]:
    """The epochs' records without what differs from run to run."""
    times = ("images_per_second", "seconds")
    return [{key: value for key, value in epoch.items() if key not in times} for epoch in history.epochs]


def interrupt_after(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    """Press Ctrl-C in the middle of step number `steps`."""
    original = Trainer.step

    def step_and_interrupt(self: Trainer[Any], index: torch.Tensor, weights: torch.Tensor) -> None:
        original(self, index, weights)
        if self.history.step == steps:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Trainer, "step", step_and_interrupt)


def test_training_learns_from_the_images(tmp_path: Path) -> None:
    config = small_config(tmp_path, epochs=20, pictures=0, batch_size=32)
    history = run(config, train=320, validation=64)
    first, last = history.epochs[0]["validation"], history.epochs[-1]["validation"]
    assert last["nll"] < first["nll"] - 0.3
    assert last["curvature_error"] < 0.05  # guessing zero is wrong by 0.1 on average
    assert history.step == 20 * 10


def test_a_blind_twin_cannot(tmp_path: Path) -> None:
    config = small_config(tmp_path, epochs=10, pictures=0, batch_size=32)
    history = run(replace(config, policy=replace(config.policy, blind=True)), train=320, validation=64)
    assert history.epochs[-1]["validation"]["curvature_error"] > 0.08


@pytest.mark.parametrize(
    "steps", [pytest.param(3, marks=pytest.mark.slow), 4, pytest.param(6, marks=pytest.mark.slow), 8]
)
def test_a_run_stopped_and_resumed_ends_bit_for_bit_like_an_unbroken_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    unbroken = small_config(tmp_path / "unbroken")
    expected = run(unbroken)
    config = small_config(tmp_path / "broken")
    with monkeypatch.context() as patched:
        interrupt_after(patched, steps)
        with pytest.raises(KeyboardInterrupt, match=f"stopped after step {steps} of 9.*--resume continues"):
            run(config)
    resumed = run(replace(config, resume=True))
    for name in ("last", "best"):
        there, here = (load_file(getattr(RunFolder(c.run_dir), name)) for c in (unbroken, config))
        assert there.keys() == here.keys()
        for key, value in there.items():
            assert torch.equal(value, here[key]), key
    assert without_times(resumed) == without_times(expected)
    assert resumed.best_epoch == expected.best_epoch


@pytest.mark.parametrize(
    "changes",
    [
        {"precision": "bfloat16"},
        {"balance": BalanceConfig(0.5), "lane_keeping_fraction": 0.7},
        {"accumulate": 3, "deterministic": True, "ema": EmaConfig(0.5)},
    ],
)
def test_other_ways_to_train_resume_bit_for_bit_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    configs = [small_config(tmp_path / name, pictures=0, **changes) for name in ("unbroken", "broken")]
    run(configs[0])
    with monkeypatch.context() as patched:
        interrupt_after(patched, 4)
        with pytest.raises(KeyboardInterrupt):
            run(configs[1])
    run(replace(configs[1], resume=True))
    there, here = (load_file(RunFolder(config.run_dir).last) for config in configs)
    assert all(torch.equal(value, here[key]) for key, value in there.items())


@pytest.mark.linux
def test_a_run_goes_on_after_it_was_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = run(small_config(tmp_path / "unbroken", pictures=0))
    config = small_config(tmp_path / "broken", pictures=0)
    with monkeypatch.context() as patched:
        patched.setattr("agents.training.trainer.validate_epoch", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        child = os.fork()
        if child == 0:
            try:
                run(config)
            finally:
                os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert not RunFolder(config.run_dir).last.exists()
    assert without_times(run(replace(config, resume=True))) == without_times(expected)


def test_the_best_are_the_averaged_weights_and_the_last_hold_both(tmp_path: Path) -> None:
    config = small_config(tmp_path, pictures=0, ema=EmaConfig(0.9, warmup=1.0))
    trainer = policy_trainer(config, small_data(), open_run(config))
    draw, weights = trainer.task.draw(0), list[torch.Tensor]()
    for position in range(3):
        batch = slice(16 * position, 16 * (position + 1))
        trainer.step(torch.from_numpy(draw.index[batch]), torch.from_numpy(draw.weights[batch]))
        weights.append(trainer.state.network.head.bias.detach().clone())
    start = build_policy(config.policy, SPEC, derived_seed(config.seed, "weights")).head.bias.detach()
    average = start
    for weight in weights:  # (1 + t) / (1 + t) is past 0.9 from the first step on
        average = 0.9 * average + 0.1 * weight
    trainer.save()
    saved = load_file(trainer.folder.last)
    torch.testing.assert_close(saved["policy.head.bias"], average)
    assert torch.equal(saved["trained.head.bias"], weights[-1])
    torch.testing.assert_close(load_policy(trainer.folder.last, CAMERAS, MAP).head.bias, average)


def test_a_run_stops_early_when_nothing_gets_better(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = small_config(tmp_path, epochs=9, pictures=0, patience=2, optimizer=OptimizerConfig(learning_rate=0.9))
    history = run(config)  # such steps make it worse and worse
    assert len(history.epochs) == history.best_epoch + 2 < 9
    folder = open_run(config)
    assert folder.finished
    before = folder.last.read_bytes()
    assert train(replace(config, resume=True), small_data(), folder).step == history.step
    assert folder.last.read_bytes() == before


def test_the_seed_decides_the_run(tmp_path: Path) -> None:
    histories = [
        run(small_config(tmp_path / name, seed=seed, epochs=1, pictures=0))
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    ]
    assert without_times(histories[0]) == without_times(histories[1])
    assert without_times(histories[0]) != without_times(histories[2])


def test_the_run_folder_holds_all_files(tmp_path: Path) -> None:
    config = small_config(tmp_path)
    history = run(config)
    folder = RunFolder(config.run_dir)
    assert folder.finished
    assert {path.name for path in folder.path.iterdir()} == {
        "config.yaml",
        "last.safetensors",
        "best.safetensors",
        "metrics.json",
        "tensorboard",
    }
    metrics = json.loads(folder.metrics.read_text())
    assert metrics["parameters"] > 1000
    assert [epoch["epoch"] for epoch in metrics["epochs"]] == [1, 2, 3]
    best = min(metrics["epochs"], key=lambda epoch: epoch["validation"]["nll"])
    assert metrics["best_epoch"] == best["epoch"] == history.best_epoch
    info = read_info(folder.best)
    assert info.run["batch_size"] == 16
    assert info.progress["history"]["best_epoch"] == best["epoch"]
    assert info.versions == {"torch": "test"}
    load_policy(folder.best, CAMERAS, MAP)
    assert not any("optimizer" in name for name in load_file(folder.best))


def test_the_best_checkpoint_scores_as_its_history_says(tmp_path: Path) -> None:
    config = small_config(tmp_path, pictures=0)
    history = run(config)
    samples = small_data().validation
    with torch.inference_mode():
        distribution = load_policy(RunFolder(config.run_dir).best, CAMERAS, MAP).steer(samples.observations)
        nll = -distribution.log_prob(samples.labels).mean().item()
    assert history.best is not None
    assert nll == pytest.approx(history.best["validation"]["nll"], abs=1e-4)


def test_tensorboard_gets_curves_and_pictures(tmp_path: Path) -> None:
    config = small_config(tmp_path, epochs=3, batch_size=2, activations=2)
    run(config)
    log = EventAccumulator(str(RunFolder(config.run_dir).tensorboard))
    log.Reload()
    tags = log.Tags()
    assert {
        "train/nll",
        "train/total",
        "train/gradient_norm",
        "train/learning_rate",
        "validation/nll",
        "validation/nll_without_spike",
        "validation/curvature_error",
        "validation/crps",
        "validation/coverage_z0.5",
        "validation/coverage_z2",
        "validation/pit_distance",
        "validation/width_90",
        "speed/images_per_second",
        "speed/share_of_backward",
        "seconds/training",
        "seconds/validation",
    } <= set(tags["scalars"])
    layers = {f"activations/network.{trunk}.{i}" for trunk in ("camera_trunk", "map_trunk") for i in (0, 2, 4, 6)}
    assert set(tags["images"]) == {"validation/fans", "validation/calibration"} | layers
    assert set(tags["histograms"]) == layers
    shares = [log.Scalars(tag)[0].value for tag in tags["scalars"] if tag.startswith("speed/share_of_")]
    assert sum(shares) == pytest.approx(1.0, abs=1e-5)
    assert [event.step for event in log.Images("activations/network.map_trunk.0")] == [48]
    assert [event.step for event in log.Scalars("validation/nll")] == [24, 48, 72]


def test_a_finished_run_is_not_trained_further(tmp_path: Path) -> None:
    config = small_config(tmp_path, epochs=1, pictures=0)
    run(config)
    folder = open_run(config)
    assert folder.finished
    before = folder.last.read_bytes()
    history = train(replace(config, resume=True), small_data(), folder)
    assert history.step == 3
    assert folder.last.read_bytes() == before


def test_other_data_under_the_same_name_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = small_config(tmp_path)
    with monkeypatch.context() as patched:
        interrupt_after(patched, 2)
        with pytest.raises(KeyboardInterrupt):
            run(config)
    with pytest.raises(CheckpointError, match="trained on other data"):
        run(replace(config, resume=True), train=49)


def test_a_checkpoint_of_other_cameras_or_maps_is_not_continued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, data = small_config(tmp_path), small_data()
    with monkeypatch.context() as patched:
        interrupt_after(patched, 2)
        with pytest.raises(KeyboardInterrupt):
            run(config)
    resumed = replace(config, resume=True)
    wide = tuple(replace(camera, fov_deg=60.0) for camera in CAMERAS)
    with pytest.raises(CheckpointError, match=r"made for cameras \[front 32x32 fov 115 .* given are .* fov 60 deg"):
        train(resumed, replace(data, cameras=wide), open_run(resumed))
    with pytest.raises(CheckpointError, match=r"made for the map .* given is .*metres_per_pixel=2.0"):
        train(resumed, replace(data, map=replace(MAP, metres_per_pixel=2.0)), open_run(resumed))


@pytest.mark.parametrize("lane_keeping_fraction", [1.0, 0.3])
def test_one_frame_is_enough_to_train_on(tmp_path: Path, lane_keeping_fraction: float) -> None:
    history = run(small_config(tmp_path, epochs=3, lane_keeping_fraction=lane_keeping_fraction), train=1, validation=1)
    assert history.step == 3
    assert math.isfinite(history.epochs[-1]["validation"]["nll"])


def test_noisy_cameras_are_learned_and_validated_through(tmp_path: Path) -> None:
    nlls, weights = [], []
    for name, noise in (("clean", CameraNoise()), ("same", CameraNoise()), ("noisy", CameraNoise(variance=0.2))):
        config = small_config(tmp_path / name, epochs=1, pictures=0)
        data = replace(small_data(), simulation=SimulationConfig(cameras=CAMERAS, map=MAP, camera_noise=noise))
        validator = Validator(config, data, torch.device("cpu"), torch.float32)
        nlls.append(score(validator.score_frames(small_policy())).nll)
        assert nlls[-1] == score(validator.score_frames(small_policy())).nll
        train(config, data, open_run(config))
        weights.append(load_file(RunFolder(config.run_dir).last)["policy.head.weight"])
    assert nlls[0] == nlls[1] != nlls[2]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_a_loss_that_explodes_ends_the_run_with_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = small_data()
    data.train.labels[:] = float("nan")
    config = small_config(tmp_path, optimizer=OptimizerConfig(learning_rate=0.9), pictures=0)
    with pytest.raises(ConfigError, match=r"loss is nan at step 3; lower optimizer.learning_rate \(now 0.9\)"):
        train(config, data, open_run(config))
    assert not RunFolder(config.run_dir).last.exists()
    monkeypatch.setattr("agents.training.trainer._LOG_STEPS", 2)
    with pytest.raises(ConfigError, match="loss is nan at step 2"):
        train(config, data, open_run(config))


def test_fewer_frames_than_a_batch_are_one_batch(tmp_path: Path) -> None:
    history = run(small_config(tmp_path, epochs=2, pictures=3), train=1, validation=1)
    assert history.step == 2
    assert math.isfinite(history.epochs[-1]["validation"]["nll"])


def test_a_second_interrupt_stops_at_once() -> None:
    before = signal.getsignal(signal.SIGINT)
    with stop_on_interrupt() as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop.made
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_an_epoch_ends_early_when_asked_to(tmp_path: Path) -> None:
    config = small_config(tmp_path)
    folder = open_run(config)
    trainer = policy_trainer(config, small_data(), folder)
    stop = StopRequest()
    stop.make()
    with TrainingLogger(folder, 0) as logger:
        assert not take_steps(trainer, logger, stop, lambda count=1, note="": None)
    assert trainer.history.step == 1


def test_devices_and_precisions(tmp_path: Path) -> None:
    config = small_config(tmp_path, device="auto", precision="auto")
    device = choose_device(config)
    assert device.type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert choose_dtype(config, device) in (torch.bfloat16, torch.float32)
    assert choose_dtype(replace(config, precision="float32"), device) is torch.float32
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="no CUDA device"):
            choose_device(replace(config, device="cuda"))


def test_impossible_runs_are_refused() -> None:
    for name, value in (
        ("epochs", 0),
        ("batch_size", 1),
        ("seed", -1),
        ("pictures", 1000),
        ("accumulate", 0),
        ("patience", -1),
        ("activations", -1),
    ):
        with pytest.raises(ConfigError, match=f"{name} must be"):
            TrainConfig(**{name: value})  # type: ignore[arg-type]  # names differ by case
    with pytest.raises(ConfigError, match=r"accumulate must be at most batch_size \(4\), got 5"):
        TrainConfig(batch_size=4, accumulate=5)
    with pytest.raises(ConfigError, match="lane_keeping_fraction must be above 0"):
        TrainConfig(lane_keeping_fraction=0.0)


def test_pictures_show_frames_from_right_to_left() -> None:
    samples = small_samples(50)
    chosen = samples.labels[spread_frames(samples.labels, 5)]
    assert chosen[0] == samples.labels.min()
    assert chosen[-1] == samples.labels.max()
    assert bool((chosen.diff() >= 0).all())
    with torch.inference_mode():
        picture = draw_predictions(small_policy(), samples, CAMERAS, 5)
    assert picture.dtype == np.uint8
    assert picture.shape[0] == 5 * (192 + 6)
    assert len(np.unique(picture)) > 20


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_deterministic_training_repeats_on_the_gpu(tmp_path: Path) -> None:
    weights = []
    for name in ("first", "second"):
        config = small_config(tmp_path / name, device="cuda", precision="bfloat16", deterministic=True)
        run(config)
        weights.append(load_file(RunFolder(config.run_dir).last))
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_training_runs_on_the_gpu(tmp_path: Path) -> None:
    history = run(small_config(tmp_path, device="cuda", precision="bfloat16"))
    assert math.isfinite(history.epochs[-1]["validation"]["nll"])
