from __future__ import annotations

import math

from levada._server.alerts import bounds
from levada._server.alerts.bounds import Bound


def test_so_many_messages_an_hour_then_one_summary() -> None:
    bound, sent = Bound(most=3, per=3600.0), 0
    for second in range(10):
        if bound.may(second):
            bound.note(second)
            sent += 1
        else:
            bound.hold(f"title {second}")
    assert sent == 3
    assert bound.summary(3599.0) is None
    assert bound.next_room() == 3600.0
    assert not bound.may(3600.0)  # the summary goes first
    assert bound.summary(3600.0) == (7, [f"title {second}" for second in range(3, 10)])
    bound.note(3600.0)
    assert bound.summary(3600.0) is None
    assert bound.next_room() == math.inf
    assert bound.may(3601.0)


def test_in_any_hour_there_are_no_more_than_that() -> None:
    bound, times = Bound(most=5, per=100.0), []
    for now in range(1000):
        if bound.summary(now) is not None or bound.may(now):
            bound.note(now)
            times.append(now)
        else:
            bound.hold("x")
    assert all(sum(begin <= each < begin + 100 for each in times) <= 5 for begin in times)


def test_the_titles_that_are_kept_are_few() -> None:
    bound = Bound(most=1)
    bound.note(0.0)
    for _ in range(1000):
        bound.hold("x")
    held = bound.summary(bound.next_room())
    assert held is not None
    assert (held[0], len(held[1])) == (1000, bounds.TITLES)
