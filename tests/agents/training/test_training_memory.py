"""Where the data goes: what memory there is, with a margin, and what the user asked for."""

from pathlib import Path

import pytest
import torch

from agents.policies.networks.config import PolicyConfig
from agents.training import dataset
from agents.training.dataset import load_training_data
from agents.training.runtime import DEVICE_SHARE, choose_storage, free_memory, group_memory, keep_freed_memory
from agents.training.samples import MappedSamples
from navsim.errors import ConfigError
from tests.agents.small_runs import small_folder

CPU = torch.device("cpu")
GIGABYTE = 10**9


@pytest.mark.linux
def test_free_memory_is_that_of_this_machine() -> None:
    total = int(Path("/proc/meminfo").read_text().split()[1]) * 1024
    assert 0.01 * total < free_memory(CPU) < total


def test_data_goes_into_memory_as_long_as_it_leaves_the_stated_share() -> None:
    limit = int(DEVICE_SHARE * GIGABYTE)
    assert choose_storage("auto", limit, GIGABYTE, CPU) == "device"
    assert choose_storage("auto", limit + 1, GIGABYTE, CPU) == "mapped"
    assert choose_storage("device", limit, GIGABYTE, CPU) == "device"
    assert choose_storage("mapped", 1, GIGABYTE, CPU) == "mapped"


def test_memory_that_was_asked_for_and_is_not_there_is_one_line() -> None:
    with pytest.raises(ConfigError, match=r"needs 0\.70 GB, 60% of the 1\.00 GB free on cpu may be taken; 'mapped'"):
        choose_storage("device", 7 * GIGABYTE // 10, GIGABYTE, CPU)


def test_data_that_does_not_fit_is_mapped_or_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = small_folder(tmp_path)
    monkeypatch.setattr(dataset, "free_memory", lambda device: 1000)
    assert isinstance(load_training_data(folder, PolicyConfig()).train, MappedSamples)
    monkeypatch.setattr(dataset, "gather_samples", None)  # never called
    with pytest.raises(ConfigError, match="storage = 'device'"):
        load_training_data(folder, PolicyConfig(), "device")


def write_group(folder: Path, limit: str, used: int, inactive: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 5\ninactive_file {inactive}\nactive_file 1\n")


def test_a_containers_limit_counts_less_what_is_used_and_cannot_be_let_go(tmp_path: Path) -> None:
    root, membership = tmp_path / "groups", tmp_path / "cgroup"
    membership.write_text("4:memory:/elsewhere\n0::/outer/inner\n")
    unlimited = group_memory(membership, root)
    assert unlimited > 2**60
    write_group(root / "outer" / "inner", "max", 10, 0)
    assert group_memory(membership, root) == unlimited
    write_group(root / "outer", "1000", 700, 300)
    assert group_memory(membership, root) == 600
    write_group(root / "outer" / "inner", "500", 450, 30)
    assert group_memory(membership, root) == 80
    write_group(root / "outer" / "inner", "500", 600, 30)
    assert group_memory(membership, root) == 0
    assert group_memory(tmp_path / "none", root) == unlimited


def test_keeping_memory_is_said_to_work_or_not() -> None:
    assert keep_freed_memory() in (True, False)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_free_memory_of_a_gpu_is_its_own() -> None:
    device = torch.device("cuda")
    total = torch.cuda.get_device_properties(device).total_memory
    assert 0 < free_memory(device) <= total
