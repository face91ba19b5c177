"""Luigi's targets in MongoDB: the house's, which look at documents, made of a client that the program has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from levada.contrib.mongodb import documents


class MongoTarget(documents.Documents):
    """What is in a collection. mongo_client: pymongo's. index: the name of a database."""

    def __init__(self, mongo_client: Any, index: str, collection: str) -> None:
        documents.Documents.__init__(self, "", collection)
        self._mongo_client, self._index, self._collection = mongo_client, index, collection

    @property
    def database(self) -> Any:
        """The client's database."""
        return self._mongo_client[self._index]

    def get_index(self) -> Any:
        """The client's database, as Luigi calls it."""
        return self.database

    def exists(self) -> bool:
        """Whether it is there; a subclass says when."""
        raise NotImplementedError(f"{type(self).__name__}: exists() is not said")

    def __str__(self) -> str:
        return f"{self._index}/{self._collection}"


class MongoCellTarget(documents.MongoCellTarget, MongoTarget):
    """A field of one document; it exists when it has a value. path: of the field, with dots for what is nested."""

    def __init__(self, mongo_client: Any, index: str, collection: str, document_id: Any, path: str) -> None:
        MongoTarget.__init__(self, mongo_client, index, collection)
        self.document_id, self.path = document_id, path


class MongoRangeTarget(documents.MongoRangeTarget, MongoTarget):
    """A field of several documents; it exists when all of them have it."""

    def __init__(self, mongo_client: Any, index: str, collection: str, document_ids: Sequence[Any], field: str) -> None:
        MongoTarget.__init__(self, mongo_client, index, collection)
        self.document_ids, self.field = list(document_ids), field


class MongoCollectionTarget(documents.MongoCollectionTarget, MongoTarget):
    """A collection; it exists when the database has one of the name."""

    def read(self) -> bool:
        """Whether it is there."""
        return self.exists()


class MongoCountTarget(documents.MongoCountTarget, MongoTarget):
    """A number of documents; it exists when the collection has exactly so many."""

    def __init__(self, mongo_client: Any, index: str, collection: str, target_count: int) -> None:
        MongoTarget.__init__(self, mongo_client, index, collection)
        self.target_count = target_count
