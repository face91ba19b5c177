"""Targets that look at documents, as Luigi had them: a field of one, of several, a collection, a number of documents.

They exist by what others wrote, so there is no promise beyond that of MongoDB for one document: `write` replaces.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from . import clients


class Documents:
    """What is in a collection of a database."""

    __slots__ = ("collection", "url")

    remote = True

    def __init__(self, url: str, collection: str) -> None:
        self.url, self.collection = url, collection

    @property
    def database(self) -> Any:
        """The client's database, shared by all of the process. Raises TargetError: no client, or no such URL."""
        return clients.database(self.url)

    def get_collection(self) -> Any:
        """The client's collection. Raises TargetError: no client, or no such URL."""
        return self.database[self.collection]

    def __str__(self) -> str:
        return f"{clients.shown(self.url)} {self.collection}"


class MongoCellTarget(Documents):
    """A field of one document; it exists when it has a value. path: of the field, with dots for what is nested."""

    __slots__ = ("document_id", "path")

    def __init__(self, url: str, collection: str, document_id: object, path: str) -> None:
        super().__init__(url, collection)
        self.document_id, self.path = document_id, path

    def exists(self) -> bool:
        """Whether the field has a value. Raises TargetUnreachable rather than guess."""
        return self.read() is not None

    def read(self) -> Any:
        """The value; None where there is none."""
        with clients.asking(self):
            value = self.get_collection().find_one({"_id": self.document_id}, {self.path: True})
        for name in self.path.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
        return value

    def write(self, value: object) -> None:
        """Set the value; the document is made where it is absent."""
        with clients.writing(self):
            self.get_collection().update_one({"_id": self.document_id}, {"$set": {self.path: value}}, upsert=True)

    def __str__(self) -> str:
        return f"{super().__str__()} {self.document_id} {self.path}"


class MongoRangeTarget(Documents):
    """A field of several documents; it exists when all of them have it. field: its name, not nested."""

    __slots__ = ("document_ids", "field")

    def __init__(self, url: str, collection: str, document_ids: Sequence[object], field: str) -> None:
        super().__init__(url, collection)
        self.document_ids, self.field = list(document_ids), field

    def exists(self) -> bool:
        """Whether each of the documents has the field. Raises TargetUnreachable rather than guess."""
        return not self.get_empty_ids()

    def read(self) -> dict[Any, Any]:
        """The values by document, of those that have one."""
        with clients.asking(self):
            asked = {"_id": {"$in": self.document_ids}, self.field: {"$exists": True}}
            return {each["_id"]: each[self.field] for each in self.get_collection().find(asked, {self.field: True})}

    def write(self, values: Mapping[Any, object]) -> None:
        """Set the values by document; documents that are not of the range are left out."""
        from pymongo import UpdateOne

        wanted = [UpdateOne({"_id": at}, {"$set": {self.field: values[at]}}, upsert=True) for at in self.document_ids if at in values]
        if wanted:
            with clients.writing(self):
                self.get_collection().bulk_write(wanted)

    def get_empty_ids(self) -> set[Any]:
        """The documents of the range that lack the field, or are absent."""
        return set(self.document_ids) - set(self.read())

    def __str__(self) -> str:
        return f"{super().__str__()} {self.field} of {len(self.document_ids)} documents"


class MongoCollectionTarget(Documents):
    """A collection; it exists when the database has one of the name."""

    __slots__ = ()

    def exists(self) -> bool:
        """Whether it is there. Raises TargetUnreachable rather than guess."""
        with clients.asking(self):
            return self.collection in self.database.list_collection_names()


class MongoCountTarget(Documents):
    """A number of documents; it exists when the collection has exactly so many."""

    __slots__ = ("target_count",)

    def __init__(self, url: str, collection: str, target_count: int) -> None:
        super().__init__(url, collection)
        self.target_count = target_count

    def exists(self) -> bool:
        """Whether there are so many. Raises TargetUnreachable rather than guess."""
        return self.read() == self.target_count

    def read(self) -> int:
        """How many documents there are."""
        with clients.asking(self):
            return int(self.get_collection().count_documents({}))

    def __str__(self) -> str:
        return f"{super().__str__()} with {self.target_count} documents"
