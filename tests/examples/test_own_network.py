"""A network from outside: named in the settings, trained, stored by name, loaded again; mistakes are one line."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agents.drivers.policy_driver import PolicyDriver
from agents.policies.checkpoint import POLICY_FORMAT, read_info
from agents.policies.networks.config import PolicyConfig
from agents.policies.policy import build_policy, network_class
from agents.training.config import LossConfig, check_loss
from agents.training.dataset import load_training_data
from agents.training.policy_task import train
from agents.training.run_folder import open_run
from examples.own_network import TinyNetwork
from navsim.config import from_mapping, to_mapping
from navsim.errors import ConfigError
from navsim.simulation.rollout import drive
from navsim.simulation.scenario import Scenario
from navsim.simulation.simulation import Simulation
from navsim.simulation.termination import Rules
from tests.agents.small_runs import CAMERAS, MAP, SIMULATION, SPEC, small_config, small_folder
from tests.commands import run_command

NAME = "examples.own_network:TinyNetwork"


def test_it_is_trained_stored_by_name_and_drives(tmp_path: Path) -> None:
    config = small_config(tmp_path, epochs=2, policy=PolicyConfig(network=NAME, hidden=16))
    small_folder(tmp_path / "data")
    folder = open_run(config)
    history = train(config, load_training_data(config.data, config.policy), folder)
    assert history.step > 0
    assert read_info(folder.best).policy.network == NAME
    policy, _ = POLICY_FORMAT.load(folder.best)
    assert type(policy.network) is TinyNetwork

    driver = PolicyDriver(folder.best, CAMERAS, MAP)
    with Simulation(replace(SIMULATION, renderer="tiny", rules=Rules(time_limit=2.0))) as simulation:
        episode = drive(simulation, driver, Scenario("train-0"))
    assert len(episode.commands) > 5
    assert np.isfinite(episode.commands).all()


def test_names_survive_the_way_through_plain_values() -> None:
    config = PolicyConfig(network=NAME)
    assert from_mapping(PolicyConfig, to_mapping(config), "header") == config


def test_the_command_line_takes_the_name(tmp_path: Path) -> None:
    done = run_command("train", "--describe", "--policy.network", NAME, "--data", str(tmp_path / "none"))
    assert done.returncode == 0, done.stderr
    assert "camera_trunk" in done.stdout


def test_an_auxiliary_loss_finds_its_camera_trunk() -> None:
    check_loss(LossConfig(segmentation=1.0), PolicyConfig(network=NAME))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("nowhere_at_all:Net", r"policy.network 'nowhere_at_all:Net': no module 'nowhere_at_all' in the current"),
        ("examples.own_network:TinyNetwrk", "has no 'TinyNetwrk'; perhaps you meant 'TinyNetwork'"),
        ("examples.own_driver:RouteFollower", "is not a class derived from agents.policies.networks.network.Network"),
        ("examples.own_network:convolutions", "is not a class derived from"),
    ],
)
def test_a_class_that_cannot_be_used_is_one_line(name: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text) as caught:
        build_policy(PolicyConfig(network=name), SPEC, 0)
    assert "\n" not in str(caught.value)


def test_a_mistyped_name_is_refused_with_those_that_exist() -> None:
    with pytest.raises(ConfigError, match=r"policy.network = 'compcat' \(perhaps you meant 'compact'\): .*pilotnet"):
        PolicyConfig(network="compcat")


def test_modules_are_found_in_the_current_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = "from examples.own_network import TinyNetwork\n\n\nclass Mine(TinyNetwork):\n    features = 8\n"
    (tmp_path / "network_of_this_test.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    found = network_class("network_of_this_test:Mine")
    assert issubclass(found, TinyNetwork)
    assert found.features == 8
    sys.modules.pop("network_of_this_test")
