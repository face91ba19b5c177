"""Luigi's `ElasticsearchTarget` and `CopyToIndex`: the house's, which speak HTTP themselves, with Luigi's arguments.

Markers that Luigi left are found. The client ``elasticsearch`` is wanted only by programs that use ``target.es``.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, cast
from urllib.parse import quote

from levada.contrib import elasticsearch as house
from levada.contrib.elasticsearch.interface import ask, path_of
from levada.contrib.elasticsearch.tasks import must, send
from levada.errors import TargetExists

from ._clients import FromConfig, Wanted
from ._clients import client as needed

log = logging.getLogger("luigi-interface")


def _url(host: str, port: Any, http_auth: Any, more: Mapping[str, Any]) -> str:
    login = ""
    if http_auth:
        user, _, password = http_auth.partition(":") if isinstance(http_auth, str) else (http_auth[0], "", http_auth[1])
        login = f"{quote(user, safe='')}:{quote(password, safe='')}@"
    scheme = more.get("scheme") or ("https" if more.get("use_ssl") else "http")
    return f"{scheme}://{login}{host}:{port}"


class ElasticsearchTarget(house.ElasticsearchTarget):
    """An update of an index; it exists when its marker does.

    marker_index_hist_size: how many markers of the index are kept; 0 for all. http_auth: ``"user:password"``, or the pair.
    extra_elasticsearch_args: ``use_ssl`` or ``scheme`` count; all of them for ``es``.
    """

    marker_index: Any = FromConfig("elasticsearch", "marker-index", "update_log")
    marker_doc_type: Any = FromConfig("elasticsearch", "marker-doc-type", "entry")

    def __init__(
        self,
        host: str,
        port: Any,
        index: str,
        doc_type: str,
        update_id: str,
        marker_index_hist_size: int = 0,
        http_auth: Any = None,
        timeout: float = 10,
        extra_elasticsearch_args: Mapping[str, Any] | None = None,
    ) -> None:
        self.host, self.port, self.http_auth, self.timeout = host, port, http_auth, timeout
        self.extra_elasticsearch_args = dict(extra_elasticsearch_args or {})
        self.marker_index_hist_size = marker_index_hist_size
        marker_index = str(self.marker_index)
        super().__init__(
            _url(host, port, http_auth, self.extra_elasticsearch_args), index, update_id, marker_index=marker_index, doc_type=doc_type
        )

    @property
    def es(self) -> Any:
        """A client of the package elasticsearch."""
        return _es(self)

    def create_marker_index(self) -> None:
        """Make the index of markers unless it is there."""
        if send(self, "HEAD", path_of(self.marker_index)).status == 404:
            send(self, "PUT", path_of(self.marker_index), {})

    def touch(self) -> None:
        """Add the marker, after the documents; one that is there is renewed. Then forget the oldest, see ``marker_index_hist_size``."""
        try:
            super().touch()
        except TargetExists:
            self.remove()
            super().touch()
        self.ensure_hist_size()

    def ensure_hist_size(self) -> None:
        """Forget markers of the index, until no more than ``marker_index_hist_size`` are left."""
        if self.marker_index_hist_size == 0:
            return
        must(self, send(self, "POST", path_of(self.marker_index) + "/_refresh"))
        asked = {
            "query": {"match_phrase": {"target_index": self.index}},
            "sort": [{"date": "desc"}],
            "size": 1000,
            "_source": ["target_index"],
        }
        answer = send(self, "POST", path_of(self.marker_index) + "/_search", asked)
        must(self, answer)
        markers = [hit["_id"] for hit in answer.content["hits"]["hits"] if hit["_source"]["target_index"] == self.index]
        for marker in markers[self.marker_index_hist_size :]:
            ask(self.url, "DELETE", path_of(self.marker_index, "_doc", marker))


def _es(told: Any) -> Any:
    module = needed("elasticsearch", wanted="a client of Elasticsearch", install="elasticsearch")
    return module.Elasticsearch(
        [{"host": told.host, "port": told.port}], http_auth=told.http_auth, timeout=told.timeout, **told.extra_elasticsearch_args
    )


class CopyToIndex(house.CopyToIndex):
    """Documents into an index. A subclass says index, and docs(): JSON objects, or texts of them; here the lines of the input.

    settings: all that the index is made with. mapping: of its fields. marker_index_hist_size, http_auth, timeout and
    extra_elasticsearch_args: of the target.
    """

    host: ClassVar[Any] = "localhost"
    port: ClassVar[Any] = 9200
    http_auth: ClassVar[Any] = None
    index = cast("Any", Wanted())
    doc_type: ClassVar[Any] = "default"
    mapping: ClassVar[Any] = None
    settings: ClassVar[Any] = {"settings": {}}
    marker_index_hist_size: ClassVar[Any] = 0
    timeout: ClassVar[Any] = 10
    extra_elasticsearch_args: ClassVar[Any] = {}

    @property
    def url(self) -> str:  # type: ignore[override]  # a text, as the house's
        """The server's URL."""
        return _url(self.host, self.port, self.http_auth, self.extra_elasticsearch_args)

    def docs(self) -> Iterable[Any]:
        """The documents."""
        with self.input().open("r") as lines:
            yield from lines

    def output(self) -> ElasticsearchTarget:
        """The update."""
        return ElasticsearchTarget(
            host=self.host,
            port=self.port,
            http_auth=self.http_auth,
            index=self.index,
            doc_type=self.doc_type,
            update_id=self.update_id(),
            marker_index_hist_size=self.marker_index_hist_size,
            timeout=self.timeout,
            extra_elasticsearch_args=self.extra_elasticsearch_args,
        )

    def create_index(self) -> None:
        """Make the index unless it is there."""
        super()._make_index(self.output())

    def delete_index(self) -> None:
        """Remove the index, if it is there."""
        target = self.output()
        must(target, send(target, "DELETE", path_of(self.index)), but=404)

    def _init_connection(self) -> Any:
        return _es(self)

    def _make_index(self, target: house.ElasticsearchTarget) -> None:
        self.create_index()

    def _index_body(self) -> Mapping[str, object]:
        fields = self.mapping or {}
        if set(fields) == {self.doc_type}:  # as servers before 7 wanted it
            fields = fields[self.doc_type]
        return {**self.settings, **({"mappings": fields} if fields else {})}

    def _documents(self) -> Iterator[Mapping[str, Any]]:
        for document in self._docs():
            yield {name: value for name, value in document.items() if name not in ("_index", "_type")}

    def _docs(self) -> Iterator[dict[str, Any]]:
        for document in self.docs():
            if not isinstance(document, (str, bytes, Mapping)):
                raise TypeError(f"{type(self).__name__}: a document is a JSON object or the text of one, got {document!r:.200}")
            found = json.loads(document) if isinstance(document, (str, bytes)) else document
            yield {"_index": self.index, "_type": self.doc_type, **found}
