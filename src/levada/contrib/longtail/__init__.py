"""Stores that fsspec knows and we have none for (``smb://``, ``webhdfs://``, ``github://``, ...), through fsspec (``levada[fsspec]``).

What these promise differs, and is seldom said: the store promises neither write-once nor one step.
"""

from __future__ import annotations

from collections.abc import Callable

from .store import FsspecStore

__all__ = ["FsspecStore", "factory_of"]


def factory_of(scheme: str) -> Callable[[str], FsspecStore] | None:
    """What makes the stores of a scheme; None where fsspec does not know it. Raises ImportError without fsspec."""
    from fsspec.registry import known_implementations, registry  # type: ignore[import-untyped]  # it has no types

    if scheme not in registry and scheme not in known_implementations:
        return None
    return lambda authority: FsspecStore(scheme, authority)
