"""`CopyToIndex`: documents into an index, then the marker that tells of them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, ClassVar

from levada.errors import TargetExists, TargetWriteError
from levada.task import Task

from .interface import WRITING, Answer, NoAnswer, ask, hint, lines, path_of
from .target import MARKERS, ElasticsearchTarget

log = logging.getLogger(__name__)
SHOWN = 200  # characters of a document in an error


class CopyToIndex(Task):
    """Documents into an index of Elasticsearch or OpenSearch.

    url, index: where they go; the index is made unless it is there, with ``settings`` and ``mapping``. A document without an ``_id`` gets
    one of the update's name and its number, so that another attempt replaces what a failed one left, as long as `docs` gives them
    in the same order. purge_existing_index: remove the index before. chunk_size: documents in one request.
    """

    url = "http://localhost:9200"
    index = ""
    marker_index = MARKERS
    settings: ClassVar[Mapping[str, object]] = {}
    mapping: ClassVar[Mapping[str, object]] = {}
    purge_existing_index = False
    chunk_size = 2000

    def docs(self) -> Iterable[Mapping[str, Any]]:
        """The documents, as JSON objects; ``_id`` in one is its id."""
        raise NotImplementedError(f"{type(self).get_task_family()}: say in docs() what the documents are")

    def update_id(self) -> str:
        """The name of the update."""
        return self.task_id

    def output(self) -> ElasticsearchTarget:
        """The update, which exists when its marker does."""
        return ElasticsearchTarget(self.url, self.index, self.update_id(), marker_index=self.marker_index)

    def run(self) -> None:
        """Load the documents, make them found by searches, and add the marker."""
        target = self.output()
        if target.exists():
            raise TargetExists(f"{target}: is there already", hint="Nothing was added.")
        if self.purge_existing_index:
            must(target, send(target, "DELETE", path_of(self.index)), but=404)
        self._make_index(target)
        count, numbered = 0, enumerate(self._documents(), 1)
        while some := list(islice(numbered, self.chunk_size)):
            answer = send(target, "POST", path_of(self.index) + "/_bulk", lines(self._actions(some)))
            must(target, answer)
            _all_taken(target, some, answer)
            count = some[-1][0]
        must(target, send(target, "POST", path_of(self.index) + "/_refresh"))
        target.touch()
        log.info("documents were loaded", extra={"index": self.index, "documents": count})

    def _make_index(self, target: ElasticsearchTarget) -> None:
        if send(target, "HEAD", path_of(self.index)).status == 200:
            return
        answer = send(target, "PUT", path_of(self.index), self._index_body())
        if answer.kind != "resource_already_exists_exception":  # another was quicker
            must(target, answer)

    def _index_body(self) -> Mapping[str, object]:
        """What an index is made with."""
        return {"settings": dict(self.settings), "mappings": dict(self.mapping)}

    def _documents(self) -> Iterable[Mapping[str, Any]]:
        return self.docs()

    def _actions(self, some: Iterable[tuple[int, Mapping[str, Any]]]) -> Iterator[object]:
        for number, document in some:
            fields = dict(document)
            yield {"index": {"_id": str(fields.pop("_id", f"{self.update_id()}-{number}"))}}
            yield fields


def send(target: ElasticsearchTarget, method: str, path: str, body: object = None) -> Answer:
    """What the server answers. Raises TargetWriteError where it gives no answer."""
    try:
        return ask(target.url, method, path, body, timeout=WRITING)
    except NoAnswer as cause:
        raise TargetWriteError(f"{target}: {cause}", hint=hint(0)) from cause


def must(target: ElasticsearchTarget, answer: Answer, but: int = 0) -> None:
    """Raise TargetWriteError for a refusal, of another status than ``but``."""
    if answer.status >= 300 and answer.status != but:
        raise TargetWriteError(f"{target}: {answer.words}", hint=hint(answer.status))


def _all_taken(target: ElasticsearchTarget, some: list[tuple[int, Mapping[str, Any]]], answer: Answer) -> None:
    """Raise TargetWriteError that names the first document that was refused."""
    for (number, document), item in zip(some, answer.content["items"], strict=True):
        told = Answer(item["index"]["status"], item["index"])
        if told.status >= 300:
            message = f"{target}: document {number:,}: {told.words}: {repr(document)[:SHOWN]}"
            raise TargetWriteError(message, hint="What was added before is there, without the marker.")
