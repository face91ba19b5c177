"""``luigi.freezing``: collections that cannot change. They are those of ``levada.params``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..params.frozen import FrozenDict as FrozenOrderedDict
from ..params.frozen import thaw as recursively_unfreeze

__all__ = ["FrozenOrderedDict", "recursively_freeze", "recursively_unfreeze"]


def recursively_freeze(value: Any) -> Any:
    """Mappings as FrozenOrderedDict, lists and tuples as tuples, at any depth; other values as they are."""
    if isinstance(value, Mapping):
        return FrozenOrderedDict({key: recursively_freeze(part) for key, part in value.items()})
    if isinstance(value, (list, tuple)):
        return tuple([recursively_freeze(part) for part in value])
    return value
