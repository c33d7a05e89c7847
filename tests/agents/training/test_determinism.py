import os

import pytest
import torch

from agents.training.runtime import torch_settings

CPU = torch.device("cpu")


def test_torch_is_deterministic_inside_the_block_only() -> None:
    indices, values = torch.tensor([0, 0]), torch.ones(2, requires_grad=True)
    assert not torch.are_deterministic_algorithms_enabled()
    with torch_settings(deterministic=True, device=CPU):
        assert torch.are_deterministic_algorithms_enabled()
        assert not torch.backends.cudnn.benchmark
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"]
        torch.zeros(1).index_add(0, indices, values).sum().backward()  # type: ignore[no-untyped-call]
    assert not torch.are_deterministic_algorithms_enabled()


def test_without_it_cudnn_may_try_what_is_fastest() -> None:
    before = torch.backends.cudnn.benchmark
    with torch_settings(deterministic=False, device=CPU):
        assert torch.backends.cudnn.benchmark
        assert not torch.are_deterministic_algorithms_enabled()
    assert torch.backends.cudnn.benchmark == before


def test_the_global_generator_is_left_as_it_was() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    with torch_settings(deterministic=False, device=CPU):
        torch.manual_seed(1)
        torch.rand(100)
    assert torch.equal(torch.rand(1), expected)


def test_an_error_inside_leaves_nothing_behind() -> None:
    with pytest.raises(ValueError, match="mine"), torch_settings(deterministic=True, device=CPU):
        raise ValueError("mine")
    assert not torch.are_deterministic_algorithms_enabled()
