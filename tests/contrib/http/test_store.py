"""Files of a web server, a real one: absent, there or not known; read, and never written."""

from __future__ import annotations

import gzip
import os
import socket
from collections import Counter
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

import levada as lv
from levada.contrib.http import store as http
from levada.errors import TargetError, TargetUnreachable
from levada.targets import FileTarget, formats, stores

LONG = os.urandom(2 << 20)


class Handler(SimpleHTTPRequestHandler):
    """The standard library's, with some ill will on request."""

    def do_HEAD(self) -> None:
        self.server.asked["HEAD"] += 1  # type: ignore[attr-defined]  # it is a Web
        if not self.disturbed():
            super().do_HEAD()

    def do_GET(self) -> None:
        self.server.asked["GET"] += 1  # type: ignore[attr-defined]  # the same
        if self.path == "/ranges":
            self.ranged()
        elif self.path == "/unmeasured":
            self.unmeasured(whole=True)
        elif self.path == "/torn":
            self.unmeasured(whole=False)
        elif self.path == "/short":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"x" * 10)
        elif not self.disturbed():
            super().do_GET()

    def disturbed(self) -> bool:
        codes: list[int] = self.server.codes  # type: ignore[attr-defined]  # the same
        if self.path.startswith("/elsewhere/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/elsewhere"))
            self.end_headers()
            return True
        if self.path == "/private.txt" and self.headers["Authorization"] != "Basic YWRhOnNlY3JldA==":  # ada:secret
            self.send_error(401)
            return True
        if self.path == "/no-head.txt" and self.command == "HEAD":
            self.send_error(405)
            return True
        if codes:
            self.send_error(codes.pop(0))
            return True
        return False

    def ranged(self) -> None:
        start, _, end = (self.headers["Range"] or "bytes=0-").removeprefix("bytes=").partition("-")
        body = LONG[int(start) : int(end) + 1 if end else None]
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{int(start) + len(body) - 1}/{len(LONG)}")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", self.server.etag)  # type: ignore[attr-defined]  # the same
        self.end_headers()
        self.wfile.write(body)

    def unmeasured(self, *, whole: bool) -> None:
        self.protocol_version = "HTTP/1.1"
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(b"5\r\nwhole\r\n")
        self.wfile.write(b"0\r\n\r\n" if whole else b"ff\r\nto")
        self.close_connection = True

    def log_message(self, *words: object) -> None:
        pass


class Web(ThreadingHTTPServer):
    """A server on loopback, and what it was asked. codes: errors that it answers the next questions with."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
        self.asked: Counter[str] = Counter()
        self.codes: list[int] = []
        self.etag = '"one"'
        self.folder = folder

    def handle_error(self, *_: object) -> None:
        pass  # clients that go

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{path}"


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    monkeypatch.setattr(http, "PAUSE", 0.0)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login ada password secret\n")
    (tmp_path / "www").mkdir()
    for name in ("a.txt", "private.txt", "no-head.txt", "ümläut and space.txt", "100%.txt"):
        (tmp_path / "www" / name).write_text(name)
    stores._open.clear()
    server = Web(tmp_path / "www")
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()
    stores._open.clear()


def test_what_is_there_is_read_and_what_is_not_is_absent(web: Web) -> None:
    target = FileTarget(web.url("a.txt"))
    assert target.exists()
    assert web.asked == Counter(HEAD=1)
    assert target.read_text() == "a.txt"
    assert target.size() == 5
    assert target.mtime() == int((web.folder / "a.txt").stat().st_mtime)
    absent = FileTarget(web.url("b.txt"))
    assert not absent.exists()
    with pytest.raises(FileNotFoundError):
        absent.read_text()
    with pytest.raises(FileNotFoundError):
        absent.size()


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("ümläut and space.txt", "ümläut and space.txt"),
        ("%C3%BCml%C3%A4ut%20and%20space.txt", "ümläut and space.txt"),
        ("100%25.txt", "100%.txt"),
        ("a.txt?signature=x", "a.txt"),
        ("no-head.txt", "no-head.txt"),
        ("private.txt", "private.txt"),
        ("elsewhere/a.txt", "a.txt"),
    ],
)
def test_names_queries_redirections_and_servers_that_know_no_head(web: Web, path: str, content: str) -> None:
    target = FileTarget(web.url(path))
    assert target.exists()
    assert target.size() == len(content.encode())
    assert target.read_text() == content


@pytest.mark.parametrize("code", [401, 403, 500, 503])
def test_an_answer_that_is_neither_yes_nor_no_is_not_known(web: Web, code: int) -> None:
    web.codes = [code] * 4
    with pytest.raises(TargetUnreachable, match=f"answered {code}"):
        FileTarget(web.url("a.txt")).exists()


def test_a_server_that_is_busy_is_asked_once_more(web: Web) -> None:
    web.codes = [503]
    assert FileTarget(web.url("a.txt")).exists()
    web.codes = [502]
    assert FileTarget(web.url("a.txt")).read_text() == "a.txt"


def test_a_wrong_password_is_not_an_absent_file(web: Web, tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login ada password swordfish\n")
    with pytest.raises(TargetUnreachable, match="401") as told:
        FileTarget(web.url("private.txt")).exists()
    assert "netrc" in str(told.value)
    assert "swordfish" not in str(told.value)
    with pytest.raises(TargetError, match="a password in a URL"):
        FileTarget("http://ada:swordfish@127.0.0.1/a").exists()


def test_a_server_that_is_away_is_not_an_absent_file() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(TargetUnreachable, match="no answer"):
        FileTarget(f"http://127.0.0.1:{port}/a").exists()


def test_a_signature_is_not_shown(web: Web) -> None:
    web.codes = [403] * 4
    with pytest.raises(TargetUnreachable) as told:
        FileTarget(web.url("a.txt?signature=sesame")).read_text()
    assert "sesame" not in str(told.value)


def test_nothing_is_written_removed_or_listed(web: Web) -> None:
    target = FileTarget(web.url("c.txt"))
    with pytest.raises(TargetError, match="for reading"):
        target.write_text("c")
    with pytest.raises(TargetError, match="for reading"):
        target.remove()
    with pytest.raises(TargetError, match="does not list"):
        lv.targets.glob(web.url("*.txt"))
    assert not target.exists()


def test_a_seek_reads_on_from_there(web: Web) -> None:
    (web.folder / "long").write_bytes(LONG)
    for name in ("ranges", "long"):  # the second knows no ranges
        with FileTarget(web.url(name)).open("rb") as stream:
            assert stream.read(10) == LONG[:10]
            stream.seek(1_500_000)
            assert stream.read(10) == LONG[1_500_000:1_500_010]
            stream.seek(0)
            assert stream.read() == LONG


def test_a_file_that_was_replaced_is_not_read_on(web: Web) -> None:
    with FileTarget(web.url("ranges")).open("rb") as stream:
        stream.read(10)
        web.etag = '"two"'
        stream.seek(1_500_000)
        with pytest.raises(TargetError, match="replaced"):
            stream.read(10)


def test_bytes_without_a_number_are_read_and_torn_ones_told(web: Web) -> None:
    assert FileTarget(web.url("unmeasured")).read_text() == "whole"
    for name in ("torn", "short"):
        with pytest.raises(TargetUnreachable, match=r"broke off|ended after"):
            FileTarget(web.url(name)).read_bytes()


class Page(lv.ExternalTask):
    """Something that others publish."""

    url: str

    def output(self) -> FileTarget:
        return lv.FileTarget(self.url, formats.Gzip)


def test_a_pipeline_waits_for_what_others_publish(web: Web, tmp_path: Path) -> None:
    class Copy(lv.Task):
        url: str

        def requires(self) -> lv.Task:
            return Page(url=self.url)

        def output(self) -> FileTarget:
            return lv.FileTarget(tmp_path / "copy")

        def run(self) -> None:
            self.output().write_bytes(self.input().read_bytes())

    wanted = Copy(url=web.url("page.gz"))
    assert lv.run(wanted).missing == 1
    (web.folder / "page.gz").write_bytes(gzip.compress(b"published"))
    assert lv.run(wanted).exit_code == 0
    assert (tmp_path / "copy").read_bytes() == b"published"
