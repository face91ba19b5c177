"""An FTP server as a store: a verb each, as `levada._model.ports.Store` wants them.

A server that refuses ("550") seldom says whether that is for want of a file or of a permission. Its word is taken where it says
"no such file"; else the listing of the folder tells, and where that may not be had either, the answer is that it is not known.
"""

from __future__ import annotations

import calendar
import ftplib
import io
import re
import time
from collections.abc import Iterator
from socket import socket
from typing import IO

from levada._model.ports import Entry, Promise
from levada.errors import TargetError, TargetUnreachable
from levada.targets.pieces import PieceReader

from .client import FAILURES, Connection, Connections, not_done, says_absent, server_of, unreachable
from .writing import FtpPending

PIECE = 1 << 18  # bytes that are read together


class FtpStore:
    """The files of one server, as its root shows them to a user. Safe for threads; a forked child makes connections of its own."""

    scheme = "ftp"
    promise = Promise(create_if_absent=False, atomic_replace=False, listing=True, remote=True)

    def __init__(self, authority: str, connections: Connections | None = None) -> None:
        """connections: where a program logs in by itself; else as the authority and netrc say."""
        self.authority = authority
        self.connections = connections or Connections(server_of(authority))

    def __repr__(self) -> str:
        return f"<ftp store of {self.authority}>"

    def url(self, path: str) -> str:
        """The URL of a path."""
        return f"ftp://{self.authority}{_place(path)}"

    def exists(self, path: str) -> bool:
        """Whether a file or folder is there. Raises TargetUnreachable rather than guess."""
        return self.info(path) is not None

    def info(self, path: str) -> Entry | None:
        """Size and time of a file; None when nothing is there. Raises TargetUnreachable rather than guess."""
        place = self._checked(path)
        try:
            return self.connections.ask(lambda ftp: find(ftp, place))
        except FAILURES as cause:
            raise unreachable(self.url(path), cause) from cause

    def list(self, folder: str) -> Iterator[Entry]:
        """Entries of a folder, temporaries included; none when it is absent. One listing, read to its end."""
        place = self._checked(folder)
        try:
            yield from self.connections.ask(lambda ftp: entries(ftp, place)) or ()
        except FAILURES as cause:
            raise unreachable(self.url(folder), cause) from cause

    def open(self, path: str) -> IO[bytes]:
        """The bytes of a file, read as they are needed. Raises FileNotFoundError, IsADirectoryError, TargetUnreachable."""
        found, url = self.info(path), self.url(path)
        if found is None:
            raise FileNotFoundError(2, "No such file on the server", url)
        if found.is_folder or found.size is None:
            raise IsADirectoryError(21, "A folder of the server", url)
        return io.BufferedReader(_Reader(self.connections, self._checked(path), url, found.size), PIECE)

    def put(self, path: str, *, replace: bool, durable: bool = True, tag: str = "") -> FtpPending:
        """Begin a write; see `writing`. Raises TargetExists at once when a write-once file is there. durable: as the server has it."""
        return FtpPending(self, self._checked(path), replace=replace, tag=tag)

    def remove(self, path: str, *, recursive: bool = False) -> None:
        """Remove a file, or with ``recursive`` a folder and all in it. Raises FileNotFoundError."""
        place, found = self._checked(path), self.info(path)
        if found is None:
            raise FileNotFoundError(2, "No such file on the server", self.url(path))
        try:
            with self.connections.one() as ftp:
                _remove_tree(ftp, place) if recursive and found.is_folder else ftp.delete(place)
        except ftplib.all_errors as cause:
            raise not_done(self.url(path), cause, "removed") from cause

    def move(self, path: str, new: str, *, replace: bool) -> None:
        """Give a file or folder another name of the same server; without ``replace`` it must be free, which is looked at just before.

        Raises FileNotFoundError, TargetExists.
        """
        from .writing import taken

        if not self.exists(path):
            raise FileNotFoundError(2, "No such file on the server", self.url(path))
        if not replace and self.exists(new):
            raise taken(self.url(new))
        try:
            with self.connections.one() as ftp:
                ftp.rename(self._checked(path), self._checked(new))
        except ftplib.all_errors as cause:
            raise not_done(self.url(path), cause, f"moved to {self.url(new)}") from cause

    def _checked(self, path: str) -> str:
        """The path for the server. Raises TargetError for one that cannot be said in a line."""
        place = _place(path)
        if any(character in place for character in "\r\n\0"):
            raise TargetError(f"ftp://{self.authority}{place!r}: names no file", hint="FTP has no line ends in names.")
        return place


def _place(path: str) -> str:
    return "/" + path.strip("/") if path.strip("/") else "/"


# -- looking -----------------------------------------------------------------------------------


def find(ftp: Connection, path: str) -> Entry | None:
    """What stands at a path, or None. Raises error_perm where the server does not let us know."""
    if path == "/":
        return Entry("/", True)
    name = path.rpartition("/")[2]
    try:
        if ftp.lists_facts:
            return _from_facts(name, ftp.sendcmd(f"MLST {path}").split("\n")[1].lstrip(" ").partition(" ")[0])
        return Entry(name, False, ftp.size(path))
    except ftplib.error_perm as refusal:
        if says_absent(refusal):
            return None
    listed = entries(ftp, path.rpartition("/")[0] or "/")
    return next((entry for entry in listed or () if entry.name == name), None)


def entries(ftp: Connection, folder: str) -> list[Entry] | None:
    """Entries of a folder, or None where there is none. Raises error_perm where the server does not let us know."""
    try:
        return _facts(ftp, folder) if ftp.lists_facts else _lines(ftp, folder)
    except ftplib.error_perm as refusal:
        if says_absent(refusal):
            return None
        found = find(ftp, folder)
        if found is not None and found.is_folder:
            raise
        return None


def _facts(ftp: Connection, folder: str) -> list[Entry]:
    found = []
    for line in ftp.lines(f"MLSD {folder}")[0]:
        facts, _, name = line.partition(" ")
        entry = _from_facts(name, facts)
        if not re.search(r"type=[cp]dir;", facts, re.IGNORECASE) and name not in (".", ".."):
            found.append(entry)
    return found


def _from_facts(name: str, text: str) -> Entry:
    facts: dict[str, str] = {}
    for fact in text.lower().split(";"):
        key, _, value = fact.partition("=")
        facts[key] = value
    if facts.get("type", "file").endswith("dir"):
        return Entry(name, True)
    size, when = facts.get("size", ""), facts.get("modify", "")
    modified = float(calendar.timegm(time.strptime(when[:14], "%Y%m%d%H%M%S"))) if len(when) >= 14 else None
    return Entry(name, False, int(size) if size.isdecimal() else None, modified)


_LINE = re.compile(r"(?P<kind>[-dlpscbD])[-rwxsStT]{9}[.+@]?\s+\d+\s+\S+\s+\S+\s+(?P<size>\d+)\s+\w{3}\s+\d+\s+[\d:]{4,5} (?P<name>.*)")


def _lines(ftp: Connection, folder: str) -> list[Entry]:
    """Entries as ``ls -la`` shows them. Raises TargetUnreachable for a server that has its own way."""
    ftp.cwd(folder)  # a path given to LIST is taken for a pattern by some
    lines, said = ftp.lines("LIST -a")
    if "fail" in said:
        raise ftplib.error_perm(f"550 {said}")  # noqa: S321 - an error's class
    found = []
    for line in lines:
        match = _LINE.fullmatch(line)
        if match is None:
            if re.match(r"total \d+", line):
                continue
            raise TargetUnreachable(folder, f"the server lists its files in a way that is not understood: {line!r}")
        name = match["name"]
        if match["kind"] == "l":
            found += _linked(ftp, folder, name.partition(" -> ")[0])
        elif name not in (".", ".."):
            is_folder = match["kind"] == "d"
            found.append(Entry(name, is_folder, None if is_folder else int(match["size"])))
    return found


def _linked(ftp: Connection, folder: str, name: str) -> list[Entry]:
    """A link counts by what it leads to."""
    path = f"{folder.rstrip('/')}/{name}"
    try:
        return [Entry(name, False, ftp.size(path))]
    except ftplib.error_perm:
        pass
    try:
        ftp.cwd(path)
    except ftplib.error_perm:
        return []
    return [Entry(name, True)]


def _remove_tree(ftp: Connection, folder: str) -> None:
    for entry in entries(ftp, folder) or ():
        path = f"{folder.rstrip('/')}/{entry.name}"
        _remove_tree(ftp, path) if entry.is_folder else ftp.delete(path)
    ftp.rmd(folder)


# -- reading -----------------------------------------------------------------------------------


class _Reader(PieceReader):
    """The bytes of a file, from a position on; each connection serves one run of them."""

    def __init__(self, connections: Connections, path: str, url: str, size: int) -> None:
        super().__init__(url, size)
        self._connections, self._path = connections, path
        self._ftp: Connection | None = None
        self._data: socket | None = None

    def _begin(self) -> None:
        data, ftp, self._data, self._ftp = self._data, self._ftp, None, None
        if data is not None:
            data.close()
        if ftp is not None:
            ftp.close()

    def _next(self) -> memoryview:
        try:
            if self._data is None:
                self._ftp = self._connections.borrow()
                self._data = self._ftp.transfercmd(f"RETR {self._path}", self._at or None)
            piece = self._data.recv(PIECE)
        except FAILURES as cause:
            self._begin()
            raise _broke_off(self._url, self._at, cause) from cause
        if not piece:
            self._begin()
            raise _broke_off(self._url, self._at, EOFError())
        return memoryview(piece)

    def close(self) -> None:
        ftp, self._ftp = self._ftp, None
        if ftp is not None and self._data is not None and self._at + len(self._rest) == self._size:
            self._data.close()
            self._data = None
            try:
                ftp.voidresp()
                self._connections.give_back(ftp)
            except ftplib.all_errors:  # all bytes are here: how it ended is not asked
                ftp.close()
        else:
            self._ftp = ftp
            self._begin()
        super().close()


def _broke_off(url: str, at: int, cause: BaseException) -> TargetError:
    error = unreachable(url, cause)
    return TargetUnreachable(url, f"reading broke off after {at:,} bytes", hint=error.hint)
