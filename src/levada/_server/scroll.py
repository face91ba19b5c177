"""The audit trail: each line holds a hash over itself and the hash of the line before, so that none can be changed or taken out unseen.

>>> line = signed(START, 1.0, "t1", "127.0.0.1", "pause", "server", "running", "paused", "")
>>> verify([line]) is None, verify([line._replace(subject="nobody")])
(True, 0)
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from hashlib import sha256
from typing import Any, NamedTuple

from .._store.ports import AuditRow, Reading

START = bytes(32)
"""In place of the hash before the first line of all."""


class Detail(NamedTuple):
    """What a line says beside its columns."""

    before: str
    after: str
    reason: str


def signed(chain: bytes, at: float, who: str, address: str, action: str, subject: str, before: str, after: str, reason: str) -> AuditRow:
    """A line that follows the one with this hash."""
    detail = json.dumps([before, after, reason], ensure_ascii=False)
    return AuditRow(at, who, address, action, subject, detail, _hash(chain, at, who, address, action, subject, detail))


def _hash(chain: bytes, *fields: Any) -> bytes:
    return sha256(chain + json.dumps(fields, ensure_ascii=False).encode("utf-8", "surrogatepass")).digest()


def detail_of(row: AuditRow) -> Detail:
    """Before, after and reason of a line."""
    return Detail(*json.loads(row.detail))


def verify(rows: Iterable[AuditRow], before: bytes = START) -> int | None:
    """The place of the first line that does not follow from those before it; None when all do. rows: oldest first.

    before: the hash of the line before them; of a trail whose beginning was let go, the first line is taken at its word
    by giving its own rows from the second on, and the first one's hash.
    """
    for place, row in enumerate(rows):
        if row.chain != _hash(before, *row[:6]):
            return place
        before = row.chain
    return None


class Scroll:
    """Writes lines one after the other."""

    def __init__(self) -> None:
        self._chain = START

    def continue_from(self, store: Reading) -> None:
        """Go on where the store's last line stands."""
        lines = store.audit(limit=1)
        self._chain = lines[0].row.chain if lines else START

    def line(self, *fields: Any) -> AuditRow:
        """The next line; fields as ``signed`` takes them after the hash."""
        row = signed(self._chain, *fields)
        self._chain = row.chain
        return row
