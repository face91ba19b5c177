"""Attempts that ended well, column by column in one blob: a row of a table for each would cost more than the attempt.

Of a column whose values are all alike one stands for all. Form, little-endian, 4 bytes each: count n; how many values follow
of numbers, started, seconds, cpu, rss, families, tasks and workers (1 or n); bytes of text of the last three. Then n keys of
16 bytes, the values of the five, 8 bytes each, and of each of the three its lengths in characters (4 bytes each) and its
texts in UTF-8, end to end.
"""

from __future__ import annotations

from _struct import Struct, pack, unpack_from  # all that there is in struct
from collections.abc import Iterator, Sequence
from itertools import accumulate, chain, pairwise
from typing import TypeVar

from .._model.ports import Attempt, AttemptRow

T = TypeVar("T")
HEAD = Struct("<12I")


def packed(attempts: Sequence[Attempt | AttemptRow]) -> bytes:
    """One or more attempts as one blob; their exit, error and fingerprint are not kept. ValueError for a key that has not 16 bytes."""
    keys, families, tasks, numbers, started, seconds, _, _, _, cpu, rss, workers = zip(*attempts, strict=True)
    key_bytes = b"".join(keys)
    if len(key_bytes) != 16 * len(keys):
        raise ValueError("keys of attempts have 16 bytes")
    columns = [column[:1] if column.count(column[0]) == len(column) else column for column in (numbers, started, seconds, cpu, rss)]
    counts = [len(column) for column in columns]
    sizes: list[int] = []
    texts: list[bytes] = []
    for column in (families, tasks, workers):
        some = column[:1] if column.count(column[0]) == len(column) else column
        text = "".join(some).encode()
        counts.append(len(some))
        sizes.append(len(text))
        texts += (pack(f"<{len(some)}I", *map(len, some)), text)
    values = pack(_form(counts), *chain.from_iterable(columns))
    return b"".join((HEAD.pack(len(keys), *counts, *sizes), key_bytes, values, *texts))


def _form(counts: Sequence[int]) -> str:
    """Of the five columns of numbers, for struct."""
    number, started, seconds, cpu, rss = counts[:5]
    return f"<{number}q{started + seconds + cpu}d{rss}q"


def unpacked(blob: bytes) -> list[Attempt]:
    """The attempts of a blob, in the order in which they were packed."""
    n, *sizes = _head(blob)
    counts = sizes[:5]
    first = HEAD.size + 16 * n
    keys = [blob[at : at + 16] for at in range(HEAD.size, first, 16)]
    values = unpack_from(_form(counts), blob, first)
    ends = list(accumulate(counts, initial=0))
    numbers = [_whole(values[start:end], n) for start, end in pairwise(ends)]
    return list(map(_attempt, keys, *_texts(blob, n, sizes), *numbers))


def durations(blob: bytes) -> Iterator[tuple[str, float]]:
    """(family, seconds) of each attempt of a blob, in the order in which they were packed."""
    n, *sizes = _head(blob)
    seconds = unpack_from(f"<{sizes[2]}d", blob, HEAD.size + 16 * n + 8 * sum(sizes[:2]))
    return zip(_texts(blob, n, sizes)[0], _whole(seconds, n), strict=True)


def with_key(blob: bytes, key: bytes) -> Iterator[tuple[int, Attempt]]:
    """(place, attempt) of one task, first ones first; costs a search of bytes where there are none."""
    first = HEAD.size
    end = first + 16 * _head(blob)[0]
    found = blob.find(key, first, end)
    if found < 0:
        return
    attempts: list[Attempt] | None = None
    while found >= 0:
        place, off = divmod(found - first, 16)
        if off == 0:
            attempts = attempts or unpacked(blob)
            yield place, attempts[place]
        found = blob.find(key, found + 1, end)


def _head(blob: bytes) -> tuple[int, ...]:
    """The numbers at the beginning. Raises ValueError where the keys that they promise are not there."""
    found: tuple[int, ...] = HEAD.unpack_from(blob)
    if HEAD.size + 16 * found[0] > len(blob):
        raise ValueError("a pack is cut off")
    return found


def _texts(blob: bytes, n: int, sizes: Sequence[int]) -> list[Sequence[str]]:
    """The three columns of texts. sizes: what the head says after n."""
    at = HEAD.size + 16 * n + 8 * sum(sizes[:5])
    columns: list[Sequence[str]] = []
    for count, size in zip(sizes[5:8], sizes[8:], strict=True):
        ends = list(accumulate(unpack_from(f"<{count}I", blob, at), initial=0))
        at += 4 * count + size
        text = blob[at - size : at].decode()
        columns.append(_whole([text[start:end] for start, end in pairwise(ends)], n))
    return columns


def _whole(column: Sequence[T], n: int) -> Sequence[T]:
    """A column as it was: n values."""
    return column if len(column) == n else [column[0]] * n


def _attempt(key: bytes, family: str, task: str, worker: str, number: int, started: float, seconds: float, cpu: float, rss: int) -> Attempt:
    return Attempt(key, family, task, number, started, seconds, "ok", "", "", cpu, rss, worker)
