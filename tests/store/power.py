"""A disk whose power can be cut: SQLite's own file system, with a record of every step below it.

What a disk may hold after a cut: all that was flushed (a file's sync covers its writes before it), and of the
writes since the last flush of their file any subset, in parts of a sector each, in any order. A new file's
name counts from its first flush; a removal counts at once when SQLite asked to flush the folder, else maybe.
The shared-memory index is no file of this world: a cut loses it, and SQLite makes a new one.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from .apsw_connection import ApswConnection

SECTOR = 512


class Step(NamedTuple):
    """One thing that happened, in order. kind: write, truncate, sync, delete, or acknowledged."""

    kind: str
    name: str = ""
    offset: int = 0  # of a write; size of a truncation; number that was acknowledged; 1 for a flushed removal
    data: bytes = b""


class Recorder(apsw.VFS):
    """The system's files, with each step noted."""

    def __init__(self, name: str) -> None:
        self.steps: list[Step] = []
        self.name = name
        super().__init__(name, "")

    def xOpen(self, name: Any, flags: list[int]) -> RecordedFile:
        return RecordedFile(name, flags, self.steps)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        super().xDelete(filename, syncdir)
        self.steps.append(Step("delete", os.path.basename(filename), int(syncdir)))

    def connect(self, path: str, readonly: bool) -> ApswConnection:
        """A connection whose steps are noted; alone with its file, since there is no shared memory here."""
        return ApswConnection(path, readonly, vfs=self.name, first="pragma locking_mode = exclusive")


class RecordedFile(apsw.VFSFile):
    """A file whose steps are noted."""

    def __init__(self, name: Any, flags: list[int], steps: list[Step]) -> None:
        super().__init__("", name, flags)
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        self._name, self._steps = os.path.basename(path or ""), steps

    def xWrite(self, data: bytes, offset: int) -> None:
        super().xWrite(data, offset)
        self._steps.append(Step("write", self._name, offset, bytes(data)))

    def xTruncate(self, newsize: int) -> None:
        super().xTruncate(newsize)
        self._steps.append(Step("truncate", self._name, newsize))

    def xSync(self, flags: int) -> None:
        super().xSync(flags)
        self._steps.append(Step("sync", self._name))


class Disk:
    """What is surely there, and what may be, after the first steps of a record."""

    def __init__(self) -> None:
        self.sure: dict[str, bytearray] = {}
        self.open: dict[str, list[Step]] = {}  # by file: writes and truncations since its last flush
        self.removals: list[str] = []
        self.acknowledged = 0

    def take(self, step: Step) -> None:
        """One more step happened."""
        if step.kind == "acknowledged":
            self.acknowledged = step.offset
        elif step.kind == "sync":
            content = self.sure.setdefault(step.name, bytearray())
            for one in self.open.pop(step.name, []):
                _apply(content, one)
        elif step.kind == "delete":
            self.open.pop(step.name, None)
            if step.offset:
                self.sure.pop(step.name, None)
            else:
                self.removals.append(step.name)
        else:
            self.open.setdefault(step.name, []).append(step)

    def after_a_cut(self, folder: Path, dice: random.Random) -> None:
        """Write one of the states that the disk may be in into an empty folder."""
        chance = dice.choice((0.0, 0.1, 0.5, 0.9, 1.0))
        for name in {*self.sure, *self.open}:
            if name in self.removals and dice.random() < 0.5:
                continue
            content = bytearray(self.sure.get(name, b""))
            parts = [part for step in self.open.get(name, []) for part in _sectors(step)]
            kept = [part for part in parts if dice.random() < chance]
            if dice.random() < 0.5:
                dice.shuffle(kept)
            for part in kept:
                _apply(content, part)
            if name in self.sure or kept:
                (folder / name).write_bytes(content)


def _apply(content: bytearray, step: Step) -> None:
    if step.kind == "truncate":
        del content[step.offset :]
        return
    end = step.offset + len(step.data)
    if len(content) < end:
        content.extend(bytes(end - len(content)))
    content[step.offset : end] = step.data


def _sectors(step: Step) -> Iterator[Step]:
    """A write as the disk does it, sector by sector."""
    if step.kind != "write":
        yield step
        return
    at = 0
    while at < len(step.data):
        size = SECTOR - (step.offset + at) % SECTOR
        yield Step("write", step.name, step.offset + at, step.data[at : at + size])
        at += size


def cuts(steps: Sequence[Step], count: int, dice: random.Random) -> Iterator[tuple[int, Disk]]:
    """The disk at that many moments of a record, in order; all of them where the record is shorter."""
    chosen = set(dice.sample(range(len(steps)), count)) if count < len(steps) else set(range(len(steps)))
    disk = Disk()
    for at, step in enumerate(steps):
        disk.take(step)
        if at in chosen:
            yield at, disk
