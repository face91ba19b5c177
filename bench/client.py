"""A lean client of a server: one session over one socket, no engine, so that a figure is the server's."""

from __future__ import annotations

import json
import socket
import time
from typing import Any

import msgspec

SLICE = 1_000
HELD = 5.0  # seconds that a claim is held while there is nothing to grant


class Refused(Exception):
    """The server said something else than yes; the text is what it said."""


class Http:
    """Requests over one socket that is kept open; ``latencies`` holds the seconds of each."""

    def __init__(self, port: int, head: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._head = f" HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{head}".encode()
        self.latencies: list[float] = []

    def ask(self, method: bytes, path: bytes, body: bytes = b"") -> bytes:
        """The body of the answer. Raises Refused."""
        began = time.perf_counter()
        length = b"Content-Length: %d\r\n" % len(body) if body else b""
        self._socket.sendall(method + b" " + path + self._head + length + b"\r\n" + body)
        head, answer = self._answer()
        self.latencies.append(time.perf_counter() - began)
        if not head.startswith(b"http/1.1 200"):
            raise Refused(f"{path.decode()}: {head[:12].decode()} {answer[:300]!r}")
        return answer

    def _answer(self) -> tuple[bytes, bytes]:
        """(head in lower case, body)."""
        data = self._receive()
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self._receive()
        head = data[:end].lower() + b"\r\n"
        at = head.index(b"content-length:") + 15
        length = int(head[at : head.index(b"\r", at)])
        chunks, have = [data[end + 4 :]], len(data) - end - 4
        while have < length:
            chunks.append(self._receive())
            have += len(chunks[-1])
        return head, b"".join(chunks)

    def _receive(self) -> bytes:
        data = self._socket.recv(1 << 20)
        if not data:
            raise Refused("the server closed the connection")
        return data

    def close(self) -> None:
        self._socket.close()


class Client(Http):
    """One session of a worker."""

    def __init__(self, port: int, token: str, session: str) -> None:
        super().__init__(port, f"Authorization: Bearer {token}\r\nContent-Type: application/json\r\n")
        self.session, self.seq = session, 0
        self._decode = msgspec.json.Decoder().decode
        self._encode = msgspec.json.Encoder().encode

    def get(self, path: str) -> Any:
        """A page, decoded."""
        return self._decode(self.ask(b"GET", path.encode()))

    def post(self, path: bytes, **fields: Any) -> Any:
        """The decoded answer."""
        return self._decode(self.ask(b"POST", path, self._encode({"session": self.session, **fields})))

    def numbered(self, path: bytes, **fields: Any) -> Any:
        """A request that changes the session's state."""
        self.seq += 1
        return self.post(path, seq=self.seq, **fields)

    def token(self) -> str:
        """A token for a worker; this session's own must be an admin's."""
        body = self._encode({"role": "worker", "label": "bench"})
        text: str = self._decode(self.ask(b"POST", b"/v1/tokens", body))["token"]
        return text

    def hello(self) -> None:
        """Open the session."""
        self.post(b"/v1/hello", wire=[1], levada="bench")

    def register(self, share: range, requires: str = "", *, reopen: bool = False) -> None:
        """Tasks, a thousand a message. requires: keys, in one text, that each of them needs. reopen: done ones are to be made again."""
        for first in range(share.start, share.stop, SLICE):
            keys = keys_of(range(first, min(first + SLICE, share.stop)))
            self.numbered(
                b"/v1/tasks",
                policies=[{"family": "Load"}],
                tasks=[[key, 0, f'{{"at":"{key[16:]}"}}'] for key in keys],
                growth=[[key, requires] for key in keys],
                reopen=reopen,
            )

    def work_off(self, batch: int, least: int = 0) -> int:
        """Claim and report until nothing is left; how many were done. least: so many may stay."""
        done: list[Any] = []
        count = 0
        while True:
            answer = self.numbered(b"/v1/sync", room=batch, done=done, wait=0.0 if done else HELD)  # as our client does
            granted = answer.get("granted", ())
            count += len(done)
            done = [row[:3] for row in granted]
            if not granted and answer.get("unfinished", 0) <= least:
                return count


class Luigi(Http):
    """One worker of luigid, which takes a form and gives a task at a time."""

    def __init__(self, port: int, name: str) -> None:
        super().__init__(port, "Content-Type: application/x-www-form-urlencoded\r\n")
        self.name = name

    def call(self, method: str, **fields: Any) -> Any:
        """What the method of luigid's scheduler gives back."""
        from urllib.parse import quote

        body = "data=" + quote(json.dumps({"worker": self.name, **fields}), safe="")
        return json.loads(self.ask(b"POST", f"/api/{method}".encode(), body.encode()))["response"]

    def register(self, share: range) -> None:
        """Tasks, a call each: there is no other way."""
        self.call("add_worker", info={"workers": 1})
        for key in keys_of(share):
            self.call("add_task", task_id=f"Load_{key}", status="PENDING", family="Load", params={"at": key[16:]}, deps=[])

    def work_off(self) -> int:
        """Claim and report until nothing is left; how many were done."""
        count = 0
        while True:
            answer = self.call("get_work", host="bench", current_tasks=[])
            if answer["task_id"] is None:
                return count
            self.call("add_task", task_id=answer["task_id"], status="DONE", family="Load", runnable=False)
            count += 1


def keys_of(share: range) -> list[str]:
    """Keys of tasks; spread like real ones."""
    return [f"{(number * 0x9E3779B97F4A7C15) & (1 << 64) - 1:016x}{number:016x}" for number in share]


def percentile(values: list[float], share: float) -> float:
    """The value that so large a share of them does not pass; 0 where there is none.

    >>> percentile([4.0, 1.0, 3.0, 2.0], 0.5)
    3.0
    """
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else 0.0
