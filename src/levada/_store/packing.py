"""Attempts that ended well, column by column in one blob: a row of a table for each would cost more than the attempt.

Form, little-endian: count n and length t (4 bytes each); n 8-byte numbers for each of number, started,
seconds, cpu, rss; n keys of 16 bytes; t bytes of JSON, ``[families, tasks, workers]``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from struct import Struct, pack, unpack_from

from .._model.ports import Attempt, AttemptRow

HEAD = Struct("<II")
NUMBERS = 5 * 8  # bytes an attempt


def packed(attempts: Sequence[Attempt | AttemptRow]) -> bytes:
    """One or more attempts as one blob; their exit, error and fingerprint are not kept. ValueError for a key that has not 16 bytes."""
    keys, families, tasks, numbers, started, seconds, _, _, _, cpu, rss, workers = zip(*attempts, strict=True)
    n = len(keys)
    key_bytes = b"".join(keys)
    if len(key_bytes) != 16 * n:
        raise ValueError("keys of attempts have 16 bytes")
    texts = json.dumps([families, tasks, workers], ensure_ascii=False, separators=(",", ":")).encode()
    columns = pack(f"<{n}q{n}d{n}d{n}d{n}q", *numbers, *started, *seconds, *cpu, *rss)
    return b"".join((HEAD.pack(n, len(texts)), columns, key_bytes, texts))


def unpacked(blob: bytes) -> list[Attempt]:
    """The attempts of a blob, in the order in which they were packed."""
    return [_attempt(*row) for row in zip(*_columns(blob), strict=True)]


def with_key(blob: bytes, key: bytes) -> Iterator[tuple[int, Attempt]]:
    """(place, attempt) of one task, first ones first; costs a search of bytes where there are none."""
    n, _ = HEAD.unpack_from(blob)
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


def _columns(blob: bytes) -> list[Sequence[object]]:
    n, length = HEAD.unpack_from(blob)
    values = unpack_from(f"<{n}q{n}d{n}d{n}d{n}q", blob, HEAD.size)
    first = HEAD.size + NUMBERS * n
    keys = [blob[at : at + 16] for at in range(first, first + 16 * n, 16)]
    families, tasks, workers = json.loads(blob[first + 16 * n : first + 16 * n + length])
    return [keys, families, tasks, workers, *(values[at * n : at * n + n] for at in range(5))]


def _attempt(key: bytes, family: str, task: str, worker: str, number: int, started: float, seconds: float, cpu: float, rss: int) -> Attempt:
    return Attempt(key, family, task, number, started, seconds, "ok", "", "", cpu, rss, worker)
