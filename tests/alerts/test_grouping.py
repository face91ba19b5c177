from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from levada._server.alerts import grouping
from levada._server.alerts.grouping import Alarm, Grouping, Part, Rules, Told

HOUR = 3600.0


def alarm(key: str, cause: str = "c", *, kind: str = "failed", owner: str = "", at: float = 0.0, text: str = "ValueError: no") -> Alarm:
    return Alarm(kind, cause, f"Load({key})", text, "Load", owner, at, key)


def end(key: str, kind: str = "recovered") -> Alarm:
    return Alarm(kind, "", "", "", "", "", 0.0, key)


def one(told: list[Told]) -> Part:
    ((_, (part,)),) = told
    return part


def failed(*keys: str, at: float = 0.0, rules: Rules | None = None) -> Grouping:
    """A grouping to which these failures were told at ``at``, and what it told is said."""
    made = Grouping("", rules)
    for key in keys:
        made.take(alarm(key), at)
    assert len(made.due(at + made.rules.window)) == 1
    return made


# -- the first message


def test_a_thousand_that_fail_alike_are_one_message_with_a_few_examples() -> None:
    group = Grouping()
    for number in range(1000):
        group.take(alarm(str(number), at=100.0), 100.0 + number / 100)
    assert group.due(129.9) == []
    assert group.next_due() == 130.0
    part = one(group.due(130.0))
    assert (part.kind, part.state, part.times, part.since, part.open, part.first) == ("failed", "new", 1000, 1000, 1000, 100.0)
    assert part.examples == tuple((str(number), f"Load({number})") for number in range(5))
    assert group.due(131.0) == []


def test_one_that_fails_twice_is_one_example_and_two_times() -> None:
    group = Grouping()
    group.take(alarm("a"), 0.0)
    group.take(alarm("a"), 1.0)
    part = one(group.due(30.0))
    assert (part.times, part.open, part.examples) == (2, 1, (("a", "Load(a)"),))


def test_two_causes_of_one_owner_are_one_message_and_of_two_owners_two() -> None:
    group = Grouping()
    group.take(alarm("a", "c1", owner="ana"), 0.0)
    group.take(alarm("b", "c2", owner="ana"), 20.0)
    group.take(alarm("c", "c2", owner="ben"), 5.0)
    assert [(told.owner, len(told.parts)) for told in group.due(30.0)] == [("ana", 2)]
    assert [(told.owner, len(told.parts)) for told in group.due(35.0)] == [("ben", 1)]


def test_a_cause_that_comes_after_the_message_has_a_window_of_its_own() -> None:
    group = failed("a")
    group.take(alarm("b", "other"), 40.0)
    assert group.next_due() == 70.0


def test_what_is_well_again_within_the_window_is_not_told_at_all() -> None:
    group = Grouping()
    group.take(alarm("a"), 0.0)
    group.take(end("a"), 10.0)
    assert group.due(1000.0) == []
    assert group.next_due() == math.inf


def test_kinds_that_nobody_wants_are_not_told() -> None:
    group = Grouping("", Rules(on=frozenset({"disabled"})))
    group.take(alarm("a"), 0.0)
    group.take(alarm("b", kind="disabled"), 0.0)
    assert one(group.due(30.0)).kind == "disabled"
    group.take(end("b"), 40.0)
    assert group.due(50.0) == []
    assert group.followed() == []


def test_only_the_end_of_a_long_error_is_kept() -> None:
    group = Grouping()
    group.take(alarm("a", text="x" * 10_000 + "end"), 0.0)
    text = one(group.due(30.0)).text
    assert len(text) == grouping.TEXT
    assert text.endswith("end")


# -- while it lasts


def test_reminders_come_at_growing_intervals_with_what_is_new() -> None:
    group = failed("a")
    group.take(alarm("b"), 100.0)
    assert group.due(30.0 + HOUR - 1) == []
    first = one(group.due(30.0 + HOUR))
    assert (first.state, first.times, first.since, first.open, first.examples) == ("still", 2, 1, 2, (("b", "Load(b)"),))
    second = one(group.due(30.0 + 5 * HOUR))
    assert (second.since, second.examples) == (0, ())
    assert group.next_due() == 30.0 + 29 * HOUR
    group.due(group.next_due())
    assert group.next_due() == 30.0 + 53 * HOUR


# -- when it is over


def test_it_is_over_once_all_that_failed_is_done_and_that_is_told_once() -> None:
    group = failed("a", "b")
    group.take(end("a"), 100.0)
    assert group.due(100.0) == []
    group.take(end("b"), 200.0)
    assert group.next_due() <= 200.0
    part = one(group.due(200.0))
    assert (part.state, part.times) == ("over", 2)
    assert group.due(10 * HOUR) == []
    group.take(end("b"), 300.0)
    assert group.due(300.0) == []


def test_what_is_gone_counts_as_over_when_something_was_done() -> None:
    group = failed("a", "b")
    group.take(end("a"), 100.0)
    group.take(end("b", "gone"), 100.0)
    assert one(group.due(100.0)).state == "over"


def test_that_all_is_gone_is_not_told_as_recovery() -> None:
    group = failed("a")
    group.take(end("a", "gone"), 100.0)
    assert group.due(100.0) == []
    assert group.next_due() == math.inf


def test_recovery_is_not_told_where_nobody_wants_it() -> None:
    group = failed("a", rules=Rules(on=frozenset({"failed"})))
    group.take(end("a"), 100.0)
    assert group.due(100.0) == []


def test_what_fails_in_another_way_belongs_to_the_other_cause() -> None:
    group = failed("a")
    group.take(alarm("a", "other"), 100.0)
    group.take(end("a"), 110.0)
    assert group.due(10 * HOUR) == []


def test_a_deadline_has_its_subject_for_a_key() -> None:
    group = Grouping()
    group.take(Alarm("deadline", "trigger:nightly", "goal 1", "late", "Load", "", 0.0), 0.0)
    assert group.followed() == ["goal 1"]
    group.due(30.0)
    group.take(Alarm("recovered", "trigger:nightly", "goal 1", "", "Load", "", 0.0), 40.0)
    assert one(group.due(40.0)).kind == "deadline"


# -- bounds


def test_what_is_not_followed_any_more_is_counted_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grouping, "FOLLOWED", 2)
    group = failed("a", "b", "c")
    group.take(end("c"), 40.0)  # nobody knows of it
    group.take(end("a"), 40.0)
    group.take(end("b"), 40.0)
    part = one(group.due(40.0))
    assert (part.state, part.times) == ("over", 3)


def test_a_cause_of_which_nothing_is_followed_is_told_then_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grouping, "FOLLOWED", 1)
    group = failed("a")
    group.take(alarm("b", "other"), 100.0)
    assert one(group.due(130.0)).times == 1
    group.take(alarm("c", "other"), 200.0)
    ((_, parts),) = group.due(130.0 + HOUR)
    assert [part.times for part in parts if part.since] == [2]
    group.due(130.0 + 5 * HOUR)
    assert len(group._causes) == 1  # that of a


def test_what_ends_before_a_cause_beyond_the_bound_is_told_does_not_silence_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grouping, "FOLLOWED", 1)
    group = Grouping()
    group.take(alarm("a"), 0.0)
    group.take(alarm("b"), 0.0)
    group.take(end("a"), 1.0)
    assert one(group.due(30.0)).times == 2


def test_more_causes_than_are_told_apart_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grouping, "CAUSES", 2)
    group = Grouping()
    for number in range(10):
        group.take(alarm(str(number), f"c{number}"), 0.0)
    ((_, parts),) = group.due(30.0)
    assert [(part.family, part.times) for part in parts] == [("Load", 1), ("Load", 1), ("", 8)]


# -- clocks and restarts


def test_a_clock_that_is_set_back_delays_nothing() -> None:
    group = Grouping()
    group.take(alarm("a"), 100_000.0)
    assert group.due(10_000.0) == []
    assert group.next_due() == 10_030.0
    assert len(group.due(10_030.0)) == 1


def test_a_restart_is_quiet_and_remembers_who_waits_for_the_end() -> None:
    group = failed("a", "b")
    again = Grouping(group.save())
    assert again.due(100.0) == []
    assert again.next_due() == group.next_due()
    assert sorted(again.followed()) == ["a", "b"]
    again.take(end("a"), 100.0)
    again.take(end("b"), 100.0)
    assert one(again.due(100.0)).state == "over"


def test_what_was_gathered_and_not_told_is_told_after_the_restart() -> None:
    group = Grouping()
    group.take(alarm("a"), 0.0)
    again = Grouping(group.save())
    part = one(again.due(500.0))
    assert (part.state, part.examples) == ("new", (("a", "Load(a)"),))


@pytest.mark.parametrize("saved", ["{", "[]", "null", '{"version": 99}', '{"version": 1}', '{"version": 1, "now": 0, "causes": [[1]]}'])
def test_what_cannot_be_read_begins_anew(saved: str) -> None:
    group = Grouping(saved)
    assert group.followed() == []
    assert group.next_due() == math.inf
    group.take(alarm("a"), 0.0)
    assert len(group.due(30.0)) == 1


def test_causes_of_a_kind_that_is_wanted_no_more_are_not_taken_over() -> None:
    assert Grouping(failed("a").save(), Rules(on=frozenset({"disabled"}))).followed() == []


def test_nothing_to_remember_is_next_to_nothing() -> None:
    assert json.loads(Grouping().save()) == {}


STEP = st.tuples(st.sampled_from(["failed", "disabled", "recovered", "gone", "due", "save"]), st.integers(0, 5), st.integers(0, 2))


@given(st.lists(STEP, max_size=60))
def test_whatever_happens_nothing_is_told_over_that_was_not_told_to_have_begun(steps: list[tuple[str, int, int]]) -> None:
    group, now, open_causes = Grouping(), 0.0, 0
    for what, key, cause in steps:
        now += 20.0
        if what == "save":
            followed = sorted(group.followed())
            group = Grouping(group.save())
            assert sorted(group.followed()) == followed
        elif what in ("recovered", "gone"):
            group.take(end(str(key), what), now)
        elif what != "due":
            group.take(alarm(str(key), f"c{cause}", kind=what), now)
        for told in group.due(now):
            for part in told.parts:
                open_causes += {"new": 1, "still": 0, "over": -1}[part.state]
                assert open_causes >= 0
                assert part.times >= part.since >= 0
        assert group.next_due() > now
