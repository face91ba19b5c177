"""The judge of worlds of triggers: what must have become of each fire time, event and arrival, worked out from what was committed.

It knows the definitions of triggers, the wall times at which a server that lived turned, and the rows that came to the store; of
the real code it uses ``Schedule`` alone (and numbers such as FRESH), never the book's own account. A book is looked at for what it
says of live goals, and whether it holds anything else.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

from levada._model.triggers import SCHEDULES, After, Arrival, Event, Trigger, trigger_from_json
from levada._server.schedule import Schedule
from levada._server.triggers import book as real
from levada._server.triggers import firing
from levada._server.triggers.goals import LIVE, PARKED, RUNNING, WANTED
from levada._wire import triggers as w
from levada._wire.problems import Refusal

LEASE = 60.0


class Broken(Exception):
    """A law fell."""


class Course:
    """What must become of one trigger. cursor: fire times up to here are decided; decided: the only ones that were, one by one."""

    def __init__(self, trigger: Trigger, wall: float) -> None:
        self.trigger = trigger
        self.schedule = Schedule(trigger) if isinstance(trigger.when, SCHEDULES) else None
        self.cursor = wall
        self.decided: set[float] = set()
        self.ranges: list[tuple[float, float]] = []
        self.retry_at = 0.0
        self.strict = True  # the policy of overlaps is that of all its live goals

    def again(self, trigger: Trigger, wall: float) -> None:
        """It is defined anew."""
        if trigger == self.trigger:
            return
        if trigger.when != self.trigger.when:
            self.cursor, self.decided, self.ranges = wall, set(), []
        elif self.trigger.paused:
            self.cursor = max(self.cursor, wall)
        if (trigger.start, trigger.end) != (self.trigger.start, self.trigger.end):
            self.decided, self.ranges = set(), []
        self.strict = self.strict and trigger.overlap == self.trigger.overlap
        self.trigger, self.retry_at = trigger, 0.0
        self.schedule = Schedule(trigger) if isinstance(trigger.when, SCHEDULES) else None

    def pause(self, paused: bool, wall: float) -> None:
        if paused != self.trigger.paused:
            self.trigger = self.trigger._replace(paused=paused)
            self.cursor, self.retry_at = max(self.cursor, wall), 0.0

    def is_decided(self, fire: float) -> bool:
        return fire in self.decided or any(first <= fire <= last for first, last in self.ranges)

    def come(self, wall: float) -> Iterator[float]:
        """Fire times that are due and not behind one that is not."""
        assert self.schedule is not None
        fire = self.schedule.after(self.cursor)
        while fire is not None and self.schedule.due(fire) <= wall:
            yield fire
            fire = self.schedule.after(fire)

    def due(self, wall: float) -> tuple[list[float], list[float]]:
        """(missed, fresh)"""
        assert self.schedule is not None
        missed: list[float] = []
        fresh: list[float] = []
        latest = 0.0
        for fire in self.come(wall):
            latest = max(latest, self.schedule.due(fire))
            (fresh if wall - latest <= firing.FRESH else missed).append(fire)
        return missed, fresh


class Ledger:
    """What was committed, and what follows from it."""

    def __init__(self) -> None:
        self.courses: dict[str, Course] = {}
        self.goals: dict[int, dict[str, Any]] = {}  # by number: as committed last
        self.by_cause: dict[tuple[str, str], int] = {}
        self.leases: dict[str, tuple[str, float]] = {}  # whose each goal is, and until when
        self.wall = 0.0
        self.loaded: float | None = None  # when the server that lives loaded the store, until it has committed something
        self.round: list[tuple[Any, Any, Any]] = []
        self.turns: list[float] = []
        self.now = 0.0

    # -- what happens

    def started(self, wall: float, now: float) -> None:
        """A server has loaded the store: leases begin anew."""
        self.wall, self.loaded = wall, wall
        self.leases = {key: (agent, now + LEASE) for key, (agent, _) in self.leases.items()}

    def begin(self, wall: float, now: float) -> None:
        self.round, self.turns, self.wall_now, self.now = [], [], wall, now

    def asked(self, request: Any, answer: Any, heard: Callable[[Any], None] | None) -> None:
        self.round.append((request, answer, heard))

    def turned(self, wall: float) -> None:
        self.turns.append(wall)

    def void(self) -> None:
        """The round came to nothing: the server died."""
        self.round, self.turns = [], []

    def answers(self) -> list[Callable[[], None]]:
        """What is said to those who asked."""
        return [lambda heard=heard, answer=answer: heard(answer) for _, answer, heard in self.round if heard is not None]  # type: ignore[misc]

    # -- what must be

    def committed(self, rows: Any, book: real.Book) -> None:
        """Hold what was written against what must have been."""
        before = {number: row for number, row in self.goals.items() if not row["ended"]}
        made = self._take(rows)
        live = self._live_by_trigger()
        was = {name: [row for row in before.values() if row["trigger"] == name] for name in {row["trigger"] for row in before.values()}}
        if self.loaded is not None:
            self._set_back(self.loaded)
            for course in self.courses.values():
                course.retry_at = 0.0
            self.loaded = None
        self._clock(self.wall_now)
        asked_for = self._operated(made)
        for wall in self.turns:
            self._clock(wall)
            for course in self.courses.values():
                self._schedule(course, wall, made, was)
        for row in made.values():
            if row["trigger"] and row["number"] not in asked_for and not row.get("expected"):
                raise Broken(f"a goal that nothing asked for: {row}")
        self._overlaps(live)
        self._leases_hold()
        self.whole(book)

    def _take(self, rows: Any) -> dict[int, dict[str, Any]]:
        made: dict[int, dict[str, Any]] = {}
        for row in rows.goals if rows is not None else ():
            data = json.loads(row.data)
            goal = {
                "number": row.number, "key": row.key.hex(), "trigger": row.trigger, "family": row.family, "state": row.state,
                "ended": row.ended, "cause": data.get("cause", ""), "agent": data.get("agent", ""), "params": row.params,
            }  # fmt: skip
            old = self.goals.get(row.number)
            if old is not None and (old["ended"] or old["key"] != goal["key"]):
                raise Broken(f"an ended goal lives again: {old} -> {goal}")
            if (row.state in LIVE) == bool(row.ended):
                raise Broken(f"ended, and not: {goal}")
            if old is None:
                if row.number <= max(self.goals, default=0) and row.number not in made:
                    raise Broken(f"numbers do not rise: {goal}")
                if goal["cause"] and self.by_cause.setdefault((row.trigger, goal["cause"]), row.number) != row.number:
                    raise Broken(f"twice for one cause: {goal}")
                made[row.number] = goal
            self.goals[row.number] = goal
        return made

    def _live_by_trigger(self) -> dict[str, list[dict[str, Any]]]:
        live: dict[str, list[dict[str, Any]]] = {}
        for row in self.goals.values():
            if not row["ended"] and row["trigger"]:
                live.setdefault(row["trigger"], []).append(row)
        return live

    # -- what was asked in the round

    def _operated(self, made: dict[int, dict[str, Any]]) -> set[int]:
        """Follow definitions; what an event or an arrival made. Numbers of goals that were asked for."""
        causes: dict[tuple[str, str], dict[str, Any]] = {(row["trigger"], row["cause"]): row for row in made.values()}
        found: set[int] = set()
        for request, answer, _ in self.round:
            if isinstance(answer, Refusal):
                if answer.code not in ("not-found", "unknown-session", "busy", "conflict", "invalid-message"):
                    raise Broken(f"{request} was refused: {answer.code} {answer.message}")
                continue
            if isinstance(request, w.PutTrigger):
                trigger = trigger_from_json({**request.spec, "name": request.name}, "world")
                course = self.courses.get(request.name)
                if course is None:
                    course = self.courses[request.name] = Course(trigger, self.wall_now)
                    course.strict = not any(not row["ended"] for row in self.goals.values() if row["trigger"] == request.name)
                else:
                    course.again(trigger, self.wall_now)
            elif isinstance(request, w.RemoveTrigger):
                del self.courses[request.name]
            elif isinstance(request, (w.PauseTrigger, w.ResumeTrigger)):
                self.courses[request.name].pause(isinstance(request, w.PauseTrigger), self.wall_now)
            elif isinstance(request, w.PostEvent):
                found |= self._event(request, causes)
            elif isinstance(request, w.Arrivals):
                found |= self._arrivals(request, answer, causes)
            elif isinstance(request, (w.Take, w.ReportGoal, w.LeaveAgent)):
                self._lease(request, answer)
        for (_, cause), row in causes.items():
            if cause.startswith("after "):
                found |= {row["number"]} if self._after(row) else set()
        return found

    def _event(self, request: w.PostEvent, causes: dict[tuple[str, str], dict[str, Any]]) -> set[int]:
        found = set()
        for name, course in self.courses.items():
            when = course.trigger.when
            if (
                isinstance(when, Event)
                and not course.trigger.paused
                and all(request.fields.get(field) == text for field, text in when.where)
            ):
                found |= self._one(course, (name, f"event {request.id}"), causes)
        return found

    def _arrivals(self, request: w.Arrivals, answer: Any, causes: dict[tuple[str, str], dict[str, Any]]) -> set[int]:
        found = set()
        for place, seen in enumerate(request.seen):
            for name, course in self.courses.items():
                when = course.trigger.when
                if seen.pattern and isinstance(when, Arrival) and when.pattern == seen.watched and not course.trigger.paused:
                    key = (name, f"{seen.url}\n{seen.etag}")
                    found |= self._one(course, key, causes) if place < answer.taken else {causes[key]["number"]} if key in causes else set()
        return found

    def _one(self, course: Course, key: tuple[str, str], causes: dict[tuple[str, str], dict[str, Any]]) -> set[int]:
        """What must have made a goal, now or earlier, but for the policy."""
        if key not in self.by_cause and course.trigger.overlap not in ("skip", "queue_one"):
            raise Broken(f"{key} made no goal")
        return {causes[key]["number"]} if key in causes else set()

    def _after(self, row: dict[str, Any]) -> bool:
        """Whether what it comes after has ended as it should."""
        course = self.courses.get(row["trigger"])
        if course is None or any(isinstance(request, w.PutTrigger) and request.name == row["trigger"] for request, _, _ in self.round):
            return True  # it was another one when it fired in this round
        _, of, _, number = row["cause"].split(" ")
        when, ended = course.trigger.when, self.goals[int(number)]
        if not isinstance(when, After) or not ended["ended"]:
            return not isinstance(when, After)
        return of in when.of and (when.outcome == "ended" or ended["state"] == when.outcome)

    # -- leases

    def _lease(self, request: Any, answer: Any) -> None:
        if isinstance(request, w.ReportGoal):
            if answer.known:
                self._is_with(request.goal, request.agent)
                self.leases.pop(request.goal, None)
        elif isinstance(request, w.LeaveAgent):
            self.leases = {key: lease for key, lease in self.leases.items() if lease[0] != request.agent}
        else:
            for key in request.held:
                if key in answer.lost:
                    if self.leases.get(key, ("", 0.0))[0] == request.agent:
                        del self.leases[key]
                elif key in self.leases:
                    self._is_with(key, request.agent)
                    self.leases[key] = (request.agent, self.now + LEASE)
            for goal in answer.goals:
                holder, until = self.leases.get(goal.goal, ("", 0.0))
                if holder not in ("", request.agent) and until > self.now:
                    raise Broken(f"goal {goal.goal} is given to {request.agent} while {holder} has it")
                self.leases[goal.goal] = (request.agent, self.now + LEASE)

    def _is_with(self, key: str, agent: str) -> None:
        holder, _ = self.leases.get(key, (agent, 0.0))
        if holder != agent:
            raise Broken(f"goal {key} is with {holder}, and the server hears {agent}")

    def _leases_hold(self) -> None:
        """Who has a lease has the goal, whatever others asked for meanwhile."""
        rows = {row["key"]: row for row in self.goals.values() if not row["ended"]}
        for key, (agent, until) in list(self.leases.items()):
            row = rows.get(key)
            if row is None:
                del self.leases[key]  # it has ended: its agent will hear that it is lost
            elif row["state"] != RUNNING or row["agent"] != agent:
                if until > self.now + 1.0:
                    raise Broken(f"{agent} has {key} for another {until - self.now:.0f} s, and the store says {row}")
                del self.leases[key]

    # -- schedules

    def _clock(self, wall: float) -> None:
        """Fire times that come again and were decided one by one are decided; others are not."""
        if wall < self.wall - real.LEAP:
            self._set_back(wall)
        self.wall = wall

    def _set_back(self, wall: float) -> None:
        for course in self.courses.values():
            course.cursor, course.retry_at = min(course.cursor, wall), 0.0

    def _schedule(self, course: Course, wall: float, made: Any, was: Any) -> None:
        if course.schedule is None or course.trigger.paused or wall < course.retry_at:
            return
        missed, fresh = course.due(wall)
        if not missed and not fresh:
            return
        policy, name = course.trigger.missed, course.trigger.name
        given = {row["cause"]: row for row in made.values() if row["trigger"] == name}
        had = bool(was.get(name)) or bool(given)
        full = len(was.get(name, ())) + len(given) >= real.MOST_LIVE
        if policy == "merge" and missed:
            self._merged(course, [*missed, *fresh], given, wall, had=had, full=full)
            return
        if policy == "each":
            fires = [*missed, *fresh][: firing.TURN]
        elif policy == "last" and missed and not fresh:
            fires = missed[-1:]
        else:
            fires = fresh
            if missed:
                course.cursor = missed[-1]
        for fire in fires:
            if not course.is_decided(fire) and not self._decided(course, given, f"{fire:.3f}", had=had):
                if full:
                    course.retry_at = wall + real.ROOM
                    return
                raise Broken(f"{name} lost its fire time {fire:.3f} at {wall:.3f}; {policy}, {course.trigger.overlap}")
            course.decided.add(fire)
            course.cursor = fire
        if len(fires) == firing.TURN:
            course.retry_at = wall

    def _merged(self, course: Course, fires: list[float], given: Any, wall: float, *, had: bool, full: bool) -> None:
        open_ = [fire for fire in fires if not course.is_decided(fire)]
        if open_ and not self._decided(course, given, f"{open_[0]:.3f}..{open_[-1]:.3f}", had=had):
            if not full:
                raise Broken(f"{course.trigger.name} lost {open_[0]:.3f}..{open_[-1]:.3f} at {wall:.3f}")
            course.retry_at = wall + real.ROOM
            return
        course.decided |= set(fires)
        course.cursor = fires[-1]

    def _decided(self, course: Course, given: Any, cause: str, *, had: bool) -> bool:
        """Whether the goal was made, now or ever, or the policy lets it be left out."""
        if cause in given:
            given[cause]["expected"] = True
            return True
        return (course.trigger.name, cause) in self.by_cause or (had and course.trigger.overlap in ("skip", "queue_one"))

    # -- overlaps

    def _overlaps(self, live: dict[str, list[dict[str, Any]]]) -> None:
        for name, course in self.courses.items():
            goals = live.get(name, [])
            if not goals:
                course.strict = True
            if not course.strict or course.trigger.overlap == "allow":
                continue
            most = {"skip": 1, "queue_one": 2}.get(course.trigger.overlap, real.MOST_LIVE)
            if len(goals) > most:
                raise Broken(f"{name}, {course.trigger.overlap}: {len(goals)} goals have not ended")
            begun = [goal for goal in goals if goal["state"] in (RUNNING, PARKED)]
            if len(begun) > 1:
                raise Broken(f"{name}, {course.trigger.overlap}: {len(begun)} goals at once")

    # -- the book holds what lives, and can say why

    def whole(self, book: real.Book) -> None:
        """It holds what is live and nothing else, and each goal that waits is where somebody will find it."""
        live = {row["key"]: row for row in self.goals.values() if not row["ended"]}
        if live.keys() != book.live.keys() or any(book.live[key].state != row["state"] for key, row in live.items()):
            raise Broken(f"the book and the store differ: {live.keys() ^ book.live.keys()}")
        if set(book.running) != {key for key, goal in book.live.items() if goal.state == RUNNING}:
            raise Broken("running goals differ")
        if {key for goals in book.of_trigger.values() for key in goals} != {key for key, goal in book.live.items() if goal.trigger}:
            raise Broken("goals of triggers differ")
        if book.triggers.keys() != self.courses.keys():
            raise Broken("triggers differ")
        queued = {key for queue in book._queues.values() for key in queue}
        moments = {(key, moment) for moment, key in book._moments}
        watched = 0
        for key, goal in book.live.items():
            if not book.why(goal):
                raise Broken(f"goal {goal.number} cannot say what it waits for")
            if goal.state == WANTED:
                waits = goal.not_before > book.turned and (key, goal.not_before) in moments
                if not waits and (key in queued) != book._is_its_turn(goal):
                    raise Broken(f"goal {goal.number} is wanted, and nobody will take it")
            elif key in queued:
                raise Broken(f"goal {goal.number} is {goal.state}, and in the queue")
            if goal.state == PARKED:
                watched += len(goal.missing)
                if any(key not in book.agents.watches[url, pattern].who for url, pattern in goal.missing):
                    raise Broken(f"nobody watches for goal {goal.number}")
                if (key, goal.look_at) not in moments:
                    raise Broken(f"goal {goal.number} would wait for ever")
        self._agents(book, watched)
        if len(book._due) > 2 * len(book.triggers) + 1_000 or len(book._moments) > 4 * len(book.live) + 1_000:
            raise Broken("moments heap up")

    def _agents(self, book: real.Book, watched: int) -> None:
        agents = book.agents
        wanted = {
            ("trigger:" + name)
            for name, course in self.courses.items()
            if isinstance(course.trigger.when, Arrival) and not course.trigger.paused
        }
        if {who for watch in agents.watches.values() for who in watch.who if who.startswith("trigger:")} != wanted:
            raise Broken("patterns of triggers and watches differ")
        if agents.watched != watched or watched != sum(len(watch.who) for watch in agents.watches.values()) - len(wanted):
            raise Broken("watches of goals and their count differ")
        for watch in agents.watches.values():
            offered = any(agents.offers(family) for family in watch.who.values())
            if offered and watch.agent not in agents.known:
                raise Broken(f"nobody looks at {watch.url}, and somebody could")
        for agent in agents.known.values():
            if len(agent.log) > 2 * len(agents.watches) + 20_000:
                raise Broken("a list grows")

    def nothing_is_left(self, book: real.Book) -> None:
        """All has ended: nothing of it is kept."""
        whole = deepcopy([book._queues, book.of_trigger, book.running, book.live, book._dirty])
        if any(whole) or book.agents.watched or book.agents.characters or book.agents.watches:
            raise Broken(f"something is left: {whole} {list(book.agents.watches)}")
