"""A brain with a clock and short words for what tests ask of it."""

from __future__ import annotations

import math
from typing import Any

from levada._core import Brain, Change, laws
from levada._model import messages as m
from levada._model.messages import Fence, SessionId
from levada._model.spec import Growth, Policy, Retry, TaskSpec
from levada._model.status import ExitClass, Status

PLAIN = Policy("Plain", retry=Retry(attempts=3, first=8.0))


class House:
    """Takes tasks as ``{index: requirements}``; checks the laws after every command."""

    def __init__(
        self,
        tasks: dict[int, list[int]] | None = None,
        *,
        lease: float = math.inf,
        policy: Policy = PLAIN,
        session: str = "w1",
        specs: dict[int, TaskSpec] | None = None,
        **rules: float,
    ) -> None:
        self.brain = Brain(lease=lease, **rules)
        self.policy, self.lease, self.now = policy, lease, 100.0
        self.changes: list[Change] = []
        self.watch = laws.Watch()
        self.specs = {index: TaskSpec(index, policy) for index in tasks or {}} | (specs or {})
        if tasks:
            self.add(tasks, session)

    def do(self, command: Any) -> Any:
        changes, reply = self.brain.handle(command, self.now)
        self.changes += changes
        assert laws.check(self.brain) == []
        assert self.watch.look(self.brain, changes) == []
        return reply

    def add(self, tasks: dict[int, list[int]], session: str = "w1", **fields: Any) -> None:
        specs = [self.specs.setdefault(index, TaskSpec(index, self.policy)) for index in tasks]
        growth = [Growth(index, needs) for index, needs in tasks.items()]
        self.do(m.AddTasks(SessionId(session), specs, growth, **fields))

    def sync(self, session: str = "w1", **reports: Any) -> m.SyncReply:
        return self.do(m.Sync(SessionId(session), **reports))

    def claim(self, session: str = "w1", room: int = 1) -> list[int]:
        return [grant.index for grant in self.sync(session, room=room).granted]

    def done(self, *tasks: int, session: str = "w1") -> m.SyncReply:
        return self.sync(session, done=[(index, self.fence(index)) for index in tasks])

    def fail(self, index: int, exit_class: ExitClass = ExitClass.USER, session: str = "w1", draw: float = 0.0) -> m.SyncReply:
        return self.sync(session, failed=[m.Failed(index, self.fence(index), exit_class, (), draw)])

    def back(self, index: int, after: float = 0.0, session: str = "w1", reason: str = "") -> m.SyncReply:
        return self.sync(session, handed_back=[m.HandedBack(index, self.fence(index), after, reason)])

    def suspend(self, index: int, *requires: int, session: str = "w1", room: int = 0) -> m.SyncReply:
        return self.sync(session, suspended=[m.Suspended(index, self.fence(index), requires)], room=room)

    def renew(self, *tasks: int, session: str = "w1") -> m.RenewReply:
        return self.do(m.Renew(SessionId(session), tuple((index, self.fence(index)) for index in tasks)))

    def pass_time(self, seconds: float, lag: float = 0.0) -> None:
        self.now += seconds
        self.do(m.Tick(lag))

    def fence(self, index: int) -> Fence:
        return self.view(index).fence or Fence(1, 0)

    def view(self, index: int) -> m.TaskView:
        return self.brain.view(index, self.now)

    def status(self, index: int) -> Status:
        return self.view(index).status

    def replayed(self) -> Brain:
        return Brain.replay(self.changes, lease=self.lease)
