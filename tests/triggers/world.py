"""A world of triggers from one seed: the real book, handlers and stores among agents, people and clocks that misbehave.

Each round some messages come, time passes, the book turns and its rows are committed; a server may die before the commit (nothing of
the round is true) or after it (nobody heard the answers), or be deposed by another that has loaded the store. The judge
(``ledger.py``) hears of what was committed alone. In the end all heals: then everything that was wanted must end.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from types import SimpleNamespace
from typing import Any, cast

from levada._model.triggers import arrived, trigger_to_json
from levada._server.triggers import book, firing
from levada._server.triggers.book import Book
from levada._server.triggers.handlers import HANDLERS
from levada._store.memory import Disk, MemoryStore
from levada._store.ports import Batch, Store
from levada._wire import triggers as w
from levada._wire.problems import Refusal
from levada.errors import Deposed

from .ledger import Broken, Ledger
from .made import FAMILIES, PATTERN, STARTS, draw_trigger

LEASE = 60.0
LEAPS = (1.0, 3600.0, 86_400.0, 365 * 86_400.0)
Opened = Callable[[], Store]


class Server:
    """One life of a server: its book, and what it has not committed."""

    def __init__(self, store: Store, wall: float, now: float) -> None:
        self.store, self.now = store, now
        self.epoch = store.take_over("world", wait=None)
        self.book = Book(store.goals_at, LEASE)
        faults = self.book.load(store.triggers(), store.live_goals(), store.last_goal(), wall, now)
        assert not faults, faults
        state = SimpleNamespace(epoch=self.epoch, paused=False)
        self.host = SimpleNamespace(book=self.book, store=store, clock=lambda: self.now, brain=SimpleNamespace(state=state))

    def ask(self, request: Any, wall: float, token: str = "t") -> Any:
        """An answer, which is given after the commit; or a Refusal."""
        desk, call = SimpleNamespace(host=self.host, wall=wall), SimpleNamespace(request=request, identity=SimpleNamespace(token=token))
        try:
            return HANDLERS[type(request)](desk, call)
        except Refusal as no:
            return no

    def commit(self, wall: float) -> Any:
        """The rows that were written. Raises Deposed."""
        rows = self.book.rows()
        if rows is not None:
            batch = Batch(at=wall, seq=0, changes=None, triggers=rows.triggers, untriggered=rows.untriggered, goals=rows.goals)
            self.store.commit(batch)
        return rows


class Agent:
    """An agent over its lives. outbox: messages that were not answered, with what is to be done then."""

    def __init__(self, number: int, dice: Random) -> None:
        self.number, self.dice, self.life = number, dice, 0
        self.begin()

    def begin(self) -> None:
        self.life += 1
        self.id = f"{self.number:016x}{self.life:016x}"
        self.families = FAMILIES[self.number % 2 : self.number % 2 + 3]
        self.asleep_until = 0.0
        self.held: dict[str, w.Taken] = {}
        self.unsaid: dict[str, w.ReportGoal] = {}
        self.forget()

    def forget(self) -> None:
        self.joined, self.since = False, 0
        self.watching: dict[tuple[str, bool], None] = {}
        self.told: set[tuple[str, bool, str, str]] = set()


class World:
    """One world. ``run`` plays it; Broken when a law falls."""

    def __init__(self, seed: int, open_store: Opened | None = None) -> None:
        self.seed = seed
        self.dice = Random(seed)
        disk = Disk()
        self.open: Opened = open_store or (lambda: MemoryStore(disk))
        self.disk = None if open_store else disk
        self.wall, self.now = self.dice.choice(STARTS) + self.dice.uniform(-7200, 7200), 1_000.0
        self.forgets = self.dice.random() < 0.25  # old goals are pruned; such a world has no arrivals and events, whose memory that is
        self.lose, self.die = self.dice.choice([0.0, 0.1, 0.3]), self.dice.choice([0.0, 0.03, 0.1])
        self.files: dict[str, str] = {}
        self.healing = False
        self.ledger = Ledger()
        self.server: Server | None = None
        self.agents = [Agent(number, self.dice) for number in range(3)]
        self.events: list[tuple[w.PostEvent, int]] = []  # that were not acknowledged, and how often they are posted again
        self.posted = 0
        self.trace: list[str] = []
        self.names = [f"t{number}" for number in range(self.dice.randint(1, 5))]

    # -- the course of things

    def run(self, steps: int = 120) -> None:
        before = book.MOST_LIVE, firing.TURN
        book.MOST_LIVE, firing.TURN = 30, 20  # bounds that are met
        try:
            self._play(steps)
        except Broken as broken:
            raise self._broken(str(broken)) from broken
        except Exception as fault:
            raise self._broken(f"{type(fault).__name__}: {fault}") from fault
        finally:
            book.MOST_LIVE, firing.TURN = before

    def _broken(self, text: str) -> Broken:
        last = "\n".join(self.trace[-25:])
        return Broken(f"seed {self.seed}: {text}\nreplay: python -m tests.triggers.world --first {self.seed} --count 1\n{last}")

    def _play(self, steps: int) -> None:
        for _ in range(steps):
            self._round()
        self._heal()
        until = self.now + 3_400.0  # less than it takes until a goal is looked at again though nothing was told of
        while self.now < until:
            if self.server is not None and not self.server.book.live and not any(agent.unsaid for agent in self.agents):
                break
            self._round()
        else:
            live = [] if self.server is None else list(self.server.book.live.values())[:3]
            raise Broken(
                f"goals do not end: {[(goal.number, goal.state, goal.trigger, goal.reason, goal.not_before - self.wall) for goal in live]}"
            )
        assert self.server is not None
        self.ledger.nothing_is_left(self.server.book)

    def _heal(self) -> None:
        self._note("heal")
        self.healing, self.lose, self.die = True, 0.0, 0.0
        if self.server is None:
            self._start()
        cast(Server, self.server).now = self.now
        self.ledger.begin(self.wall, self.now)
        for agent in self.agents:
            agent.asleep_until = 0.0
            agent.families = FAMILIES
            agent.joined = False
        for name in self.names:
            self._operate(w.PauseTrigger(name))
        for number in range(8):
            self.files.setdefault(f"s3://in/need-{number}", "e1")
        self._end_of_round()

    def _round(self) -> None:
        self._let_time_pass()
        if self.server is None:
            if self.dice.random() < 0.5:
                return
            self._start()
        server = cast(Server, self.server)
        server.now = self.now
        self.ledger.begin(self.wall, self.now)
        server.book.see(self.wall)
        for act in self._acts():
            act()
        server.book.turn(self.wall, self.now)
        self.ledger.turned(self.wall)
        self._end_of_round()

    def _end_of_round(self) -> None:
        """Commit, and give the answers: or die before it, or after it, or be deposed."""
        server = cast(Server, self.server)
        fate = self.dice.random()
        if fate < self.die / 3:
            self._note("dies before the commit")
            self._stop()
            return
        if fate < self.die * 2 / 3 and self.disk is not None:  # on a disk nobody takes over from one that lives
            other = self._other(server)
            try:
                if server.commit(self.wall) is not None:
                    raise Broken("a deposed server has committed")
            except Deposed:
                self._note("was deposed")
            self.ledger.void()
            self.server = other
            return
        rows = server.commit(self.wall)
        self.ledger.committed(rows, server.book)
        if self.forgets and self.dice.random() < 0.2:
            server.store.prune(self.wall)
        if fate < self.die:
            self._note("dies after the commit")
            self._stop()
            return
        for answered in self.ledger.answers():
            if self.dice.random() >= self.lose:
                answered()

    def _start(self) -> None:
        self._note("starts")
        self.server = Server(self.open(), self.wall, self.now)
        self.ledger.started(self.wall, self.now)

    def _stop(self) -> None:
        self.ledger.void()
        server, self.server = cast(Server, self.server), None
        server.store.close()

    def _other(self, server: Server) -> Server:
        cast(Disk, self.disk).holder = None
        self._note("another takes over")
        other = Server(self.open(), self.wall, self.now)
        self.ledger.started(self.wall, self.now)
        return other

    def _let_time_pass(self) -> None:
        dice = self.dice
        if self.healing:
            self._pass(dice.choice([0.3, 1.0, 5.0]))
            return
        kind = dice.random()
        if kind < 0.55:
            self._pass(dice.choice([0.25, 1.0, 5.0, 20.0, 50.0]))
        elif kind < 0.8 and self.server is not None and self.server.book.wake_at() - self.wall < 3 * 86_400:
            self._leap(max(0.3, self.server.book.wake_at() - self.wall + dice.random()))
        elif kind < 0.88:
            self._pass(dice.choice([100.0, 1000.0, 5000.0, 30_000.0, 100_000.0]))
        elif kind < 0.92:
            self._leap(dice.choice(LEAPS) * dice.choice([-1, 1]))
        elif kind < 0.94 and self.server is not None:
            self._note("down")
            self.server.store.close()
            self.server = None
            self._pass(dice.choice([10.0, 300.0, 7200.0, 90_000.0, 3 * 86_400.0]))
        else:
            self._pass(0.3)

    def _pass(self, seconds: float) -> None:
        self.wall += seconds
        self.now += seconds

    def _leap(self, seconds: float) -> None:
        self._note(f"the clock leaps by {seconds:.3f}")
        self.wall += seconds
        self.now += 0.3

    def _note(self, text: str) -> None:
        self.trace.append(f"{self.now:.1f} {self.wall:.3f} {text}")

    # -- who acts

    def _acts(self) -> list[Callable[[], None]]:
        dice = self.dice
        acts: list[Callable[[], None]] = []
        if not self.healing:
            if dice.random() < 0.15:
                acts.append(self._somebody_operates)
            if dice.random() < 0.1:
                acts.append(self._data_comes)
            if not self.forgets and dice.random() < 0.1:
                acts.append(self._an_event)
        acts += [self._post_again] * (self.dice.randint(0, 4) if self.events else 0)
        acts += [lambda agent=agent: self._agent_acts(agent) for agent in self.agents if self.healing or dice.random() < 0.7]  # type: ignore[misc]
        dice.shuffle(acts)
        return acts

    def _ask(self, request: Any, heard: Callable[[Any], None] | None = None, token: str = "t") -> Any:
        answer = cast(Server, self.server).ask(request, self.wall, token)
        said = f"{answer.code}: {answer.message}" if isinstance(answer, Refusal) else answer
        if not isinstance(request, w.Take) or (isinstance(answer, w.TakeAnswer) and (answer.goals or answer.lost or answer.cancel)):
            self._note(f"{request} -> {said}"[:400])
        self.ledger.asked(request, answer, heard)
        return answer

    def _operate(self, request: Any) -> None:
        self._ask(request)

    def _somebody_operates(self) -> None:
        dice, known = self.dice, cast(Server, self.server).book
        name, kind = dice.choice(self.names), dice.random()
        if kind < 0.55 or name not in known.triggers:
            trigger = draw_trigger(dice, name, self.names, schedules_alone=self.forgets)
            before = known.triggers.get(name)
            if before is not None and dice.random() < 0.5:  # another policy, the same schedule
                trigger = trigger._replace(when=before.trigger.when, params=before.trigger.params)
            self._operate(w.PutTrigger(name, trigger_to_json(trigger)))
        elif kind < 0.65:
            self._operate(w.RemoveTrigger(name))
        elif kind < 0.75:
            self._operate(w.PauseTrigger(name))
        elif kind < 0.85:
            self._operate(w.ResumeTrigger(name))
        elif known.live:
            self._operate(w.CancelGoal(dice.choice(list(known.live))))
        if kind > 0.9:
            self.posted += 1
            self._operate(w.AddGoal(dice.choice(FAMILIES), {"day": "2024-01-01"}, f"wish {self.posted}"))

    def _data_comes(self) -> None:
        dice = self.dice
        if dice.random() < 0.5:
            self.files[f"s3://in/need-{dice.randrange(8)}"] = f"e{self.posted}"
        elif not self.forgets:
            self.posted += 1
            self.files[PATTERN.replace("{day}", f"2024-01-{dice.randint(1, 28):02}")] = f"e{self.posted}"

    def _an_event(self) -> None:
        self.posted += 1
        event = w.PostEvent("landed", f"n{self.posted}", {"day": "2024-02-01"}, ["s3://in/need-1"])
        self.events.append((event, self.dice.randrange(3)))

    def _post_again(self) -> None:
        event, again = self.dice.choice(self.events)

        def heard(answer: Any) -> None:
            if not isinstance(answer, Refusal) and (event, again) in self.events:
                self.events.remove((event, again))
                if again:
                    self.events.append((event, again - 1))

        self._ask(event, heard)

    # -- agents

    def _agent_acts(self, agent: Agent) -> None:
        if self.now < agent.asleep_until:
            return
        if not self.healing:
            kind = self.dice.random()
            if kind < 0.01:
                self._note(f"agent {agent.id} dies")
                agent.begin()
            elif kind < 0.03:
                agent.asleep_until = self.now + self.dice.choice([10.0, 100.0, 400.0])
                return
            elif kind < 0.04:
                self._ask(w.LeaveAgent(agent.id), token=agent.id)
                agent.begin()
        if not agent.joined:
            self._offer(agent)
        else:
            self._take(agent)
            self._work(agent)
            self._look(agent)

    def _offer(self, agent: Agent) -> None:
        def heard(answer: Any) -> None:
            agent.joined = not isinstance(answer, Refusal)

        families = [w.Family(name, "demo", [("day", "text", True)]) for name in agent.families]
        self._ask(w.Offer(agent.id, families, [], [], "h", 1), heard, agent.id)

    def _unknown(self, agent: Agent, answer: Any, *, asked_for_list: bool = False) -> bool:
        """Whether it was refused. An agent that hears so when it reports says anew what it offers, and thinks that its list still holds."""
        if not isinstance(answer, Refusal):
            return False
        if answer.code == "unknown-session":
            agent.joined = False
            if asked_for_list:
                agent.forget()
        return True

    def _take(self, agent: Agent) -> None:
        def heard(answer: Any) -> None:
            if self._unknown(agent, answer, asked_for_list=True):
                return
            for entry in answer.watches:
                if entry.act == "+":
                    agent.watching[entry.url, entry.pattern] = None
                elif entry.act == "-" and agent.watching.pop((entry.url, entry.pattern), 0) is None:
                    agent.told.difference_update([one for one in agent.told if one[:2] == (entry.url, entry.pattern)])
                agent.since = entry.seq
            for key in (*answer.lost, *answer.cancel):
                agent.held.pop(key, None)
                if key in answer.lost:
                    agent.unsaid.pop(key, None)
                else:
                    agent.unsaid[key] = w.ReportGoal(agent.id, key, "again", "it was stopped")
            for goal in answer.goals:
                agent.held[goal.goal] = goal

        room = self.dice.randint(0, 4) + self.healing
        self._ask(w.Take(agent.id, room, [*agent.held, *agent.unsaid], agent.since), heard, agent.id)

    def _work(self, agent: Agent) -> None:
        for key, goal in list(agent.held.items()):
            if self.healing or self.dice.random() < 0.4:
                del agent.held[key]
                agent.unsaid[key] = self._outcome(agent, goal)
        for key, report in list(agent.unsaid.items()):

            def heard(answer: Any, key: str = key, report: Any = report) -> None:
                if not self._unknown(agent, answer) and agent.unsaid.get(key) is report:
                    del agent.unsaid[key]

            if self.dice.random() < 0.9:
                self._ask(report, heard, agent.id)

    def _outcome(self, agent: Agent, goal: w.Taken) -> w.ReportGoal:
        dice = self.dice
        number = int(goal.goal[:6], 16)
        needs = [f"s3://in/need-{(number + each) % 8}" for each in range(number % 3)]
        missing = [url for url in needs if url not in self.files]
        if missing:
            reason = dice.choice(["", "waits for data"])
            return w.ReportGoal(agent.id, goal.goal, "parked", reason, missing, missing_more=dice.choice([0, 0, 1]))
        state = "done" if self.healing else dice.choice(["done", "done", "done", "failed", "again"])
        return w.ReportGoal(agent.id, goal.goal, state, "so it is", pause=dice.choice([0.0, 30.0]))

    def _look(self, agent: Agent) -> None:
        seen: list[w.Arrived] = []
        for url, pattern in agent.watching:
            for file, etag in self.files.items():
                groups = arrived(url, file) if pattern else {} if url == file else None
                if groups is None or (url, pattern, file, etag if pattern else "") in agent.told:
                    continue
                groups = {name: text for name, text in groups.items() if name not in ("url", "name")}
                seen.append(w.Arrived(url, pattern, file, etag, groups))
        if not seen:
            return

        told = agent.told

        def heard(answer: Any) -> None:
            if self._unknown(agent, answer):
                return
            told.update((one.watched, one.pattern, one.url, one.etag if one.pattern else "") for one in seen[: answer.taken])

        self._ask(w.Arrivals(agent.id, seen), heard, agent.id)


def main() -> int:
    import argparse

    parser = argparse.ArgumentParser(prog="python -m tests.triggers.world", description="Play worlds of triggers.")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--trace", action="store_true")
    options = parser.parse_args()
    failed = 0
    for seed in range(options.first, options.first + options.count):
        world = World(seed)
        try:
            world.run()
        except Broken as broken:
            failed += 1
            print(broken)
        if options.trace:
            print("\n".join(world.trace))
    print(f"{options.count} worlds, {failed} broken")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
