"""Agents: who unfolds goals and watches places for them. One stands beside each resident worker.

Laws: a goal is with one agent at a time, for a lease; a place is watched by one agent at a time; what an agent is to watch is told
as a growing list of changes, so that a hundred thousand places cost their changes and not their number. Agents live in memory: after
a restart they say anew what they offer, and what they hold stays theirs for a lease.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from ..._model.spelling import did_you_mean
from ..._wire.problems import Refusal
from .goals import CANCELLED, FAILED, Goal

if TYPE_CHECKING:
    from .book import Book

MOST_AGENTS = 10_000
FORGOTTEN = 3.0  # leases of silence after which an agent is forgotten
LOOKED = 20  # places of a goal whose troubles are told
TOLD = 2_000  # entries of the list in one answer

ADD, DROP, NUDGE = "+", "-", "!"


class Entry(NamedTuple):
    """A change of what an agent watches: ADD, DROP, or NUDGE (somebody says that it changed)."""

    seq: int
    act: str
    url: str
    pattern: bool
    interval: float


class Watch:
    """A place, or a pattern, that goals or triggers wait for."""

    __slots__ = ("agent", "families", "interval", "pattern", "url", "wanted_by", "who")

    def __init__(self, url: str, pattern: bool, interval: float) -> None:
        self.url, self.pattern, self.interval = url, pattern, interval
        self.who: dict[str, str] = {}  # keys of goals, "trigger:NAME"; each with its family
        self.agent = ""


class Agent:
    """One of them. log: what it is to watch, as changes that it has not confirmed."""

    __slots__ = ("families", "host", "id", "log", "modules", "name", "pid", "seen", "seq", "token", "troubles", "wishes")

    def __init__(self, id: str, token: str) -> None:
        self.id, self.token = id, token
        self.name = self.host = ""
        self.pid = 0
        self.modules: tuple[str, ...] = ()
        self.families: dict[str, str] = {}  # and the module of each
        self.seen = 0.0
        self.seq = 0
        self.log: list[Entry] = []
        self.wishes: set[str] = set()  # goals that it is to end
        self.troubles: dict[str, str] = {}

    def note(self, act: str, watch: Watch) -> None:
        """One more change for it."""
        self.seq += 1
        self.log.append(Entry(self.seq, act, watch.url, watch.pattern, watch.interval))


class Agents:
    """All of them, and who watches what."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self.known: dict[str, Agent] = {}
        self.watches: dict[tuple[str, bool], Watch] = {}
        self._offers: dict[str, dict[str, Agent]] = {}  # agents by family

    def offers(self, family: str) -> bool:
        """Whether somebody unfolds goals of that family."""
        return bool(self._offers.get(family))

    def unoffered(self, family: str) -> str:
        """What is said where nobody does."""
        near = did_you_mean(family, self.families())
        return f"no worker offers {family}: {f'{near} Else ' if near else ''}start `levada worker --app MODULE` with its module"

    def trouble_of(self, goal: Goal) -> str:
        """Why a place that a goal waits for cannot be asked now; "" where it can, as far as its first places go."""
        for url, pattern in goal.missing[:LOOKED]:
            watch = self.watches.get((url, pattern))
            agent = self.known.get(watch.agent) if watch is not None else None
            if agent is not None:
                for place, text in agent.troubles.items():
                    if url.startswith(place):
                        return f"{place}: {text}"
        return ""

    def families(self) -> Mapping[str, str]:
        """Every family that is offered, with its module."""
        return {family: next(iter(agents.values())).families[family] for family, agents in self._offers.items() if agents}

    def join(self, id: str, token: str, now: float) -> Agent:
        """An agent that is there, or comes. Raises Refusal."""
        agent = self.known.get(id)
        if agent is None:
            if len(self.known) >= MOST_AGENTS:
                raise Refusal("busy", f"{MOST_AGENTS:,} agents are there, no more are taken", retry_after=60.0)
            agent = self.known[id] = Agent(id, token)
        if agent.token != token:
            raise Refusal("forbidden", "the agent belongs to another token")
        agent.seen = now
        return agent

    def heard(self, id: str, token: str, now: float) -> Agent:
        """An agent that has joined. Raises Refusal ``unknown-session``: it is to say again what it offers."""
        agent = self.known.get(id)
        if agent is None:
            raise Refusal("unknown-session", f"agent {id} is not known here", hint="Say what you offer first.")
        return self.join(id, token, now)

    def offer(self, agent: Agent, families: Mapping[str, str]) -> None:
        """What it offers from now on."""
        for family in agent.families.keys() - families.keys():
            self._offers.get(family, {}).pop(agent.id, None)
        agent.families = dict(families)
        for family in families:
            self._offers.setdefault(family, {})[agent.id] = agent
        self._reassign([watch for watch in self.watches.values() if not watch.agent or watch.agent == agent.id])
        self._book.stirred = True

    def leave(self, agent: Agent, wall: float, reason: str) -> None:
        """It is gone: what it had goes to others."""
        self.known.pop(agent.id, None)
        for family in agent.families:
            self._offers.get(family, {}).pop(agent.id, None)
        for goal in [goal for goal in self._book.running.values() if goal.agent == agent.id]:
            self._lost(goal, reason, wall)
        self._reassign([watch for watch in self.watches.values() if watch.agent == agent.id])

    def turn(self, now: float, wall: float) -> None:
        """Leases end, silent agents are forgotten."""
        lease = self._book.lease
        for goal in [goal for goal in self._book.running.values() if goal.leased_until < now]:
            self._lost(goal, "its lease was not renewed", wall)
        for agent in [agent for agent in self.known.values() if now - agent.seen > lease * FORGOTTEN]:
            self.leave(agent, wall, f"its agent {agent.name} was not heard for {now - agent.seen:.0f} s")

    def _lost(self, goal: Goal, reason: str, wall: float) -> None:
        if goal.wish == "cancel":
            self._book.end(goal, CANCELLED, reason, wall)
        elif goal.wish == "fail":
            self._book.end(goal, FAILED, "its deadline has passed", wall)
        else:
            self._book.back(goal, reason, wall)

    def tell(self, goal: Goal) -> None:
        """Its agent is to end it."""
        agent = self.known.get(goal.agent)
        if agent is not None:
            agent.wishes.add(goal.key)
            self._book.stirred = True

    # -- watches

    def watch(self, family: str, url: str, *, pattern: bool, who: str, agent: str = "", interval: float = 30.0) -> None:
        """Have somebody watch it. agent: who should, if it can."""
        watch = self.watches.get((url, pattern))
        if watch is None:
            watch = self.watches[url, pattern] = Watch(url, pattern, interval)
        watch.who[who] = family
        watch.interval = min(watch.interval, interval)
        if not watch.agent:
            self._assign(watch, agent)

    def unwatch(self, url: str, *, pattern: bool, who: str) -> None:
        """One needs it no more."""
        watch = self.watches.get((url, pattern))
        if watch is None:
            return
        watch.who.pop(who, None)
        if not watch.who:
            del self.watches[url, pattern]
            agent = self.known.get(watch.agent)
            if agent is not None:
                agent.note(DROP, watch)
                self._book.stirred = True

    def _assign(self, watch: Watch, wished: str = "") -> None:
        """To who is wished, else to the first that offers a family which needs it."""
        families = dict.fromkeys(watch.who.values())
        chosen = self.known.get(wished)
        if chosen is None or not any(family in chosen.families for family in families):
            chosen = next((agent for family in families for agent in self._offers.get(family, {}).values()), None)
        watch.agent = chosen.id if chosen is not None else ""
        if chosen is not None:
            chosen.note(ADD, watch)
            self._book.stirred = True

    def _reassign(self, watches: Iterable[Watch]) -> None:
        for watch in watches:
            agent = self.known.get(watch.agent)
            if agent is not None and any(family in agent.families for family in watch.who.values()):
                continue
            if agent is not None:
                agent.note(DROP, watch)
            self._assign(watch)

    def nudge(self, url: str) -> None:
        """Somebody says that it is there: whoever watches it, or a pattern that may fit, is to look now."""
        found = self.watches.get((url, False))
        if found is not None and found.agent in self.known:
            self.known[found.agent].note(NUDGE, Watch(url, False, 0.0))
        for agent in {watch.agent for watch in self.watches.values() if watch.pattern and url.startswith(_head(watch.url))}:
            if agent in self.known:
                self.known[agent].note(NUDGE, Watch(url, True, 0.0))
        self._book.stirred = True

    def told(self, agent: Agent, since: int) -> list[Entry]:
        """Changes after number ``since``, some of them; those up to it are confirmed."""
        if agent.log and agent.log[0].seq <= since:
            agent.log = [entry for entry in agent.log if entry.seq > since]
        return agent.log[:TOLD]

    def has_news(self, agent: Agent, since: int) -> bool:
        """Whether it need not wait."""
        return bool(agent.wishes) or agent.seq > since


def _head(pattern: str) -> str:
    """What stands before the first group or wildcard.

    >>> _head("s3://in/{day}/*.csv")
    's3://in/'
    """
    for at, char in enumerate(pattern):
        if char in "{*?[":
            return pattern[:at]
    return pattern
