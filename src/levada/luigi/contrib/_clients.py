"""Small things that Luigi's modules of stores and databases share: settings read late, drivers of the user's choice."""

from __future__ import annotations

import os
from contextlib import suppress
from importlib import import_module
from types import ModuleType
from typing import Any, Self

from levada.errors import TargetError

from ._settings import configured


class FromConfig:
    """A class attribute whose value is read from the configuration when somebody asks; a class or object may replace it."""

    def __init__(self, section: str, option: str, default: str) -> None:
        self.section, self.option, self.default = section, option, default

    def __get__(self, instance: object, owner: type | None = None) -> str:
        return str(configured(self.section, self.option, self.default))


class Wanted:
    """An attribute that a subclass has to say. Asking for it before that raises NotImplementedError, with its name."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        if instance is None:
            return self
        raise NotImplementedError(
            f"{type(instance).__name__}: {self.name} is not said; give the class an attribute or a property of that name"
        )


class ReadOnly:
    """What streams of stores have in common with files, where they are only read."""

    def flush(self) -> None:
        """Nothing: it is only read."""

    def readable(self) -> bool:
        """Yes."""
        return True

    def writable(self) -> bool:
        """No."""
        return False

    def seekable(self) -> bool:
        """No."""
        return False

    def close(self) -> None:
        """Let go of it."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def temporary(path: str) -> str:
    """A name beside a path, for what is not whole yet."""
    return f"{path}-luigi-tmp-{os.urandom(6).hex()}"


def bucket_and_key(path: str, scheme: str) -> tuple[str, str]:
    """Bucket and key of an object's path, whatever characters the key has. Raises ValueError for what is no URL.

    >>> bucket_and_key("s3://shelf/a?b#c\\n", "s3"), bucket_and_key("s3://shelf", "s3")
    (('shelf', 'a?b#c\\n'), ('shelf', ''))
    """
    _, found, rest = path.partition("://")
    if not found:
        raise ValueError(f"{path}: an object is {scheme}://BUCKET/KEY")
    bucket, _, key = rest.partition("/")
    return bucket, key


def laid_out(format: Any, writer: Any) -> Any:
    """The format's stream over a writer, with the writer's ``tmp_path``, which programs look at."""
    stream = format.pipe_writer(writer)
    with suppress(AttributeError):  # a stream of the program's own may take none
        stream.tmp_path = writer.tmp_path
    return stream


def client(*names: str, wanted: str, install: str) -> ModuleType:
    """The first of these modules that is installed. Raises TargetError, which says who wanted it and how to get it."""
    cause: ImportError | None = None
    for name in names:
        try:
            return import_module(name)
        except ImportError as error:
            cause = error
    raise TargetError(f"{wanted} needs {' or '.join(names)}, and none is installed ({cause})", hint=f"pip install {install}") from cause
