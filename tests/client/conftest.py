"""A server and a client of it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from hashlib import blake2b
from typing import Any

import pytest

from levada._client.address import parse_addresses
from levada._client.scheduler import Served
from levada._client.session import Link
from levada._client.translate import Described
from levada._model.messages import AddTasks, Fence, SessionId, Sync
from levada._model.spec import Growth, Policy, TaskSpec

from .server import TOKEN, Server

POLICY = Policy("Family")


def describe(index: int) -> Described:
    return Described(blake2b(str(index).encode(), digest_size=16).digest(), f'{{"n":{index}}}', "tests")


class Client:
    """A Served with short words. Leases are long unless a test says otherwise."""

    def __init__(self, server: Server | str, **options: Any) -> None:
        url = server if isinstance(server, str) else server.url
        link = Link(parse_addresses(url), lambda: TOKEN, connect_timeout=1.0, answer_timeout=options.pop("answer_timeout", 2.0))
        self.session = SessionId(secrets.token_hex(16))
        self.served = Served(link, self.session, describe, margin=options.pop("margin", 0.2), dice=float, **options)

    def add(self, *indices: int, requires: dict[int, list[int]] | None = None, policy: Policy = POLICY) -> None:
        needs = requires or {}
        growth = [Growth(index, needs.get(index, [])) for index in indices]
        self.served.add(AddTasks(self.session, [TaskSpec(index, policy) for index in indices], growth))

    def sync(self, **fields: Any) -> Any:
        return self.served.sync(Sync(self.session, **fields))

    def until(self, seconds: float = 5.0, room: int = 1, **first: Any) -> Any:
        """Sync until something is granted, resumed, lost or wished."""
        import time

        end = time.monotonic() + seconds
        reply = self.sync(room=room, **first)
        while time.monotonic() < end and not (reply.granted or reply.resumed or reply.lost or reply.cancel):
            time.sleep(0.01)
            reply = self.sync(room=room)
        return reply

    def grants(self, room: int = 1, seconds: float = 5.0) -> list[tuple[int, Fence]]:
        return [(one.index, one.fence) for one in self.until(seconds, room).granted]


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    yield found
    found.close()


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    found = Client(server)
    yield found
    found.served.close(0.5)


@pytest.fixture
def make_client(server: Server) -> Iterator[Callable[..., Client]]:
    made: list[Client] = []

    def make(**options: Any) -> Client:
        made.append(Client(options.pop("to", server), **options))
        return made[-1]

    yield make
    for each in made:
        each.served.close(0.2)
