import logging

import pytest

from navsim.errors import ConfigError
from navsim.simulation.config import make_renderer


def test_tiny_is_made_when_asked_for_and_says_so_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        renderer = make_renderer("tiny")
    assert renderer.name == "tiny"
    assert caplog.messages == ["renderer: tiny (PyBullet on the CPU); asked for"]
    renderer.close()


@pytest.mark.parametrize("name", ["opengl2", "", "TINY"])
def test_unknown_renderers_are_refused_by_name(name: str) -> None:
    with pytest.raises(ConfigError, match=r"use 'auto', 'opengl' or 'tiny'") as error:
        make_renderer(name)
    assert repr(name) in str(error.value)
