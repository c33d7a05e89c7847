import pytest
from hypothesis import given
from hypothesis import strategies as st

from navsim.evaluation.viewer_keys import HELP, SPEEDS, Playback
from navsim.rendering.viewpoints import View


def after(playback: Playback, *keys: str) -> Playback:
    for key in keys:
        playback = playback.after(key)
    return playback


def test_space_pauses_and_goes_on() -> None:
    assert after(Playback(), "space").paused
    assert not after(Playback(), "space", "space").paused


@pytest.mark.parametrize("key", ["s", "n"])
def test_a_single_step_leaves_the_drive_paused(key: str) -> None:
    stepped = after(Playback(), key)
    assert stepped.paused
    assert stepped.stepping
    assert not after(stepped, "space").stepping


def test_the_camera_goes_round() -> None:
    assert after(Playback(), "c").view is View.HOOD
    assert after(Playback(), "c", "c", "c").view is View.CHASE


def test_next_route_and_quitting() -> None:
    assert after(Playback(), "r").skipping
    assert after(Playback(), "enter").skipping
    assert after(Playback(), "q").ended
    assert after(Playback(), "escape").ended


def test_speed_doubles_and_halves() -> None:
    assert after(Playback(), "+").speed == 2.0
    assert after(Playback(), "=", "-", "-").speed == 0.5
    assert after(Playback(speed=0.3), "+").speed == 0.5
    assert after(Playback(speed=0.3), "-").speed == 0.25


def test_faster_than_all_is_unbounded_and_comes_back() -> None:
    assert after(Playback(speed=8.0), "+").speed == 0.0
    assert after(Playback(speed=0.0), "+").speed == 0.0
    assert after(Playback(speed=0.0), "-").speed == 8.0
    assert after(Playback(speed=50.0), "-").speed == 8.0
    assert after(Playback(speed=SPEEDS[0]), "-").speed == SPEEDS[0]


@given(st.text(max_size=3))
def test_other_keys_change_nothing(key: str) -> None:
    if key not in set("snrcq+=-_"):
        assert after(Playback(), key) == Playback()


def test_words_tell_pace_and_pause() -> None:
    assert Playback(speed=0.5).words == "0.5x"
    assert Playback(speed=0.0).words == "as fast as possible"
    assert after(Playback(), "space").words == "paused (1x)"


def test_the_help_names_every_key() -> None:
    for word in ("space", "s step", "c camera", "r next", "+ faster", "- slower", "q quit"):
        assert word in HELP
