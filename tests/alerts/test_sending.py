"""The thread of alerts, played by hand: a clock of ours, destinations that are lists."""

from __future__ import annotations

import logging
import threading
from typing import Any

import pytest

from levada._server.alerts import sending
from levada._server.alerts.destinations import Destination, Destinations
from levada._server.alerts.grouping import Alarm
from levada._server.alerts.sending import Alerts
from levada._server.alerts.words import Message


class Box(Destination):
    """``got``: titles that arrived; ``why``: nothing arrives, for that reason."""

    def __init__(self, name: str) -> None:
        super().__init__(name, f"box://{name}", None)
        self.got: list[str] = []
        self.why = ""
        self.tries = 0

    def send(self, message: Message) -> str:
        self.tries += 1
        if not self.why:
            self.got.append(message.title)
        return self.why


class House:
    """Alerts whose time is passed by hand; both clocks go alike."""

    def __init__(self, *, saved: str = "", most: int = 20, names: tuple[str, ...] = ("a",)) -> None:
        self.boxes = [Box(name) for name in names]
        self.now = 1_000.0
        self.alerts = Alerts(Destinations(tuple(self.boxes), {}), most=most, wall=self.time, clock=self.time)
        self.alerts._load(saved)

    def time(self) -> float:
        return self.now

    def fail(self, cause: str, *keys: str) -> None:
        keys = keys or (cause,)
        self.alerts.step([Alarm("failed", cause, f"T({key})", "ValueError: no", f"F{cause}", "", self.now, key) for key in keys])

    def recover(self, *keys: str) -> None:
        self.alerts.step([Alarm("recovered", "", "", "", "", "", self.now, key) for key in keys])

    def pass_time(self, seconds: float) -> None:
        """In steps as the thread would make them."""
        end = self.now + seconds
        while self.now < end:
            line = min(self.alerts._next(line) for line in self.alerts._lines.values())
            due = min(self.alerts._grouping.next_due(), line)
            self.now = min(end, max(due, self.now + 0.5))
            self.alerts.step([])

    @property
    def got(self) -> list[str]:
        return self.boxes[0].got


def test_a_failure_is_told_after_the_window_and_its_end_at_once() -> None:
    house = House()
    house.fail("1", *map(str, range(1000)))
    house.pass_time(29)
    assert house.got == []
    house.pass_time(2)
    assert house.got == ["[levada] F1 failed (1,000 times): ValueError: no"]
    house.recover(*map(str, range(1000)))
    assert house.got[1:] == ["[levada] recovered: F1 (1,000 times)"]


def test_what_could_not_be_sent_is_tried_again_with_growing_pauses_and_sent_once(caplog: pytest.LogCaptureFixture) -> None:
    house = House()
    house.boxes[0].why = "refused"
    house.fail("1")
    house.pass_time(31)
    assert house.boxes[0].tries == 1
    house.pass_time(11)
    assert house.boxes[0].tries == 2
    house.pass_time(700)
    assert house.boxes[0].tries == 4
    house.boxes[0].why = ""
    house.pass_time(1900)
    assert (house.boxes[0].tries, house.alerts.counts["failed"], house.alerts.counts["sent"]) == (5, 4, 1)
    assert house.got == ["[levada] T(1) failed: ValueError: no"]
    assert "an alert was not sent" in caplog.text


def test_a_destination_that_is_away_holds_no_other_up() -> None:
    house = House(names=("a", "b"))
    house.boxes[0].why = "away"
    for cause in "12345":
        house.fail(cause)
        house.pass_time(31)
    assert (len(house.boxes[0].got), len(house.boxes[1].got)) == (0, 5)
    house.boxes[0].why = ""
    house.pass_time(3600)
    assert house.boxes[0].got == house.boxes[1].got


def test_after_a_day_it_is_given_up_and_said(caplog: pytest.LogCaptureFixture) -> None:
    house = House()
    house.boxes[0].why = "gone for good"
    house.fail("1")
    house.pass_time(30 * 3600)
    assert house.alerts.counts["given_up"] >= 1
    assert "an alert is given up" in caplog.text


def test_no_more_wait_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "WAITING", 3)
    house = House(most=1000)
    house.boxes[0].why = "away"
    for number in range(10):
        house.fail(str(number))
        house.pass_time(31)
    assert len(house.alerts._lines["box://a"].waiting) == 3
    assert house.alerts.counts["given_up"] == 7


def test_so_many_an_hour_then_a_summary() -> None:
    house = House(most=5)
    for number in range(40):
        house.fail(str(number))
        house.pass_time(31)
    assert len(house.got) == 5
    house.pass_time(2400)
    assert house.got[5].startswith("[levada] ")
    assert "more alerts" in house.got[5]
    assert house.alerts.counts["held_back"] >= 35


# -- over a restart


def kept(house: House) -> str:
    house.alerts._save()
    found = house.alerts.unsaved()
    assert found is not None
    house.alerts.kept(found)
    assert house.alerts.unsaved() is None
    return found


def test_a_restart_tells_nothing_twice_and_sends_what_was_not_sent() -> None:
    house = House(names=("a", "b"))
    house.boxes[0].why = "away"
    house.fail("1")
    house.pass_time(31)
    saved = kept(house)
    assert "box://" not in saved
    again = House(names=("a", "b"), saved=saved)
    again.pass_time(60)
    assert (len(again.boxes[0].got), len(again.boxes[1].got)) == (1, 0)
    again.recover("1")
    assert again.boxes[1].got == ["[levada] recovered: F1"]


def test_letters_to_an_address_that_is_not_there_any_more_are_let_go() -> None:
    house = House()
    house.boxes[0].why = "away"
    house.fail("1")
    house.pass_time(31)
    assert House(names=("other",), saved=kept(house)).got == []


@pytest.mark.parametrize("saved", ["{", "[]", '{"letters": [1]}'])
def test_a_memory_that_cannot_be_read_is_said_and_stops_nothing(saved: str, caplog: pytest.LogCaptureFixture) -> None:
    house = House(saved=saved)
    assert "begin anew" in caplog.text
    house.fail("1")
    house.pass_time(31)
    assert len(house.got) == 1


# -- the thread


def test_the_thread_takes_sends_and_ends() -> None:
    box = Box("a")
    there = threading.Event()
    alerts = Alerts(Destinations((box,), {}), sending.Rules(window=0.0))
    sent = box.send
    box.send = lambda message: (sent(message), there.set())[0]  # type: ignore[method-assign]
    assert alerts.start() == []
    alerts.raise_(Alarm("failed", "c", "T(1)", "no", "F", "", 0.0, "1"))
    assert there.wait(10)
    alerts.close()
    alerts.close()
    assert box.got == ["[levada] T(1) failed: no"]
    assert '"1"' in (alerts.unsaved() or "").replace("\\", "")
    assert {sample.labels[0][1]: sample.value for sample in alerts.samples()}["sent"] == 1


def test_what_is_raised_as_the_thread_ends_is_remembered() -> None:
    alerts = Alerts(Destinations((Box("a"),), {}))
    alerts.start()
    alerts._ended = True
    alerts.raise_(Alarm("failed", "c", "T(1)", "no", "F", "", 0.0, "key1"))
    alerts.close(10.0)
    assert "key1" in (alerts.unsaved() or "")


def test_a_fault_within_does_not_end_the_thread(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    alerts, seen = Alerts(Destinations((), {})), threading.Event()
    monkeypatch.setattr(sending.time, "sleep", lambda seconds: None)

    def step(alarms: Any) -> None:
        if alarms and alarms[0].cause == "bad":
            raise RuntimeError("a fault")
        if alarms:
            seen.set()

    monkeypatch.setattr(alerts, "step", step)
    with caplog.at_level(logging.ERROR):
        alerts.start()
        for cause in ("bad", "good"):
            alerts.raise_(Alarm("failed", cause, "T", "", "F", "", 0.0))
        assert seen.wait(10)
        alerts.close(10.0)
    assert "a fault of alerts" in caplog.text


def test_what_nobody_takes_is_bounded_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "QUEUE", 10)
    alerts = Alerts(Destinations((), {}))
    for _ in range(25):
        alerts.raise_(Alarm("failed", "c", "T", "", "F", "", 0.0))
    assert alerts.counts["dropped"] == 15
