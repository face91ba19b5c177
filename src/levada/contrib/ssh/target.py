"""`RemoteTarget`: a file of another host, by host and path, as programs for Luigi write it."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from levada.errors import ConfigError
from levada.targets.local import LocalTarget
from levada.targets.stores import FileTarget, open_store

if TYPE_CHECKING:
    from levada._model.ports import Store
    from levada.targets.formats import Format

    from .store import SftpStore

__all__ = ["RemoteTarget"]

_with_keys: dict[tuple[str, str], SftpStore] = {}  # stores of places that are entered with a key of their own, by authority and key


class RemoteTarget(FileTarget):
    """A file of another host: ``RemoteTarget("/data/a.txt", "node7")``. The same file as ``sftp://node7/data/a.txt``.

    path: without a slash at its beginning it is meant from the folder that a login begins in. user, port: those of ``~/.ssh/config``
    when they are not given. key_file: the only key that is offered. A later write replaces the file (mode "replace"), as old
    programs expect. username: ``user``, as those call it.
    """

    __slots__ = ("host", "key_file", "port", "user")

    _default_mode = "replace"

    def __init__(
        self,
        path: str | os.PathLike[str],
        host: str,
        format: Format | None = None,
        *,
        user: str | None = None,
        port: int | None = None,
        key_file: str | os.PathLike[str] | None = None,
        username: str | None = None,
        mode: str | None = None,
        durable: bool = True,
    ) -> None:
        place = os.fspath(path)
        if not place:
            raise ConfigError(f"RemoteTarget on {host}: its path is empty", hint="Give the path of a file of that host.")
        self.host, self.user, self.port = host, user or username or "", port
        self.key_file = os.fspath(key_file) if key_file else ""
        authority = (f"{self.user}@" if self.user else "") + (f"[{host}]" if ":" in host else host) + (f":{port}" if port else "")
        super().__init__(f"sftp://{authority}{'' if place.startswith('/') else '/~/'}{place}", format, mode=mode, durable=durable)

    def __repr__(self) -> str:
        return f"RemoteTarget({self.path!r}, {self.host!r})"

    def put(self, local_path: str | os.PathLike[str]) -> None:
        """Make it exist with the bytes of a local file; they are taken as they are, past the format."""
        with open(local_path, "rb") as source:
            pending = self._begin()
            try:
                shutil.copyfileobj(source, pending.stream, 1 << 20)
            except BaseException:
                pending.abort()
                raise
            pending.commit()

    def get(self, local_path: str | os.PathLike[str]) -> None:
        """Copy its bytes to a local file, which appears whole, in the place of what was there."""
        from levada.targets.formats import Nop

        with self._source() as source, LocalTarget(local_path, Nop, mode="replace").open("wb") as local:
            shutil.copyfileobj(source, local, 1 << 20)

    def _resolve(self) -> tuple[Store, str]:
        if not self.key_file:
            return open_store(self.url)
        from levada.targets.stores import split_url

        _, authority, path = split_url(self.url)
        found = _with_keys.get((authority, self.key_file))
        if found is None:
            from .client import read_place
            from .store import SftpStore

            place = read_place(authority, self.url)._replace(key_file=self.key_file)
            found = _with_keys.setdefault((authority, self.key_file), SftpStore(place))
        return found, path
