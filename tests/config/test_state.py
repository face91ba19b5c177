from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from levada.config.state import secret_key, state_folder, state_path
from levada.errors import StateFolderError


def test_the_order_of_places(tmp_path: Path) -> None:
    home = {"HOME": "/home/ada"}

    assert state_path(home) == "/home/ada/.local/state/levada"
    assert state_path({**home, "XDG_STATE_HOME": "/var/s"}) == "/var/s/levada"
    assert state_path({**home, "XDG_STATE_HOME": "/var/s"}, "/set") == "/set"
    assert state_path({**home, "LEVADA_STATE": "/env"}) == "/env"
    assert state_path({**home, "LEVADA_STATE": "/env"}, "/set") == "/set", "where --state may have said so"


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_the_folder_is_made_for_its_user_alone(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        path = state_folder({"LEVADA_STATE": str(tmp_path / "a" / "b")})
    finally:
        os.umask(before)

    assert stat.S_IMODE(os.stat(path).st_mode) == 0o700
    assert state_folder({"LEVADA_STATE": path}) == path


def test_a_folder_that_others_may_write_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o770)

    with pytest.raises(StateFolderError, match=r"others may write to it \(mode 770\)\n  chmod 700"):
        state_folder({"LEVADA_STATE": str(tmp_path)})


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("")

    with pytest.raises(StateFolderError, match="is not a folder"):
        state_folder({"LEVADA_STATE": str(tmp_path / "f")})


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("")

    with pytest.raises(StateFolderError, match="cannot be used as state folder"):
        state_folder({"LEVADA_STATE": str(tmp_path / "f" / "below")})


def test_the_key_of_secrets_is_made_once_and_for_the_user_alone(tmp_path: Path) -> None:
    key = secret_key(str(tmp_path))
    assert len(key) == 32
    assert secret_key(str(tmp_path)) == key
    assert (tmp_path / "secret.key").stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["secret.key"]


@pytest.mark.parametrize("what", ["open to others", "short", "a link", "a dangling link", "a folder"])
def test_a_key_of_secrets_that_may_be_known_is_refused(tmp_path: Path, what: str) -> None:
    path = tmp_path / "secret.key"
    if what == "open to others":
        path.write_bytes(b"k" * 32)
        path.chmod(0o644)
    elif what == "short":
        path.touch(0o600)
    elif what == "a link":
        other = tmp_path / "other"
        other.touch(0o600)
        path.symlink_to(other)
    elif what == "a dangling link":
        path.symlink_to(tmp_path / "nowhere")
    else:
        path.mkdir(0o700)
    with pytest.raises(StateFolderError, match=r"secret\.key"):
        secret_key(str(tmp_path))
