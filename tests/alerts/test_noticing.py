"""What drains of a real host give reason to tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from levada._server.alerts import noticing
from levada._server.alerts.destinations import Destinations
from levada._server.alerts.grouping import Alarm, Grouping
from levada._server.alerts.noticing import Noticing, named
from levada._server.alerts.sending import Alerts
from levada._server.host import Host, Rules
from levada._wire import messages as w
from levada._wire import operators as o
from tests.faults.command import soon
from tests.server.hosting import Place, Served, key


class Told(Alerts):
    """``alarms``: what was raised; nothing is sent. Followed is what a real one would follow."""

    def __init__(self) -> None:
        super().__init__(Destinations((), {"family:Mine": ()}))
        self.alarms: list[Alarm] = []

    def start(self, saved: str = "") -> list[str]:
        self._grouping = Grouping(saved)
        return self._grouping.followed()

    def raise_all(self, alarms: list[Alarm]) -> None:
        self.alarms += alarms
        for alarm in alarms:
            self._grouping.take(alarm, alarm.at)
        self._text = self._grouping.save()

    @property
    def said(self) -> list[tuple[str, str]]:
        return [(alarm.kind, alarm.key[-2:]) for alarm in self.alarms]


class Watched(Served):
    """A host with alerts."""

    told: Told

    def _start(self) -> None:
        self.told = Told()
        self.host = Host(self.place.store(), Rules(**self.rules), version="9.9")
        self.host.notices = Noticing(self.told)
        self.host.start("test")

    def fails(self, *tasks: int, fingerprint: str = "f1", error: str = "ValueError: no", attempts: bool = True, family: str = "A") -> None:
        """Failures as a worker tells them, for good."""
        failed, rows = [], []
        for task in tasks:
            epoch, number = self.fence(task)
            one = {"key": key(task), "epoch": epoch, "number": number, "exit": "user", "final": True}
            failed.append(msgspec.convert(one, w.FailedItem))
            rows.append(
                msgspec.convert([key(task), family, f'{{"n":"{task}"}}', number, 1.0, 2.0, "user", error, fingerprint], w.AttemptItem)
            )
        self.work(w.Sync, failed=failed, attempts=rows if attempts else [])
        if not attempts:
            self.rows = rows


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Watched]:
    made = Watched(Place("memory", tmp_path))
    yield made
    made.host.stop()


def test_what_fails_for_good_is_an_alarm_with_its_error_and_what_is_done_again_another(house: Watched) -> None:
    house.add({1: [], 2: []}, owners="ana,ben")
    assert house.claim(2) == [1, 2]
    house.fails(1)
    house.done(2)
    (alarm,) = house.told.alarms
    assert alarm[:6] == ("failed", "A f1", "A(n=1)", "ValueError: no", "A", "ana,ben")
    assert alarm.key == f"task:{key(1)}"
    house.ask(o.Retry(key(1)))
    assert house.claim() == [1]
    house.done(1)
    assert house.told.said == [("failed", "01"), ("recovered", "01")]
    house.ask(o.Invalidate(key(1)))
    house.claim()
    house.done(1)
    assert len(house.told.alarms) == 2


def test_a_failure_that_is_tried_again_is_none(house: Watched) -> None:
    house.add({1: []}, retry={"attempts": 2, "first": 0.0})
    house.claim()
    house.fail(1, final=False)
    assert house.told.alarms == []


def test_failures_that_are_alike_have_one_cause_and_others_another(house: Watched) -> None:
    house.add({number: [] for number in range(1, 6)})
    house.claim(5)
    house.fails(1, 2, 3)
    house.fails(4, fingerprint="f2")
    assert [alarm.cause for alarm in house.told.alarms] == ["A f1"] * 3 + ["A f2"]


def test_an_attempt_that_comes_after_its_report_gives_the_error(house: Watched) -> None:
    house.add({1: []})
    house.claim()
    house.fails(1, attempts=False)
    assert house.told.alarms == []
    house.work(w.Sync, attempts=house.rows)
    assert [alarm[:4] for alarm in house.told.alarms] == [("failed", "A f1", "A(n=1)", "ValueError: no")]


def test_an_attempt_that_never_comes_is_not_waited_for_long(house: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noticing, "PATIENCE", 0.2)
    house.add({1: []}, params=lambda number: f'{{"n":"{number}"}}')
    house.claim()
    house.fails(1, attempts=False)
    assert soon(lambda: bool(house.told.alarms), 10)
    assert [alarm[:4] for alarm in house.told.alarms] == [("failed", "A user", "A(n=1)", "user: another attempt would not help")]


def test_one_of_a_batch_has_the_error_of_its_family(house: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """The attempt of a batch has a key of its own."""
    monkeypatch.setattr(noticing, "PATIENCE", 0.2)
    house.add({1: [], 2: []})
    house.claim(2)
    house.fails(1)
    house.fails(2, attempts=False)
    assert soon(lambda: len(house.told.alarms) == 2, 10)
    assert house.told.alarms[1][:2] == ("failed", "A f1")


def test_what_is_made_before_its_error_is_known_is_no_alarm(house: Watched) -> None:
    house.add({1: []})
    house.claim()
    house.fails(1, attempts=False)
    house.ask(o.MarkDone(key(1)))
    house.work(w.Sync, attempts=house.rows)
    assert house.told.alarms == []


def test_a_task_that_is_disabled_is_told_by_its_family(house: Watched) -> None:
    house.add({1: [], 2: []}, retry={"attempts": 5, "disable_after": 1})
    house.claim(2)
    for number in (1, 2):
        house.fail(number, error=f"ValueError: {number}", final=False)
    assert [(alarm.kind, alarm.cause, alarm.text) for alarm in house.told.alarms] == [
        ("disabled", "A", "ValueError: 1"),
        ("disabled", "A", "ValueError: 2"),
    ]


def test_one_that_costs_its_workers_is_told_at_once(tmp_path: Path) -> None:
    house = Watched(Place("memory", tmp_path), lease=0.2)
    house.add({1: []})
    try:
        assert soon(lambda: bool(house.claim() and house.told.alarms) or bool(house.told.alarms), 30)
    finally:
        house.host.stop()
    (alarm,) = house.told.alarms
    assert (alarm.kind, alarm.subject) == ("disabled", "A()")
    assert alarm.text.startswith("lost-worker: 3 attempts")


@pytest.mark.parametrize(
    ("act", "kind"),
    [
        (lambda house: house.ask(o.MarkDone(key(1))), "recovered"),
        (lambda house: (house.ask(o.Retry(key(1))), house.ask(o.Cancel(key(1)))), "gone"),
        (lambda house: (house.ask(o.Retry(key(1))), house.claim(), house.fails(1)), "failed"),
    ],
)
def test_what_becomes_of_it(house: Watched, act: Callable[[Watched], Any], kind: str) -> None:
    house.add({1: []})
    house.claim()
    house.fails(1)
    act(house)
    assert house.told.said[1:] == [(kind, "01")]


def test_what_is_forgotten_is_gone(tmp_path: Path) -> None:
    house = Watched(Place("memory", tmp_path))
    house.add({1: []})
    house.claim()
    house.fails(1)
    desk = house.host._desk()
    desk.changes = [noticing.Forgotten([0])]
    notices = house.host.notices
    house.host.stop()
    assert notices is not None
    assert [alarm.kind for alarm in notices.alarms_of(desk)] == ["gone"]
    assert notices.alarms_of(desk) == []


def test_an_owner_of_a_family_counts_where_the_task_names_none(house: Watched) -> None:
    house.add({1: []}, family="Mine")
    house.add({2: []}, family="Mine", owners="ana")
    house.claim(2)
    house.fails(1, 2, family="Mine")
    assert [alarm.owner for alarm in house.told.alarms] == ["family:Mine", "ana"]


def test_the_next_server_goes_on_where_the_last_one_stopped(tmp_path: Path) -> None:
    house = Watched(Place("sqlite", tmp_path))
    house.add({number: [] for number in range(1, 5)})
    house.claim(4)
    house.fails(1, 2, 3)
    house.again()
    try:
        assert house.told.alarms == []
        house.ask(o.MarkDone(key(1)))
        assert house.told.said == [("recovered", "01")]
    finally:
        house.host.stop()


def test_what_was_done_or_is_gone_when_the_next_one_comes_is_noticed(house: Watched) -> None:
    """The note may be older than the last commit."""
    house.add({number: [] for number in range(1, 5)})
    house.claim(4)
    house.fails(1, 2, 3)
    house.done(4)
    group = Grouping()
    for number in (1, 2, 4, 99):
        group.take(Alarm("failed", "c", "x", "", "A", "", 0.0, f"task:{key(number)}"), 0.0)
    group.take(Alarm("failed", "c", "x", "", "A", "", 0.0, "task:no key"), 0.0)
    group.take(Alarm("deadline", "c", "f" * 32, "", "A", "", 0.0), 0.0)
    house.ask(o.Retry(key(2)))
    house.ask(o.Cancel(key(2)))
    told = Told()
    house.host.store.note("alerts", group.save())
    Noticing(told).open(house.host)
    assert sorted((alarm.kind, alarm.key[-2:]) for alarm in told.alarms) == [
        ("gone", "02"),
        ("gone", "63"),
        ("gone", "ey"),
        ("recovered", "04"),
    ]


def test_the_note_is_written_only_when_something_changed(house: Watched) -> None:
    notices = house.host.notices
    assert notices is not None
    notices.keep(house.host.store)
    assert house.host.store.noted("alerts") is None
    house.add({1: []})
    house.claim()
    house.fails(1)
    assert soon(lambda: key(1) in (house.host.store.noted("alerts") or ""), 10)


def test_a_fault_of_alerts_does_not_stop_the_server(
    house: Watched, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr(Noticing, "alarms_of", broken)
    house.add({1: []})
    assert house.claim() == [1]
    assert "a fault of alerts" in caplog.text


def test_figures_stand_on_the_page_of_metrics(house: Watched) -> None:
    assert next(sample.labels for sample in house.host.samples() if sample.name == "alerts_total") == (("how", "sent"),)


@pytest.mark.parametrize(
    ("params", "name"),
    [("{}", "F()"), ('{"a":"1","b":"' + "x" * 99 + '"}', f"F(a=1, b={'x' * 57}...)"), ("no json", "F(no json)"), ("[1]", "F([1])")],
)
def test_names_of_tasks(params: str, name: str) -> None:
    assert named("F", params) == name
