"""Google's XML interface in front of fake-gcs-server, which writes by the JSON one alone, while obstore writes by XML.

Reading, listing, removing and what is JSON already are passed on as they are. A write is translated, its condition with it, so that it is
fake-gcs-server that judges it. Parts are kept here until they are joined. ``careless``: conditions are dropped on the way.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

_DROPPED = frozenset({"connection", "transfer-encoding", "content-length", "host", "keep-alive"})


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, behind: int, careless: bool) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behind, self.careless = behind, careless
        self.parts: dict[str, dict[int, bytes]] = {}
        self.marks: dict[str, dict[str, str]] = {}

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that went away


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._pass_on()

    def do_HEAD(self) -> None:
        self._pass_on()

    def do_DELETE(self) -> None:
        query = self._query()
        if "uploadId" in query:
            self.server.parts.pop(query["uploadId"], None)
            self._answer(204)
        else:
            self._pass_on()

    def do_POST(self) -> None:
        self._body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        query = self._query()
        if self.path.startswith(("/storage/", "/upload/")):
            self._pass_on(self._body)
        elif "uploads" in query:
            upload = os.urandom(8).hex()
            self.server.parts[upload], self.server.marks[upload] = {}, self._marks()
            self._answer(200, f"<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>".encode())
        else:
            parts = self.server.parts.pop(query["uploadId"])
            self._write(b"".join(parts[number] for number in sorted(parts)), self.server.marks.pop(query["uploadId"]), completed=True)

    def do_PUT(self) -> None:
        body, query = self.rfile.read(int(self.headers.get("Content-Length") or 0)), self._query()
        if self.path.startswith("/upload/"):
            self._pass_on(body)
        elif "uploadId" in query:
            self.server.parts[query["uploadId"]][int(query["partNumber"])] = body
            self._answer(200, headers={"ETag": f'"{query["partNumber"]}"'})
        elif source := self.headers.get("x-goog-copy-source"):
            bucket, _, key = unquote(source).lstrip("/").partition("/")
            found, content, headers = self._ask("GET", f"/{bucket}/{quote(key, safe='')}")
            marks = {name[len("x-goog-meta-") :]: value for name, value in headers.items() if name.lower().startswith("x-goog-meta-")}
            if found != 200:
                self._answer(found)
            else:
                self._write(content, marks)
        else:
            self._write(body, self._marks())

    def _write(self, content: bytes, marks: dict[str, str], *, completed: bool = False) -> None:
        bucket, key = self._place()
        condition = self.headers.get("x-goog-if-generation-match")
        address = f"/upload/storage/v1/b/{bucket}/o?uploadType=multipart"
        if condition is not None and not self.server.careless:
            address += f"&ifGenerationMatch={condition}"
        edge = os.urandom(12).hex()
        head = json.dumps({"name": key, "metadata": marks})
        parts = [("application/json", head.encode()), ("application/octet-stream", content)]
        body = (
            b"".join(f"--{edge}\r\nContent-Type: {kind}\r\n\r\n".encode() + part + b"\r\n" for kind, part in parts) + f"--{edge}--".encode()
        )
        status, said, _ = self._ask("POST", address, body, {"Content-Type": f"multipart/related; boundary={edge}"})
        if status != 200:
            self._answer(status, said)
            return
        made = json.loads(said)
        headers = {"ETag": f'"{made["etag"].strip(chr(34))}"', "x-goog-generation": str(made["generation"])}
        text = f"<CompleteMultipartUploadResult><ETag>{headers['ETag']}</ETag></CompleteMultipartUploadResult>" if completed else ""
        self._answer(200, text.encode(), headers)

    def _pass_on(self, body: bytes = b"") -> None:
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _DROPPED}
        status, said, back = self._ask(self.command, self.path, body, headers)
        self._answer(
            status, said, {name: value for name, value in back.items() if name.lower() not in _DROPPED}, length=back.get("Content-Length")
        )

    def _ask(
        self, method: str, address: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[int, bytes, dict[str, str]]:
        behind = HTTPConnection("127.0.0.1", self.server.behind, timeout=20)
        try:
            behind.request(method, address, body, headers or {})
            answer = behind.getresponse()
            return answer.status, answer.read(), dict(answer.getheaders())
        finally:
            behind.close()

    def _answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None, length: str | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", length if self.command == "HEAD" and length is not None else str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _query(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(urlsplit(self.path).query, keep_blank_values=True).items()}

    def _place(self) -> tuple[str, str]:
        bucket, _, key = urlsplit(self.path).path.lstrip("/").partition("/")
        return bucket, unquote(key)

    def _marks(self) -> dict[str, str]:
        return {name[len("x-goog-meta-") :]: value for name, value in self.headers.items() if name.lower().startswith("x-goog-meta-")}


@contextmanager
def spoken(behind: int, *, careless: bool = False) -> Iterator[int]:
    """The port of an XML interface to the fake-gcs-server behind another port."""
    server = _Server(behind, careless)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
