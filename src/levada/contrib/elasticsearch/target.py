"""`ElasticsearchTarget`: an update of an index, which exists when its marker document does.

The laws: of two writers one adds the marker, which the server judges (``_create``). Documents are there before their marker:
nothing of this kind has transactions.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime

from levada.errors import TargetError, TargetExists, TargetUnreachable, TargetWriteError
from levada.targets.atomic import before_commit

from .interface import Answer, NoAnswer, ask, hint, path_of, shown

MARKERS = "update_log"  # the index of markers unless it is said otherwise, as with Luigi
AT_ONCE = 1000  # documents in one question
_ABSENT = ("index_not_found_exception", "document_missing_exception")


class ElasticsearchTarget:
    """An update of an index. It exists when its marker does: a document of ``marker_index``.

    url: of a server, ``https://USER:PASSWORD@HOST:9200``. update_id: the name of the update; a task's ``task_id`` serves.
    doc_type: part of the marker's id as Luigi made it, and of nothing else.
    """

    __slots__ = ("doc_type", "index", "marker_index", "update_id", "url")

    remote = True

    def __init__(self, url: str, index: str, update_id: str, *, marker_index: str = MARKERS, doc_type: str = "default") -> None:
        if not index or not update_id:
            raise ValueError(f"ElasticsearchTarget: index and update_id are not empty, got {index!r}, {update_id!r}")
        self.url, self.index, self.update_id, self.marker_index, self.doc_type = url, index, update_id, marker_index, doc_type

    def marker_index_document_id(self) -> str:
        """The id of the marker: forty hex digits."""
        from hashlib import sha1

        return sha1(f"{self.index}:{self.doc_type}:{self.update_id}".encode(), usedforsecurity=False).hexdigest()

    def exists(self) -> bool:
        """Whether the marker is there. Raises TargetUnreachable rather than guess."""
        answer = ElasticsearchTarget.exists_many([self])[0]
        if isinstance(answer, TargetError):
            raise answer
        return answer

    @staticmethod
    def exists_many(targets: Sequence[ElasticsearchTarget]) -> list[bool | TargetError]:
        """An answer for each, in their order: a question for a thousand of one server; an error where it gave none."""
        answers: list[bool | TargetError] = [False] * len(targets)
        places: dict[tuple[str, str], list[int]] = {}
        for at, target in enumerate(targets):
            places.setdefault((target.url, target.marker_index), []).append(at)
        for positions in places.values():
            for some in (positions[at : at + AT_ONCE] for at in range(0, len(positions), AT_ONCE)):
                for at, answer in zip(some, _answers([targets[at] for at in some]), strict=True):
                    answers[at] = answer
        return answers

    def touch(self) -> None:
        """Add the marker, after the documents. Raises TargetExists where it is there; TargetWriteError."""
        writer, now = os.urandom(8).hex(), datetime.now(UTC).isoformat()
        marker = {"update_id": self.update_id, "target_index": self.index, "target_doc_type": self.doc_type, "date": now, "writer": writer}
        before_commit()
        try:
            answer = ask(self.url, "PUT", path_of(self.marker_index, "_create", self.marker_index_document_id()), marker)
        except NoAnswer as cause:
            found = self._writer()
            if found == writer:
                return
            if found is None:
                raise TargetWriteError(f"{self}: {cause}", hint=hint(0)) from cause
            raise self._taken() from cause
        if answer.status == 409:
            raise self._taken()
        if answer.status >= 300:
            raise TargetWriteError(f"{self}: {answer.words}", hint=hint(answer.status))

    def remove(self) -> None:
        """Forget the marker, if it is there: the update is absent then. Its documents stay."""
        try:
            answer = ask(self.url, "DELETE", path_of(self.marker_index, "_doc", self.marker_index_document_id()))
        except NoAnswer as cause:
            raise TargetWriteError(f"{self}: {cause}", hint=hint(0)) from cause
        if answer.status >= 300 and answer.status != 404:
            raise TargetWriteError(f"{self}: {answer.words}", hint=hint(answer.status))

    def _writer(self) -> str | None:
        """Who added the marker, "" where it does not say; None where it is not there, or where that is not known."""
        try:
            answer = ask(self.url, "GET", path_of(self.marker_index, "_doc", self.marker_index_document_id()))
        except NoAnswer:
            return None
        return str(answer.content["_source"].get("writer", "")) if answer.content.get("found") else None

    def _taken(self) -> TargetExists:
        return TargetExists(f"{self}: is there already", hint="The marker of the first stays.")

    def __str__(self) -> str:
        return f"{shown(self.url)} {self.index} {self.update_id}"

    def __repr__(self) -> str:
        return f"ElasticsearchTarget({shown(self.url)!r}, {self.index!r}, {self.update_id!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ElasticsearchTarget) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[str, str, str]:
        return self.url, self.marker_index, self.marker_index_document_id()


def _answers(targets: Sequence[ElasticsearchTarget]) -> list[bool | TargetError]:
    first = targets[0]
    try:
        asked = {"ids": [target.marker_index_document_id() for target in targets]}
        answer = ask(first.url, "POST", f"{path_of(first.marker_index)}/_mget?_source=false", asked)
    except NoAnswer as cause:
        return [TargetUnreachable(target, cause, hint=hint(0)) for target in targets]
    except TargetError as error:
        return [error] * len(targets)
    if answer.kind in _ABSENT:
        return [False] * len(targets)
    if answer.status != 200 or not isinstance(answer.content.get("docs"), list):
        return [TargetUnreachable(target, answer.words, hint=hint(answer.status)) for target in targets]
    return [_told(target, document) for target, document in zip(targets, answer.content["docs"], strict=True)]


def _told(target: ElasticsearchTarget, document: dict[str, object]) -> bool | TargetError:
    answer = Answer(200, document)
    if answer.kind and answer.kind not in _ABSENT:
        return TargetUnreachable(target, answer.words)
    return document.get("found") is True
