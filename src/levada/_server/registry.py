"""Keys and indices: the brain counts tasks with dense integers, everybody else names them by key."""

from __future__ import annotations

from binascii import Error, hexlify, unhexlify
from collections.abc import Iterable

from .._model.spec import Index
from .._store.ports import TaskRow
from .._wire.problems import Refusal


class Registry:
    """Which task has which index. A key stays with its index as long as the server knows the task."""

    def __init__(self) -> None:
        self.keys: list[bytes] = []
        self.index_of: dict[bytes, Index] = {}

    def __len__(self) -> int:
        return len(self.keys)

    def load(self, rows: Iterable[TaskRow], size: int) -> int:
        """Take what a store names, by index, into places for so many; how many it named."""
        keys = self.keys
        for row in rows:
            if row.index >= len(keys):
                keys.extend([b""] * (row.index - len(keys)))
                keys.append(row.key)
            else:
                keys[row.index] = row.key
            self.index_of[row.key] = row.index
        keys.extend([b""] * (size - len(keys)))
        return len(self.index_of)

    def add(self, fresh: dict[bytes, Index]) -> None:
        """New keys with their indices: places that are free, then those that follow."""
        keys = self.keys
        for key, index in fresh.items():
            if index == len(keys):
                keys.append(key)
            else:
                keys[index] = key
        self.index_of.update(fresh)

    def forget(self, indices: Iterable[Index]) -> None:
        """These places are free."""
        for index in indices:
            del self.index_of[self.keys[index]]
            self.keys[index] = b""

    def find(self, text: str) -> Index | None:
        """The index for 32 hex digits."""
        return self.index_of.get(unhexlify(text))

    def index(self, text: str) -> Index:
        """The same; Refusal ``not-found`` for a task that is not known."""
        found = self.find(text)
        if found is None:
            raise Refusal("not-found", f"no task has the key {text}", hint="`levada status` shows what the server knows.")
        return found

    def text(self, index: Index) -> str:
        """32 hex digits."""
        return hexlify(self.keys[index]).decode()

    def texts(self, indices: list[Index] | tuple[Index, ...]) -> list[str]:
        """32 hex digits each."""
        keys = self.keys
        return [hexlify(keys[index]).decode() for index in indices]


def split(text: str) -> list[bytes]:
    """The keys in a text of keys. The wire has checked it; ValueError where it has not."""
    try:
        joined = unhexlify(text)
    except Error as cause:
        raise ValueError(f"no keys: {text[:64]!r}") from cause
    return [joined[at : at + 16] for at in range(0, len(joined), 16)]
