import time

import pytest
import torch

from agents.training.distributed import ProcessGroup
from agents.training.logger import Means, Stopwatch


def test_means_are_over_all_steps() -> None:
    means = Means()
    for nll, total in ((1.0, 2.0), (2.0, 4.0), (6.0, 9.0)):
        means.add({"nll": torch.tensor(nll), "total": torch.tensor(total, requires_grad=True)})
    assert means.means() == {"nll": 3.0, "total": 5.0}
    assert means.sums() == {"nll": 9.0, "total": 15.0}
    assert Means().means() == {}


def test_means_go_on_from_their_sums_as_if_never_stopped() -> None:
    values = torch.rand(100, generator=torch.Generator().manual_seed(0))
    whole, before = Means(), Means()
    for value in values:
        whole.add({"nll": value})
    for value in values[:37]:
        before.add({"nll": value})
    after = Means.shared(before.sums(), before.count, ProcessGroup())
    for value in values[37:]:
        after.add({"nll": value})
    assert after.means() == whole.means()
    assert (after.count, whole.count) == (100, 100)


def test_only_one_of_several_processes_carries_sums_on() -> None:
    shares = [Means.shared({"nll": 4.0}, 2, ProcessGroup(rank, 2)) for rank in range(2)]
    assert [float(share._sums["nll"]) for share in shares] == [4.0, 0.0]


def test_small_losses_are_not_lost_among_large_ones() -> None:
    means = Means({"nll": 1e8}, 1)
    for _ in range(1000):
        means.add({"nll": torch.tensor(0.5)})
    assert means.sums()["nll"] == 1e8 + 500


def test_a_stopwatch_adds_up_parts() -> None:
    watch = Stopwatch(torch.device("cpu"))
    for _ in range(2):
        with watch.part("slow"):
            time.sleep(0.03)
        with watch.part("fast"):
            time.sleep(0.01)
    assert watch.seconds["slow"] >= 0.06
    assert watch.seconds["slow"] > watch.seconds["fast"] >= 0.02
    shares = watch.shares()
    assert sum(shares.values()) == pytest.approx(1.0)
    assert shares["slow"] > 0.5


def test_a_part_left_early_counts_all_the_same() -> None:
    watch = Stopwatch(torch.device("cpu"))
    with pytest.raises(KeyError), watch.part("broken"):
        raise KeyError
    assert "broken" in watch.seconds


def test_nothing_is_timed_while_it_is_off() -> None:
    watch = Stopwatch(torch.device("cpu"))
    watch.watching = False
    with watch.part("slow"):
        pass
    assert watch.seconds == {}
    assert watch.shares() == {}
