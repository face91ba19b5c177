"""Which of our tasks a worker of Luigi speaks of.

Luigi's id of a task ends with ten digits of the MD5 of the JSON of its significant parameters: the very text that our key is made
from. It sends all parameters, though, and not which of them are significant; so the subset is looked for that gives its id.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b, md5
from itertools import combinations
from typing import Any

TRIES = 4_096
"""Subsets that are tried, at most: all of a task with a dozen parameters, all that leave out two of ninety."""
CHARACTERS = 1 << 20
"""Characters of which a digest is made in one search, at most: some milliseconds."""
VAIN = 3
"""Searches without success after which a family makes ids of its own, it seems."""
FAMILIES = 10_000
_DIGEST = re.compile(r"_([0-9a-f]{10})$")
_TIGHT = (",", ":")
_STRANGE = re.compile(r"[^A-Za-z0-9_]")


def canonical(texts: Mapping[str, Any]) -> str:
    """The text that a key is made from: JSON, by name, without blanks.

    >>> canonical({"day": "2024-02-29", "a": "ü"})
    '{"a":"\\\\u00fc","day":"2024-02-29"}'
    """
    return json.dumps(texts, separators=(",", ":"), sort_keys=True)


def key_of(family: str, text: str) -> bytes:
    """128 bits, as ``levada.task.key_of`` makes them."""
    return blake2b(f"{family}\n{text}".encode(), digest_size=16).digest()


def id_of(family: str, texts: Mapping[str, Any]) -> str:
    """Luigi's id of a task with these significant parameters.

    >>> id_of("Int", {"x": "-3", "a": "7"})
    'Int_7__3_29fe248832'
    """
    digest = md5(canonical(texts).encode(), usedforsecurity=False).hexdigest()[:10]
    first = "_".join(str(texts[name])[:16] for name in sorted(texts)[:3])
    return f"{family}_{_STRANGE.sub('_', first)}_{digest}"


class Significant:
    """Finds significant parameters; remembers by family which ones were left out, and which families make ids of their own."""

    def __init__(self) -> None:
        self._left_out: dict[str, frozenset[str]] = {}
        self._in_vain: dict[str, int] = {}

    def of(self, task: str, family: str, texts: Mapping[str, Any], hidden: Iterable[str] = ()) -> dict[str, Any] | None:
        """The significant ones among a task's parameters; None where no subset gives its id. hidden: surely not part of it."""
        digest = _DIGEST.search(task)
        if digest is None or not task.startswith(f"{family}_"):
            return None
        names = sorted(set(texts).difference(hidden))
        pieces = {name: f"{json.dumps(name)}:{json.dumps(texts[name], separators=_TIGHT, sort_keys=True)}" for name in names}
        for out in self._subsets(family, names, sum(map(len, pieces.values()))):
            text = ",".join([pieces[name] for name in names if name not in out])
            if md5(f"{{{text}}}".encode(), usedforsecurity=False).hexdigest().startswith(digest[1]):
                found = {name: texts[name] for name in names if name not in out}
                if id_of(family, found) == task:
                    self._note(family, frozenset(out))
                    return found
        if len(self._in_vain) < FAMILIES:
            self._in_vain[family] = self._in_vain.get(family, 0) + 1
        return None

    def _note(self, family: str, out: frozenset[str]) -> None:
        self._in_vain.pop(family, None)
        if len(self._left_out) < FAMILIES:
            self._left_out[family] = out

    def _subsets(self, family: str, names: list[str], size: int) -> Iterator[Iterable[str]]:
        """What may be left out, the most likely first. size: characters of all together, as each try costs as much."""
        last = self._left_out.get(family)
        if last is not None:
            yield last
        most = min(TRIES, CHARACTERS // (size + 1)) if self._in_vain.get(family, 0) < VAIN else 1
        tries = 0
        for count in range(len(names) + 1):
            for out in combinations(names, count):
                tries += 1
                if tries > max(1, most):
                    return
                yield out
