"""``luigi.contrib.opener``: targets by URL, of kinds that a program may add to. New programs use ``levada.FileTarget``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from levada.errors import TargetError
from levada.luigi.local_target import LocalTarget
from levada.luigi.mock import MockTarget

__all__ = [
    "InvalidQuery", "LocalOpener", "MockOpener", "NoOpenerError", "Opener", "OpenerError", "OpenerRegistry", "OpenerTarget", "S3Opener",
    "opener",
]  # fmt: skip


class OpenerError(TargetError):
    """A URL does not lead to a target."""

    code = "opener"


class NoOpenerError(OpenerError):
    """Nobody knows its scheme."""

    code = "no-opener"


class InvalidQuery(OpenerError):
    """What stands behind the question mark is not understood."""

    code = "opener-query"


class Opener:
    """Makes the targets of some schemes.

    names: the schemes. allowed_kwargs: options that a URL may give behind a question mark, and whether they are JSON (an option without
    a value is "true"). filter_kwargs: whether others are left out; else they are given on as texts.
    """

    names: ClassVar[list[str]] = []
    allowed_kwargs: ClassVar[Mapping[str, bool]] = {}
    filter_kwargs: ClassVar[bool] = True

    @classmethod
    def conform_query(cls, query: str) -> dict[str, Any]:
        """The options of a URL; of one that comes several times the first counts. Raises InvalidQuery."""
        given = {name: values[0] or "true" for name, values in parse_qs(query, keep_blank_values=True).items()}
        kept = {name: text for name, text in given.items() if name in cls.allowed_kwargs or not cls.filter_kwargs}
        return {name: _of_json(name, text) if cls.allowed_kwargs.get(name) else text for name, text in kept.items()}

    @classmethod
    def get_target(
        cls,
        scheme: str,
        path: str,
        fragment: str,
        username: str | None,
        password: str | None,
        hostname: str | None,
        port: int | None,
        query: dict[str, Any],
        **kwargs: Any,
    ) -> Any:
        """The target of a URL's parts."""
        raise NotImplementedError(f"{cls.__name__} has to define get_target()")


def _of_json(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as cause:
        raise InvalidQuery(f"?{name}={text}: is no JSON ({cause})", hint=f"Write ?{name}=true, say.") from cause


class MockOpener(Opener):
    """``mock://name``: files in memory."""

    names: ClassVar[list[str]] = ["mock"]
    allowed_kwargs: ClassVar[Mapping[str, bool]] = {"is_tmp": True, "mirror_on_stderr": True, "format": False}

    @classmethod
    def get_target(cls, scheme, path, fragment, username, password, hostname, port, query, **kwargs):  # type: ignore[no-untyped-def]
        """The file."""
        return MockTarget((hostname or "") + path, **{**query, **kwargs})


class LocalOpener(Opener):
    """``file://`` and plain paths: files of this machine."""

    names: ClassVar[list[str]] = ["file"]
    allowed_kwargs: ClassVar[Mapping[str, bool]] = {"is_tmp": True, "format": False}

    @classmethod
    def get_target(cls, scheme, path, fragment, username, password, hostname, port, query, **kwargs):  # type: ignore[no-untyped-def]
        """The file."""
        return LocalTarget((hostname or "") + path, **{**query, **kwargs})


class S3Opener(Opener):
    """``s3://bucket/key``; options are those of S3Target."""

    names: ClassVar[list[str]] = ["s3", "s3n"]
    allowed_kwargs: ClassVar[Mapping[str, bool]] = {"format": False, "client": True}
    filter_kwargs: ClassVar[bool] = False

    @classmethod
    def get_target(cls, scheme, path, fragment, username, password, hostname, port, query, **kwargs):  # type: ignore[no-untyped-def]
        """The object."""
        from .s3 import S3Target

        return S3Target(f"{scheme}://{hostname}{path}", **{**query, **kwargs})


class OpenerRegistry:
    """Openers by scheme."""

    def __init__(self, openers: Iterable[type[Opener]] = ()) -> None:
        self.registry: dict[str, type[Opener]] = {}
        self.default_opener = "file"
        for one in openers:
            self.add(one)

    def add(self, opener: type[Opener]) -> None:
        """Know another one; its schemes are its own from now on."""
        self.registry.update(dict.fromkeys(opener.names, opener))

    def get_opener(self, name: str) -> type[Opener]:
        """The opener of a scheme. Raises NoOpenerError."""
        if name not in self.registry:
            raise NoOpenerError(f"{name}://: there is no opener for it", hint=f"There are {', '.join(self.registry)}; add() knows more.")
        return self.registry[name]

    def open(self, target_uri: str, **kwargs: Any) -> Any:
        """The target of a URL. kwargs: further options of the target."""
        url = urlsplit(target_uri, scheme=self.default_opener)
        found = self.get_opener(url.scheme)
        query = found.conform_query(url.query)
        return found.get_target(url.scheme, url.path, url.fragment, url.username, url.password, url.hostname, url.port, query, **kwargs)


opener = OpenerRegistry([MockOpener, LocalOpener, S3Opener])
OpenerTarget = opener.open
