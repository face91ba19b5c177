"""Mutations of valid requests against a live server: no 5xx, nothing that was refused reaches the host, others are unharmed."""

from __future__ import annotations

import copy
import json
import os
import random
import time
from typing import Any

import pytest

from levada._wire.check import CONTROL
from levada._wire.routes import ROUTES

from .examples import body_of, path_of
from .fake_host import FakeHost
from .raw import KEY, Got, Raw, read, request

ROUNDS = 12_500 if os.environ.get("CI") else 500  # times eight in all
OPEN = [route for route in ROUTES if route.name != "events"]
SCALARS: list[Any] = [None, True, False, 0, -1, 1.5, 1e308, 2**63, -(2**63), 2**64, 10**300, -0.0]
TEXTS = ["", "\0", "\x1b[31m", "x" * 70_000, "é" * 600, "\u202e", "\ud83d", KEY, KEY.upper(), KEY[:-1], "NaN"]
HOSTILE = ["../../etc/passwd", "'; DROP TABLE tasks; --", "<script>alert(1)</script>"]
ODD: list[Any] = [*SCALARS, *TEXTS, *HOSTILE, [], {}, [[]], {"a": 1}, [KEY] * 5_000]


def odd(dice: random.Random) -> Any:
    return copy.deepcopy(dice.choice(ODD))


def places(value: Any) -> list[tuple[Any, Any]]:
    """(container, key or index) of everything below a value; no recursion."""
    found: list[tuple[Any, Any]] = []
    left = [value]
    while left:
        at = left.pop()
        keys = list(at) if isinstance(at, dict) else range(len(at)) if isinstance(at, list) else []
        found += [(at, key) for key in keys]
        left += [at[key] for key in keys]
    return found


def mutated(body: Any, dice: random.Random) -> Any:
    body = json.loads(json.dumps(body))
    for _ in range(dice.choice((1, 1, 1, 2, 5))):
        where = places(body)
        if not where or dice.random() < 0.1:
            body = {**body, dice.choice(("more", "session", "key", "")): odd(dice)} if isinstance(body, dict) else odd(dice)
            continue
        container, key = dice.choice(where)
        action = dice.random()
        if action < 0.2:
            del container[key]
        elif action < 0.3 and isinstance(container, list):
            container.extend([container[key]] * dice.choice((1, 2, 2_000)))
        else:
            container[key] = odd(dice)
    return body


def scarred(data: bytes, dice: random.Random) -> bytes:
    """Bytes changed, cut, doubled or put in between."""
    raw = bytearray(data)
    for _ in range(dice.choice((1, 2, 8))):
        at = dice.randrange(len(raw) + 1)
        action = dice.randrange(4)
        if action == 0 and at < len(raw):
            raw[at] = dice.randrange(256)
        elif action == 1:
            del raw[at : at + dice.randrange(1, 10)]
        elif action == 2:
            raw[at:at] = raw[at : at + 20]
        else:
            raw[at:at] = bytes(dice.randrange(256) for _ in range(4))
    return bytes(raw)


def good(got: Got) -> bool:
    """An answer, or a refusal that says what it is and shows nothing of the inside."""
    if got.status < 400:
        return True
    return got.status < 500 and bool(got.code) and b"Traceback" not in got.body and b".py" not in got.body


@pytest.mark.parametrize("seed", range(4))
def test_no_mutated_message_makes_an_error_of_the_server(seed: int, raw: Raw, host: FakeHost) -> None:
    dice = random.Random(seed)
    for at in range(ROUNDS):
        route = dice.choice(OPEN)
        body = mutated(body_of(route) or {"limit": "5"}, dice)
        path = path_of(route)
        if route.method == "GET" and isinstance(body, dict):
            query = "&".join(f"{key}={value}" for key, value in body.items() if len(str(value)) < 1_000)
            path = "".join(char for char in f"{path}?{query}" if "!" <= char <= "~")
        headers = {} if route.roles else {"Origin": "http://localhost"}
        before = len(host.calls)
        got = raw.call(route.method, path, body if route.method != "GET" else None, headers=headers)
        assert good(got), (seed, at, route, body, got)
        if got.status >= 400:
            assert len(host.calls) == before, (seed, at, route, body)


@pytest.mark.parametrize("seed", range(4))
def test_no_scarred_bytes_make_an_error_of_the_server(seed: int, raw: Raw, host: FakeHost) -> None:
    dice = random.Random(seed)
    for at in range(ROUNDS):
        route = dice.choice(OPEN)
        data = scarred(request(route.method, path_of(route), body_of(route)), dice)
        with raw.open() as sock:
            sock.settimeout(0.02)  # what is still incomplete waits for more; that is right
            sock.sendall(data)
            try:
                got = read(sock)
            except (TimeoutError, ConnectionError):
                continue
            assert got.status < 500, (seed, at, data, got)


def test_what_reaches_the_host_is_clean(raw: Raw, host: FakeHost) -> None:
    dice = random.Random(7)
    for _ in range(ROUNDS):
        route = dice.choice([route for route in OPEN if route.method != "GET"])
        raw.call(route.method, path_of(route), mutated(body_of(route), dice))
    names = [
        getattr(call.request, name, None) or "" for call in host.calls for name in ("family", "name", "levada", "label", "reason", "host")
    ]
    assert not any(CONTROL.search(name) for name in names)
    assert host.calls


def test_a_healthy_client_is_served_while_others_send_rubbish(raw: Raw, host: FakeHost) -> None:
    dice = random.Random(1)
    slowest = 0.0
    with raw.open() as healthy:
        for _ in range(ROUNDS):
            with raw.open() as sock:
                sock.sendall(scarred(request("POST", "/v1/sync", {"session": KEY, "seq": 1}), dice))
            began = time.monotonic()
            healthy.sendall(request("POST", "/v1/renew", {"session": KEY, "held": []}, token="worker"))
            assert read(healthy).status == 200
            slowest = max(slowest, time.monotonic() - began)
    assert slowest < 5
