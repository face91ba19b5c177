"""The state folder: where locks and attempt history of this user stand."""

from __future__ import annotations

import os
from collections.abc import Mapping

from ..errors import StateFolderError


def state_folder(environ: Mapping[str, str], configured: str | None = None) -> str:
    """Path of the state folder, made (mode 0700) when it is not there; StateFolderError when it cannot be trusted.

    ``configured`` (the setting, for which the command line is stronger than the environment), else ``$LEVADA_STATE``, else
    ``$XDG_STATE_HOME/levada``, else ``~/.local/state/levada``.
    """
    path = os.path.abspath(state_path(environ, configured))
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            pass
        _refuse_if_open_to_others(path, os.stat(path))
    except OSError as cause:
        raise StateFolderError(f"{path}: cannot be used as state folder: {cause.strerror}", hint=HINT) from cause
    return path


HINT = "Set LEVADA_STATE to a folder of your own on a local disk."


def state_path(environ: Mapping[str, str], configured: str | None = None) -> str:
    """Where the state folder is or would be; nothing is made or looked at."""
    chosen = configured or environ.get("LEVADA_STATE")
    if chosen:
        return chosen
    base = environ.get("XDG_STATE_HOME")
    if not base:
        base = os.path.join(_home(environ), ".local", "state")
    return os.path.join(base, "levada")


def _home(environ: Mapping[str, str]) -> str:
    home = environ.get("HOME") or environ.get("USERPROFILE") or os.path.expanduser("~")
    if not os.path.isabs(home):
        raise StateFolderError("there is no home folder to keep state in (HOME is not set)", hint=HINT)
    return home


def _refuse_if_open_to_others(path: str, stat: os.stat_result) -> None:
    import stat as modes

    if not modes.S_ISDIR(stat.st_mode):
        raise StateFolderError(f"{path}: is not a folder", hint=HINT)
    if not hasattr(os, "getuid"):
        return  # Windows: the profile folder is the user's own
    if stat.st_uid != os.getuid():
        raise StateFolderError(f"{path}: belongs to user {stat.st_uid}, this process runs as {os.getuid()}", hint=HINT)
    if stat.st_mode & 0o022:
        raise StateFolderError(f"{path}: others may write to it (mode {stat.st_mode & 0o777:o})", hint=f"chmod 700 {path}")


SECRET_BYTES = 32


def secret_key(folder: str) -> bytes:
    """32 random bytes of a state folder, made once, whole or absent, readable by the user alone.

    Secret parameters enter identities as an HMAC under it. Raises StateFolderError for a file that others may read, that
    belongs to another user, that is a link, or that does not hold as many bytes: with a key that is known, secrets can be guessed.
    """
    import secrets

    path = os.path.join(folder, "secret.key")
    for _ in range(2):
        try:
            descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        except FileNotFoundError:
            _make_secret_key(path, secrets.token_bytes(SECRET_BYTES))
            continue
        except OSError as cause:
            raise StateFolderError(f"{path}: cannot be read: {cause.strerror}", hint=KEY_HINT) from cause
        return _read_secret_key(path, descriptor)
    raise StateFolderError(f"{path}: is not there after it was made", hint=HINT)


KEY_HINT = (
    "It must be a file of 32 bytes of your own, with mode 600. Restore it from a backup: with another key, secrets have other identities."
)


def _read_secret_key(path: str, descriptor: int) -> bytes:
    import stat as modes

    try:
        seen = os.fstat(descriptor)
        key = os.read(descriptor, SECRET_BYTES + 1) if modes.S_ISREG(seen.st_mode) else b""
    finally:
        os.close(descriptor)
    if hasattr(os, "getuid") and (seen.st_uid != os.getuid() or seen.st_mode & 0o077):
        raise StateFolderError(f"{path}: others may have read it (owner {seen.st_uid}, mode {seen.st_mode & 0o777:o})", hint=KEY_HINT)
    if len(key) != SECRET_BYTES:
        raise StateFolderError(f"{path}: holds {len(key)} bytes, expected {SECRET_BYTES}", hint=KEY_HINT)
    return key


def _make_secret_key(path: str, key: bytes) -> None:
    temporary = f"{path}.{os.getpid()}"
    try:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o600), "wb") as file:
            file.write(key)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)
        except FileExistsError:
            pass  # another was faster: its key is the one
        finally:
            os.unlink(temporary)
    except OSError as cause:
        raise StateFolderError(f"{path}: cannot be made: {cause.strerror}", hint=HINT) from cause
