"""What hostile or broken clients send to routes of triggers, goals, events and agents: the server says no, and stays quick and small."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from levada._server.triggers import agents, book
from levada._server.triggers.handlers import HANDLERS
from levada._wire import triggers as t
from levada._wire.check import assemble, check
from levada._wire.problems import Refusal
from levada._wire.routes import BY_REQUEST
from levada.errors import LevadaError

from .examples import BODIES
from .hosting import Place
from .raw import KEY
from .test_fuzz import mutated
from .test_triggers import AGENT, DAILY, OTHER, Levada, refused

EVENT = {"kind": "event", "name": "landed"}


@pytest.fixture
def levada(tmp_path: Path) -> Iterator[Levada]:
    made = Levada(Place("memory", tmp_path))
    yield made
    made.host.stop()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.slow
def test_mutations_of_requests_are_answered_or_refused_and_the_server_lives(seed: int, levada: Levada) -> None:
    dice = random.Random(seed)
    spec = {"name": "x", "family": "A", "params": {"day": "{event.day}"}, "when": EVENT, "module": "demo"}
    valid: dict[type, dict[str, Any]] = {
        **{kind: dict(BODIES.get(kind, {})) for kind in HANDLERS},
        t.PutTrigger: {"name": "x", "spec": {**spec, "jitter": 5.0, "most": 1, "per": 60.0}},
        t.Offer: {"agent": AGENT, "families": [["A", "demo", [["day", "date", False]]]], "triggers": [spec], "modules": ["demo"]},
        t.Arrivals: {"agent": AGENT, "seen": [["s3://in/{day}.csv", True, "s3://in/a.csv", "e", {"day": "a"}]]},
        t.Take: {"agent": AGENT, "room": 3, "held": [KEY]},
        t.ReportGoal: {"agent": AGENT, "goal": KEY, "state": "parked", "missing": ["s3://in/a"]},
    }
    levada.offer("A")
    refusals: set[str] = set()
    for _ in range(1_500):
        kind = dice.choice(list(valid))
        body = valid[kind] if dice.random() < 0.2 else mutated(valid[kind], dice)
        try:
            request = msgspec.convert(msgspec.json.decode(msgspec.json.encode(body)), kind)
            check(request, may_hold_nul=True)
        except (LevadaError, msgspec.ValidationError, msgspec.MsgspecError, UnicodeEncodeError, TypeError, OverflowError):
            continue
        if isinstance(request, t.Take):
            request = msgspec.structs.replace(request, wait=0.0)
        try:
            levada.ask(request)
        except Refusal as no:
            refusals.add(no.code)
    assert "internal" not in refusals
    assert levada.host.failed is None
    levada.pass_time()


def test_what_is_nested_or_large_or_named_oddly_is_refused(levada: Levada) -> None:
    for depth in (10, 300, 100_000):
        body = b'{"spec": {"family": "A", "params": ' + b'{"a":[' * depth + b"]}" * depth + b"}}"
        with pytest.raises(Refusal) as no:
            levada.ask(assemble(BY_REQUEST[t.PutTrigger], "/v1/triggers/x", b"", body))
        assert no.value.code in ("invalid-message", "malformed"), depth
    assert "characters" in refused(lambda: levada.put(params={f"p{number}": "x" * 100 for number in range(1_000)}))
    assert "4,096" in refused(lambda: levada.put(when={"kind": "arrival", "pattern": "s3://in/" + "x/" * 3_000}, params={}))
    many = "".join(f"{{g{number}}}" for number in range(600))
    assert "wildcards" in refused(lambda: levada.put(when={"kind": "arrival", "pattern": f"s3://in/{many}"}, params={}))
    for name in ("a/b", "../x", "é", "a b", "a\nb", "x" * 201, " "):
        assert "name" in refused(lambda name=name: levada.put(name))  # type: ignore[misc]
    for family in ("A\nB", "\x1b[31mA", "x" * 1_000):
        assert "family" in refused(lambda family=family: levada.put(family=family))  # type: ignore[misc]
    assert levada.ask(t.Triggers()).triggers == []


def test_ten_thousand_triggers_in_one_offer_and_no_more_than_there_may_be(levada: Levada, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book, "MOST_TRIGGERS", 9_990)
    specs = [{"name": f"t{number}", "family": "A", "params": {}, "when": DAILY, "module": "demo"} for number in range(10_000)]
    families = [t.Family("A", "demo")]
    answer = levada.ask(t.Offer(AGENT, families, specs, ["demo"]))
    assert len(answer.problems) == 10
    assert len(levada.ask(t.Triggers(limit=1_000)).triggers) == 1_000
    assert "no trigger" in refused(lambda: levada.ask(t.Trigger("t5x")))
    assert levada.ask(t.Offer(AGENT, families, [], ["demo"])).problems == {}
    assert levada.ask(t.Triggers()).triggers == []


def test_a_flood_of_events_is_bounded_and_each_that_was_not_taken_may_come_again(levada: Levada, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book, "MOST_LIVE", 500)
    monkeypatch.setattr(agents, "UNHEARD", 100)
    levada.put(when=EVENT, params={}, overlap="allow")
    levada.put("files", when={"kind": "arrival", "pattern": "s3://in/{day}.csv"}, params={})
    levada.offer("Report")
    codes = []
    for number in range(3_000):
        try:
            levada.ask(t.PostEvent("landed", f"n{number}", {}, [f"s3://in/{number}.csv"]))
            codes.append("")
        except Refusal as no:
            codes.append(no.code)
    assert codes == [""] * 500 + ["busy"] * 2_500
    levada.take(0)
    assert len(levada.host.book.agents.known[AGENT].log) <= 103
    for key, _ in levada.taken(room=10):
        levada.report(key, "done")
    assert levada.ask(t.PostEvent("landed", "n2999", {})).fired == ["daily"]


def test_who_reports_or_watches_for_others_is_refused(levada: Levada) -> None:
    levada.offer("Report")
    levada.offer("Report", agent=OTHER)
    key = levada.ask(t.AddGoal("Report", {"day": "2024-01-01"})).goal
    assert [one for one, _ in levada.taken()] == [key]
    assert not levada.report(key, "done", agent=OTHER).known
    with pytest.raises(Refusal) as no:
        levada.ask(t.ReportGoal(AGENT, key, "done"), token="another")
    assert no.value.code == "forbidden"
    with pytest.raises(Refusal) as no:
        levada.ask(t.LeaveAgent(AGENT), token="another")
    assert no.value.code == "forbidden"
    assert levada.take(1_000, *[f"{number:032x}" for number in range(1_000)], agent=OTHER).lost
    assert levada.goals()[0].state == "running"


def test_agents_cannot_offer_without_measure(levada: Levada, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents, "MOST_OFFERED", 10_000)
    families = [t.Family(f"F{number}", "demo", [("p" * 50, "text", True)]) for number in range(100)]
    levada.ask(t.Offer(AGENT, families, [], ["demo"]))
    with pytest.raises(Refusal, match="too much"):
        levada.ask(t.Offer(OTHER, families, [], ["demo"]))
    levada.ask(t.Offer(AGENT, families[:1], [], ["demo"]))
    levada.ask(t.LeaveAgent(AGENT))
    assert not levada.host.book.kinds
    assert not levada.host.book.agents._offers
