"""Where messages of tests arrive: a mail server and a web server, on ports of their own."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from tests.contrib.ports import free_port


class Mails:
    """``got``: (recipients, subject, text) of each mail."""

    def __init__(self) -> None:
        self.got: list[tuple[list[str], str, str]] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        mail = message_from_bytes(envelope.content, policy=policy.default)
        body = mail.get_body(("plain",))
        self.got.append((envelope.rcpt_tos, str(mail["subject"]), body.get_content().replace("\r\n", "\n") if body is not None else ""))
        return "250 OK"


@contextmanager
def mail_sink() -> Iterator[tuple[Mails, str]]:
    """What arrives, and an address for alerts with a password in it."""
    mails, port = Mails(), free_port()
    login = lambda *_: AuthResult(success=True)  # noqa: E731 - any password is good
    controller = Controller(mails, hostname="127.0.0.1", port=port, authenticator=login, auth_require_tls=False)
    controller.start()
    try:
        yield mails, f"mailto://ana:hunter22@127.0.0.1:{port}?from=levada@example.org&to=ops@example.org"
    finally:
        controller.stop()


class Posts:
    """``got``: JSON of each request. ``status``: what is answered."""

    def __init__(self) -> None:
        self.got: list[Any] = []
        self.status = 200

    @property
    def titles(self) -> list[str]:
        return [each["title"] for each in self.got]


@contextmanager
def web_sink(port: int = 0) -> Iterator[tuple[Posts, str]]:
    """What arrives, and an address for alerts."""
    posts = Posts()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if posts.status == 200:
                posts.got.append(json.loads(body))
            self.send_response(posts.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield posts, f"json://127.0.0.1:{server.server_port}/hooks/token0815"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
