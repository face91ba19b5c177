"""Objects as streams: one request brings the bytes one after the other; a seek begins another one."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING

from levada.errors import TargetError
from levada.targets.pieces import PieceReader

from .troubles import next_step, words

if TYPE_CHECKING:
    from obstore import GetOptions

    from .clients import Client

_CHUNK = 1 << 20


def reading(client: Client, key: str, url: str) -> IO[bytes]:
    """The bytes of an object. Raises FileNotFoundError, and whatever else the client raises."""
    found = client.get(key)
    return io.BufferedReader(_Raw(client, key, url, found.meta["size"], found.meta["e_tag"], iter(found.stream(_CHUNK))), _CHUNK)


class _Raw(PieceReader):
    """The object as it was when it was opened: one that was replaced meanwhile is not read on."""

    def __init__(self, client: Client, key: str, url: str, size: int, e_tag: str | None, chunks: Iterator[bytes]) -> None:
        super().__init__(url, size)
        self._client, self._key, self._e_tag = client, key, e_tag
        self._chunks: Iterator[bytes] | None = chunks

    def _begin(self) -> None:
        self._chunks = None

    def _next(self) -> memoryview:
        try:
            if self._chunks is None:
                options: GetOptions = {"range": {"offset": self._at}}
                if self._e_tag:
                    options["if_match"] = self._e_tag
                self._chunks = iter(self._client.get(self._key, options=options).stream(_CHUNK))
            chunk = next(self._chunks, None)
        except Exception as cause:
            hint = next_step(self._url, cause)
            raise TargetError(f"{self._url}: reading broke off after {self._at:,} bytes: {words(cause)}", hint=hint) from cause
        if not chunk:
            raise TargetError(
                f"{self._url}: ended after {self._at:,} bytes of {self._size:,}",
                hint="It was removed, or the connection was lost: run again.",
            )
        return memoryview(chunk).cast("B")

    def close(self) -> None:
        self._chunks = None
        super().close()
