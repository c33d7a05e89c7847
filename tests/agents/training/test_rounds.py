"""What the rounds consist of: the expert's shares, towns and routes."""

import pytest

from agents.training.config import DaggerConfig, TrainConfig
from navsim.config import from_mapping
from navsim.errors import ConfigError
from navsim.roads.generators.towns import Split, TownId


def test_the_experts_share_decays() -> None:
    config = DaggerConfig(beta=0.5, decay=0.5)
    assert [config.expert_share(number) for number in (1, 2, 3, 4)] == [0.5, 0.25, 0.125, 0.0625]
    assert [DaggerConfig(beta=0.8, decay=0.0).expert_share(number) for number in (1, 2, 3)] == [0.8, 0.0, 0.0]
    assert [DaggerConfig(beta=0.3, decay=1.0).expert_share(number) for number in (1, 9)] == [0.3, 0.3]
    assert DaggerConfig(beta=0.0).expert_share(1) == 0.0


@pytest.mark.parametrize("number", [1, 2, 5])
def test_drives_are_in_training_towns_alone(number: int) -> None:
    works = DaggerConfig(routes=30, towns=7).drives(3, number)
    assert sum(map(len, works)) == 30
    assert len(works) == 7
    for work in works:
        assert len({drive.town for drive in work}) == 1
        assert TownId.parse(work[0].town).split is Split.TRAIN
        assert len({drive.route for drive in work}) == len(work) in (4, 5)


def test_each_round_and_seed_has_drives_of_its_own() -> None:
    config = DaggerConfig(routes=6, towns=3)
    assert config.drives(0, 1) == config.drives(0, 1)
    drives = [set(sum(config.drives(seed, number), ())) for seed, number in ((0, 1), (0, 2), (1, 1))]
    assert len(set.union(*drives)) == 18


def test_more_routes_leave_the_others_as_they_were() -> None:
    few, many = (set(sum(DaggerConfig(routes=routes, towns=3).drives(0, 1), ())) for routes in (6, 9))
    assert few < many


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"rounds": -1}, "dagger.rounds must be at least 0, got -1"),
        ({"epochs": 0}, "dagger.epochs must be at least 1, got 0"),
        ({"num_envs": 0}, "dagger.num_envs must be at least 1, got 0"),
        ({"workers": 0}, "dagger.workers must be at least 1, got 0"),
        ({"beta": 1.5}, "dagger.beta must be at most 1, got 1.5"),
        ({"beta": -0.1}, "dagger.beta must be at least 0, got -0.1"),
        ({"window": 0.0}, "dagger.window must be above 0, got 0.0"),
        ({"routes": 0}, "dagger: routes and lane_routes must be at least 1 together, got routes 0"),
        ({"towns": 0}, "dagger: towns is 0 and there are no real_towns: nowhere to drive"),
        ({"round": 2}, "perhaps you meant 'rounds'"),
    ],
)
def test_mistakes_are_named(values: dict[str, float], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        from_mapping(TrainConfig, {"dagger": values}, "train.yaml")


def test_a_share_that_is_not_a_number_is_named() -> None:
    with pytest.raises(ConfigError, match="decay must be at least 0 and at most 1, got nan"):
        DaggerConfig(decay=float("nan"))


def test_it_is_off_by_default() -> None:
    assert TrainConfig().dagger.rounds == 0
