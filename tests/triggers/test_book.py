"""The book of triggers by itself: what floods, odd parameters and full books must not do."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import pytest

from levada._model.triggers import After, Cron, Event, Every, Trigger, When
from levada._server.triggers import agents, book, firing
from levada._server.triggers.book import Book
from levada._store.ports import GoalRow
from levada._wire.problems import Refusal

START = 1_704_067_200.0  # 2024-01-01T00:00Z
DAY = 86_400.0


class Told:
    """A book over rows that are kept here."""

    def __init__(self) -> None:
        self.rows: dict[bytes, GoalRow] = {}
        self.book = Book(self.find)
        self.book.turned = START
        self.now = 0.0

    def find(self, keys: Sequence[bytes]) -> list[GoalRow]:
        return [self.rows[key] for key in keys if key in self.rows]

    def put(self, name: str = "t", when: When | None = None, **more: Any) -> None:
        more.setdefault("params", (("day", "{fire.day}"),))
        self.book.put(Trigger(name, "A", when=when or Cron("* * * * *", "UTC"), **more), START)

    def at(self, wall: float) -> None:
        self.book.turn(wall, self.now)
        self.write()

    def write(self) -> None:
        rows = self.book.rows()
        for row in rows.goals if rows is not None else ():
            before = self.rows.get(row.key)
            assert before is None or before.number == row.number, "two goals of one key"
            self.rows[row.key] = row


def test_a_row_of_missed_fires_is_made_up_for_piece_by_piece_and_waits_for_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book, "MOST_LIVE", 1_500)
    told = Told()
    told.put(missed="each", overlap="queue_all")
    wall = START + 3 * DAY
    counts = []
    for _ in range(4):
        told.at(wall)
        counts.append(len(told.book.live))
        wall += 6.0
    assert counts == [1_000, 1_500, 1_500, 1_500]
    for goal in list(told.book.live.values())[:100]:
        told.book.end(goal, "done", "", wall)
    told.at(wall + 6.0)
    assert len(told.book.live) == 1_500
    assert len(told.rows) == 1_600


def test_a_fire_whose_parameters_cannot_be_filled_in_stops_nothing_else() -> None:
    told = Told()
    told.put("broken", params=(("day", "{fire.day - 999999999}"),))
    told.put("well")
    told.at(START + 61.0)
    assert [goal.trigger for goal in told.book.live.values()] == ["well"]
    (fault,) = told.book.faults
    assert "beyond the calendar" in fault
    told.at(START + 62.0)
    assert told.book.triggers["broken"].skipped == 1


def test_what_comes_after_an_end_and_cannot_be_filled_in_stops_nothing_else() -> None:
    told = Told()
    told.put("first", deadline=1.0, on_deadline="fail")
    told.put("after", After(("trigger:first",), "failed"), params=(("day", "{ended.hour}"),))
    told.at(START + 61.0)
    told.at(START + 62.0)
    assert not told.book.live
    assert "there is no 'hour'" in told.book.faults[0]


def test_a_schedule_of_a_full_book_waits_for_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book, "MOST_GOALS", 1)
    told = Told()
    told.put("a")
    told.put("b")
    told.at(START + 61.0)
    (goal,) = told.book.live.values()
    told.book.end(goal, "done", "", START + 62.0)
    told.at(START + 67.0)
    assert {row.trigger for row in told.rows.values()} == {"a", "b"}


def test_an_event_for_which_there_is_no_room_is_refused_and_comes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book, "MOST_LIVE", 1)
    told = Told()
    told.put("e", Event("landed"), params=(), overlap="allow")
    kept = told.book.triggers["e"]
    assert firing.make(told.book, kept, "event 1", {}, START, "") is not None
    with pytest.raises(Refusal) as no:
        firing.make(told.book, kept, "event 2", {}, START, "")
    assert no.value.code == "busy"
    assert kept.skipped == 0


def test_a_goal_that_was_made_and_ended_before_anything_was_written_is_not_made_again() -> None:
    told = Told()
    told.put("e", Event("landed"), params=(), overlap="cancel_old")
    kept = told.book.triggers["e"]
    for cause in ("event 1", "event 2", "event 1", "event 2"):
        firing.make(told.book, kept, cause, {}, START, "")
    told.write()
    assert len(told.rows) == 2


def test_a_trigger_that_comes_after_itself_and_fails_at_once_holds_nobody_up() -> None:
    told = Told()
    told.put("t", After(("trigger:t",), "failed"), params=(), deadline=0.0, on_deadline="fail")
    firing.make(told.book, told.book.triggers["t"], "", {}, START, "")
    for step in range(5):
        told.at(START + step)
    assert len(told.rows) == 6


def test_fires_that_are_due_together_are_not_missed() -> None:
    told = Told()
    told.put("t", Every(1.0, "UTC"), overlap="allow")
    told.at(START + 10.5)  # a commit took long
    assert len(told.book.live) == 10
    told.put("u", Every(60.0, "UTC"), overlap="allow", jitter=600.0)
    for second in range(11, 1_300):
        told.at(START + second)
    assert told.book.triggers["u"].skipped == 0
    assert sum(row.trigger == "u" for row in told.rows.values()) in range(10, 22)


def test_a_rule_that_counts_its_times_from_long_ago_is_refused_and_holds_nobody_up() -> None:
    from levada._model.triggers import Rule

    told = Told()
    for text in ("FREQ=SECONDLY;COUNT=2000000000", "FREQ=MINUTELY;COUNT=500000000;BYSECOND=1"):
        with pytest.raises(Refusal) as no:
            told.put("r", Rule(f"DTSTART:19800101T000000\nRRULE:{text}", "UTC"))
        assert "COUNT" in no.value.message + str(no.value.hint)
    for text in ("FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=30", "FREQ=HOURLY;INTERVAL=3;BYMONTH=4;BYMONTHDAY=31", "FREQ=MINUTELY;BYSETPOS=5"):
        with pytest.raises(Refusal, match=r"never fires|BYSETPOS"):
            told.put("r", Rule(f"DTSTART:19800101T000000\nRRULE:{text}", "UTC"))
    with pytest.raises(Refusal, match="names times"):
        told.put("r", Rule("DTSTART:20240102T060000\nRRULE:FREQ=SECONDLY;INTERVAL=86400;BYHOUR=3", "UTC"))
    assert not told.book.triggers


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("RRULE:FREQ=SECONDLY\nEXRULE:FREQ=SECONDLY", "none 'EXRULE'"),  # dateutil would seek for ever
        ("RRULE:FREQ=DAILY EXRULE:FREQ=DAILY", "none 'EXRULE'"),
        ("\n".join(["RRULE:FREQ=DAILY"] * 11), "at most 10 lines"),
        ("RRULE:FREQ=SECONDLY;BYYEARDAY=366;BYDAY=MO;BYHOUR=3;BYMINUTE=3;BYSECOND=3", "no long search"),
        ("RRULE:FREQ=SECONDLY;COUNT=40000;BYHOUR=3;BYMINUTE=3;BYSECOND=3", "no long search"),
        ("RRULE:FREQ=HOURLY;INTERVAL=25;BYMONTH=2;BYMONTHDAY=29;BYDAY=SA;BYHOUR=1", "no long search"),
        ("RRULE:FREQ=DAILY;INTERVAL=0", "an INTERVAL of 1"),
        ("RRULE:FREQ=DAILY;INTERVAL=-1", "an INTERVAL of 1"),
        ("RRULE:FREQ=SECONDLY;INTERVAL=999999999999999999999", "an INTERVAL of 1"),
        ("RRULE:FREQ=MONTHLY;BYDAY=+99MO", "that names times"),
        ("RRULE:FREQ=YEARLY;BYEASTER=9999", "that names times"),
        ("RRULE:FREQ=DAILY;BYEASTER=9999", "that names times"),
        ("RRULE:FREQ=YEARLY;BYWEEKNO=53;BYDAY=MO;BYMONTH=6", "no such day"),
        ("RRULE:FREQ=MONTHLY;BYMONTHDAY=31;BYMONTH=2", "no such day"),
        ("RRULE:FREQ=HOURLY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO", "no long search"),
        ("RRULE:FREQ=DAILY;INTERVAL=7;BYDAY=TU", "the day of DTSTART"),
    ],
)
def test_a_rule_that_cannot_be_or_needs_long_is_refused_at_once(text: str, expected: str) -> None:
    from levada._model.triggers import Rule

    told = Told()
    began = time.process_time()
    with pytest.raises(Refusal, match=expected):
        told.put("r", Rule(f"DTSTART:20240101T000000\n{text}", "UTC"))
    assert time.process_time() - began < 1.0
    assert not told.book.triggers


def test_rules_by_the_hour_and_minute_may_name_days_and_times() -> None:
    from levada._model.triggers import Rule

    told = Told()
    for number, text in enumerate(
        (
            "FREQ=MINUTELY;INTERVAL=15;BYDAY=MO,TU,WE,TH,FR;BYHOUR=9,10,11,12",
            "FREQ=MINUTELY;BYMONTH=1;BYMONTHDAY=1;BYHOUR=0;BYMINUTE=0,30",
            "FREQ=DAILY;INTERVAL=14;BYDAY=MO",
            "FREQ=HOURLY;COUNT=40000;BYDAY=MO;BYHOUR=3",
            "FREQ=SECONDLY;INTERVAL=20;BYDAY=MO",
            "FREQ=HOURLY;INTERVAL=100000000",
        )
    ):
        told.put(f"r{number}", Rule(f"DTSTART:20240101T000000\nRRULE:{text}", "UTC"))
    assert len(told.book.triggers) == 6


def test_parameters_without_measure_are_refused() -> None:
    told = Told()
    told.put("e", Event("landed"), params=(("day", "{event.x}" * 5_000),), overlap="allow")
    firing_facts = {"event": {"x": "y" * 60_000}}
    with pytest.raises(firing.ConfigError, match="more than"):
        firing.make(told.book, told.book.triggers["e"], "", firing_facts, START, "")


def test_what_is_watched_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents, "MOST_WATCHED", 15)
    told = Told()
    goals = [told.book.want("A", {}, START, by="") for _ in range(2)]
    for goal in goals:
        assert goal is not None
        told.book.park(goal, [(f"s3://in/{number}", False) for number in range(10)], 0, "", START)
    assert [(len(goal.missing), goal.missing_more) for goal in goals if goal] == [(10, 0), (5, 5)]
    assert goals[1] is not None
    assert goals[1].look_at == START + 5.0  # for what nobody watches
    told.book.cancel(goals[0], "", START)  # type: ignore[arg-type]
    assert told.book.agents.watched == 5


def test_moments_of_what_has_ended_do_not_heap_up() -> None:
    told = Told()
    for number in range(5_000):
        goal = told.book.want("A", {}, START, by="", deadline=1e9)
        assert goal is not None
        told.book.end(goal, "done", "", START)
        if number % 100 == 0:
            told.book.turn(START + number / 1e4, 0.0)
    told.book.turn(START + 1.0, 0.0)
    assert len(told.book._moments) <= 1_100


def test_a_list_that_an_agent_does_not_take_does_not_grow_without_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents, "UNHEARD", 100)
    told = Told()
    agent = told.book.agents.join("a", "t", 0.0)
    told.book.agents.offer(agent, {"A": "m"})
    told.book.agents.watch("A", "s3://in/{day}.csv", pattern=True, who="trigger:t")
    for number in range(1_000):
        told.book.agents.nudge("s3://in/1.csv")
        told.book.agents.watch("A", f"s3://x/{number}", pattern=False, who="g")
        told.book.agents.unwatch(f"s3://x/{number}", pattern=False, who="g")
    assert told.book.agents.told(agent, 0)[0].url == "s3://in/{day}.csv"
    assert len(agent.log) == 1
    for number in range(200):
        told.book.agents.nudge(f"s3://in/{number}.csv")
    with pytest.raises(Refusal, match="another one"):
        told.book.agents.told(agent, 1)


def test_an_agent_that_comes_back_after_a_restart_hears_what_it_is_to_end() -> None:
    told = Told()
    first = told.book.agents.join("a", "t", 0.0)
    goal = told.book.want("A", {}, START, by="")
    assert goal is not None
    told.book.grant(goal, first, START, 0.0)
    told.book.cancel(goal, "no more", START)
    told.write()
    again = Book(told.find)
    again.load([], told.rows.values(), 1, START, 0.0)
    agent = again.agents.join("a", "t", 0.0)
    assert again.agents.to_end(agent, [goal.key], 1.0) == [goal.key]
    assert again.agents.to_end(agent, [goal.key], 2.0) == []  # it was told just now
    assert again.agents.to_end(agent, [goal.key], 7.0) == [goal.key]


def test_a_server_that_starts_with_an_earlier_clock_goes_on_from_there() -> None:
    told = Told()
    told.put("t", overlap="allow")
    told.at(START + 61.0)
    row = told.book.triggers["t"].row()
    again = Book(told.find)
    again.load([row], [], 1, START - 365 * DAY, 0.0)
    again.turn(START - 365 * DAY + 61.0, 0.0)
    assert len(again.live) == 1
