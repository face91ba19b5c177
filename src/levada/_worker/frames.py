"""What parent and child of a pool say to each other, as bytes.

A frame is its length (4 bytes), its kind (1 byte) and that many bytes: integers of 64 bits, or JSON.
Never pickle, never marshal: whoever writes into this channel can make us believe a wrong result, but
not run anything.

To the child: INTS (jobs whose tasks it holds), JOBS (jobs as texts), RESUME, DROP, QUIT.
From the child: BELL (look at the shared ring), ENDED, YIELDED, RETURNED (jobs it did not begin), RETIRE, FAULT (it cannot begin).
"""

from __future__ import annotations

import json
import struct
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from .._model.status import ExitClass
from .executor import Ended, Job

INTS, JOBS, RESUME, DROP, QUIT, SETUP = b"I", b"J", b"U", b"D", b"Q", b"S"
BELL, ENDED, YIELDED, RETURNED, RETIRE, FAULT = b"B", b"E", b"Y", b"X", b"R", b"F"

LONGEST = 64 * 1024 * 1024
"""Bytes of a frame; a longer one is a broken channel."""

_HEAD = struct.Struct("<I1s")


def frame(kind: bytes, payload: bytes = b"") -> bytes:
    """One frame as bytes."""
    return _HEAD.pack(len(payload), kind) + payload


class Frames:
    """Takes bytes as they come and gives whole frames. Raises ValueError for what cannot be one."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The frames that are whole by now, as (kind, payload)."""
        held = self._bytes
        held += data
        at = 0
        while len(held) - at >= _HEAD.size:
            length, kind = _HEAD.unpack_from(held, at)
            if length > LONGEST:
                raise ValueError(f"frame of {length} bytes")
            end = at + _HEAD.size + length
            if end > len(held):
                break
            yield kind, bytes(held[at + _HEAD.size : end])
            at = end
        del held[:at]


def ints(values: Iterable[int]) -> bytes:
    """Integers as bytes.

    >>> from_ints(ints([3, -1]))
    [3, -1]
    """
    return array("q", values).tobytes()


def from_ints(payload: bytes) -> list[int]:
    """The integers of ``ints``."""
    numbers = array("q")
    numbers.frombytes(payload)
    return numbers.tolist()


def pack_ints(jobs: Sequence[Job]) -> bytes:
    """Jobs whose tasks the child holds: four integers each, then their keys (all of one length)."""
    flat = array("q", [len(jobs)])
    for index, _, attempt, _, fence, _, _ in jobs:
        flat.extend((index, attempt, *plain_fence(fence)))
    return flat.tobytes() + b"".join([job.key for job in jobs])


def unpack_ints(payload: bytes) -> Iterator[tuple[int, int, int, int, bytes]]:
    """(index, attempt, epoch, number of the fence, key) of each job of ``pack_ints``."""
    (count,) = from_ints(payload[:8])
    end = 8 + 32 * count
    numbers = iter(from_ints(payload[8:end]))
    length = (len(payload) - end) // count
    for index in numbers:
        yield index, next(numbers), next(numbers), next(numbers), payload[end : end + length]
        end += length


def plain_fence(fence: object) -> tuple[int, int]:
    """A fence as two integers; (0, 0) where there is none."""
    return fence if isinstance(fence, tuple) else (0, 0)


def to_json(value: object) -> bytes:
    """Compact ASCII: lone surrogates travel as escapes."""
    return json.dumps(value, separators=(",", ":")).encode()


def from_json(payload: bytes) -> Any:
    """What ``to_json`` was given, tuples as lists."""
    return json.loads(payload)


def pack_ended(seq: int, ended: Ended) -> bytes:
    """An ``Ended`` that needs words; the others go through the ring."""
    return to_json([seq, ended.exit.value, *ended[2:]])


def unpack_ended(payload: bytes, index: int) -> Ended:
    """The ``Ended`` of ``pack_ended``."""
    _, exit_class, error, errors, *rest = from_json(payload)
    return Ended(index, ExitClass(exit_class), error, tuple(errors), *rest)
