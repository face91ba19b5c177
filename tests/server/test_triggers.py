"""Triggers and goals as the server keeps them: fires, policies, agents, arrivals, across restarts."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from levada._server.triggers.goals import key_of
from levada._wire import triggers as t
from levada._wire.problems import Refusal

from .hosting import KINDS, Place, Served

AGENT, OTHER = "a" * 32, "b" * 32
DAILY = {"kind": "cron", "line": "0 6 * * *", "zone": "Europe/Lisbon"}


class Clock:
    """A wall clock that tests set."""

    def __init__(self) -> None:
        self.at = 1_704_067_200.0  # 2024-01-01T00:00Z

    def __call__(self) -> float:
        return self.at


class Levada(Served):
    """A server with a clock of its own, and what people and agents do."""

    def __init__(self, place: Place, **rules: float) -> None:
        self.wall = Clock()
        super().__init__(place, **rules)

    def _start(self) -> None:
        from levada._server.host import Host, Rules

        self.host = Host(self.place.store(), Rules(**self.rules), version="9.9", wall=self.wall)
        self.host.start("test")

    def put(self, name: str = "daily", family: str = "Report", params: Any = None, when: Any = None, **more: Any) -> Any:
        params = {"day": "{fire.day - 1}"} if params is None else params
        return self.ask(t.PutTrigger(name, {"family": family, "params": params, "when": when or DAILY, **more}))

    def offer(self, *families: str, agent: str = AGENT, triggers: Any = (), module: str = "demo", day: str = "date") -> Any:
        offered = [t.Family(name, module, [("day", day, False)]) for name in families]
        return self.ask(t.Offer(agent, offered, list(triggers), [module], "w.example", 7))

    def take(self, room: int = 10, *held: str, agent: str = AGENT, since: int = 0, wait: float = 0.0) -> Any:
        return self.ask(t.Take(agent, room, list(held), since, wait))

    def taken(self, **more: Any) -> list[tuple[str, dict[str, str]]]:
        return [(goal[0], goal[3]) for goal in self.take(**more).goals]

    def report(self, goal: str, state: str, *, agent: str = AGENT, **more: Any) -> Any:
        return self.ask(t.ReportGoal(agent, goal, state, **more))

    def goals(self, **asked: Any) -> list[Any]:
        return list(self.ask(t.Goals(**asked)).goals)

    def at(self, moment: float) -> None:
        """Set the clock, and let the server see it."""
        self.wall.at = moment
        self.pass_time()

    def pass_time(self) -> None:
        loop = self.host._loop
        assert loop is not None

        def tick() -> None:
            self.host._tick_at = 0.0
            self.host._turn()

        until = time.monotonic() + 5
        while self.host.book.turned != self.wall.at:
            assert time.monotonic() < until
            loop.call_soon_threadsafe(tick)
            time.sleep(0.005)


DAY = 86_400.0
SIX = 6 * 3600.0


@pytest.fixture(params=KINDS)
def levada(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Levada]:
    made = Levada(Place(request.param, tmp_path))
    yield made
    made.host.stop()


def refused(act: Any) -> str:
    with pytest.raises(Refusal) as caught:
        act()
    return f"{caught.value.message} {caught.value.hint}"


def test_a_schedule_fires_once_at_its_time_with_its_parameters(levada: Levada) -> None:
    assert levada.put().after == "added"
    assert levada.put().after == "unchanged"
    levada.offer("Report")
    assert levada.taken() == []
    start = levada.wall.at
    levada.at(start + SIX + 0.5)
    (goal,) = levada.goals(live=True)
    assert (goal.params, goal.trigger, goal.state) == ({"day": "2023-12-31"}, "daily", "wanted")
    levada.at(start + SIX + 100)
    assert levada.taken() == [(goal.goal, {"day": "2023-12-31"})]
    assert levada.report(goal.goal, "done").known
    assert [one.state for one in levada.goals()] == ["done"]
    shown = levada.ask(t.Trigger("daily"))
    assert (shown.fires, shown.next, shown.last_goal) == (1, start + DAY + SIX, goal.goal)


def test_a_fire_is_done_once_over_restarts_and_clocks_that_are_set_back(levada: Levada) -> None:
    levada.put(overlap="queue_all")
    start = levada.wall.at
    for moment in (start + SIX + 1, start + SIX - 3600, start + SIX + 2, start - DAY, start + SIX + 3):
        levada.at(moment)
        levada.again()
    assert [goal.params for goal in levada.goals() if goal.params["day"] == "2023-12-31"] == [{"day": "2023-12-31"}]
    assert key_of("daily", f"{start + SIX:.3f}") in {goal.goal for goal in levada.goals()}


@pytest.mark.parametrize(
    ("missed", "days"),
    [
        ("skip", []),
        ("last", ["2024-01-09"]),
        ("each", [f"2024-01-{day:02}" for day in range(9, 0, -1)] + ["2023-12-31"]),
        ("merge", ["2023-12-31..2024-01-09"]),
    ],
)
def test_fires_that_were_missed_follow_the_policy(levada: Levada, missed: str, days: list[str]) -> None:
    levada.put(missed=missed, overlap="queue_all")
    levada.host.stop()
    levada.wall.at += 9 * DAY + 12 * 3600
    levada._start()
    levada.pass_time()
    assert [goal.params["day"] for goal in levada.goals()] == days
    levada.at(levada.wall.at + DAY - SIX + 1)  # and the next one comes as ever
    assert levada.goals()[0].params == {"day": "2024-01-10"}


@pytest.mark.parametrize(("overlap", "made", "cancelled"), [("skip", 1, 0), ("queue_one", 2, 0), ("queue_all", 4, 0), ("cancel_old", 4, 3)])
def test_goals_of_a_trigger_overlap_as_it_says(levada: Levada, overlap: str, made: int, cancelled: int) -> None:
    levada.put(overlap=overlap)
    for day in range(4):
        levada.at(1_704_067_200.0 + day * DAY + SIX + 1)
    goals = levada.goals()
    assert len(goals) == made
    assert sum(goal.state == "cancelled" for goal in goals) == cancelled
    levada.offer("Report")
    assert len(levada.taken()) == 1  # one after the other
    assert levada.ask(t.Trigger("daily")).get("skipped", 0) == 4 - made


def test_a_paused_trigger_makes_nothing_up(levada: Levada) -> None:
    levada.put(missed="each")
    assert levada.ask(t.PauseTrigger("daily")).after == "paused"
    levada.at(levada.wall.at + 5 * DAY)
    assert levada.ask(t.ResumeTrigger("daily")).before == "paused"
    levada.again()
    levada.at(levada.wall.at + SIX + 1)
    assert [goal.params["day"] for goal in levada.goals()] == ["2024-01-05"]


def test_a_rate_is_kept(levada: Levada) -> None:
    levada.put(when={"kind": "event", "name": "landed"}, params={"day": "{event.day}"}, most=2, per=60.0, overlap="queue_all")
    levada.offer("Report")
    for number in range(3):
        levada.ask(t.PostEvent("landed", str(number), {"day": f"2024-01-0{number + 1}"}))
    for _ in range(3):
        for key, _ in levada.taken():
            levada.report(key, "done")
    assert sorted(goal.params["day"] for goal in levada.goals() if goal.state == "done") == ["2024-01-01", "2024-01-02"]
    levada.at(levada.wall.at + 61)
    assert [params["day"] for _, params in levada.taken()] == ["2024-01-03"]


def test_an_event_has_one_effect_however_often_it_is_posted(levada: Levada) -> None:
    levada.put(when={"kind": "event", "name": "landed", "where": {"bucket": "in"}}, params={"day": "{event.day}"}, overlap="queue_all")
    assert levada.ask(t.PostEvent("landed", "7", {"day": "2024-01-01", "bucket": "in"})).fired == ["daily"]
    assert levada.ask(t.PostEvent("landed", "7", {"day": "2024-01-01", "bucket": "in"})).fired == []
    assert levada.ask(t.PostEvent("landed", "8", {"day": "2024-01-02", "bucket": "out"})).fired == []
    assert "there is no 'day'" in refused(lambda: levada.ask(t.PostEvent("landed", "9", {"bucket": "in"})))
    assert len(levada.goals()) == 1


def test_an_event_has_an_id_beside_its_fields(levada: Levada) -> None:
    params = {"day": "{event.id} {event.fields.id} {event.fields.a.b} {event.name}"}
    levada.put(when={"kind": "event", "name": "landed", "where": {"id": "x"}}, params=params, overlap="allow")
    fields = {"id": "x", "a.b": "y", "name": "z"}
    levada.ask(t.PostEvent("landed", "7", fields))
    for _ in range(2):
        levada.ask(t.PostEvent("landed", "", fields))
    *made, (first, *rest) = [goal.params["day"].split() for goal in levada.goals()]
    assert (first, rest) == ("7", ["x", "y", "landed"])
    assert len({len(words[0]) for words in made}) == 1
    assert len({words[0] for words in made}) == 2


def test_a_trigger_that_fits_no_family_is_refused_when_a_worker_told_what_it_takes(levada: Levada) -> None:
    levada.offer("Report")
    assert "no 'dya'" in refused(lambda: levada.put(params={"dya": "{fire.day}"})) or "dya" in refused(
        lambda: levada.put(params={"dya": "x"})
    )
    assert "day" in refused(lambda: levada.put(params={}))
    assert "zone" in refused(lambda: levada.put(when={"kind": "cron", "line": "0 6 * * *", "zone": "Europe/Lissabon"}))
    assert levada.ask(t.Triggers()).triggers == []


def test_a_family_that_nobody_offers_is_seen_at_once(levada: Levada) -> None:
    levada.put()
    shown = levada.ask(t.Trigger("daily"))
    assert "levada worker --app" in shown.problem
    goal = levada.ask(t.AddGoal("Report", {"day": "2024-01-01"}))
    assert not goal.offered
    assert "no worker offers Report" in levada.goals()[0].reason


def test_triggers_of_code_come_and_go_with_it(levada: Levada) -> None:
    spec = {"name": "mine", "family": "Report", "params": {"day": "{fire.day}"}, "when": DAILY, "module": "demo"}
    assert levada.offer("Report", triggers=[spec]).problems == {}
    levada.ask(t.PauseTrigger("mine"))
    levada.offer("Report", triggers=[spec])
    assert levada.ask(t.Trigger("mine")).paused
    assert "Lissabon" in levada.offer("Report", triggers=[{**spec, "when": {**DAILY, "zone": "Europe/Lissabon"}}]).problems["mine"]
    levada.put("by-hand")
    levada.offer("Report")
    assert [one.name for one in levada.ask(t.Triggers()).triggers] == ["by-hand"]


def test_what_code_defines_is_changed_there_and_not_by_command(levada: Levada) -> None:
    spec = {"name": "mine", "family": "Report", "params": {"day": "{fire.day}"}, "when": DAILY, "module": "demo"}
    levada.offer("Report", triggers=[spec])
    said = refused(lambda: levada.put("mine"))
    assert "trigger mine is defined by the code of module demo" in said
    assert "another name" in said
    said = refused(lambda: levada.ask(t.RemoveTrigger("mine")))
    assert "Pause it: levada trigger pause mine, or change the code." in said
    assert levada.ask(t.Trigger("mine")).spec["params"] == {"day": "{fire.day}"}
    levada.ask(t.LeaveAgent(AGENT))
    assert "levada trigger remove mine" in refused(lambda: levada.put("mine"))
    assert levada.ask(t.RemoveTrigger("mine")).after == "removed"
    assert levada.put("mine", module="demo").after == "added"  # by command, whatever it says of itself
    assert "module" not in levada.ask(t.Trigger("mine")).spec
    assert levada.put("mine", params={"day": "{fire.day - 2}"}).after == "changed"


def test_an_agent_that_dies_loses_its_goals_and_its_watches_to_another(levada: Levada, monkeypatch: pytest.MonkeyPatch) -> None:
    levada.offer("Report")
    key = levada.ask(t.AddGoal("Report", {"day": "2024-01-01"})).goal
    assert levada.taken() == [(key, {"day": "2024-01-01"})]
    levada.report(key, "parked", missing=["s3://in/a", "s3://in/b"])
    assert {(row[1], row[2]) for row in levada.take(0).watches} == {("+", "s3://in/a"), ("+", "s3://in/b")}
    levada.offer("Report", agent=OTHER)
    assert levada.take(0, agent=OTHER).watches == []
    levada.ask(t.LeaveAgent(AGENT))
    assert {(row[1], row[2]) for row in levada.take(0, agent=OTHER).watches} == {("+", "s3://in/a"), ("+", "s3://in/b")}
    assert refused(lambda: levada.take(0))


def test_a_goal_whose_agent_is_silent_goes_to_another(tmp_path: Path) -> None:
    levada = Levada(Place("memory", tmp_path), lease=0.5)
    try:
        levada.offer("Report")
        levada.offer("Report", agent=OTHER)
        key = levada.ask(t.AddGoal("Report", {"day": "2024-01-01"})).goal
        assert [one for one, _ in levada.taken()] == [key]
        until = time.monotonic() + 10
        while not (taken := levada.taken(agent=OTHER)):
            assert time.monotonic() < until
            time.sleep(0.05)
        assert taken[0][0] == key
        assert not levada.report(key, "done").known if AGENT in levada.host.book.agents.known else True
        assert levada.report(key, "done", agent=OTHER).known
    finally:
        levada.host.stop()


def test_a_parked_goal_wakes_when_its_data_arrives(levada: Levada) -> None:
    levada.offer("Report")
    key = levada.ask(t.AddGoal("Report", {"day": "2024-01-01"})).goal
    levada.taken()
    levada.report(key, "parked", missing=["s3://in/a"], reason="1 of 7 inputs is missing")
    assert levada.goals()[0].missing == ["s3://in/a"]
    levada.again()  # it is parked still, and watched by who comes
    levada.offer("Report", agent=OTHER)
    assert [row[2] for row in levada.take(0, agent=OTHER).watches] == ["s3://in/a"]
    assert levada.taken(agent=OTHER) == []
    assert levada.ask(t.Arrivals(OTHER, [t.Arrived("s3://in/a", False, "s3://in/a", "e")])).taken == 1
    levada.at(levada.wall.at + 1)
    assert levada.taken(agent=OTHER) == [(key, {"day": "2024-01-01"})]
    assert [row[1] for row in levada.take(0, key, agent=OTHER, since=1).watches] == ["-"]


def test_data_that_arrives_while_its_goal_is_looked_at_is_not_lost(levada: Levada) -> None:
    levada.offer("Report")
    key = levada.ask(t.AddGoal("Report", {"day": "2024-01-01"})).goal
    levada.taken()
    levada.host.book.arrived([key], "s3://in/a", levada.wall.at)
    levada.report(key, "parked", missing=["s3://in/a"])
    levada.at(levada.wall.at + 1)
    assert [one for one, _ in levada.taken()] == [key]


def test_arrivals_fire_once_each_with_the_groups_of_their_path(levada: Levada) -> None:
    pattern = "s3://in/{day}.csv"
    levada.put(when={"kind": "arrival", "pattern": pattern}, params={"day": "{path.day}"}, overlap="queue_all")
    levada.offer("Report")
    assert [(row[1], row[2], row[3]) for row in levada.take(0).watches] == [("+", pattern, True)]
    seen = [t.Arrived(pattern, True, f"s3://in/2024-01-0{day}.csv", "e", {"day": f"2024-01-0{day}"}) for day in (1, 2)]
    assert levada.ask(t.Arrivals(AGENT, seen)).taken == 2
    levada.again()
    levada.offer("Report")
    assert levada.ask(t.Arrivals(AGENT, [*seen, seen[0]])).taken == 3
    assert [goal.params["day"] for goal in levada.goals()] == ["2024-01-02", "2024-01-01"]
    levada.ask(t.RemoveTrigger("daily"))
    assert [row[1] for row in levada.take(0).watches][-1] == "-"


def test_what_comes_after_a_trigger_waits_for_all_of_several(levada: Levada) -> None:
    levada.put("one")
    levada.put("two")
    levada.put("both", "Sum", {"day": "{ended.day}"}, {"kind": "after", "of": ["trigger:one", "trigger:two"]})
    levada.offer("Report", "Sum")
    levada.at(levada.wall.at + SIX + 1)
    first, second = [key for key, _ in levada.taken()]
    levada.report(first, "done")
    assert levada.goals(family="Sum") == []
    levada.again()
    levada.offer("Report", "Sum")
    levada.report(second, "done")
    assert [(goal.family, goal.params) for goal in levada.goals(family="Sum")] == [("Sum", {"day": "2023-12-31"})]


def test_a_deadline_tells_and_fails_if_it_is_told_to(levada: Levada) -> None:
    levada.put(deadline=600.0, on_deadline="fail")
    levada.at(levada.wall.at + SIX + 1)
    levada.at(levada.wall.at + 700)
    (goal,) = levada.goals()
    assert goal.state == "failed"
    assert "deadline" in goal.reason


def test_a_goal_says_by_how_much_it_has_missed_its_deadline(levada: Levada) -> None:
    start = levada.wall.at
    key = levada.ask(t.AddGoal("Report", {"day": "2024-01-01"}, deadline=600.0)).goal
    levada.ask(t.AddGoal("Report", {"day": "2024-01-02"}))
    levada.at(start + 599)
    assert [goal.get("late") for goal in levada.goals()] == [None, None]
    levada.at(start + 660)
    assert [goal.get("late") for goal in levada.goals()] == [None, 60.0]
    levada.ask(t.CancelGoal(key))
    levada.again()
    levada.at(start + 999)
    assert levada.goals()[1].late == 60.0  # it ended then


def test_a_goal_can_be_cancelled_wherever_it_stands(levada: Levada) -> None:
    levada.offer("Report")
    key = levada.ask(t.AddGoal("Report", {"day": "2024-01-01"})).goal
    assert levada.ask(t.CancelGoal(key)).after == "cancelled"
    again = levada.ask(t.AskGoalAgain(key))
    assert again.made
    levada.taken()
    assert levada.ask(t.CancelGoal(again.goal)).after == "cancelling"
    assert levada.take(0, again.goal).cancel == [again.goal]
    levada.report(again.goal, "again")
    assert [goal.state for goal in levada.goals()] == ["cancelled", "cancelled"]


def test_unfoldings_that_never_end_well_are_given_up(levada: Levada) -> None:
    levada.offer("Report")
    key = levada.ask(t.AddGoal("Report", {"day": "2024-01-01"})).goal
    for _ in range(5):
        levada.taken()
        levada.report(key, "again", reason="its process was killed")
    assert "5 unfoldings in a row" in levada.goals()[0].reason


def test_an_agent_that_waits_is_answered_when_there_is_something(levada: Levada) -> None:
    levada.offer("Report")
    answer = levada.begin(t.Take(AGENT, 1, wait=30.0))
    key = levada.ask(t.AddGoal("Report", {"day": "2024-01-01"})).goal
    from .hosting import heard

    assert heard(answer).goals[0][0] == key


def test_a_trigger_fired_by_hand_fires_once_for_a_moment(levada: Levada) -> None:
    levada.put()
    moment = levada.wall.at - 3 * DAY + SIX
    assert levada.ask(t.FireTrigger("daily", moment)).made
    assert "has fired for" in refused(lambda: levada.ask(t.FireTrigger("daily", moment)))
    assert levada.goals()[0].params == {"day": "2023-12-28"}


def test_what_comes_after_tasks_fires_for_each_of_their_ends(levada: Levada) -> None:
    levada.put("after-any", "Sum", {"day": "{ended.day}"}, {"kind": "after", "of": ["Orders"]})
    levada.put("after-one", "Sum", {"day": "{ended.day}"}, {"kind": "after", "of": ["Orders(day=2024-01-02)"], "outcome": "failed"})
    levada.offer("Sum")
    levada.add({1: [], 2: []}, "Orders", params=lambda number: json.dumps({"day": f"2024-01-0{number}"}))
    levada.claim(2)
    levada.done(1)
    levada.done(1)  # said twice
    levada.fail(2)
    levada.again()
    fired = [(goal.trigger, goal.params["day"]) for goal in levada.goals(family="Sum")]
    assert fired == [("after-one", "2024-01-02"), ("after-any", "2024-01-01")]


def test_notices_of_stores_nudge_who_watches_and_fire_their_triggers(levada: Levada) -> None:
    levada.offer("Report")
    levada.put("on-notice", params={"day": "{event.day}"}, when={"kind": "event", "name": "landed"})
    key = levada.ask(t.AddGoal("Report", {"day": "2024-01-01"})).goal
    levada.taken()
    levada.report(key, "parked", missing=["s3://in/a"])
    told = t.NoticeItem("1", "s3:ObjectCreated:Put", ["s3://in/a", "s3://out/b"], {})
    assert levada.ask(t.Notices([told, t.NoticeItem("2", "landed", [], {"day": "2024-01-02"})])).fired == ["on-notice"]
    assert levada.ask(t.Notices([t.NoticeItem("2", "landed", [], {"day": "2024-01-02"}), t.NoticeItem("3", "landed", [], {})])).fired == []
    assert [(row[1], row[2]) for row in levada.take(0).watches] == [("+", "s3://in/a"), ("!", "s3://in/a")]


def test_what_comes_after_several_comes_for_each_set_of_parameters_that_all_of_them_have_made(levada: Levada) -> None:
    levada.put("both", "Sum", {"day": "{ended.day}"}, {"kind": "after", "of": ["P", "Q"]})
    levada.offer("Sum")
    levada.add({1: [], 2: []}, "P", params=lambda number: json.dumps({"day": f"2024-01-0{number}"}))
    levada.add({11: [], 13: [], 12: []}, "Q", params=lambda number: json.dumps({"day": f"2024-01-0{number - 10}"}))
    levada.claim(5)
    levada.done(1, 2, 13)
    assert levada.goals(family="Sum") == []
    levada.again()
    levada.offer("Sum")
    levada.done(12)
    levada.done(11)
    assert [goal.params["day"] for goal in levada.goals(family="Sum")] == ["2024-01-01", "2024-01-02"]


def test_what_an_agent_watched_that_hung_up_is_watched_by_another_at_once(levada: Levada) -> None:
    levada.put(when={"kind": "arrival", "pattern": "s3://in/{day}.csv"}, params={"day": "{path.day}"})
    levada.offer("Report")
    assert len(levada.take(0).watches) == 1
    levada.begin(t.Take(AGENT, 1, since=1, wait=30.0))
    until = time.monotonic() + 5
    while not levada.host._takes:
        assert time.monotonic() < until
    next(iter(levada.host._takes.values()))[0].gone = True
    levada.at(levada.wall.at + 1)
    levada.offer("Report", agent=OTHER)
    assert [row[1] for row in levada.take(0, agent=OTHER).watches] == ["+"]
    assert [row[1] for row in levada.take(0, since=1).watches] == ["-"]  # it is back, and hears it
