"""What goes wrong between a client and a store: a proxy that cuts, swallows and slows; and a store that only lists."""

from __future__ import annotations

import socket
import struct
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit


class Wire:
    """A proxy on loopback before a server.

    cut_after: bytes of a connection towards the store after which it is cut, for as long as this is set.
    swallow: so many answers to requests that begin with ``swallowed`` are not given: the connection is cut instead.
    broken: every connection is cut at once. pause: seconds before each piece towards the store. passed: bytes that went there.
    """

    def __init__(self, port: int) -> None:
        self.behind = port
        self.cut_after: int | None = None
        self.swallow, self.swallowed = 0, b"PUT"
        self.broken = False
        self.pause = 0.0
        self.passed = 0
        self._lock, self._closed = Lock(), False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._closed = True
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        while not self._closed:
            front, _ = self._listener.accept()
            if self._closed:
                front.close()
                return
            if self.broken:
                _cut(front)
                continue
            Thread(target=self._join, args=(front,), daemon=True).start()

    def _join(self, front: socket.socket) -> None:
        try:
            back = socket.create_connection(("127.0.0.1", self.behind), 5)
        except OSError:
            front.close()
            return
        asked = [b""]
        Thread(target=self._answers, args=(front, back, asked), daemon=True).start()
        sent = 0
        with suppress(OSError):
            while data := front.recv(1 << 16):
                if self.pause:
                    time.sleep(self.pause)
                if data[:5].split(b" ")[0] in (b"PUT", b"POST", b"GET", b"HEAD", b"DELE"):
                    asked[0] = data[:4]
                sent += len(data)
                if self.cut_after is not None and sent > self.cut_after:
                    break
                with self._lock:
                    self.passed += len(data)
                back.sendall(data)
        _cut(front, back)

    def _answers(self, front: socket.socket, back: socket.socket, asked: list[bytes]) -> None:
        with suppress(OSError):
            while data := back.recv(1 << 16):
                with self._lock:
                    swallow = self.swallow > 0 and asked[0].startswith(self.swallowed)
                    self.swallow -= swallow
                if swallow or self.broken:
                    break
                front.sendall(data)
        _cut(front, back)


def _cut(*ends: socket.socket) -> None:
    """Close them as a broken line does: with a reset."""
    for end in ends:
        with suppress(OSError):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            end.shutdown(socket.SHUT_RDWR)
        with suppress(OSError):
            end.close()


@contextmanager
def wire(port: int) -> Iterator[Wire]:
    made = Wire(port)
    try:
        yield made
    finally:
        made.close()


class Lister:
    """An S3 that has ``names``, each of one byte, answers after ``latency`` seconds and counts what it is asked."""

    def __init__(self, names: list[str], latency: float = 0.0) -> None:
        self.names, self.latency = sorted(names, key=str.encode), latency
        self.there = set(names)
        self.asked: Counter[str] = Counter()
        self._lock = Lock()
        lister = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, format: str, *args: Any) -> None:
                pass

            def do_HEAD(self) -> None:
                lister._count("head")
                there = urlsplit(self.path).path.split("/", 2)[2] in lister.there
                self.send_response(200 if there else 404)
                for name, value in (
                    ("Content-Length", "1" if there else "0"),
                    ("ETag", '"1"'),
                    ("Last-Modified", "Mon, 01 Jan 2024 00:00:00 GMT"),
                ):
                    self.send_header(name, value)
                self.end_headers()

            def do_GET(self) -> None:
                lister._count("list")
                body = lister._page({name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()})
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _count(self, verb: str) -> None:
        time.sleep(self.latency)
        with self._lock:
            self.asked[verb] += 1

    def _page(self, query: dict[str, str]) -> bytes:
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        entries: dict[str, bool] = {}
        for name in self.names:
            if name.startswith(prefix):
                first, slash, _ = name[len(prefix) :].partition("/") if delimiter else (name[len(prefix) :], "", "")
                entries.setdefault(prefix + first + slash, bool(slash))
        keys = list(entries)
        start = int(query.get("continuation-token", 0))
        page = keys[start : start + 1000]
        end = start + len(page)
        parts = ["<ListBucketResult>", f"<IsTruncated>{str(end < len(keys)).lower()}</IsTruncated>"]
        if end < len(keys):
            parts.append(f"<NextContinuationToken>{end}</NextContinuationToken>")
        for key in page:
            if entries[key]:
                parts.append(f"<CommonPrefixes><Prefix>{key}</Prefix></CommonPrefixes>")
            else:
                parts.append(
                    f'<Contents><Key>{key}</Key><LastModified>2024-01-01T00:00:00.000Z</LastModified><ETag>"1"</ETag><Size>1</Size></Contents>'
                )
        return "".join([*parts, "</ListBucketResult>"]).encode()


@contextmanager
def lister(names: list[str], latency: float = 0.0) -> Iterator[Lister]:
    made = Lister(names, latency)
    try:
        yield made
    finally:
        made.close()
