"""What a configuration file of Luigi says: sections and keys with their lines. Values are not kept: they may be secrets."""

from __future__ import annotations

import configparser
import re
import tomllib
from collections.abc import Iterator
from typing import NamedTuple

from .sources import Unreadable

NAMES = frozenset({"luigi.cfg", "client.cfg", "luigi.toml"})
"""Files that Luigi looks for; others are named by LUIGI_CONFIG_PATH, or by ``add_config_path``."""

_SECTION = re.compile(r"^\[(?P<name>[^\]]+)\]")
_KEY = re.compile(r"^(?P<name>[^\s#;=:\[][^=:]*?)\s*(?:[=:]|$)")
_TABLE = re.compile(r"""^\s*\[\s*(?P<name>[^\[\]]+?)\s*\]""")


class Key(NamedTuple):
    """One key, with its section; key "": the section's own line."""

    section: str
    key: str
    line: int


def read(text: bytes, *, toml: bool) -> list[Key]:
    """Sections and keys, in order. Raises Unreadable."""
    try:
        words = text.decode()
    except UnicodeDecodeError as fault:
        raise Unreadable(f"not UTF-8: {fault.reason} at byte {fault.start}") from fault
    return list(_of_toml(words) if toml else _of_cfg(words))


def _of_cfg(text: str) -> Iterator[Key]:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(text)
    except configparser.Error as fault:
        raise Unreadable(str(fault).replace("\n", " ")[:300], getattr(fault, "lineno", 0) or 0) from fault
    section = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _SECTION.match(line):
            section = header["name"]
            yield Key(section, "", number)
        elif section and (key := _KEY.match(line)):
            yield Key(section, key["name"].strip(), number)


def _of_toml(text: str) -> Iterator[Key]:
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as fault:
        line = re.search(r"line (\d+)", str(fault))
        raise Unreadable(f"not TOML: {fault}", int(line[1]) if line else 0) from fault
    lines = text.splitlines()
    starts = {header["name"].strip("\"'"): number for number, line in enumerate(lines, start=1) if (header := _TABLE.match(line))}
    for section, table in tables.items():
        start = starts.get(section, 1)
        yield Key(section, "", start)
        for key in table if isinstance(table, dict) else ():
            yield Key(section, key, _line_of(key, lines, start))


def _line_of(key: str, lines: list[str], start: int) -> int:
    named = re.compile(rf"""^\s*["']?{re.escape(key)}["']?\s*[.=]|^\s*\[[^\]]*\.{re.escape(key)}[\].]""")
    return next((number for number, line in enumerate(lines[start:], start=start + 1) if named.match(line)), start)
