"""Luigi's targets on servers of FTP, by the house's store with a login that the program gives; and of SFTP, by the package pysftp.

New programs say ``FileTarget("ftp://user@host/path")`` or ``sftp://``, whose passwords and keys are where they belong.
"""

from __future__ import annotations

import ftplib
import os
import posixpath
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import IO, Any

from levada.contrib.ftp import FtpStore
from levada.contrib.ftp.client import Connection, Connections, Server
from levada.errors import TargetError, TargetUnreachable
from levada.luigi.format import get_default_format
from levada.luigi.target import AtomicLocalFile, FileSystem, FileSystemTarget
from levada.targets.atomic import before_commit
from levada.targets.folder import drafted

from ._clients import client as needed
from ._clients import laid_out, temporary


class _Encrypted(Connection, ftplib.FTP_TLS):
    """A dialogue over TLS. As with Luigi nobody looks at the server's certificate."""

    def protect(self) -> None:
        """Encrypt what is transferred, too."""
        self.prot_p()


class RemoteFileSystem(FileSystem):
    """Files of a server. tls: FTP over TLS. sftp: SFTP, by pysftp with ``pysftp_conn_kwargs``. timeout: seconds, of FTP."""

    def __init__(
        self,
        host: str,
        username: str | None = None,
        password: str | None = None,
        port: int | None = None,
        tls: bool = False,
        timeout: float = 60,
        sftp: bool = False,
        pysftp_conn_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        self.host, self.username, self.password, self.tls, self.timeout, self.sftp = host, username, password, tls, timeout, sftp
        self.port = port if port is not None else 22 if sftp else 21
        self.pysftp_conn_kwargs = dict(pysftp_conn_kwargs or {})
        login = self.username or "anonymous", self.password or ""
        kind = _Encrypted if tls else Connection
        connections = Connections(Server(host, int(self.port), login[0]), partial(kind.to, login=login, timeout=timeout))
        self._store = FtpStore(f"{login[0]}@{host}:{self.port}", connections)

    def __str__(self) -> str:
        return f"{'sftp' if self.sftp else 'ftp'}://{self.host}:{self.port}"

    @contextmanager
    def _sftp(self) -> Iterator[Any]:
        module = needed("pysftp", wanted="luigi.contrib.ftp with sftp=True", install="pysftp")
        with module.Connection(
            self.host, username=self.username, password=self.password, port=self.port, **self.pysftp_conn_kwargs
        ) as connection:
            yield connection

    def exists(self, path: str, mtime: Any = None) -> bool:
        """Whether a file or folder is there. mtime: and was written after that; a datetime in UTC for FTP, seconds since 1970 for SFTP."""
        if self.sftp:
            with self._sftp() as connection:
                if not connection.exists(path):
                    return False
                written: float = connection.stat(path).st_mtime
                return not mtime or written > float(mtime)
        found = self._store.info(path)
        if found is None or not mtime:
            return found is not None
        if found.modified is None:
            raise TargetUnreachable(f"{self}{path}", "the server does not say when it was written", hint="Leave mtime out.")
        since: datetime = mtime if mtime.tzinfo else mtime.replace(tzinfo=UTC)
        return datetime.fromtimestamp(found.modified, UTC) > since

    def remove(self, path: str, recursive: bool = True, skip_trash: bool = True) -> None:
        """Remove a file, or a folder with all in it; without ``recursive`` an empty one."""
        if not self.sftp:
            try:
                self._store.remove(path, recursive=recursive)
            except TargetError:
                if recursive:
                    raise
                with self._store.connections.one() as ftp:
                    ftp.rmd(path)
            return
        with self._sftp() as connection:
            if connection.isfile(path):
                connection.unlink(path)
                return
            if not recursive:
                raise RuntimeError(f"{self}{path}: is no file; say recursive=True")
            folders: list[str] = []
            connection.walktree(path, connection.unlink, folders.append, connection.unlink)
            for folder in [*reversed(folders), path]:
                connection.rmdir(folder)

    def put(self, local_path: str, path: str, atomic: bool = True) -> None:
        """Send a local file; it gets its name when all of it is there (FTP: whatever ``atomic`` says)."""
        if not self.sftp:
            with open(local_path, "rb") as source:
                pending = self._store.put(path, replace=True)
                try:
                    shutil.copyfileobj(source, pending.stream, 1 << 20)
                except BaseException:
                    pending.abort()
                    raise
                pending.commit()
            return
        name = posixpath.normpath(path)
        folder, draft = posixpath.dirname(name), temporary(name) if atomic else name
        with self._sftp() as connection:
            if folder:
                connection.makedirs(folder)
            connection.put(local_path, draft)
            before_commit()
            if atomic:
                connection.sftp_client.posix_rename(draft, name)

    def get(self, path: str, local_path: str) -> None:
        """Bring a file here; it gets its name when all of it is here."""
        with drafted(os.fspath(local_path), replace=True, durable=False) as draft:
            if self.sftp:
                with self._sftp() as connection:
                    connection.get(path, draft)
                return
            with self._store.open(path) as source, open(draft, "wb") as local:
                shutil.copyfileobj(source, local, 1 << 20)

    def listdir(self, path: str = ".") -> list[str]:
        """The names in a folder, as the server gives them."""
        if self.sftp:
            with self._sftp() as connection:
                names: list[str] = connection.listdir(remotepath=path)
                return names
        return self._store.connections.ask(lambda ftp: ftp.nlst(path))


class AtomicFtpFile(AtomicLocalFile):
    """Bytes that are kept here until they are whole, and sent when it is closed."""

    def __init__(self, fs: RemoteFileSystem, path: str) -> None:
        self._fs = fs
        super().__init__(path)

    @property
    def fs(self) -> RemoteFileSystem:
        """Where they go."""
        return self._fs

    def move_to_final_destination(self) -> None:
        """Send it."""
        self._fs.put(self.tmp_path, self.path)


class RemoteTarget(FileSystemTarget):
    """A file of a server. mtime: it exists only if it was written after that. The rest as for `RemoteFileSystem`."""

    remote = True

    def __init__(
        self,
        path: str,
        host: str,
        format: Any = None,
        username: str | None = None,
        password: str | None = None,
        port: int | None = None,
        mtime: Any = None,
        tls: bool = False,
        timeout: float = 60,
        sftp: bool = False,
        pysftp_conn_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(path)
        self.format = get_default_format() if format is None else format
        self.mtime, self.tls, self.timeout, self.sftp = mtime, tls, timeout, sftp
        self._fs = RemoteFileSystem(host, username, password, port, tls, timeout, sftp, pysftp_conn_kwargs)

    @property
    def fs(self) -> RemoteFileSystem:
        """The server's files."""
        return self._fs

    def exists(self) -> bool:
        """Whether it is there. Raises TargetUnreachable where the server does not tell."""
        try:
            return self._fs.exists(self.path, self.mtime)
        except TargetError:
            raise
        except Exception as cause:  # whatever pysftp raises
            raise TargetUnreachable(f"{self._fs}{self.path}", cause) from cause

    def open(self, mode: str) -> Any:
        """A stream. What is written gets its name when it is closed."""
        if mode == "w":
            return laid_out(self.format, AtomicFtpFile(self._fs, self.path))
        if mode == "r":
            return self.format.pipe_reader(self._reader())
        raise ValueError(f'mode is "r" or "w" (the format says whether it is text), got {mode!r}')

    def _reader(self) -> IO[bytes]:
        if not self.sftp:
            return self._fs._store.open(self.path)
        import tempfile

        with tempfile.TemporaryDirectory(prefix="luigi-contrib-ftp_") as folder:
            here = os.path.join(folder, "file")
            self._fs.get(self.path, here)
            return open(here, "rb")  # it goes with the stream

    def put(self, local_path: str, atomic: bool = True) -> None:
        """Make it of a local file, whose bytes are taken as they are."""
        self._fs.put(local_path, self.path, atomic)

    def get(self, local_path: str) -> None:
        """Copy its bytes to a local file."""
        self._fs.get(self.path, local_path)
