"""A server on loopback with a fake host, and a client that writes bytes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from levada._server.http.serve import WebServer
from levada._server.http.settings import Bind, Settings

from .fake_host import FakeHost
from .raw import Raw


@pytest.fixture
def host() -> Iterator[FakeHost]:
    host = FakeHost()
    yield host
    host.close()


@pytest.fixture
def web(host: FakeHost) -> Iterator[WebServer]:
    web = WebServer(host, Settings(binds=(Bind("127.0.0.1", 0),)), version="9.9")
    web.start()
    yield web
    web.stop()


@pytest.fixture
def raw(web: WebServer) -> Raw:
    return Raw(web.port)
