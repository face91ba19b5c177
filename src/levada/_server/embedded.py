"""The scheduler inside a run's own process: the same brain as the server's, called directly.

Nothing crosses a socket and leases never lapse: when the process dies, the kernel gives back its locks.
Before a grant is handed out, the task is locked against other runs of this host; one that runs elsewhere
is handed back to the brain and asked for again a little later.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

from .._core.brain import Brain
from .._model.messages import (
    AddTasks,
    Cancel,
    Confirm,
    Failed,
    Fence,
    Grant,
    HandedBack,
    Hello,
    Progress,
    Renew,
    RenewReply,
    SessionId,
    SetResource,
    Sync,
    SyncReply,
    TaskView,
)
from .._model.spec import Index
from .._model.status import Status
from .locks import NoLocks, TaskLocks

EXCUSED_LIMIT = 5  # infra failures in a row: half a minute with the default delays; somebody, or cron, waits for this run
FIRST_LOOK, LONGEST_LOOK = 0.02, 1.0  # seconds until a task that runs elsewhere is looked at again
MANY = 16  # locks; to give back everything costs about as much as to give back so many


class Embedded:
    """A scheduler of one session. key_of: the key of a task, asked once per grant. epoch: of its fences; rises from run to run."""

    lease = math.inf

    def __init__(
        self,
        session: SessionId,
        *,
        key_of: Callable[[Index], bytes],
        locks: TaskLocks | None = None,
        resources: dict[str, int] | None = None,
        epoch: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.session = session
        self._brain = Brain(epoch, excused_limit=EXCUSED_LIMIT)
        self._clock = clock
        self.key_of = key_of
        self._locks = locks if locks is not None else NoLocks()
        self._exclusive = locks is not None
        self._held: dict[Index, bytes] = {}
        self._looks: dict[Index, float] = {}
        self._handle(Hello(session))
        for name, total in sorted((resources or {}).items()):
            self._handle(SetResource(name, total))

    def _handle(self, command: Any) -> Any:
        return self._brain.handle(command, self._clock())[1]

    def add(self, command: AddTasks) -> None:
        """Register a slice of the plan."""
        self._handle(command)

    def sync(self, command: Sync) -> SyncReply:
        """Report and claim. Tasks that another run of this host works on are not granted."""
        reply: SyncReply = self._brain.handle(command, self._clock())[1]
        if not self._exclusive:
            return reply
        _, done, failed, handed_back, _, _, _ = command
        if done or failed or handed_back:
            self._release(done, failed, handed_back)
        held, take, key_of = self._held, self._locks.take, self.key_of
        for at, (index, _, _, _, batch) in enumerate(reply.granted):
            if batch or not take(key := key_of(index)):
                return self._locked(reply, at)
            held[index] = key
        return reply

    def _release(self, done: Sequence[tuple[Index, Fence]], failed: Sequence[Failed], handed_back: Sequence[HandedBack]) -> None:
        """Give back the locks of what has ended: many at once where nothing else is held (the kernel walks its lists)."""
        if len(done) == 1 and not (failed or handed_back):  # once a task in a chain
            key = self._held.pop(done[0][0], None)
            if key is not None:
                self._locks.give(key)
            return
        freed: list[bytes] = []
        for ended in (done, failed, handed_back):
            for one in ended:
                key = self._held.pop(one[0], None)
                if key is not None:
                    freed.append(key)
        if len(freed) > MANY and not self._held:
            self._locks.give_all()
            return
        for key in freed:
            self._locks.give(key)

    def _locked(self, reply: SyncReply, taken: int) -> SyncReply:
        """The reply without tasks that run elsewhere; a batch is taken whole or not at all. taken: so many are ours already."""
        granted: list[Grant] = reply.granted[:taken]
        back: list[HandedBack] = []
        for grant in reply.granted[taken:]:
            if self._take(grant):
                granted.append(grant)
            else:
                after = self._looks[grant.index]
                back += [HandedBack(g.index, g.fence, after, "runs in another process of this host") for g in (grant, *grant.batch)]
        if not back:
            return reply
        after_hand_back = cast(SyncReply, self._handle(Sync(self.session, handed_back=back)))
        return after_hand_back._replace(granted=granted, resumed=reply.resumed, lost=reply.lost, cancel=reply.cancel)

    def _take(self, grant: Grant) -> bool:
        if not grant.batch:
            return self._take_one(grant) or self._later(grant)
        taken: list[tuple[Index, bytes]] = []
        for one in (grant, *grant.batch):
            key = self.key_of(one.index)
            if not self._locks.take(key):
                for _, ours in taken:
                    self._locks.give(ours)
                return self._later(grant)
            taken.append((one.index, key))
        self._held.update(taken)
        return True

    def _take_one(self, grant: Grant) -> bool:
        index = grant.index
        key = self.key_of(index)
        if not self._locks.take(key):
            return False
        self._held[index] = key
        return True

    def _later(self, grant: Grant) -> bool:
        self._looks[grant.index] = min(LONGEST_LOOK, self._looks.get(grant.index, FIRST_LOOK / 1.5) * 1.5)
        return False

    def renew(self, command: Renew) -> RenewReply:
        """Leases do not lapse here; tells what is wished to stop."""
        return cast(RenewReply, self._handle(command))

    def confirm(self, command: Confirm) -> bool:
        """Whether the fence is the newest."""
        return bool(self._handle(command))

    def cancel(self, index: Index) -> Status:
        """Wish a task to stop."""
        return cast(Status, self._handle(Cancel(index)))

    def progress(self) -> Progress:
        """Counters."""
        return self._brain.progress()

    def view(self, index: Index) -> TaskView:
        """One task."""
        return self._brain.view(index, self._clock())

    def having(self, *statuses: Status) -> Iterable[Index]:
        """Tasks in one of these statuses; looks at all."""
        return self._brain.having(*statuses)

    def close(self) -> None:
        """Give back all locks."""
        self._locks.give_all()
        self._held.clear()
        self._locks.close()
