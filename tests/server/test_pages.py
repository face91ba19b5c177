"""What people read: pages tell how things stand, end somewhere, and never look at everything."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from levada._core import changes as ch
from levada._core.apply import apply
from levada._core.state import State
from levada._model.messages import SessionId
from levada._model.spec import Policy, TaskSpec
from levada._model.status import Status
from levada._server import finding, host, pages
from levada._server.finding import search, wanted
from levada._server.news import FAMILIES, TASKS
from levada._wire import messages as w
from levada._wire import operators as o
from tests.server.hosting import KINDS, S1, S2, Served, heard, key, refusal, served

HOSTILE = [
    "<script>alert(1)</script>",
    "'; drop table tasks; --",
    "../../etc/passwd",
    "%2e%2e%2f",
    "a b&c=d?e#f",
    '"',
    "\u202egnp.exe",
    "名前",
    "x" * 500,
]


@pytest.fixture(params=KINDS)
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Served]:
    with served(request.param, tmp_path) as made:
        yield made


def all_of(house: Served, kind: Any, field: str, **asked: Any) -> list[Any]:
    """The rows of all pages."""
    rows, after = list[Any](), ""
    for _ in range(1_000):
        page = house.ask(kind(after=after, **asked))
        rows += page[field]
        if page.get("next") is None:
            return rows
        assert page.next != after
        after = page.next
    raise AssertionError("the pages do not end")


# -- tasks


def test_the_overview_counts(house: Served) -> None:
    house.add({0: [], 1: [0]})
    house.claim()
    seen = house.ask(o.Overview())
    assert (seen.server, seen.epoch, seen.paused, seen.families, seen.sessions) == ("9.9", 1, False, 1, 1)
    assert {name: count for name, count in seen.counts.items() if count} == {"waiting": 1, "running": 1}
    assert set(seen.counts) == {str(status) for status in Status}


def test_tasks_are_found_by_status_family_and_text_page_by_page(house: Served) -> None:
    house.add({one: [] for one in range(25)}, "A", params=lambda one: f'{{"day": "2013-01-{one:02}"}}')
    house.add({one: [] for one in range(25, 60)}, "B", params=lambda one: f'{{"n": "{one}"}}')
    house.claim(room=3)

    assert [row.key for row in all_of(house, o.Tasks, "tasks", limit=7)] == [key(one) for one in range(60)]
    assert len(all_of(house, o.Tasks, "tasks", limit=7, family="A")) == 25
    assert [row.key for row in all_of(house, o.Tasks, "tasks", status="running")] == [key(0), key(1), key(2)]
    assert [row.key for row in all_of(house, o.Tasks, "tasks", status="running", family="A", limit=2)] == [key(0), key(1), key(2)]
    assert all_of(house, o.Tasks, "tasks", status="running", family="B") == []
    assert len(all_of(house, o.Tasks, "tasks", status="ready", family="B", limit=10)) == 35
    found = all_of(house, o.Tasks, "tasks", q="01-1", limit=3)
    assert [row.params for row in found] == [f'{{"day": "2013-01-{one:02}"}}' for one in range(10, 20)]
    assert [row.key for row in all_of(house, o.Tasks, "tasks", q="2013", status="running", limit=1)] == [key(0), key(1), key(2)]
    assert refusal(lambda: house.ask(o.Tasks(family="C"))) == "not-found"


def test_a_page_of_long_parameters_ends_early_and_goes_on(house: Served) -> None:
    house.add({one: [] for one in range(24)}, params=lambda one: f'{{"x": "{one}{"y" * 250_000}"}}')
    page = house.ask(o.Tasks())
    assert len(page.tasks) < 24
    assert len(all_of(house, o.Tasks, "tasks")) == 24
    assert len(all_of(house, o.Tasks, "tasks", q="yyy")) == 24


def test_one_task_is_told_with_all_that_is_known(house: Served) -> None:
    house.add({0: [], 1: [0]}, resources=[["disk", 1]])
    house.claim()
    seen = house.ask(o.Task(key(0)))
    assert (seen.task.status, seen.task.family, seen.task.attempts) == ("running", "A", 1)
    assert (seen.session, seen.worker, seen.resources) == (S1, "w.example pid 7", {"disk": 1})
    assert (seen.epoch, seen.number, seen.needed_by, seen.needed_by_count) == (1, 1, [key(1)], 1)
    assert 0 < seen.lease <= 60
    waits = house.ask(o.Task(key(1)))
    assert (waits.unmet, waits.unmet_count, waits.session, waits.lease, waits.number) == ([key(0)], 1, None, None, None)
    assert waits.task.reason == "waits for 1 of its requirements"


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_told_as_they_are(house: Served, name: str) -> None:
    house.add({0: []}, name, params=lambda one: '{"x": "\\u001b[2J<b>"}', resources=[[name, 1]])
    house.claim()
    assert house.ask(o.Families()).families[0].family == name
    assert [row.family for row in house.ask(o.Tasks(family=name)).tasks] == [name]
    assert len(house.ask(o.Tasks(q=name[:400])).tasks) == (name == '"')
    assert house.ask(o.SetResource(name, 4)).after == "4"
    assert house.ask(o.Resources()).resources == [{"name": name, "total": 4, "used": 1, "waiting": 0}]
    assert house.ask(o.CancelFamily(name, reason=name)).changed == 1
    assert house.trail()[-1].subject == name
    house.again()
    assert house.trail()[-1].reason == name


# -- why


def test_why_leads_to_the_failure_and_its_error(house: Served) -> None:
    house.add({0: [1, 2], 1: [], 2: [3], 3: []}, retry={"attempts": 1})
    assert house.claim(room=2) == [1, 3]
    house.fail(3, "Traceback (most recent call last):\n  File 'a.py', line 3, in run\nValueError: no flights\n")

    seen = house.ask(o.Why(key(0)))

    assert [fact.key for fact in seen.facts] == [key(0), key(2), key(3)]
    assert seen.facts[-1].text.endswith("ValueError: no flights")
    assert f"levada retry {key(3)}" in seen.ends


def test_why_names_what_a_ready_task_waits_for(house: Served) -> None:
    house.add({0: [], 1: []}, resources=[["disk", 1]])
    house.claim(room=2)
    assert "'disk'" in house.ask(o.Why(key(1))).ends
    assert "log -f" in house.ask(o.Why(key(0))).ends
    assert house.ask(o.Why(key(0))).facts[0].text.startswith("runs on w.example pid 7, attempt 1")
    house.done(0)
    assert "room" in house.ask(o.Why(key(1))).ends
    house.ask(o.Pause())
    assert "levada resume" in house.ask(o.Why(key(1))).ends
    house.ask(o.Resume())
    house.ask(o.DrainWorker(S1))
    assert "drain" in house.ask(o.Why(key(1))).ends
    house.work(w.Bye)
    assert "no worker that may run it is here" in house.ask(o.Why(key(1))).ends


# -- history, workers, resources


def test_history_is_told_by_key_family_and_outcome(house: Served) -> None:
    house.add({0: [], 1: []}, retry={"attempts": 1})
    house.claim(room=2)
    house.fail(0)
    house.fail(1, "OSError: gone")
    seen = house.ask(o.History())
    assert [(row.key, row.exit, row.error) for row in seen.attempts] == [
        (key(1), "user", "OSError: gone"), (key(0), "user", "ValueError: no flights"),
    ]  # fmt: skip
    assert [row.key for row in house.ask(o.History(key=key(0))).attempts] == [key(0)]
    assert [row.key for row in all_of(house, o.History, "attempts", limit=1)] == [key(1), key(0)]
    assert house.ask(o.History(family="B")).attempts == []
    assert len(house.ask(o.History(family="A", failed=True)).attempts) == 2


def test_history_of_long_errors_ends_early_and_goes_on(house: Served) -> None:
    house.add({one: [] for one in range(90)}, retry={"attempts": 1})
    house.claim(room=90)
    for one in range(90):
        house.fail(one, "x" * 60_000)
    assert len(house.ask(o.History()).attempts) < 90
    assert len(all_of(house, o.History, "attempts")) == 90


def test_workers_are_told_with_what_they_run(house: Served) -> None:
    house.add({0: [], 1: []})
    house.hello(S2, modules=["flights"])
    house.claim(room=2)
    rows = {row.session: row for row in all_of(house, o.Workers, "workers", limit=1)}
    assert (rows[S1].running, rows[S2].running) == (2, 0)
    assert (rows[S2].modules, rows[S1].host, rows[S1].pid, rows[S1].draining) == (["flights"], "w.example", 7, False)
    assert 0 <= rows[S1].silent < 10


def test_workers_of_whom_nothing_was_heard_for_a_lease_are_told_apart(tmp_path: Path) -> None:
    """They have died, or their network has; they stay known for days, as they may come back."""
    with served("memory", tmp_path, lease=1.0) as house:
        house.hello(S1)
        time.sleep(1.2)
        house.hello(S2)
        seen = house.ask(o.Overview())
        assert (seen.sessions, seen.gone) == (2, 1)
        assert [(row.session, row.gone) for row in house.ask(o.Workers()).workers] == [(S1, True), (S2, False)]


def test_resources_tell_how_many_tasks_wait_for_them(house: Served) -> None:
    house.add({one: [] for one in range(5)}, resources=[["db", 1]])
    house.add({5: []}, "B", resources=[["disk", 2]])
    house.claim(room=9)
    assert house.ask(o.Resources()).resources == [
        {"name": "db", "total": 1, "used": 1, "waiting": 4},
        {"name": "disk", "total": 1, "used": 0, "waiting": 1},
    ]
    assert [row.name for row in all_of(house, o.Resources, "resources", limit=1)] == ["db", "disk"]


# -- a million tasks


class Counted:
    """A column that counts how often it is asked."""

    def __init__(self, column: Any) -> None:
        self.column, self.looks = column, 0

    def __getitem__(self, at: int) -> Any:
        self.looks += 1
        return self.column[at]


@pytest.mark.slow
def test_a_search_among_a_million_looks_at_few() -> None:
    """Whatever is asked for: the rarest family, the end of all, nothing at all."""
    state, session = State(1, None), SessionId("s")  # type: ignore[arg-type]
    apply(state, ch.SessionOpened(session, ()))
    common, rare = Policy("Common"), Policy("Rare")
    for first in range(0, 1_000_000, 100_000):
        tasks = range(first, first + 100_000)
        apply(state, ch.TasksAdded(session, [TaskSpec(one, rare if one == 999_999 else common) for one in tasks]))
    counted = state.policy = Counted(state.policy)  # type: ignore[assignment]

    after, calls, found = -1, 0, list[int]()
    while True:
        page = search(state, wanted("waiting"), state.families["Rare"], after=after, limit=100)
        found, calls = found + page.found, calls + 1
        assert counted.looks <= finding.LOOKED_AT
        counted.looks = 0
        if page.next is None:
            break
        after = page.next
    assert (found, calls) == ([999_999], 51)

    assert search(state, wanted("done"), None, after=-1, limit=100).found == []
    assert search(state, wanted("waiting"), None, after=899_999, limit=3).found == [900_000, 900_001, 900_002]
    assert search(state, wanted("done"), state.families["Rare"], after=-1, limit=100).found == []
    assert counted.looks == 0


# -- news


class Watched:
    def __init__(self, house: Served) -> None:
        self._house, self._events = house, list[o.Event]()
        self.stop = house.host.watch(lambda events: self._events.extend(events))

    @property
    def events(self) -> list[o.Event]:
        """What was told up to now. A command is answered before its news are told, and a question after it comes last."""
        self._house.ask(o.Overview())
        return self._events


def test_who_watches_hears_of_tasks_and_families(house: Served) -> None:
    watched = Watched(house)
    house.add({0: [], 1: [0]})
    house.claim()
    house.done(0)
    kinds = [(event.kind, event.key, event.family, event.status) for event in watched.events]
    assert ("task", key(0), "A", "running") in kinds
    assert ("task", key(1), "A", "ready") in kinds
    assert ("worker", "", "", "") in kinds
    assert [event.text for event in watched.events if event.kind == "family"][-1] == '{"ready": 1, "done": 1}'
    house.ask(o.SetResource("disk", 4))
    house.ask(o.Pause())
    assert [(event.kind, event.name, event.text) for event in watched.events[-2:]] == [("resource", "disk", "4"), ("server", "", "paused")]
    watched.stop()


def test_news_of_many_tasks_are_told_by_family(house: Served) -> None:
    watched = Watched(house)
    house.add({one: [] for one in range(TASKS + 1)})
    assert [event.kind for event in watched.events] == ["worker", "family"]
    assert watched.events[-1].text == f'{{"ready": {TASKS + 1}}}'
    watched.stop()


def test_news_of_too_many_families_say_that_some_are_left_out(house: Served) -> None:
    watched = Watched(house)
    waiting = []
    house.hello()
    specs = [w.PolicySpec(family=f"F{one}") for one in range(FAMILIES + 5)]
    items = [w.TaskItem(key(one), one, "{}") for one in range(FAMILIES + 5)]
    waiting.append(house.begin(w.AddTasks(session=S1, seq=next(house.numbers[S1]), policies=specs, tasks=items, growth=[]), token="w"))
    heard(waiting[0])
    assert [event.kind for event in watched.events].count("gap") == 1
    assert len(watched.events) <= TASKS + FAMILIES + 3
    watched.stop()


def test_news_that_nobody_reads_are_not_made(house: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    from levada._server import news

    monkeypatch.setattr(news, "_told", lambda desk: pytest.fail("they were made"))
    stop = house.host.watch(lambda events: None)
    house.add({0: []})
    assert house.claim() == [0]
    stop()


# -- when the store is busy


def test_pages_rest_while_others_have_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RESTING": 1e9, "LONGEST_REST": 1.0, "AT_WORK": 60.0}.items():
        monkeypatch.setattr(host, name, value)
    with served("memory", tmp_path) as house:
        house.add({0: [], 1: []})
        house.ask(o.Overview())
        page = house.begin(o.Overview())
        assert house.claim(2) == [0, 1]
        assert page.empty(), "it was read before the rest was over, or the claim waited for it"
        assert heard(page).counts["running"] == 2


def test_a_reader_that_is_slow_keeps_no_claim_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A question to the store that takes for ever: claims, commands, and pages of the brain alone go on."""
    from threading import Event

    go_on = Event()
    with served("sqlite", tmp_path) as house:
        house.add({0: []})
        monkeypatch.setattr(pages, "_history_answer", lambda page: go_on.wait(20) and o.HistoryAnswer([]))
        slow = house.begin(o.History())
        assert house.claim() == [0]
        assert house.ask(o.Pause()).after == "paused"
        assert house.ask(o.Overview()).paused
        assert slow.empty()
        go_on.set()
        assert heard(slow) == {"attempts": [], "next": None}


def test_more_questions_than_may_wait_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from threading import Event

    from levada._server import office

    go_on = Event()
    monkeypatch.setattr(office, "QUESTIONS", 3)
    with served("sqlite", tmp_path) as house:
        monkeypatch.setattr(pages, "_history_answer", lambda page: go_on.wait(20) and o.HistoryAnswer([]))
        slow = [house.begin(o.History()) for _ in range(3)]
        assert refusal(lambda: house.ask(o.History())) == "busy"
        go_on.set()
        for one in slow:
            heard(one)
        house.ask(o.History())
