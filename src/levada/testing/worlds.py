"""Seeded worlds: the real brain among workers that die, pause and lose messages.

A world is a schedule of events drawn from one seed: workers plan, claim, work, suspend, fail, renew and
report over a wire that loses, repeats and delays; operators cancel, retry, forgive, invalidate and say
that a task is done; the server pauses and restarts. After every command the laws are checked, and a judge (``judge.py``) compares what
the brain did with its own account of the truth. At the end everything heals, and what can finish must.

``python -m levada.testing.worlds --count 2000`` plays many; a failure names the seed that plays it again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from heapq import heappop, heappush
from random import Random
from typing import NamedTuple

from .._core import Brain
from .._model import messages as m
from .._model.messages import Fence, SessionId
from .._model.spec import Growth, Index, Policy, Retry, TaskSpec
from .._model.status import ExitClass, Status
from .judge import Judge, WorldBroken

SLICE = 3  # tasks a message
MARGIN = 2.0  # seconds that a worker gives up before the server gives away
FAILURES = (ExitClass.USER, ExitClass.NO_OUTPUT, ExitClass.TIMEOUT, ExitClass.OOM, ExitClass.SIGNAL, ExitClass.INFRA, ExitClass.CANCELLED)


class Graph(NamedTuple):
    """What is there to be done; the same for all who want it."""

    specs: list[TaskSpec]
    slices: list[tuple[list[TaskSpec], list[Growth]]]
    yields: dict[Index, list[Index]]  # dynamic requirements


class Work:
    """One attempt, in the worker's eyes."""

    __slots__ = ("asleep", "fence", "index", "left", "stop", "valid_until", "yields")

    def __init__(self, index: Index, fence: Fence, valid_until: float, seconds: float, yields: list[Index]) -> None:
        self.index, self.fence, self.valid_until, self.left, self.yields = index, fence, valid_until, seconds, yields
        self.asleep = self.stop = False


class Worker:
    """A worker process over several lives; each life is a session."""

    def __init__(self, number: int, clock_rate: float) -> None:
        self.number, self.clock_rate, self.life = number, clock_rate, 0
        self.slots = 1 + number % 3
        self.begin()

    def begin(self) -> None:
        """Start as a new process: nothing is known, nothing is held."""
        self.life += 1
        self.session = SessionId(f"w{self.number}.{self.life}")
        self.sequence = 0
        self.planned = 0  # slices acknowledged
        self.looked = False  # outputs were looked at
        self.outstanding: tuple[int, float, m.AddTasks | m.Sync | m.Bye] | None = None
        self.held: dict[Index, Work] = {}
        self.paused_until = 0.0
        self.last_act = 0.0


class World:
    """One world. ``run`` plays it and returns its trace; WorldBroken when a law falls."""

    def __init__(self, seed: int, workers: int = 3, tasks: int = 8, lose: float = 0.1, die: float = 0.02, lease: float = 10.0) -> None:
        """seed: of every draw. lose: share of messages lost; die: share of a worker's acts that are its last.

        lease: seconds, as everything here; the time is virtual.
        """
        self.seed, self.lose, self.die, self.lease = seed, lose, die, lease
        self.dice = Random(seed)
        self.now = 0.0
        self.trace: list[str] = []
        self.graph = make_graph(self.dice, tasks)
        self.brain = Brain(lease=lease, lock_delay=self.dice.choice((0.0, 0.5)), cancel_grace=self.dice.choice((1.0, 30.0)))
        self.judge = Judge(seed, self.graph.specs, lease)
        self.answers: dict[SessionId, tuple[int, object]] = {}
        self.outputs: dict[Index, Fence] = {}
        self.workers = [Worker(number, self.dice.uniform(0.96, 1.04)) for number in range(workers)]
        self.away_until = 0.0
        self.healing = False
        self._operated_on = 0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._serial = 0
        for worker in self.workers:
            self._after(self.dice.random(), self._act_of(worker))
        self._after(1.0, self._tick)
        self._after(3.0, self._operate)

    # -- the schedule ------------------------------------------------------------------------

    def run(self, steps: int = 300) -> str:
        """Play so many events, heal, play until all is quiet; the trace, one line an event of note."""
        try:
            for _ in range(steps):
                self._step()
            self._heal()
            for _ in range(6_000):
                if self._is_quiet():
                    break
                self._step()
            self.judge.finish(self.brain, self.now)
        except WorldBroken:
            raise
        except Exception as cause:
            raise WorldBroken(self.seed, f"{type(cause).__name__}: {cause}") from cause
        return "\n".join(self.trace)

    def _after(self, seconds: float, event: Callable[[], None]) -> None:
        self._serial += 1
        heappush(self._events, (self.now + seconds, self._serial, event))

    def _step(self) -> None:
        moment, _, event = heappop(self._events)
        self.now = max(self.now, moment)
        event()

    def _note(self, text: str) -> None:
        self.trace.append(f"{self.now:.3f} {text}")

    def _heal(self) -> None:
        """No more harm: messages arrive, workers live, operators lift what they imposed."""
        self._note("heal")
        self.healing, self.lose, self.die = True, 0.0, 0.0
        self._command("operator", m.Pause(False))
        for name in ("disk", "db"):
            self._command("operator", m.SetResource(name, 5))
        for worker in self.workers:
            worker.paused_until = 0.0
            worker.begin()

    def _is_quiet(self) -> bool:
        planned = all(worker.planned == self._share(worker) and worker.looked for worker in self.workers)
        idle = all(worker.outstanding is None and not worker.held for worker in self.workers)
        return planned and idle and not list(self.brain.having(Status.READY, Status.RUNNING, Status.RETRYING))

    # -- the server --------------------------------------------------------------------------

    def _command(self, who: str, command: object) -> object:
        """Let the brain handle a command and judge what it did."""
        before = bytes(self.brain.state.status)
        changes, reply = self.brain.handle(command, self.now)  # type: ignore[call-overload]  # any command
        self._note(f"{who} {command!r} -> {reply!r}")
        self.judge.look(self.brain, command, reply, changes, before, self.now, self._working)
        return reply

    def _working(self, index: Index) -> set[Fence]:
        """The attempts of a task that believe, at this moment, that they may work."""
        return {
            work.fence
            for worker in self.workers
            for work in worker.held.values()
            if work.index == index and self._clock(worker) < work.valid_until and not work.asleep
        }

    def _arrive(self, worker: Worker, session: SessionId, sequence: int | None, sent: float, command: object) -> None:
        """A message reaches the server: a repeated number gets the first answer, a stale one none."""
        if self.now < self.away_until:
            self._after(self.away_until - self.now, lambda: self._arrive(worker, session, sequence, sent, command))
            return
        last, answer = self.answers.get(session, (0, None))
        if sequence is None:
            answer = self._command(session, command)
        elif sequence == last + 1:
            answer = self._command(session, command)
            self.answers[session] = (sequence, answer)
        elif sequence != last:
            return
        if self.dice.random() >= self.lose:
            self._after(self._delay(), lambda: self._hear(worker, session, sequence, sent, command, answer))

    def _delay(self) -> float:
        return self.dice.random() * (3.0 if self.dice.random() < self.lose else 0.05)

    def _tick(self) -> None:
        if self.now < self.away_until:
            self._after(self.away_until - self.now + 0.001, self._tick_late(self.away_until - self.now))
            return
        self._command("tick", m.Tick())
        self._after(1.0, self._tick)
        draw = 1.0 if self.healing else self.dice.random()
        if draw < 0.01:
            self.away_until = self.now + self.dice.uniform(1.0, 3 * self.lease)
        elif draw < 0.03:
            self._restart()

    def _tick_late(self, lag: float) -> Callable[[], None]:
        """The server was away: queued input first (it has the earlier time), then a Tick that forgives."""

        def late() -> None:
            self._command("tick", m.Tick(lag + 1.0))
            self._after(1.0, self._tick)

        return late

    def _restart(self) -> None:
        """The server dies and another reads what was written: the same state, in a new epoch."""
        self.brain = self.judge.replayed(self.brain)
        changes = self.brain.restart(self.brain.state.epoch + 1, self.now)
        self._note(f"restart {self.brain.state.epoch}")
        self.judge.restarted(self.brain, changes, self.now)

    def _operate(self) -> None:
        if self.healing:
            return
        self._after(self.dice.uniform(1.0, 8.0), self._operate)
        dice, known = self.dice, len(self.brain.state.status)
        if not known:
            return
        if dice.random() < 0.6:  # else the same again: commands that meet on one task are where faults hide
            self._operated_on = dice.choice(self.judge.lapsed(self.brain) or range(known))
        index = self._operated_on
        choices: list[object] = [
            m.Cancel(index),
            m.Cancel(index),
            m.RetryTask(index),
            m.RetryTask(index),
            m.Invalidate(index),
            m.Forgive(index) if dice.random() < 0.7 else m.MarkDone(index),
            m.SetPriority(index, dice.randrange(-2, 4)),
            m.SetResource(dice.choice(("disk", "db")), dice.randrange(0, 4)),
            m.Pause(dice.random() < 0.3),
            m.Drain(dice.choice(self.workers).session) if dice.random() < 0.2 else m.Tick(),
        ]
        command = dice.choice(choices)
        self._command("operator", command)
        if isinstance(command, m.Cancel) and dice.random() < 0.5:
            self._after(dice.uniform(0.0, 3.0), lambda: self._invalidate(index))  # who clears up after a mishap
        elif isinstance(command, m.Invalidate):
            self._clear(index)

    def _invalidate(self, index: Index) -> None:
        if not self.healing:
            self._command("operator", m.Invalidate(index))
            self._clear(index)

    def _clear(self, index: Index) -> None:
        """The output of what is to be made again is moved aside."""
        if index not in self.judge.done:
            self.outputs.pop(index, None)

    # -- a worker ----------------------------------------------------------------------------

    def _clock(self, worker: Worker) -> float:
        return self.now * worker.clock_rate

    def _act_of(self, worker: Worker) -> Callable[[], None]:
        return lambda: self._act(worker)

    def _act(self, worker: Worker) -> None:
        """One turn of a worker: perhaps its last, else look at the clock, work, renew, speak."""
        self._after(self.dice.uniform(0.3, 3.0), self._act_of(worker))
        if self.now < worker.paused_until:
            return
        draw = self.dice.random()
        if draw < self.die:
            self._note(f"{worker.session} dies")
            worker.begin()
        elif draw < 2 * self.die:
            worker.paused_until = self.now + self.dice.uniform(0.5, 3 * self.lease)
        self._work(worker)
        self._renew(worker)
        self._speak(worker)

    def _work(self, worker: Worker) -> None:
        """Attempts move on while their lease is sure; a frozen one waits for an answer."""
        clock = self._clock(worker)
        passed, worker.last_act = max(0.0, clock - worker.last_act), clock
        for work in worker.held.values():
            if clock < work.valid_until and not work.asleep:
                work.left -= passed

    def _renew(self, worker: Worker) -> None:
        clock = self._clock(worker)
        due = tuple((w.index, w.fence) for w in worker.held.values() if w.valid_until - clock < 2 * self.lease / 3 - MARGIN)
        if due:
            self._send(worker, None, m.Renew(worker.session, due))
        if worker.held and self.dice.random() < 0.1:
            index = self.dice.choice(sorted(worker.held))
            self._send(worker, None, m.Confirm(worker.session, index, worker.held[index].fence))

    def _speak(self, worker: Worker) -> None:
        """Repeat the outstanding request, or make the next one."""
        if worker.outstanding is None:
            command = self._next_request(worker)
            if command is None:
                return
            worker.sequence += 1
            worker.outstanding = (worker.sequence, self.now, command)
            if isinstance(command, m.Sync) and (command.done or command.failed) and self.dice.random() < 3 * self.die:
                worker.paused_until = self.now + self.dice.uniform(1.0, 3.0) * self.lease  # just before it speaks
                return
        sequence, first_sent, command = worker.outstanding
        self._send(worker, sequence, command, first_sent)

    def _send(self, worker: Worker, sequence: int | None, command: object, first_sent: float | None = None) -> None:
        session, sent = worker.session, self.now if first_sent is None else first_sent
        for _ in range(2 if self.dice.random() < self.lose / 2 else 1):
            if self.dice.random() >= self.lose:
                self._after(self._delay(), lambda: self._arrive(worker, session, sequence, sent, command))

    def _next_request(self, worker: Worker) -> m.AddTasks | m.Sync | m.Bye | None:
        if worker.planned < self._share(worker) and (not worker.planned or self.dice.random() < 0.7):
            specs, growth = self.graph.slices[worker.planned]
            return m.AddTasks(worker.session, specs, growth, complete=1)
        if not worker.looked:
            return m.Sync(worker.session, found_complete=sorted(self.outputs))
        if self.dice.random() < self.die / 2:
            worker.held.clear()
            return m.Bye(worker.session)
        return self._next_sync(worker)

    def _share(self, worker: Worker) -> int:
        """How much of the graph a worker wants; the last of several wants half, others may not run for it."""
        slices = len(self.graph.slices)
        return (slices + 1) // 2 if 0 < worker.number == len(self.workers) - 1 else slices

    def _next_sync(self, worker: Worker) -> m.Sync:
        done: list[tuple[Index, Fence]] = []
        failed: list[m.Failed] = []
        back: list[m.HandedBack] = []
        naps: list[m.Suspended] = []
        clock = self._clock(worker)
        for work in list(worker.held.values()):
            if clock >= work.valid_until or (work.asleep and not work.stop):
                continue  # frozen, or waiting for what it yielded
            if work.stop:
                failed.append(m.Failed(work.index, work.fence, ExitClass.CANCELLED, draw=self.dice.random()))
            elif work.left > 0:
                continue
            elif work.yields:
                naps.append(m.Suspended(work.index, work.fence, work.yields))
                work.yields, work.asleep = [], True
                continue
            else:
                self._end(work, done, failed, back)
            del worker.held[work.index]
        busy = sum(not work.asleep for work in worker.held.values())
        return m.Sync(worker.session, done, failed, back, naps, room=max(0, worker.slots - busy))

    def _end(self, work: Work, done: list[tuple[Index, Fence]], failed: list[m.Failed], back: list[m.HandedBack]) -> None:
        draw = 0.0 if self.healing else self.dice.random()
        if draw < 0.75:
            self._commit(work)
            done.append((work.index, work.fence))
        elif draw < 0.93:
            failed.append(m.Failed(work.index, work.fence, self.dice.choice(FAILURES), ("ValueError",), self.dice.random()))
        else:
            back.append(m.HandedBack(work.index, work.fence, self.dice.choice((0.0, 4.0))))

    def _commit(self, work: Work) -> None:
        """Make the output exist, once; who comes second finds it there."""
        self.judge.commit(work.index, work.fence, already=work.index in self.outputs)
        self.outputs.setdefault(work.index, work.fence)

    def _hear(self, worker: Worker, session: SessionId, sequence: int | None, sent: float, command: object, answer: object) -> None:
        """An answer reaches the worker, unless that life is over or it was answered before."""
        if session != worker.session:
            return
        if self.now < worker.paused_until:
            pause = worker.paused_until - self.now
            self._after(pause, lambda: self._hear(worker, session, sequence, sent, command, answer))
            return
        if sequence is None:
            self._hear_renewed(worker, sent, command, answer)
        elif worker.outstanding is not None and sequence == worker.outstanding[0]:
            worker.outstanding = None
            self._take(worker, sent, command, answer)

    def _take(self, worker: Worker, sent: float, command: object, answer: object) -> None:
        if isinstance(command, m.AddTasks):
            worker.planned += 1
        elif isinstance(command, m.Bye):
            worker.begin()
        elif isinstance(answer, m.SyncReply):
            worker.looked = True
            for grant in answer.granted:
                for one in (grant, *grant.batch):
                    self._start(worker, one, sent)
            for index in answer.resumed:
                if index in worker.held:
                    worker.held[index].asleep = False
            self._obey(worker, answer.lost, answer.cancel)

    def _start(self, worker: Worker, grant: m.Grant, sent: float) -> None:
        yields = self.graph.yields.get(grant.index, []) if self.dice.random() < 0.7 else []
        if yields and max(yields) >= SLICE * worker.planned:
            yields = []  # it would have to add them first
        valid_until = sent * worker.clock_rate + self.lease - MARGIN
        worker.held[grant.index] = Work(grant.index, grant.fence, valid_until, self.dice.uniform(0.1, 6.0), yields)

    def _hear_renewed(self, worker: Worker, sent: float, command: object, answer: object) -> None:
        if not isinstance(command, m.Renew) or not isinstance(answer, m.RenewReply):
            return
        for index, fence in command.held:
            work = worker.held.get(index)
            if work is not None and work.fence == fence and index not in answer.cancel:
                work.valid_until = max(work.valid_until, sent * worker.clock_rate + self.lease - MARGIN)
        fences = dict(command.held)
        known = [index for index in answer.lost if index in worker.held and worker.held[index].fence == fences[index]]
        self._obey(worker, known, list(answer.cancel))

    def _obey(self, worker: Worker, lost: list[Index], cancel: list[Index]) -> None:
        for index in lost:
            worker.held.pop(index, None)
        for index in cancel:
            if index in worker.held:
                worker.held[index].stop = True


def make_graph(dice: Random, tasks: int) -> Graph:
    """A graph in order of discovery: a task needs later ones, which stand in its own or an earlier message."""
    if dice.random() < 0.25:  # nothing rare anywhere: claims take the short way
        policies = [Policy("Plain"), Policy("Other")]
        return _connect(dice, [TaskSpec(index, dice.choice(policies)) for index in range(tasks)])
    policies = [_make_policy(dice, number) for number in range(3)]
    specs = [
        TaskSpec(
            index,
            policy := dice.choice(policies),
            dice.choice((0, 0, 0, dice.randrange(-3, 5))),
            f"batch {policy.family}" if policy.batch_limit > 1 and dice.random() < 0.8 else None,
        )
        for index in range(tasks)
    ]
    return _connect(dice, specs)


def _connect(dice: Random, specs: list[TaskSpec]) -> Graph:
    tasks = len(specs)
    slices: list[tuple[list[TaskSpec], list[Growth]]] = [(specs[at : at + SLICE], []) for at in range(0, tasks, SLICE)]
    yields: dict[Index, list[Index]] = {}
    for index in range(tasks):
        later = range(index + 1, tasks)
        needs = dice.sample(later, min(len(later), dice.choice((0, 1, 1, 2, 3))))
        if needs and dice.random() < 0.25:
            yields[index] = [needs.pop()]
        _place_growth(dice, slices, index, needs)
    return Graph(specs, slices, yields)


def _place_growth(dice: Random, slices: list[tuple[list[TaskSpec], list[Growth]]], index: Index, needs: list[Index]) -> None:
    """Say what a task needs when all of it is known, in one piece or two."""
    where = max([index, *needs]) // SLICE
    if needs and dice.random() < 0.3:
        cut = dice.randrange(2)
        slices[where][1].append(Growth(index, tuple(needs[:cut]), closed=False))
        needs, where = needs[cut:], dice.randrange(where, len(slices))
    slices[where][1].append(Growth(index, tuple(needs)))


def _make_policy(dice: Random, number: int) -> Policy:
    resources = dice.choice(((), (), (("db", 1),), (("disk", 1),), (("db", 1), ("disk", 2))))
    retry = Retry(
        attempts=dice.randrange(1, 4),
        first=dice.choice((0.0, 1.0, 3.0)),
        longest=8.0,
        disable_after=dice.choice((None, None, 2)),
        window=60.0,
        exceptions=dice.choice(((), (), (("ValueError", 1),))),
    )
    limit = dice.choice((1, 1, 3))
    return Policy(f"Family{number}", resources, retry, batch_limit=limit, disabled=dice.random() < 0.03)


def main(arguments: list[str] | None = None) -> int:
    """Play worlds; prints how many, and the seed of the first that breaks a law (exit status 1)."""
    parser = argparse.ArgumentParser(prog="python -m levada.testing.worlds", description="Play seeded worlds of the real brain.")
    parser.add_argument("--count", type=int, default=200, help="how many worlds (200)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (0)")
    parser.add_argument("--steps", type=int, default=300, help="events before each heals (300)")
    parser.add_argument("--trace", action="store_true", help="print what happened in the world of the first seed")
    chosen = parser.parse_args(arguments)
    steps, seconds = 0, 0.0
    for seed in range(chosen.first, chosen.first + chosen.count):
        world = World(seed)
        try:
            world.run(chosen.steps)
        except WorldBroken as broken:
            print("\n".join([*world.trace[-40 if not chosen.trace else 0 :], str(broken)]))
            return 1
        steps, seconds = steps + len(world.trace), seconds + world.now
        if chosen.trace:
            print("\n".join(world.trace))
            break
    print(f"{chosen.count} worlds, {steps:,} commands, {seconds / 3600:.1f} virtual hours, no law broken")
    return 0


if __name__ == "__main__":
    sys.exit(main())
