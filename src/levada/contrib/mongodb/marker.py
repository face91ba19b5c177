"""`MongoTarget`: an update of a collection, which exists when its marker document does.

The laws: of two writers one adds the marker, which the unique ``_id`` judges. Documents and marker are one transaction where the
caller has one (replica sets); elsewhere the marker comes last, so what a killed attempt left is there without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from levada.errors import TargetError, TargetExists
from levada.targets.atomic import before_commit

from . import clients

MARKERS = "table_updates"
AT_ONCE = 1000  # names in one question


class MongoTarget:
    """An update of a collection. It exists when its marker, ``{"_id": update_id}`` in the collection of markers, does.

    url: with the database, ``mongodb://HOST:27017/DATABASE``. update_id: the name of the update, unique in the collection of markers.
    """

    __slots__ = ("collection", "markers", "update_id", "url")

    remote = True

    def __init__(self, url: str, collection: str, update_id: str, *, markers: str = MARKERS) -> None:
        if not collection or not update_id:
            raise ValueError(f"MongoTarget: collection and update_id are not empty, got {collection!r}, {update_id!r}")
        self.url, self.collection, self.update_id, self.markers = url, collection, update_id, markers

    @property
    def database(self) -> Any:
        """The client's database, shared by all of the process. Raises TargetError: no client, or no such URL."""
        return clients.database(self.url)

    def get_collection(self) -> Any:
        """The client's collection."""
        return self.database[self.collection]

    def exists(self) -> bool:
        """Whether the marker is there. Raises TargetUnreachable rather than guess."""
        answer = MongoTarget.exists_many([self])[0]
        if isinstance(answer, TargetError):
            raise answer
        return answer

    @staticmethod
    def exists_many(targets: Sequence[MongoTarget]) -> list[bool | TargetError]:
        """An answer for each, in their order: a question for a thousand of one database; an error where it gave none."""
        answers: list[bool | TargetError] = [False] * len(targets)
        places: dict[tuple[str, str], list[int]] = {}
        for at, target in enumerate(targets):
            places.setdefault((target.url, target.markers), []).append(at)
        for positions in places.values():
            for some in (positions[at : at + AT_ONCE] for at in range(0, len(positions), AT_ONCE)):
                for at, answer in zip(some, _answers([targets[at] for at in some]), strict=True):
                    answers[at] = answer
        return answers

    def touch(self, session: Any = None) -> None:
        """Add the marker, after the documents; in the transaction of ``session`` if given. Raises TargetExists where it is there."""
        from pymongo.errors import DuplicateKeyError

        before_commit()
        now = datetime.now(UTC).replace(tzinfo=None)
        marker = {"_id": self.update_id, "target_collection": self.collection, "inserted": now}
        with clients.writing(self):
            try:
                self.database[self.markers].insert_one(marker, session=session)
            except DuplicateKeyError as cause:
                raise TargetExists(f"{self}: is there already", hint="The marker of the first stays.") from cause

    def remove(self) -> None:
        """Forget the marker, if it is there: the update is absent then. Its documents stay."""
        with clients.writing(self):
            self.database[self.markers].delete_one({"_id": self.update_id})

    def __str__(self) -> str:
        return f"{clients.shown(self.url)} {self.collection} {self.update_id}"

    def __repr__(self) -> str:
        return f"MongoTarget({clients.shown(self.url)!r}, {self.collection!r}, {self.update_id!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MongoTarget) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[str, str, str, str]:
        return self.url, self.collection, self.update_id, self.markers


def _answers(targets: Sequence[MongoTarget]) -> list[bool | TargetError]:
    first = targets[0]
    try:
        with clients.asking(first):
            asked = {"_id": {"$in": [target.update_id for target in targets]}}
            found = {(each["_id"], each.get("target_collection")) for each in first.database[first.markers].find(asked)}
    except TargetError as error:
        return [error] * len(targets)
    return [(target.update_id, target.collection) in found for target in targets]
