import logging

import pytest

from navsim.errors import ConfigError
from navsim.rendering.renderer import Renderer, make_renderer


@pytest.mark.parametrize("name", ["auto", "tiny"])
def test_the_choice_is_logged_in_one_line(name: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        renderer: Renderer = make_renderer(name)
    assert renderer.name == "tiny"
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("renderer: tiny")
    assert ("auto" in caplog.messages[0]) == (name == "auto")
    renderer.close()


@pytest.mark.parametrize("name", ["opengl2", "", "TINY"])
def test_unknown_renderers_are_refused_by_name(name: str) -> None:
    with pytest.raises(ConfigError, match=r"use 'auto' or 'tiny'") as error:
        make_renderer(name)
    assert repr(name) in str(error.value)
