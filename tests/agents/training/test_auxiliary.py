"""The auxiliary loss of segmentation shapes the camera trunk, resumes bit by bit, and leaves nothing in a policy."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file
from torch.nn import functional

from agents.policies.checkpoint import load_policy
from agents.policies.networks.config import PolicyConfig
from agents.policies.networks.network import SharedTrunks
from agents.policies.networks.observation_batch import observation_spec, scale_observations
from agents.policies.policy import build_policy
from agents.training.config import LossConfig, TrainConfig
from agents.training.dataset import TrainingData, load_training_data
from agents.training.decoder import LABEL_STEP, build_decoder, picture_layer
from agents.training.optimization import EmaConfig, OptimizerConfig, TrainState
from agents.training.policy_task import PolicyLoss, policy_trainer, train
from agents.training.run_folder import RunFolder, begin_run, open_run
from agents.training.runtime import Storage
from agents.training.samples import Samples
from navsim.errors import ConfigError, EpisodeError
from navsim.sensing.camera import Camera
from navsim.sensing.roadmap import MapSpec
from tests.agents.perception.segmentation.labelled import labelled_folder
from tests.agents.small_runs import CAMERAS, MAP, small_config, small_folder, small_policy
from tests.agents.training.test_training_loop import interrupt_after

SEGMENTED = LossConfig(segmentation=0.5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drives with classes, three to learn from."""
    return labelled_folder(tmp_path_factory.mktemp("labelled") / "data")


def load(folder: Path, storage: Storage = "auto") -> TrainingData:
    return load_training_data(folder, PolicyConfig(hidden=16), storage, classes=True)


def segmented(loss: LossConfig, seed: int = 0) -> PolicyLoss:
    policy = small_policy()
    decoder = build_decoder(policy, seed) if loss.segmentation else None
    return PolicyLoss(policy, loss, torch.float32, decoder)


def terms(some: PolicyLoss, part: Samples) -> dict[str, torch.Tensor]:
    inputs = scale_observations(part.observations, torch.float32)
    losses: dict[str, torch.Tensor] = some(inputs, part.labels, torch.ones(len(part)), part.classes)
    return losses


@pytest.mark.parametrize("storage", ["device", "mapped"])
def test_each_frame_comes_with_its_classes_wherever_it_is_stored(folder: Path, storage: Storage) -> None:
    held, there = load(folder, "device").train, load(folder, storage)
    assert there.validation.classes is None
    part = there.train[torch.tensor([30, 2, 17])]
    assert part.classes is not None
    assert held.classes is not None
    assert torch.equal(part.classes, held.classes[[30, 2, 17]])
    assert torch.equal(part.observations.images, held.observations.images[[30, 2, 17]])
    assert torch.equal(part.observations.route_map, held.observations.route_map[[30, 2, 17]])


def test_without_the_loss_no_classes_are_read_and_packed_files_are_as_they_were(folder: Path) -> None:
    plain = load_training_data(folder, PolicyConfig(hidden=16), "mapped")
    assert plain.train.classes is None
    assert plain.train[torch.tensor([3])].classes is None
    images = load(folder, "device").train.observations.images
    assert torch.equal(plain.train[torch.tensor([3])].observations.images, images[3:4])


def test_the_term_is_the_cross_entropy_of_the_decoder_and_has_its_weight_in_the_total(folder: Path) -> None:
    part = load(folder).train[slice(0, 6)]
    some, plain = segmented(SEGMENTED), segmented(LossConfig())
    found, without = terms(some, part), terms(plain, part)
    assert set(found) - set(without) == {"segmentation"}
    torch.testing.assert_close(found["nll"], without["nll"])
    torch.testing.assert_close(found["total"], without["total"] + 0.5 * found["segmentation"])
    network = some.policy.network
    assert isinstance(network, SharedTrunks)
    assert some.decoder is not None
    assert part.classes is not None
    images = scale_observations(part.observations, torch.float32).images.flatten(0, 1).permute(0, 3, 1, 2)
    seen = network.camera_trunk[:-1](images)  # without flattening
    scores = some.decoder(seen, (16, 16))
    expected = functional.cross_entropy(scores, part.classes[:, 0, ::LABEL_STEP, ::LABEL_STEP].long())
    torch.testing.assert_close(found["segmentation"], expected)


def test_it_moves_the_camera_trunk_and_nothing_else_of_the_policy(folder: Path) -> None:
    some, part = segmented(SEGMENTED), load(folder).train[slice(0, 6)]
    terms(some, part)["segmentation"].backward()  # type: ignore[no-untyped-call]
    moved = {name for name, value in some.policy.named_parameters() if value.grad is not None and value.grad.any()}
    assert moved == {name for name, _ in some.policy.named_parameters() if "camera_trunk" in name}
    assert some.decoder is not None
    assert all(value.grad is not None and value.grad.any() for value in some.decoder.parameters())


def test_the_decoder_learns(folder: Path) -> None:
    some, part = segmented(SEGMENTED), load(folder).train
    assert some.decoder is not None
    state = TrainState(some.policy, OptimizerConfig(), EmaConfig(), {"decoder.": some.decoder})
    losses = []
    for step in range(40):
        found = terms(some, part)
        found["total"].backward()  # type: ignore[no-untyped-call]
        state.update(step, 5e-3)
        losses.append(found["segmentation"].item())
    assert losses[-1] < losses[0] / 2


def test_parts_of_a_batch_add_up(folder: Path) -> None:
    data = load(folder)
    configs = [small_config(folder.parent / f"parts-{n}", loss=SEGMENTED, batch_size=12, accumulate=n) for n in (1, 3)]
    trainers = [policy_trainer(config, data, RunFolder(config.run_dir)) for config in configs]
    for trainer in trainers:
        trainer.step(torch.arange(12), torch.ones(12))
    means = [trainer.losses.means() for trainer in trainers]
    assert means[0]["segmentation"] == pytest.approx(means[1]["segmentation"], rel=1e-4)


def run(config: TrainConfig, data: TrainingData) -> RunFolder:
    folder = RunFolder(config.run_dir)
    train(config, data, folder)
    return folder


def test_a_run_repeats_resumes_and_leaves_nothing_of_the_decoder_in_the_policy(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = load(folder)
    whole, broken = (small_config(tmp_path / name, loss=SEGMENTED, pictures=0) for name in ("whole", "broken"))
    there = run(whole, data)
    with monkeypatch.context() as patched:
        interrupt_after(patched, 4)
        with pytest.raises(KeyboardInterrupt):
            run(broken, data)
    here = run(replace(broken, resume=True), data)
    expected, found = load_file(there.last), load_file(here.last)
    assert any(name.startswith("decoder.") for name in expected)
    assert expected.keys() == found.keys()
    assert all(torch.equal(value, found[name]) for name, value in expected.items())
    best = load_file(there.best)
    assert all(name.startswith("policy.") for name in best)
    plain = build_policy(whole.policy, observation_spec(CAMERAS, MAP), seed=0)
    assert {name.removeprefix("policy.") for name in best} == set(plain.state_dict())
    assert load_policy(there.best, CAMERAS, MAP).steer(data.validation[slice(0, 2)].observations).mode.shape == (2,)
    assert all("segmentation" in row["losses"] for row in there.read_metrics()["epochs"])


@pytest.mark.parametrize("network", ["compact", "pilotnet", "residual"])
def test_every_network_with_a_camera_trunk_can_have_it(network: Any) -> None:
    spec = observation_spec((Camera(width=200, height=66), Camera("left", width=200, height=66)), MapSpec())
    policy = build_policy(PolicyConfig(network=network), spec, seed=0)
    made: list[torch.Tensor] = []
    picture_layer(policy).register_forward_hook(lambda _layer, _given, output: made.append(output))
    network_ = policy.network
    assert isinstance(network_, SharedTrunks)
    network_.camera_trunk(torch.zeros(4, 3, 66, 200))
    loss = build_decoder(policy, seed=0).loss(made[0], torch.zeros(2, 2, 66, 200, dtype=torch.uint8))
    assert loss.isfinite()


def test_decoders_depend_on_the_seed_alone() -> None:
    a, b, c = (build_decoder(small_policy(), seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not all(torch.equal(a[name], c[name]) for name in a)


@pytest.mark.parametrize(
    ("policy", "text"),
    [
        (PolicyConfig(network="amini2019"), r"needs a network with a camera trunk \(compact, pilotnet, residual\)"),
        (PolicyConfig(network="fully_connected"), "needs a network with a camera trunk"),
        (PolicyConfig(blind=True), "that is not blind"),
        (PolicyConfig(inputs=("route_map",)), "needs a network with a camera trunk"),
    ],
)
def test_policies_that_cannot_have_it_are_named(policy: PolicyConfig, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        TrainConfig(policy=policy, loss=SEGMENTED)


def test_what_it_does_not_go_with_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"segmentation must be at least 0"):
        LossConfig(segmentation=-1.0)
    with pytest.raises(ConfigError, match=r"does not go with dagger\.rounds"):
        replace(TrainConfig(), loss=SEGMENTED, dagger=replace(TrainConfig().dagger, rounds=1))
    small_folder(tmp_path / "plain")
    with pytest.raises(EpisodeError, match=r"without classes; collect with channels: \[classes\]"):
        load(tmp_path / "plain")


def test_a_run_from_before_the_setting_existed_can_continue(tmp_path: Path) -> None:
    config = small_config(tmp_path)
    folder = RunFolder(config.run_dir)
    begin_run(config, folder)
    values = yaml.safe_load(folder.config.read_text())
    del values["loss"]["segmentation"]
    folder.config.write_text(yaml.safe_dump(values))
    assert open_run(config) == folder
    with pytest.raises(ConfigError, match=r"loss\.segmentation is 0\.0 there, 0\.5 asked for"):
        open_run(replace(config, loss=SEGMENTED))
