"""MongoDB, and what speaks like it: `MongoTarget`, a marker document, and targets that look at documents (extra ``levada[mongodb]``)."""

from __future__ import annotations

from .documents import MongoCellTarget, MongoCollectionTarget, MongoCountTarget, MongoRangeTarget
from .marker import MongoTarget

__all__ = ["MongoCellTarget", "MongoCollectionTarget", "MongoCountTarget", "MongoRangeTarget", "MongoTarget"]
