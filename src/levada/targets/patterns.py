"""Patterns of what arrives: ``s3://bucket/in/{day}/part-*.csv``. A part of the path is matched by itself.

``{name}`` is one or more characters, ``*`` any number, ``?`` one; none of them stands for a ``/``. ``{{`` and ``}}`` are
braces. A group takes as little as it can, from left to right; one that stands in several parts is the same text in each.
Names that writers give to what is not whole yet never count, unless the pattern itself is spelled so.
"""

from __future__ import annotations

import re

from levada._model.values import NamedTuple
from levada.errors import ConfigError

from .atomic import TEMPORARY
from .stores import split_url

Groups = tuple[tuple[str, str], ...]

UNFINISHED = ("._COPYING_", ".part", ".filepart", ".partial", ".crdownload", ".tmp")
"""Ends of names that are being written: Hadoop's ``put``; ours, curl's, Firefox's; WinSCP's; rsync's; Chrome's; many others'."""
UNFINISHED_FOLDERS = ("_temporary",)  # of Hadoop's and Spark's jobs
_TOLD_ANYWAY = frozenset(("url", "name"))  # `path.url` and `path.name` are of every arrival
_WILDCARDS = 8  # in one part
_TOKEN = re.compile(r"(?P<brace>\{\{|\}\})|\{(?P<group>[^{}]*)\}|(?P<stray>[{}])|(?P<star>\*+)|(?P<one>\?)|(?P<text>[^{}*?]+)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_ours = re.compile(TEMPORARY).fullmatch


class Part:
    """One part of a pattern: what one name must be. groups: names of its groups."""

    __slots__ = ("_match", "_unfinished", "groups", "literal", "text")

    def __init__(self, text: str) -> None:
        regex, self.groups, literal = _translate(text)
        self.text = text
        self.literal: str | None = literal  # the name itself, where the part has no wildcard
        self._match = re.compile(regex, re.DOTALL).match
        self._unfinished = tuple(end for end in UNFINISHED if not text.endswith(end))

    def __repr__(self) -> str:
        return f"Part({self.text!r})"

    def fits(self, name: str) -> Groups | None:
        """The groups' texts when a name fits, else None. Names that begin with a dot fit to parts that do.

        >>> Part("{shop}-{day}.csv").fits("north-2024-01-02.csv")
        (('shop', 'north'), ('day', '2024-01-02'))
        """
        if self.literal is not None:
            return () if name == self.literal else None
        if (name[:1] == "." and self.text[:1] != ".") or name.endswith(self._unfinished) or name in UNFINISHED_FOLDERS:
            return None
        found = self._match(name)
        if found is None or not _can_be_told(name) or _ours(name):
            return None
        return tuple(found.groupdict().items())


class Pattern(NamedTuple):
    """A pattern, read. prefix: scheme and authority as written; folder: the path before the first part with a wildcard.

    folders: whether it is folders that are waited for: the pattern ends with a slash.
    """

    prefix: str
    folder: str
    parts: tuple[Part, ...]
    folders: bool

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of all groups, in their order, each once."""
        return tuple(dict.fromkeys(name for part in self.parts for name in part.groups))


def read_pattern(url: str) -> Pattern:
    """Read a pattern. Raises ConfigError that says which part is wrong, and what to write.

    >>> read_pattern("/data/in/{day}/*.csv").folder, read_pattern("/data/{shop}-{day}.csv").groups
    ('/data/in', ('shop', 'day'))
    """
    _, _, path = split_url(url)
    prefix = url[: len(url) - len(path)]
    if any(sign in prefix for sign in "{}*?"):
        raise _wrong(url, f"{prefix} holds a wildcard", "Scheme and bucket (host) are named; wildcards may stand in the path.")
    if _CONTROL.search(url):
        raise _wrong(url, "it holds a control character", None)
    folders = path.endswith("/")
    texts = path.rstrip("/").split("/")
    parts: list[Part] = []
    for text in texts:
        try:
            parts.append(Part(text))
        except ValueError as cause:
            raise _wrong(url, f"{text!r}: {cause.args[0]}", cause.args[1]) from None
    fixed = next((at for at, part in enumerate(parts) if part.literal is None), len(parts) - 1)
    if not texts[-1]:
        raise _wrong(url, "it names nothing", "Write the file's name, or a pattern for it, behind the folder.")
    literals = [str(part.literal) for part in parts[:fixed]]
    return Pattern(prefix, "/" if literals == [""] else "/".join(literals), tuple(parts[fixed:]), folders)


def joined(one: Groups, other: Groups) -> Groups | None:
    """The groups of two parts together; None where a group would be two texts."""
    known = dict(one)
    for name, text in other:
        if known.setdefault(name, text) != text:
            return None
    return tuple(known.items())


def as_line(text: str) -> str:
    """A text as one line that any wire takes: no control characters, no half characters, at most 1,000 of them.

    >>> as_line("no\\nroute")
    'no route'
    """
    return _CONTROL.sub(" ", text[:1000]).encode(errors="replace").decode()


def _translate(text: str) -> tuple[str, tuple[str, ...], str | None]:
    """A regular expression for one part, the names of its groups, and what it is where it has no wildcard.

    Each wildcard takes as little as what follows allows, and is then left as it is: the search never goes back, so no name
    makes it slow. Raises ValueError(what is wrong, next step).
    """
    wilds: list[str | None] = []  # groups' names, None for a star
    fixed = [""]  # what stands before the first, and behind each of them
    literal: str | None = ""
    for token in _TOKEN.finditer(text):
        kind, said = str(token.lastgroup), token.group()
        if kind in ("text", "brace"):
            piece = said[0] if kind == "brace" else said
            fixed[-1] += re.escape(piece)
            literal = None if literal is None else literal + piece
            continue
        literal = None
        if kind == "one":
            fixed[-1] += "."
            continue
        wild = _wild(kind, said, token.group("group"), text, wilds)
        if wilds and not fixed[-1]:
            raise ValueError("nothing stands between two wildcards", "Put a text between them that tells where the first one ends.")
        wilds.append(wild)
        fixed.append("")
    if len(wilds) > _WILDCARDS:
        raise ValueError(f"{len(wilds)} wildcards", f"A part may have {_WILDCARDS}.")
    regex = fixed[0]
    for at, (wild, behind) in enumerate(zip(wilds, fixed[1:], strict=True)):
        last = at == len(wilds) - 1
        some = (".*" if wild is None else f"(?P<{wild}>.+)") if last else (".*?" if wild is None else f"(?P<{wild}>.+?)")
        regex += f"{some}{behind}" if last else f"(?>{some}{behind})"
    return regex + r"\Z", tuple(wild for wild in wilds if wild is not None), literal


def _wild(kind: str, said: str, group: str | None, text: str, before: list[str | None]) -> str | None:
    if kind == "stray":
        raise ValueError(f"the brace {said} stands alone", "A group is {name}; a brace itself is written twice.")
    if kind == "star":
        if said == text == "**":
            raise ValueError("** is not walked", "Write a part for each folder: `*/*/{day}.csv`.")
        return None
    if not group or not group.isidentifier() or not group.isascii() or group.startswith("_"):
        raise ValueError(f"{group!r} is no name for a group", "Use letters, digits and `_`, a letter first: {day}.")
    if group in _TOLD_ANYWAY:
        raise ValueError(f"{group!r} is told of each arrival already", "Give the group another name.")
    if group in before:
        raise ValueError(f"the group {group!r} stands twice", "In one part of a path, once; another part may repeat it.")
    return group


def _can_be_told(name: str) -> bool:
    """Whether a name can cross a wire as text. Others are left out."""
    if name.isascii():
        return name.isprintable()
    if _CONTROL.search(name):
        return False
    try:
        name.encode()
    except UnicodeEncodeError:  # bytes that are no UTF-8, as the file system gave them
        return False
    return True


def _wrong(url: str, what: str, hint: str | None) -> ConfigError:
    return ConfigError(f"the pattern {url}: {what}", hint=hint or "See docs/arrivals.md for what patterns are.")
