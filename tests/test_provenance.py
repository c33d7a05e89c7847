"""Files that a run reads more than once."""

from pathlib import Path

import pytest

from navsim.errors import ConfigError, ReplacedError
from navsim.provenance import InputFile, file_state


def test_a_file_counts_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "policy"
    path.write_bytes(b"one")
    file = InputFile.of(path)
    assert file.read() == b"one"
    path.unlink()
    with pytest.raises(ReplacedError, match=r"policy: has changed since the run began \(sha256 \w{16} then, cannot be"):
        file.check()
    path.write_bytes(b"two")
    with pytest.raises(ReplacedError, match=r"\(sha256 7692c3ad3540bb80 then, sha256 3fc4ccfe745870e2 now\)"):
        file.read()
    path.write_bytes(b"one")
    with file.unchanged() as same:
        assert same == path


def test_an_error_of_another_file_in_its_place_is_not_blamed_on_the_first(tmp_path: Path) -> None:
    path = tmp_path / "policy"
    path.write_bytes(b"one")
    file = InputFile.of(path)

    def read() -> None:
        with file.unchanged():
            path.write_bytes(b"two")
            raise ConfigError("damaged")

    with pytest.raises(ReplacedError):
        read()


def test_another_file_in_the_same_place_has_another_state(tmp_path: Path) -> None:
    path, other = tmp_path / "one", tmp_path / "other"
    path.write_bytes(b"12")
    state = file_state(path)
    assert file_state(path) == state
    other.write_bytes(b"21")
    other.replace(path)
    assert file_state(path) != state
