"""Stores by URL: `FileTarget`, the store of local files, and how a scheme finds its store.

``hdfs://namenode/path``: scheme, authority, path; names are taken as written, without percent decoding.
A path without a scheme and ``file://`` are local. Our own wings stand in a table and are loaded when
first used. Other schemes are registered by the code that brings them or found through the entry points
``levada.stores``; each yields a function that makes the store of one authority.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from typing import IO, TYPE_CHECKING

from levada._model.ports import Entry, Promise
from levada.errors import TargetError, TargetUnreachable

from .base import FileLike, format_of
from .local import _checked, present

if TYPE_CHECKING:
    from levada._model.ports import Pending, Store

    from .formats import Format

StoreFactory = Callable[[str], "Store"]
"""Makes the store of an authority: the bucket, the host, the name node; "" where there is none."""

_WINGS = {  # scheme -> module and function; a wing is known by its name alone
    "s3": ("levada.contrib.objects", "open_s3"),
    "gs": ("levada.contrib.objects", "open_gs"),
    "az": ("levada.contrib.objects", "open_az"),
    "hdfs": ("levada.contrib.hdfs.store", "open_store"),
    "sftp": ("levada.contrib.ssh.store", "open_store"),
    "ftp": ("levada.contrib.ftp", "open_store"),
    "http": ("levada.contrib.http", "open_plain"),
    "https": ("levada.contrib.http", "open_secure"),
}
_factories: dict[str, StoreFactory] = {}
_roots: dict[str, str] = {}
_open: dict[tuple[str, str], Store] = {}


class LocalStore:
    """Local files as a store. root: a folder that its paths are taken under; "" is the machine itself."""

    promise = Promise(create_if_absent=True, atomic_replace=True, listing=True, remote=False)

    def __init__(self, root: str = "", scheme: str = "file") -> None:
        self.root, self.scheme = root.rstrip("/") if root != "/" else "/", scheme

    def __repr__(self) -> str:
        return f"<{self.scheme} store in {self.root}>" if self.root else "<local files>"

    def local_path(self, path: str) -> str:
        """Where a path of this store is on the machine. Raises TargetError for one that leads out of the root."""
        if not self.root:
            return path
        if "/../" in f"/{path}/":
            raise TargetError(f"{path}: leads out of {self.root}", hint='Write it without "..".')
        return f"{self.root}/{path.lstrip('/')}"

    def exists(self, path: str) -> bool:
        """Whether a path leads to something."""
        try:
            return present(self.local_path(path))
        except (OSError, ValueError) as cause:
            raise TargetUnreachable(path, cause) from cause

    def info(self, path: str) -> Entry | None:
        """Size and time of a file; None when nothing is there."""
        try:
            found = os.stat(self.local_path(path))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError) as cause:
            raise TargetUnreachable(path, cause) from cause
        return Entry(os.path.basename(path), stat.S_ISDIR(found.st_mode), found.st_size, found.st_mtime)

    def list(self, folder: str) -> Iterator[Entry]:
        """Entries of a folder, temporaries included; none when it is absent."""
        try:
            with os.scandir(self.local_path(folder) or ".") as entries:
                for entry in entries:
                    yield Entry(entry.name, entry.is_dir(), None)
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as cause:
            raise TargetUnreachable(folder, cause) from cause

    def open(self, path: str) -> IO[bytes]:
        """The bytes of a file. Raises FileNotFoundError, or TargetUnreachable when it is not to be had."""
        try:
            return open(self.local_path(path), "rb")
        except (FileNotFoundError, IsADirectoryError):
            raise
        except OSError as cause:
            raise TargetUnreachable(path, cause) from cause

    def put(self, path: str, *, replace: bool, durable: bool = True, tag: str = "") -> Pending:
        """Begin a write; see `levada.targets.atomic`."""
        from .atomic import LocalPending

        return LocalPending(self.local_path(path), replace=replace, durable=durable, tag=tag)

    def remove(self, path: str, *, recursive: bool = False) -> None:
        """Remove a file, or with ``recursive`` a folder and all in it. Raises FileNotFoundError."""
        local = self.local_path(path)
        if recursive and os.path.isdir(local) and not os.path.islink(local):
            import shutil

            shutil.rmtree(local)
        else:
            os.remove(local)


LOCAL = LocalStore()


def split_url(url: str) -> tuple[str, str, str]:
    """Scheme, authority and path of a URL; a plain path has neither of the first two.

    >>> split_url("hdfs://namenode/var/log"), split_url("data/a.txt")
    (('hdfs', 'namenode', '/var/log'), ('', '', 'data/a.txt'))
    """
    scheme, mark, rest = url.partition("://")
    if not mark or "/" in scheme:
        return "", "", url
    authority, slash, path = rest.partition("/")
    return scheme.lower(), authority, slash + path


def open_store(url: str) -> tuple[Store, str]:
    """The store that a URL lives in, and its path there. Raises TargetError, saying what is missing."""
    scheme, authority, path = split_url(url)
    if not scheme:
        return LOCAL, path
    return _open.get((scheme, authority)) or _make(url, scheme, authority), path


def register_scheme(scheme: str, factory: StoreFactory) -> None:
    """Let ``factory(authority)`` make the stores of a scheme from now on."""
    _factories[scheme] = factory
    _drop(scheme)


def set_root(scheme: str, folder: str | None) -> None:
    """Keep the files of a scheme in a local folder: ``hdfs://any/var/log`` is ``FOLDER/var/log``. None ends it."""
    _roots.pop(scheme, None)
    if folder is not None:
        _roots[scheme] = folder
    _drop(scheme)


def root_of(scheme: str) -> str | None:
    """The local folder that a scheme is kept in, or None."""
    return _roots.get(scheme)


def _drop(scheme: str) -> None:
    for place in [place for place in _open if place[0] == scheme]:
        del _open[place]


def _make(url: str, scheme: str, authority: str) -> Store:
    store: Store
    root = _roots.get(scheme) or _configured_root(scheme)
    if root:
        store = LocalStore(root, scheme)
    elif scheme in _factories:
        store = _factories[scheme](authority)
    elif scheme == "file":
        if authority not in ("", "localhost"):
            raise TargetError(
                f"{url}: a file of the host {authority!r} cannot be reached", hint="A local path has three slashes: file:///data/a.txt"
            )
        store = LOCAL
    elif scheme == "memory":
        from .memory import MemoryStore

        store = MemoryStore()
    else:
        store = (_from_wing(scheme) if scheme in _WINGS else _from_entry_point(url, scheme))(authority)
    _open[scheme, authority] = store
    return store


def _configured_root(scheme: str) -> str | None:
    """The folder that ``[hdfs] local_root`` names, for other schemes alike."""
    from levada.config import setting

    root = setting(scheme, "local_root")
    return None if root is None else str(root)


def _from_wing(scheme: str) -> StoreFactory:
    from importlib import import_module

    module, function = _WINGS[scheme]
    factory: StoreFactory = getattr(import_module(module), function)
    return factory


def _from_entry_point(url: str, scheme: str) -> StoreFactory:
    from importlib.metadata import entry_points

    for found in entry_points(group="levada.stores", name=scheme):
        try:
            factory: StoreFactory = found.load()
        except ImportError as cause:
            raise TargetError(f"{url}: the store of {scheme}:// needs {cause.name or cause}", hint=_known()) from cause
        return factory
    return _from_fsspec(url, scheme)


def _from_fsspec(url: str, scheme: str) -> StoreFactory:
    """What fsspec has for schemes that nobody else knows."""
    from importlib import import_module

    try:
        factory: StoreFactory | None = import_module("levada.contrib.longtail").factory_of(scheme)
    except ImportError as cause:
        hint = f"{_known()} `pip install 'levada[fsspec]'` adds those of fsspec."
        raise TargetError(f"{url}: no store is installed for {scheme}://", hint=hint) from cause
    if factory is None:
        raise TargetError(f"{url}: no store is installed for {scheme}://", hint=_known())
    return factory


def is_elsewhere(path: str) -> bool:
    """Is it the URL of a store other than the local files, as far as that is known without a look at what is installed?"""
    scheme, separator, _ = path.partition("://")
    return bool(separator) and (scheme in _WINGS or scheme in _factories or scheme == "memory")


def _known() -> str:
    known = ", ".join(f"{one}://" for one in ("file", "memory", *_WINGS))
    return f"Known are plain paths, {known} and what packages add under the entry points `levada.stores`."


class FileTarget(FileLike):
    """A file in whichever store its URL names; a plain path is a local file.

    format, mode and durable as in `LocalTarget`. The store is found when it is first needed.
    """

    __slots__ = ("durable", "format", "mode", "url")

    url: str
    format: Format | None
    _default_mode = "once"

    def __init__(
        self,
        url: str | os.PathLike[str],
        format: Format | None = None,
        *,
        mode: str | None = None,
        durable: bool = True,
    ) -> None:
        self.url = url if type(url) is str else os.fspath(url)
        self.format = format if format is None else format_of(format)
        self.mode = self._default_mode if mode is None else _checked(mode)
        self.durable = durable

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    def __str__(self) -> str:
        return self.url

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FileTarget) and self.url == other.url

    def __hash__(self) -> int:
        return hash(self.url)

    @property
    def path(self) -> str:
        """The path in its store."""
        return split_url(self.url)[2]

    @property
    def store(self) -> Store:
        """The store it lives in. Raises TargetError when there is none for its scheme."""
        return self._resolve()[0]

    def exists(self) -> bool:
        """Whether it is there. Raises TargetUnreachable rather than guess."""
        store, path = self._resolve()
        try:
            return store.exists(path)
        except TargetError:
            raise
        except Exception as cause:  # whatever a product's client raises: it is not known
            raise TargetUnreachable(self, cause) from cause

    def size(self) -> int | None:
        """Bytes as they are stored; None where the store does not say. Raises FileNotFoundError, TargetUnreachable."""
        return self._info().size

    def mtime(self) -> float | None:
        """When it was last written, seconds since 1970, by the store's clock; None where the store does not say. Raises as `size`."""
        return self._info().modified

    def etag(self) -> str | None:
        """The store's mark of its content, which differs where the content does; None where the store has none. Raises as `size`."""
        return self._info().etag

    def _info(self) -> Entry:
        store, path = self._resolve()
        look = getattr(store, "info", None)
        if look is None:  # a store of a package, perhaps
            found = Entry(path, False) if self.exists() else None
        else:
            found = look(path)
        if found is None:
            raise FileNotFoundError(2, "No such target", self.url)
        return found

    def remove(self) -> None:
        """Remove it; nothing happens when it is absent."""
        store, path = self._resolve()
        try:
            store.remove(path)
        except FileNotFoundError:
            pass

    def _resolve(self) -> tuple[Store, str]:
        return open_store(self.url)

    def _whole(self) -> tuple[Store, str]:
        """The store, and the path of all that belongs to it: what is moved aside."""
        return self._resolve()

    def _source(self) -> IO[bytes]:
        store, path = self._resolve()
        return store.open(path)

    def _begin(self) -> Pending:
        from .atomic import current_tag

        store, path = self._resolve()
        return store.put(path, replace=self.mode == "replace", durable=self.durable, tag=current_tag())
