"""Agents: who unfolds goals and watches places for them. One stands beside each resident worker.

Laws: a goal is with one agent at a time, for a lease; a place is watched by one agent at a time; what an agent is to watch is told
as a growing list of changes, so that a hundred thousand places cost their changes and not their number. A list that grew too long, or
that an agent has from another life of the server, is begun anew. Agents live in memory: after a restart they say anew what they
offer, and what they hold stays theirs for a lease.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from ..._model.spelling import did_you_mean
from ..._wire.problems import Refusal
from ..._wire.triggers import CODE
from .goals import CANCELLED, FAILED, Goal

if TYPE_CHECKING:
    from .book import Book

MOST_AGENTS = 10_000
FORGOTTEN = 1.0  # leases of silence after which an agent is forgotten; a question that is held is no silence
LOOKED = 20  # places of a goal whose troubles are told
TOLD = 2_000  # entries of the list in one answer
UNHEARD = 10_000  # entries that an agent has not confirmed, beside those of all places
MOST_WATCHED = 500_000  # places of goals, each counted once a goal
MOST_CHARACTERS = 128 << 20  # of their URLs
MOST_OFFERED = 64 << 20  # characters of all that agents offer
TELL_AGAIN = 5.0  # seconds until an agent hears once more that it is to end a goal

ADD, DROP, NUDGE = "+", "-", "!"
TRIGGER = "trigger:"  # before the names of triggers among those that a place is watched for


class Entry(NamedTuple):
    """A change of what an agent watches: ADD, DROP, or NUDGE (somebody says that it changed)."""

    seq: int
    act: str
    url: str
    pattern: bool
    interval: float


class Watch:
    """A place, or a pattern, that goals or triggers wait for."""

    __slots__ = ("agent", "interval", "pattern", "url", "who")

    def __init__(self, url: str, pattern: bool, interval: float) -> None:
        self.url, self.pattern, self.interval = url, pattern, interval
        self.who: dict[str, str] = {}  # keys of goals, "trigger:NAME"; each with its family
        self.agent = ""


class Agent:
    """One of them. log: what it is to watch, as changes that it has not confirmed."""

    __slots__ = (
        "families", "heard", "host", "id", "is_away", "log", "modules", "name", "nudged", "pid", "seen", "seq", "size", "told", "token",
        "troubles", "wishes",
    )  # fmt: skip

    def __init__(self, id: str, token: str) -> None:
        self.id, self.token = id, token
        self.name = self.host = ""
        self.pid = 0
        self.modules: tuple[str, ...] = ()
        self.families: dict[str, str] = {}  # and the module of each
        self.size = 0  # characters of what it offers
        self.seen = 0.0
        self.is_away = False  # it hung up, and was not heard since
        self.seq = self.told = self.heard = 0  # numbers of entries: the newest, the newest that was told, that was confirmed
        self.log: deque[Entry] = deque()
        self.nudged: set[str] = set()  # in the log
        self.wishes: dict[str, float] = {}  # goals that it is to end; not told again before that moment
        self.troubles: dict[str, str] = {}

    def note(self, act: str, watch: Watch) -> None:
        """One more change for it."""
        self.seq += 1
        self.log.append(Entry(self.seq, act, watch.url, watch.pattern, watch.interval))

    def nudge(self, url: str, pattern: bool) -> None:
        """It is to look there, once."""
        if url not in self.nudged:
            self.nudged.add(url)
            self.note(NUDGE, Watch(url, pattern, 0.0))

    def begin(self, watches: Iterable[Watch]) -> None:
        """Begin the list anew."""
        self.log.clear()
        self.nudged.clear()
        self.seq = self.told = self.heard = 0
        for watch in watches:
            self.note(ADD, watch)


class Agents:
    """All of them, and who watches what."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self.known: dict[str, Agent] = {}
        self.watches: dict[tuple[str, bool], Watch] = {}
        self.watched = self.characters = 0  # for goals
        self._heads: dict[
            int, dict[str, dict[str, Watch]]
        ] = {}  # patterns, by the length and the text of what stands before the first sign
        self._offers: dict[str, dict[str, Agent]] = {}  # agents by family

    def offers(self, family: str) -> bool:
        """Whether somebody unfolds goals of that family."""
        return bool(self._offers.get(family))

    def unoffered(self, family: str) -> str:
        """What is said where nobody does."""
        near = did_you_mean(family, self.families())
        return f"no worker offers {family}: {f'{near} Else ' if near else ''}start `levada worker --app MODULE` with its module"

    def broken(self, family: str) -> str:
        """Why the code of a family cannot be imported; "" where one agent at least has no such trouble."""
        said = [agent.troubles.get(CODE, "") for agent in self._offers.get(family, {}).values()]
        return said[0] if said and all(said) else ""

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
            agent.wishes = {goal.key: 0.0 for goal in self._book.running.values() if goal.agent == id and goal.wish}
        if agent.token != token:
            raise Refusal("forbidden", "the agent belongs to another token")
        agent.seen = now
        if agent.is_away:
            agent.is_away = False
            self._reassign([watch for watch in self.watches.values() if not watch.agent])
        return agent

    def hung_up(self, agent: Agent) -> None:
        """Its connection broke: what it watches is watched by others, until it is heard again. Its goals stay for their lease."""
        agent.is_away = True
        self._reassign([watch for watch in self.watches.values() if watch.agent == agent.id])

    def heard(self, id: str, token: str, now: float) -> Agent:
        """An agent that has joined. Raises Refusal ``unknown-session``: it is to say again what it offers."""
        agent = self.known.get(id)
        if agent is None:
            raise Refusal("unknown-session", f"agent {id} is not known here", hint="Say what you offer first.")
        return self.join(id, token, now)

    def may_offer(self, agent: Agent, size: int) -> None:
        """Raises Refusal where all agents together would offer too much. size: characters."""
        if size > agent.size and sum(each.size for each in self.known.values()) - agent.size + size > MOST_OFFERED:
            raise Refusal("busy", "the agents together offer too much", hint="Offer fewer families.", retry_after=60.0)
        agent.size = size

    def _withdraw(self, agent: Agent, families: Iterable[str]) -> None:
        for family in families:
            offering = self._offers.get(family, {})
            offering.pop(agent.id, None)
            if not offering:
                self._offers.pop(family, None)
                self._book.kinds.pop(family, None)
                self._book.owners.pop(family, None)

    def offer(self, agent: Agent, families: Mapping[str, str]) -> None:
        """What it offers from now on."""
        self._withdraw(agent, agent.families.keys() - families.keys())
        agent.families = dict(families)
        for family in families:
            self._offers.setdefault(family, {})[agent.id] = agent
        self._reassign([watch for watch in self.watches.values() if not watch.agent or watch.agent == agent.id])
        self._book.stirred = True

    def leave(self, agent: Agent, wall: float, reason: str) -> None:
        """It is gone: what it had goes to others."""
        self.known.pop(agent.id, None)
        self._withdraw(agent, agent.families)
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
            agent.wishes[goal.key] = 0.0
            self._book.stirred = True

    def to_end(self, agent: Agent, held: Iterable[str], now: float) -> list[str]:
        """Goals that it holds and is to end, as far as it was not told just now."""
        if not agent.wishes:
            return []
        agent.wishes = {key: agent.wishes[key] for key in held if key in agent.wishes}
        found = [key for key, moment in agent.wishes.items() if moment <= now]
        agent.wishes.update(dict.fromkeys(found, now + TELL_AGAIN))
        return found

    # -- watches

    def has_room(self, url: str) -> bool:
        """Whether one more place can be watched for a goal."""
        return self.watched < MOST_WATCHED and self.characters + len(url) <= MOST_CHARACTERS

    def watch(self, family: str, url: str, *, pattern: bool, who: str, agent: str = "", interval: float = 30.0) -> None:
        """Have somebody watch it. agent: who should, if it can."""
        watch = self.watches.get((url, pattern))
        if watch is None:
            watch = self.watches[url, pattern] = Watch(url, pattern, interval)
            if pattern:
                head = _head(url)
                self._heads.setdefault(len(head), {}).setdefault(head, {})[url] = watch
        if who not in watch.who:
            self._count(who, url, 1)
        watch.who[who] = family
        if not watch.agent:
            watch.interval = min(watch.interval, interval)
            self._assign(watch, agent)
        elif interval < watch.interval:
            watch.interval = interval
            if watch.agent in self.known:
                self.known[watch.agent].note(ADD, watch)
                self._book.stirred = True

    def _count(self, who: str, url: str, by: int) -> None:
        if not who.startswith(TRIGGER):
            self.watched += by
            self.characters += by * len(url)

    def unwatch(self, url: str, *, pattern: bool, who: str) -> None:
        """One needs it no more."""
        watch = self.watches.get((url, pattern))
        if watch is None:
            return
        if watch.who.pop(who, None) is not None:
            self._count(who, url, -1)
        if not watch.who:
            del self.watches[url, pattern]
            if pattern:
                self._drop_head(url)
            agent = self.known.get(watch.agent)
            if agent is not None:
                agent.note(DROP, watch)
                self._book.stirred = True

    def _drop_head(self, pattern: str) -> None:
        head = _head(pattern)
        of_length = self._heads[len(head)]
        del of_length[head][pattern]
        if not of_length[head]:
            del of_length[head]
        if not of_length:
            del self._heads[len(head)]

    def _assign(self, watch: Watch, wished: str = "") -> None:
        """To who is wished, else to the first that offers a family which needs it."""
        families = dict.fromkeys(watch.who.values())
        chosen = self.known.get(wished)
        if chosen is None or chosen.is_away or not any(family in chosen.families for family in families):
            offering = (agent for family in families for agent in self._offers.get(family, {}).values())
            chosen = next((agent for agent in offering if not agent.is_away), None)
        watch.agent = chosen.id if chosen is not None else ""
        if chosen is not None:
            chosen.note(ADD, watch)
            self._book.stirred = True

    def _reassign(self, watches: Iterable[Watch]) -> None:
        for watch in watches:
            agent = self.known.get(watch.agent)
            if agent is not None and not agent.is_away and any(family in agent.families for family in watch.who.values()):
                continue
            if agent is not None:
                agent.note(DROP, watch)
            self._assign(watch)

    def nudge(self, url: str) -> None:
        """Somebody says that it is there: whoever watches it, or a pattern that may fit, is to look now."""
        found = self.watches.get((url, False))
        if found is not None and found.agent in self.known:
            self.known[found.agent].nudge(url, pattern=False)
            self._book.stirred = True
        for length, heads in self._heads.items():
            for agent in dict.fromkeys(watch.agent for watch in heads.get(url[:length], {}).values()):
                if agent in self.known:
                    self.known[agent].nudge(url, pattern=True)
                    self._book.stirred = True

    def told(self, agent: Agent, since: int) -> list[Entry]:
        """Changes after number ``since``, some of them; those up to it are confirmed.

        Raises Refusal ``unknown-session``: the list is begun anew, and so is to be what the agent made of it.
        """
        if len(agent.log) > 2 * len(self.watches) + UNHEARD or since < agent.heard:
            agent.begin(watch for watch in self.watches.values() if watch.agent == agent.id)
        if since > agent.told:
            raise Refusal("unknown-session", f"the list of agent {agent.id} is another one by now", hint="Say what you offer first.")
        agent.heard = since
        while agent.log and agent.log[0].seq <= since:
            heard = agent.log.popleft()
            if heard.act == NUDGE:
                agent.nudged.discard(heard.url)
        some = list(islice(agent.log, TOLD))
        if some:
            agent.told = max(agent.told, some[-1].seq)
        return some


def _head(pattern: str) -> str:
    """What stands before the first group or wildcard.

    >>> _head("s3://in/{day}/*.csv")
    's3://in/'
    """
    for at, char in enumerate(pattern):
        if char in "{*?[":
            return pattern[:at]
    return pattern
