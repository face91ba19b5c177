"""The state folder: where locks and attempt history of this user stand."""

from __future__ import annotations

import os
from collections.abc import Mapping

from ..errors import StateFolderError


def state_folder(environ: Mapping[str, str], configured: str | None = None) -> str:
    """Path of the state folder, made (mode 0700) when it is not there; StateFolderError when it cannot be trusted.

    ``$LEVADA_STATE``, else ``configured`` (the setting), else ``$XDG_STATE_HOME/levada``, else
    ``~/.local/state/levada``.
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
    chosen = environ.get("LEVADA_STATE") or configured
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
