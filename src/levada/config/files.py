"""Finding and reading the configuration files.

A file that others may write to is refused: it names the modules that we import.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import cast

from ..errors import ConfigError

NAME = "levada.toml"
PYPROJECT = "pyproject.toml"

Tree = dict[str, object]


def find(folder: str, environ: Mapping[str, str]) -> list[str]:
    """Paths of the configuration files that count, the strongest first.

    The project's files stand in the nearest folder, from ``folder`` upward, that has one; the search ends
    at a folder with ``.git`` and at the root of the file system. ``LEVADA_CONFIG`` names a file instead.
    """
    chosen = environ.get("LEVADA_CONFIG")
    project = [os.path.join(folder, os.path.expanduser(chosen))] if chosen else project_files(folder)
    home = user_file(environ)
    return project + ([home] if home is not None and os.path.isfile(home) else [])


def project_files(folder: str) -> list[str]:
    """``levada.toml`` and a ``pyproject.toml`` that speaks of levada, of the nearest folder that has one of them."""
    here = os.path.abspath(folder)
    while True:
        found = [path for path in (os.path.join(here, NAME), os.path.join(here, PYPROJECT)) if _counts(path)]
        above = os.path.dirname(here)
        if found or above == here or os.path.exists(os.path.join(here, ".git")):
            return found
        here = above


def user_file(environ: Mapping[str, str]) -> str | None:
    """Path of the user's own file, whether or not it exists; None without a home."""
    base = environ.get("XDG_CONFIG_HOME") or (environ.get("HOME") and os.path.join(environ["HOME"], ".config"))
    return os.path.join(base, "levada", NAME) if base else None


def _counts(path: str) -> bool:
    if not os.path.isfile(path):
        return False
    if not path.endswith(PYPROJECT):
        return True
    try:  # parsing costs milliseconds, looking for the word does not
        with open(path, "rb") as file:
            return b"tool.levada" in file.read()
    except OSError:
        return False


def read(path: str, folder: str) -> dict[str, Tree]:
    """Section -> key -> TOML value of one file. ConfigError when it cannot be read or trusted.

    folder: where the search began; its owner is trusted, since we import code from there anyway.
    """
    try:
        with open(path, "rb") as file:
            refuse_if_open_to_others(path, os.fstat(file.fileno()), folder)
            text = file.read().decode()
    except OSError as cause:
        hint = "Set LEVADA_CONFIG to another file, or repair its rights."
        raise ConfigError(f"{path}: cannot be read: {cause.strerror}", hint=hint) from cause
    except UnicodeDecodeError as cause:
        raise ConfigError(f"{path}: is not UTF-8: {cause}", hint="TOML files are written in UTF-8.") from cause
    return _sections(path, parse_toml(path, text))


def parse_toml(path: str, text: str) -> Tree:
    """The TOML text as a tree; ConfigError with line and column when it is none."""
    import tomllib  # costs as much as all else here: only when there is a file

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as cause:
        raise ConfigError(f"{path}: {cause}", hint="Texts, dates and lists are written as in https://toml.io.") from cause


def _sections(path: str, tree: Tree) -> dict[str, Tree]:
    if path.endswith(PYPROJECT):
        tool = cast(Tree, tree.get("tool", {}))
        mine = cast(Tree, tool.get("levada", {}))
        plain = {key: value for key, value in mine.items() if not isinstance(value, dict)}
        tree = {key: value for key, value in mine.items() if isinstance(value, dict)}
        if plain:  # [tool.levada] itself stands for [levada]
            tree["levada"] = {**plain, **cast(Tree, tree.get("levada", {}))}
    for key, value in tree.items():
        if not isinstance(value, dict):
            hint = f"Write [levada] above it, or the section it belongs to, as in [run] {key} = ..."
            raise ConfigError(f"{path}: {key!r} stands outside of a section", hint=hint)
    return cast("dict[str, Tree]", tree)


def refuse_if_open_to_others(path: str, stat: os.stat_result, folder: str | None = None) -> None:
    """ConfigError when somebody else could have written the file.

    Group-writable passes only for a user's own private group (same number as the user). The owner has to be
    us, root, or the owner of ``folder``: a file planted in a shared folder above is not believed.
    """
    if not hasattr(os, "getuid"):
        return  # Windows: rights are not modes
    if stat.st_mode & 0o002 or (stat.st_mode & 0o020 and stat.st_gid != stat.st_uid):
        who = "everybody" if stat.st_mode & 0o002 else "its group"
        raise ConfigError(f"{path}: {who} may write to it (mode {stat.st_mode & 0o777:o}), so it is not trusted", hint=f"chmod go-w {path}")
    owners = {0, os.getuid()} | ({os.stat(folder).st_uid} if folder is not None else set())
    if stat.st_uid not in owners:
        raise ConfigError(
            f"{path}: belongs to user {stat.st_uid}, not to you, so it is not trusted",
            hint="Name it with LEVADA_CONFIG from a folder of its owner, or make it yours with chown.",
        )
