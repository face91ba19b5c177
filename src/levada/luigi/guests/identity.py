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
    """Finds significant parameters; remembers by family which ones were left out the last time."""

    FAMILIES = 10_000

    def __init__(self) -> None:
        self._left_out: dict[str, frozenset[str]] = {}

    def of(self, task: str, family: str, texts: Mapping[str, Any], hidden: Iterable[str] = ()) -> dict[str, Any] | None:
        """The significant ones among a task's parameters; None where no subset gives its id. hidden: surely not part of it."""
        names = sorted(set(texts).difference(hidden))
        digest = task.rpartition("_")[2]
        for out in self._subsets(family, names):
            left = {name: texts[name] for name in names if name not in out}
            if md5(canonical(left).encode(), usedforsecurity=False).hexdigest()[:10] == digest and id_of(family, left) == task:
                if len(self._left_out) < self.FAMILIES:
                    self._left_out[family] = frozenset(out)
                return left
        return None

    def _subsets(self, family: str, names: list[str]) -> Iterator[Iterable[str]]:
        """What may be left out, the most likely first."""
        last = self._left_out.get(family)
        if last is not None:
            yield last
        tries = 0
        for count in range(len(names) + 1):
            for out in combinations(names, count):
                tries += 1
                if tries > TRIES:
                    return
                yield out
