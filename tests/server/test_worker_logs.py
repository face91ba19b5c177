"""Logs of attempts: what workers send arrives once, the middle of long ones goes, and who follows hears soon and of the end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from levada._server import logs
from levada._server.logbook import CHUNKS, HEAD, SLACK, TAIL
from levada._wire import messages as w
from levada._wire import operators as o
from tests.server.hosting import KINDS, S1, S2, Served, heard, key, refusal, served


@pytest.fixture(params=KINDS)
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Served]:
    with served(request.param, tmp_path) as made:
        made.add({0: [], 1: []})
        assert made.claim() == [0]
        yield made


def send(house: Served, *pieces: tuple[int, str], task: int = 0, session: str = S1, fence: tuple[int, int] = (1, 1)) -> list[int]:
    """(offset, text); what the server wants next."""
    chunks = [w.LogItem(key(task), *fence, offset, text) for offset, text in pieces]
    return list(house.ask(w.Logs(session=session, chunks=chunks), role="worker", token="w").next)


def whole(house: Served, task: int = 0, **asked: Any) -> str:
    """A log read to its end, without what was dropped."""
    offset, text = 0, ""
    while True:
        piece = house.ask(o.Log(key(task), offset=offset, **asked))
        text += piece.text
        if not piece.text:
            return text
        offset = piece.next


def test_a_log_is_read_as_it_was_written(house: Served) -> None:
    assert send(house, (0, "one\n"), (4, "zwölf\n")) == [4, 11]
    seen = house.ask(o.Log(key(0)))
    assert (seen.text, seen.epoch, seen.number, seen.offset, seen.next, seen.ended) == ("one\nzwölf\n", 1, 1, 0, 11, False)
    assert house.ask(o.Log(key(0), offset=4)).text == "zwölf\n"
    assert house.ask(o.Log(key(0), offset=6)).text == "ölf\n"
    assert house.ask(o.Log(key(0), offset=11)).text == ""
    assert house.ask(o.Log(key(0), offset=500)).next == 500
    house.done(0)
    assert house.ask(o.Log(key(0), offset=11)).ended


def test_what_is_sent_again_is_passed_over(house: Served) -> None:
    send(house, (0, "one\ntwo\n"))
    assert send(house, (0, "one\n"), (4, "two\nthree\n")) == [8, 14]
    assert whole(house) == "one\ntwo\nthree\n"
    house.again()
    assert send(house, (0, "one\ntwo\n"), (8, "three\n"), (14, "four\n")) == [14, 14, 19]
    assert whole(house) == "one\ntwo\nthree\nfour\n"


def test_only_who_holds_the_fence_writes(house: Served) -> None:
    house.hello(S2)
    assert send(house, (0, "mine\n")) == [5]
    assert send(house, (5, "not mine\n"), session=S2) == [14], "it is told to go on, and nothing is kept"
    assert send(house, (5, "old\n"), fence=(0, 1)) == [9]
    assert send(house, (5, "to come\n"), fence=(1, 2)) == [13]
    assert send(house, (0, "never granted\n"), task=1) == [14]
    assert send(house, (0, "unknown\n"), task=99) == [8]
    house.done(0)
    assert send(house, (5, "not mine\n"), session=S2) == [14]
    assert whole(house) == "mine\n"
    assert refusal(lambda: send(house, (0, "x"), session="3" * 32)) == "out-of-step"


def test_the_rest_of_a_log_may_come_after_the_end(house: Served) -> None:
    send(house, (0, "one\n"))
    house.done(0)
    assert send(house, (4, "two\n")) == [8]
    house.claim()
    house.done(1)
    send(house, (0, "all of it\n"), task=1)
    assert (whole(house), whole(house, 1)) == ("one\ntwo\n", "all of it\n")


def test_each_attempt_has_its_log(house: Served) -> None:
    send(house, (0, "first\n"))
    house.work(w.Sync, handed_back=[w.HandedBackItem(key(0), 1, 1)])
    assert house.claim() == [0]
    assert house.ask(o.Log(key(0))).text == ""
    send(house, (0, "second\n"), fence=(1, 2))
    assert house.ask(o.Log(key(0))).text == "second\n"
    first = house.ask(o.Log(key(0), epoch=1, number=1))
    assert (first.text, first.ended) == ("first\n", True)
    assert refusal(lambda: house.ask(o.Log(key(0), epoch=1))) == "invalid-message"
    assert refusal(lambda: house.ask(o.Log(key(1)))) == "not-found"
    assert refusal(lambda: house.ask(o.Log(key(7)))) == "not-found"


def test_the_middle_of_a_long_log_goes(house: Served) -> None:
    line = "x" * 65_535 + "\n"
    total = 16 << 20
    for offset in range(0, total, 20 * 65_536):
        send(house, *((at, line) for at in range(offset, min(total, offset + 20 * 65_536), 65_536)))

    kept, offset, dropped = 0, 0, 0
    while True:
        piece = house.ask(o.Log(key(0), offset=offset))
        kept, dropped = kept + len(piece.text), dropped + piece.get("dropped", 0)
        if not piece.text:
            break
        assert piece.text.endswith(line)
        offset = piece.next

    assert offset == total
    assert kept + dropped == total
    assert HEAD + TAIL <= kept <= 10 << 20
    assert house.ask(o.Log(key(0), offset=7 << 20)).offset > 7 << 20


def test_a_log_of_tiny_pieces_is_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    from levada._model.messages import Fence
    from levada._server.logbook import Log

    log, kept = Log("s", Fence(1, 1)), set[int]()
    for start in range(5 * CHUNKS):
        log.next = start + 1
        kept.add(start)
        cut = log.added(start)
        if cut:
            kept -= set(range(*cut))
    assert set(range(CHUNKS)) <= kept
    assert set(range(5 * CHUNKS - CHUNKS // 2, 5 * CHUNKS)) <= kept
    assert len(kept) <= 2 * CHUNKS
    assert len(log.starts) <= CHUNKS + 1
    assert SLACK + TAIL + HEAD == 10 << 20


# -- following


def test_who_follows_hears_when_there_is_more(house: Served) -> None:
    waits = house.begin(o.Log(key(0), wait=30.0))
    time.sleep(0.3)
    assert waits.empty()
    send(house, (0, "at last\n"))
    assert heard(waits, 2.0).text == "at last\n"


def test_who_follows_hears_that_the_attempt_is_over(house: Served) -> None:
    send(house, (0, "one\n"))
    waits = house.begin(o.Log(key(0), offset=4, wait=30.0))
    time.sleep(0.1)
    house.done(0)
    last = heard(waits, 2.0)
    assert (last.text, last.ended) == ("", True)


def test_who_follows_is_answered_when_the_wait_is_over(house: Served) -> None:
    began = time.monotonic()
    last = house.ask(o.Log(key(0), wait=0.4))
    assert (last.text, last.ended) == ("", False)
    assert 0.3 < time.monotonic() - began < 3.0


def test_who_follows_hears_nothing_more_when_the_token_is_revoked(house: Served) -> None:
    made = house.ask(o.CreateToken(role="viewer"))
    waits = house.begin(o.Log(key(0), wait=30.0), role="viewer", token=made.id)
    time.sleep(0.1)
    house.ask(o.RevokeToken(made.id))
    send(house, (0, "a secret\n"))
    assert refusal(lambda: heard(waits, 2.0)) == "unauthenticated"


def test_who_went_away_is_forgotten(house: Served) -> None:
    from levada._server.http.port import Call
    from levada._server.http.tokens import Identity
    from levada._wire.routes import BY_REQUEST

    call = Call(BY_REQUEST[o.Log], o.Log(key(0), wait=50.0), Identity("viewer", "t", "", "unix"), size=0, deliver=lambda *_: None)
    house.host.submit(call)
    for _ in range(100):
        if len(house.host.office.polls):
            break
        time.sleep(0.02)
    assert len(house.host.office.polls) == 1
    call.gone = True
    for _ in range(100):
        if not len(house.host.office.polls):
            break
        time.sleep(0.02)
    assert len(house.host.office.polls) == 0


def test_who_follows_is_told_when_the_server_stops(house: Served) -> None:
    waits = house.begin(o.Log(key(0), wait=50.0))
    time.sleep(0.2)
    house.host.stop()
    assert refusal(lambda: heard(waits, 2.0)) == "not-ready"


@pytest.mark.parametrize("name", ["../../etc/passwd", "%2e%2e/x", "0" * 31 + "/", "0" * 31 + "g", "A" * 32])
def test_a_log_is_named_by_a_key_and_by_nothing_else(house: Served, name: str) -> None:
    """No path ever comes into it."""
    assert refusal(lambda: house.ask(o.Log(name))) == "invalid-message"


def test_a_place_in_the_middle_of_a_piece_is_found(house: Served) -> None:
    text = "".join(f"{number:05}\n" for number in range(3_000))
    send(house, (0, text))
    for offset in (1, 7, 600, len(text) - 1):
        assert house.ask(o.Log(key(0), offset=offset)).text == text[offset:]
    assert len(text) <= logs.PAGE
