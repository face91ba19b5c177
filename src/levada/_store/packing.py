"""Attempts that ended well, column by column in one blob: a row of a table for each would cost more than the attempt.

Form, little-endian: count n (4 bytes); for families, tasks and workers how many lengths and how many bytes of text follow
(4 bytes each); n 8-byte numbers for each of number, started, seconds, cpu, rss; n keys of 16 bytes; then for each of the three
its lengths in characters (4 bytes each; one alone where all texts are the same) and its texts in UTF-8, end to end.
"""

from __future__ import annotations

from _struct import Struct, pack, unpack_from  # all that there is in struct
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise

from .._model.ports import Attempt, AttemptRow

HEAD = Struct("<7I")
NUMBERS = 5 * 8  # bytes an attempt


def packed(attempts: Sequence[Attempt | AttemptRow]) -> bytes:
    """One or more attempts as one blob; their exit, error and fingerprint are not kept. ValueError for a key that has not 16 bytes."""
    keys, families, tasks, numbers, started, seconds, _, _, _, cpu, rss, workers = zip(*attempts, strict=True)
    n = len(keys)
    key_bytes = b"".join(keys)
    if len(key_bytes) != 16 * n:
        raise ValueError("keys of attempts have 16 bytes")
    sizes: list[int] = []
    texts: list[bytes] = []
    for column in (families, tasks, workers):
        some = column[:1] if column.count(column[0]) == n else column
        text = "".join(some).encode()
        sizes += (len(some), len(text))
        texts += (pack(f"<{len(some)}I", *map(len, some)), text)
    columns = pack(f"<{n}q{n}d{n}d{n}d{n}q", *numbers, *started, *seconds, *cpu, *rss)
    return b"".join((HEAD.pack(n, *sizes), columns, key_bytes, *texts))


def unpacked(blob: bytes) -> list[Attempt]:
    """The attempts of a blob, in the order in which they were packed."""
    n, *sizes = HEAD.unpack_from(blob)
    values = unpack_from(f"<{n}q{n}d{n}d{n}d{n}q", blob, HEAD.size)
    first = HEAD.size + NUMBERS * n
    keys = [blob[at : at + 16] for at in range(first, first + 16 * n, 16)]
    families, tasks, workers = _texts(blob, first + 16 * n, n, sizes)
    return list(map(_attempt, keys, families, tasks, workers, *(values[at * n : at * n + n] for at in range(5))))


def durations(blob: bytes) -> Iterator[tuple[str, float]]:
    """(family, seconds) of each attempt of a blob, in the order in which they were packed."""
    n, *sizes = HEAD.unpack_from(blob)
    families = _texts(blob, HEAD.size + (NUMBERS + 16) * n, n, sizes[:2])[0]
    return zip(families, unpack_from(f"<{n}d", blob, HEAD.size + 2 * 8 * n), strict=True)


def with_key(blob: bytes, key: bytes) -> Iterator[tuple[int, Attempt]]:
    """(place, attempt) of one task, first ones first; costs a search of bytes where there are none."""
    n = HEAD.unpack_from(blob)[0]
    first = HEAD.size + NUMBERS * n
    end = first + 16 * n
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


def _texts(blob: bytes, at: int, n: int, sizes: Sequence[int]) -> list[list[str]]:
    """The columns of text that stand at a place, n texts each. sizes: of each the number of lengths and of bytes."""
    columns: list[list[str]] = []
    for count, size in zip(sizes[::2], sizes[1::2], strict=True):
        lengths = unpack_from(f"<{count}I", blob, at)
        text = blob[at + 4 * count : at + 4 * count + size].decode()
        ends = list(accumulate(lengths, initial=0))
        texts = [text[start:end] for start, end in pairwise(ends)]
        columns.append(texts if count == n else texts * n)
        at += 4 * count + size
    return columns


def _attempt(key: bytes, family: str, task: str, worker: str, number: int, started: float, seconds: float, cpu: float, rss: int) -> Attempt:
    return Attempt(key, family, task, number, started, seconds, "ok", "", "", cpu, rss, worker)
