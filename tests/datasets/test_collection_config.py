"""Which drives a collection consists of."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from navsim.config import load_config
from navsim.datasets.collection_config import (
    CollectConfig,
    StartSpread,
    data_settings,
    parse_shard,
    planned_towns,
)
from navsim.errors import ConfigError
from navsim.roads.generators.towns import TOWN_GENERATORS, Generator
from navsim.run_folder import differences


def test_each_town_has_its_routes_and_splits_have_their_towns() -> None:
    towns = planned_towns(CollectConfig(train_towns=2, validation_towns=1, routes_per_town=2, seed=5))
    names = [[drive.name for drive in town] for town in towns]
    assert names == [
        ["train-0-route0-seed5", "train-0-route1-seed5"],
        ["train-1-route0-seed5", "train-1-route1-seed5"],
        ["validation-0-route0-seed5", "validation-0-route1-seed5"],
    ]


def test_generators_take_turns_in_each_split() -> None:
    both = (Generator.SUBURB, Generator.TOWN)
    towns = planned_towns(CollectConfig(train_towns=3, validation_towns=2, routes_per_town=1, generators=both))
    names = [drive.town for town in towns for drive in town]
    assert names == ["suburb-train-0", "train-1", "suburb-train-2", "suburb-validation-0", "validation-1"]
    with pytest.raises(ConfigError, match="generators must be one or more of"):
        CollectConfig(generators=())


def test_generators_and_looks_are_settings_of_the_data() -> None:
    plain, mixed = CollectConfig(), CollectConfig(generators=(Generator.TOWN, Generator.GRID))
    found = differences(data_settings(plain), data_settings(mixed))
    assert {difference.key.split(".")[0] for difference in found} == {"generators"}
    night = CollectConfig(appearance="night")
    found = differences(data_settings(plain), data_settings(night))
    assert [*map(str, found)] == ["appearance is '' there, 'night' asked for"]
    assert {drive.appearance for town in planned_towns(night) for drive in town} == {"night"}


def test_starts_differ_between_drives_but_not_between_runs_or_sizes() -> None:
    small, large = planned_towns(CollectConfig(train_towns=2)), planned_towns(CollectConfig(train_towns=9))
    assert small[:2] == large[:2]
    starts = [drive.start for town in large for drive in town]
    assert len(set(starts)) == len(starts)
    assert planned_towns(CollectConfig(seed=1))[0][0].start != starts[0]


def test_starts_spread_as_told_and_stay_within_two_sigma() -> None:
    config = CollectConfig(train_towns=400, start=StartSpread(lateral_sigma=0.5, heading_sigma_deg=3.0))
    starts = [drive.start for town in planned_towns(config) for drive in town]
    lateral, heading = (np.array([getattr(s, name) for s in starts]) for name in ("lateral", "heading_deg"))
    assert np.abs(lateral).max() <= 1.0
    assert np.abs(heading).max() <= 6.0
    assert abs(lateral.mean()) < 0.05
    assert 0.4 < lateral.std() < 0.5  # cutting at two sigma takes some
    assert abs(np.corrcoef(lateral, heading)[0, 1]) < 0.1


def test_no_spread_means_the_middle_of_the_lane() -> None:
    config = CollectConfig(start=StartSpread(0.0, 0.0))
    assert all(abs(d.start.lateral) + abs(d.start.heading_deg) == 0 for town in planned_towns(config) for d in town)


@given(towns=st.integers(1, 20), parts=st.integers(1, 7))
def test_shards_are_disjoint_and_complete(towns: int, parts: int) -> None:
    whole = CollectConfig(train_towns=towns, validation_towns=3)
    shards = [planned_towns(dataclasses.replace(whole, shard=f"{i}/{parts}")) for i in range(parts)]
    drives = [drive for shard in shards for town in shard for drive in town]
    assert sorted(d.name for d in drives) == sorted(d.name for town in planned_towns(whole) for d in town)


@pytest.mark.parametrize("text", ["", "1", "2/2", "3/2", "-1/2", "0/0", "0/2/3", "a/b", "0 / 2", "0.0/2"])
def test_wrong_shards_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"shard must be i/n .* such as 0/2 and 1/2, got "):
        parse_shard(text)
    with pytest.raises(ConfigError, match="shard"):
        CollectConfig(shard=text)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("train_towns", -1),
        ("validation_towns", -1),
        ("first_town", -1),
        ("routes_per_town", 0),
        ("seed", -1),
        ("workers", 0),
    ],
)
def test_numbers_out_of_range_are_refused(field: str, value: int) -> None:
    with pytest.raises(ConfigError, match=f"{field} must be at least .*, got {value}"):
        CollectConfig(**{field: value})  # type: ignore[arg-type]


def test_nothing_to_collect_is_refused() -> None:
    with pytest.raises(ConfigError, match="nothing to collect"):
        CollectConfig(train_towns=0, validation_towns=0)
    with pytest.raises(ConfigError, match=r"lateral_sigma must be at least 0, got -1"):
        StartSpread(lateral_sigma=-1.0)


def test_later_towns_are_none_of_an_earlier_collection() -> None:
    earlier = CollectConfig(train_towns=0, validation_towns=8, generators=TOWN_GENERATORS)
    later = dataclasses.replace(earlier, first_town=8, validation_towns=4)
    whole = dataclasses.replace(earlier, validation_towns=12)
    assert planned_towns(earlier) + planned_towns(later) == planned_towns(whole)
    assert data_settings(later)["first_town"] == 8
    assert "first_town" not in data_settings(earlier)


def test_where_and_how_fast_are_no_settings_of_the_data() -> None:
    a = CollectConfig()
    b = CollectConfig(out=Path("elsewhere"), workers=7, shard="1/3", resume=True)
    assert differences(data_settings(a), data_settings(b)) == []


def test_demo_settings_are_usable() -> None:
    config = load_config(CollectConfig, Path(__file__).parents[2] / "configs" / "demo" / "collect.yaml")
    assert config.out == Path("runs/demo/data")
    assert len(planned_towns(config)) == config.train_towns + config.validation_towns
