"""What of goals is an alarm: missed deadlines, and goals of triggers that failed before any task did."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..alerts.grouping import DEADLINE, FAILED, GONE, RECOVERED, Alarm
from .goals import DONE, Goal
from .goals import FAILED as GOAL_FAILED

if TYPE_CHECKING:
    from ..alerts.noticing import Noticing
    from .book import Book

GOAL, TRIGGER = "goal:", "trigger:"  # before keys of alarms


def tell(book: Book, notices: Noticing | None, wall: float) -> None:
    """Raise what has come up since this was asked last."""
    told, book.told = book.told, []
    if notices is None:
        return
    alarms: list[Alarm] = []
    for one in told:
        goal = one.goal
        if one.kind == "deadline":
            text = f"It was wanted by {goal.by}, and is {goal.state}: {goal.reason}"
            alarms.append(_alarm(DEADLINE, f"deadline {goal.trigger or goal.family}", goal, text, GOAL + goal.key, notices, book, wall))
            continue
        if goal.alarmed:
            alarms.append(_end(RECOVERED if goal.state == DONE else GONE, GOAL + goal.key, wall))
        if goal.trigger and goal.state == DONE:
            alarms.append(_end(RECOVERED, TRIGGER + goal.trigger, wall))
        elif goal.trigger and goal.state == GOAL_FAILED and not goal.counts.get("failed"):  # else its tasks are told of
            alarms.append(_alarm(FAILED, f"trigger {goal.trigger}", goal, goal.reason, TRIGGER + goal.trigger, notices, book, wall))
    if alarms:
        notices.alerts.raise_all(alarms)


def reconcile(book: Book, notices: Noticing, wall: float) -> None:
    """End what was told of goals and triggers that are not there any more."""
    gone = []
    for key in notices.alerts.followed:
        kind, _, name = key.partition(":")
        if (f"{kind}:" == GOAL and name not in book.live) or (f"{kind}:" == TRIGGER and name not in book.triggers):
            gone.append(_end(GONE, key, wall))
    if gone:
        notices.alerts.raise_all(gone)


def _alarm(kind: str, cause: str, goal: Goal, text: str, key: str, notices: Noticing, book: Book, wall: float) -> Alarm:
    name = f"{goal.family}({', '.join(f'{each}={value}' for each, value in goal.params.items())})"
    subject = f"{name} of trigger {goal.trigger}" if goal.trigger else name
    return Alarm(kind, cause, subject, text, goal.family, notices.owner(goal.family, book.owners.get(goal.family, "")), wall, key)


def _end(kind: str, key: str, wall: float) -> Alarm:
    return Alarm(kind, "", "", "", "", "", wall, key)
