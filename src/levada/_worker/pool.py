"""The executor of persistent children: who gets which job, who is stopped, who is replaced.

The laws kept here: only an explicit result is believed (an exit without one is a lost process, also with
status 0); a child's death ends the attempt that it was running and no other, what it had not begun runs
elsewhere; nothing here ever waits for a child that does not answer.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from .._model.status import ExitClass
from ..errors import RunError
from . import child as child_side
from .executor import TARGET_BATCH, Ended, Hooks, Job, Yielded
from .frames import ENDED, FAULT, RETIRE, RETURNED, YIELDED, from_ints, from_json, plain_fence, unpack_ended
from .oom import oom_kills
from .pace import Pace
from .process import Child, Spawning, Stop, forked, may_fork, spawned
from .reaper import Reaper
from .shared import CLAIMED, SINCE, STOP
from .waker import Deadline, Waker

_new = tuple.__new__  # builds a NamedTuple in half the time; used where each task passes
LONGEST_QUEUE = 1000
"""Jobs that one child is given at a time, at most."""

_GLANCE = 0.01  # seconds between two looks at the rings, while results may lie there without a bell
_LAST_BREATH = 0.2  # seconds that a child without channel may take to end
_OUTGROWN = 500  # tasks sent as texts: a new fork, which holds what was found meanwhile, is cheaper than going on
_STILLBORN = 3  # so many children in a row that die before they began anything end the run


class Processes:
    """``slots`` children that run one task after the other.

    task_of: index -> task, called in the children for tasks that existed at their fork; held: how many
    exist now. kill_after: seconds between SIGTERM and SIGKILL. max_tasks: replace a child after so many
    (never while it keeps suspended attempts); without it a child that grew by far is replaced. spawning:
    names that a spawned child needs; used where a fork is not safe (threads exist), or always with spawn=True.
    frozen: (index, fence) -> seconds for which that attempt was stopped by its keeper, which no timeout counts.
    """

    forks = True  # a child holds the tasks that are known when it begins

    def __init__(
        self,
        slots: int,
        hooks: Hooks,
        task_of: Callable[[int], Any],
        held: Callable[[], int],
        *,
        kill_after: float = 10.0,
        max_tasks: int | None = None,
        spawning: Spawning | None = None,
        spawn: bool = False,
        frozen: Callable[[int, Any], float] = lambda index, fence: 0.0,
    ) -> None:
        if os.name != "posix":
            raise RunError("the process pool needs POSIX processes", hint='Use executor="threads" or one slot on this platform.')
        if child_side.setting_up:
            raise RunError("the program starts its run while it is imported", hint='Put the call below `if __name__ == "__main__":`.')
        self.slots = slots
        self.untidy = False  # a child was killed at its work, or died: it may have left temporaries
        self._hooks = hooks
        self._task_of = task_of
        self._held = held
        self._kill_after = kill_after
        self._max_tasks = max_tasks
        self._spawning = spawning or Spawning("levada._worker.hooks:HOOKS")
        self._spawn = spawn
        self._frozen = frozen
        self._children: list[Child] = []
        self._by_fd: dict[int, Child] = {}
        self._waiting: deque[Job] = deque()
        self._ended: list[Ended | Yielded] = []
        self._pace = Pace(LONGEST_QUEUE)
        self._stillborn = 0
        self._oom_kills: int | None = None
        self._waker: Waker | None = None  # made with the first child
        self._reaper: Reaper | None = None  # where a fork was safe

    # -- the port

    def free(self) -> int:
        """As many tasks as fill the children for the next 20 ms, less those that are out."""
        out = len(self._waiting) + sum(len(child.jobs) for child in self._children)
        return max(0, self.slots * self._pace.depth - out)

    def start(self, jobs: Sequence[Job]) -> None:
        """Take jobs; they travel to the children at once as far as those have room."""
        self._waiting.extend(jobs)
        self._dispatch()

    def resume(self, index: int) -> None:
        """Let a suspended attempt go on, in the child that keeps it."""
        for child in self._children:
            if index in child.suspended:
                child.resume(index)
                self._watch(child)

    def collect(self, timeout: float | None) -> list[Ended | Yielded]:
        """What ended since; see Executor."""
        deadline = Deadline(timeout)
        self._hear(0)
        while not self._ended and not deadline.passed():
            self._dispatch()
            if timeout is None and not self._waiting and not any(child.jobs for child in self._children):
                break
            if self._hear(self._patience(deadline)):
                break  # a signal came
        self._dispatch()
        ended, self._ended = self._ended, []
        return ended

    def unstarted(self) -> list[int]:
        """Take back what has not begun."""
        back = [job.index for job in self._waiting]
        self._waiting.clear()
        for child in self._children:
            back += [job.index for job in self._recall(child)]
        return back

    def cancel(self, index: int, *, kill: bool = False) -> bool:
        """End an attempt: SIGTERM to its process group, SIGKILL ``kill_after`` seconds later (kill: at once)."""
        if any(job.index == index for job in self._waiting):
            self._waiting = deque(job for job in self._waiting if job.index != index)
            return self._cancelled(index)
        for child in self._children:
            if index in child.suspended:
                self.drop(index)
                return self._cancelled(index)
            if any(job.index == index for job in child.jobs.values()):
                return self._cancel_in(child, index, kill)
        return False

    def drop(self, index: int) -> None:
        """Forget a suspended attempt; its generator is closed in its child."""
        for child in self._children:
            if index in child.suspended:
                child.drop(index)
                self._watch(child)

    def close(self, grace: float) -> None:
        """End the children: QUIT, after ``grace`` seconds SIGTERM, then SIGKILL."""
        self.unstarted()
        for child in self._children:
            if not child.leaving:
                child.quit()
        self._await_end(grace)
        for child in self._children:
            self._stop(child, child.running() or 0, ExitClass.CANCELLED, "the run was stopped", 0.0)
            child.signal(signal.SIGTERM)
        self._await_end(min(self._kill_after, 2.0) if grace else 0.5)
        for child in list(self._children):
            child.kill()
            self._bury(child)
        self._waiting.clear()
        if self._waker is not None:
            self._waker.close()
            self._waker = None
        if self._reaper is not None:
            self._reaper.close()
            self._reaper = None

    def refresh(self) -> None:
        """Replace the children when they are idle: new ones hold the tasks that were found meanwhile."""
        for child in self._children:
            child.retires = True

    # -- giving work

    def _dispatch(self) -> None:
        """Share what waits among the children, as evenly as what they have already allows."""
        if not self._waiting:
            return
        self._replace()
        children = [child for child in self._children if not (child.leaving or child.broken or child.stop or self._due(child))]
        children.sort(key=lambda child: len(child.jobs))
        total = len(self._waiting) + sum(len(child.jobs) for child in children)
        level = min(self._pace.depth, -(-total // max(1, len(children))))
        for child in children:
            some = min(level - len(child.jobs), self._allowed(child), len(self._waiting))
            if some > 0:
                self._give(child, [self._waiting.popleft() for _ in range(some)])

    def _allowed(self, child: Child) -> int:
        if self._max_tasks is None or child.suspended:
            return LONGEST_QUEUE
        return max(0, self._max_tasks - child.sent)

    def _give(self, child: Child, jobs: list[Job]) -> None:
        held = [job for job in jobs if job.index < child.held and not job.batch]
        if held:
            child.give(held, None)
        if len(held) < len(jobs):
            self._give_texts(child, [job for job in jobs if job.index >= child.held or job.batch])
        self._watch(child)

    def _give_texts(self, child: Child, jobs: list[Job]) -> None:
        """Send tasks that the child does not hold. One that has no texts fails here."""
        from .texts import entry_of

        entries: list[dict[str, Any]] = []
        sent: list[Job] = []
        for job in jobs:
            try:
                entry = entry_of(job.task, job.key)
                entry["index"], entry["attempt"], entry["fence"] = job.index, job.attempt, plain_fence(job.fence)
                entry["batch"] = [entry_of(task) for task in job.batch] if job.batch else ()
            except Exception as error:
                from .attempt import failure_of

                self._ended.append(failure_of(job.index, job.task, error))
            else:
                entries.append(entry)
                sent.append(job)
        if sent:
            child.texts += len(sent)
            child.give(sent, entries)

    def _replace(self) -> None:
        """Let children go whose time has come; have ``slots`` that can be given work."""
        for child in self._children:
            if self._due(child) and not child.leaving and not child.jobs:
                child.quit()
                self._watch(child)
        for _ in range(self.slots - sum(not child.leaving for child in self._children)):
            self._add_child()

    def _due(self, child: Child) -> bool:
        """Whether a child is to be replaced; one that keeps suspended attempts never is."""
        if child.suspended:
            return False
        if child.retires or (self._max_tasks is not None and child.sent >= self._max_tasks):
            return True
        return child.texts >= max(_OUTGROWN, child.held // 2) and may_fork() and not self._spawn

    def _add_child(self) -> None:
        if self._waker is None:
            self._waker = Waker()
            self._oom_kills = oom_kills()
        if may_fork() and not self._spawn:
            self._reaper = self._reaper or Reaper()
            own = (*self._waker.descriptors(), self._reaper.fd)
            child = forked(self._task_of, self._hooks, self._held(), self._children, own)
        else:
            child = spawned(self._spawning)
        if self._reaper is not None:
            self._reaper.watch(child.pid)
        self._children.append(child)
        self._by_fd[child.channel.fileno()] = child
        if child.pidfd is not None:
            self._by_fd[child.pidfd] = child
            self._waker.poll.register(child.pidfd, select.POLLIN)
        self._watch(child)

    def _watch(self, child: Child) -> None:
        """Wait for words of a child, and for room in its channel when there are words for it."""
        if self._waker is not None and not child.broken:
            self._waker.poll.register(child.channel.fileno(), select.POLLIN | (select.POLLOUT if child.outbox else 0))

    # -- waiting and hearing

    def _patience(self, deadline: Deadline) -> float | None:
        """Seconds until something must be looked at even if nobody calls."""
        now = time.monotonic()
        limits = [left] if (left := deadline.left()) is not None else []
        for child in self._children:
            if len(child.jobs) > 1:
                limits.append(_GLANCE)
            if child.broken or child.pidfd is None:
                limits.append(_LAST_BREATH)
            if child.stop is not None:
                limits.append(max(_GLANCE, child.stop.kill_at - now))
            elif child.timed:
                limits.append(self._timeout_in(child, now))
        return max(0.0, min(limits)) if limits else None

    def _hear(self, seconds: float | None) -> bool:
        """Wait, take all news in; True when a signal (of this process) came."""
        if self._waker is None:
            return False
        woken = False
        touched: set[Child] = set()
        for fd, event in self._waker.wait(seconds):
            child = self._by_fd.get(fd)
            if child is None:
                woken = woken or fd == self._waker.fd
            elif fd != child.pidfd and event & select.POLLOUT:
                child.flush()
                self._watch(child)
            if child is not None:
                touched.add(child)
        for child in list(self._children):
            self._news(child, child in touched)
        self._keep_time()
        return woken

    def _news(self, child: Child, touched: bool) -> None:
        """Take in a child's results; bury it if it is dead."""
        self._read_ring(child)
        if not touched and child.pidfd is not None and not child.broken:
            return
        for kind, payload in child.receive():
            self._frame(child, kind, payload)
        status = child.reap(wait=False)
        if status is not None:
            self._bury(child, status)
        elif child.broken:
            self._out_of_touch(child)

    def _out_of_touch(self, child: Child) -> None:
        """The channel is closed. Mostly it is just ending; a task that closed it may still end well (in the ring)."""
        now = time.monotonic()
        if not child.lost_at:
            child.lost_at = now
            self._forget_fd(child.channel.fileno())
            self._waiting.extendleft(reversed(self._recall(child)))
        elif child.running() is None and now - child.lost_at > _LAST_BREATH and not child.leaving:
            child.kill()

    def _read_ring(self, child: Child) -> None:
        try:
            results = child.shared.take()
        except ValueError:
            child.broken = True
            return
        total, count = 0.0, 0
        slow = child.timed or child.resumed or child.stop is not None
        ended, name, ok, jobs = self._ended, child.name, ExitClass.OK, child.jobs
        for started, seconds, cpu, rss, seq in results:
            job = child.struck(seq) if slow else jobs.pop(seq, None)
            if job is not None:
                ended.append(_new(Ended, (job.index, ok, "", (), "", started, seconds, cpu, rss, "", name)))
                total += seconds
                count += 1
        if count:
            self._stillborn = 0
            self._pace.note(count, total)

    def _frame(self, child: Child, kind: bytes, payload: bytes) -> None:
        if kind == ENDED:
            self._take_ended(child, payload)
        elif kind == YIELDED:
            self._take_yielded(child, payload)
        elif kind == RETURNED:
            self._take_returned(child, from_ints(payload))
        elif kind == RETIRE:
            child.retires = True
        elif kind == FAULT:
            raise RunError(f"a pool process could not begin:\n{payload.decode(errors='replace')}")

    def _take_ended(self, child: Child, payload: bytes) -> None:
        stop = child.stop
        seq = from_json(payload)[0]
        taken = child.take(seq)
        if taken is None:
            return
        ended = unpack_ended(payload, taken[0].index)._replace(worker=child.name)
        if stop is not None and stop.seq == seq and ended.exit is not ExitClass.OK:
            words = stop.words(ended.seconds)
            stood = ended.error.removeprefix("cancelled").lstrip("\n")  # as the child says it, which knows no reason
            ended = ended._replace(exit=stop.exit, message=words, error=f"{words}\n\n{stood}")
        self._ended.append(ended)
        self._stillborn = 0
        self._pace.note(1, ended.seconds)

    def _take_yielded(self, child: Child, payload: bytes) -> None:
        from .texts import task_from

        seq, seconds, entries = from_json(payload)
        taken = child.take(seq)
        if taken is None:
            return
        job = taken[0]
        child.suspended[job.index] = job
        child.used[job.index] = seconds
        try:
            self._ended.append(Yielded(job.index, [task_from(entry) for entry in entries]))
        except Exception as error:  # a task that exists in the child only
            from .attempt import failure_of

            child.drop(job.index)
            self._ended.append(failure_of(job.index, job.task, error))

    # -- taking work back

    def _recall(self, child: Child) -> list[Job]:
        self._read_ring(child)
        return self._sorted_back(child, child.recall())

    def _take_returned(self, child: Child, numbers: list[int]) -> None:
        """Jobs that were taken back at the moment when the child was about to begin them."""
        unwanted = child.stop.seq if child.stop is not None and child.stop.exit is ExitClass.CANCELLED else None
        taken = [(seq, *found) for seq in numbers if (found := child.take(seq)) is not None]
        jobs = self._sorted_back(child, [one for one in taken if one[0] != unwanted])
        self._waiting.extendleft(reversed(jobs))
        for seq, job, resumed in taken:
            if seq == unwanted:
                if resumed:
                    child.suspended[job.index] = job
                    child.drop(job.index)
                self._cancelled(job.index)

    def _sorted_back(self, child: Child, taken: list[tuple[int, Job, bool]]) -> list[Job]:
        """The jobs that can run anywhere; attempts that were to go on are told to go on again."""
        jobs = []
        for _, job, resumed in taken:
            if resumed:
                child.suspended[job.index] = job
                child.resume(job.index)
                self._watch(child)
            else:
                jobs.append(job)
        return jobs

    def _cancelled(self, index: int) -> bool:
        self._ended.append(Ended(index, ExitClass.CANCELLED, message="cancelled"))
        return True

    def _cancel_in(self, child: Child, index: int, kill: bool) -> bool:
        seq = child.running()
        if seq is None or child.jobs[seq].index != index:
            back = self._recall(child)
            self._waiting.extendleft(job for job in reversed(back) if job.index != index)
            if any(job.index == index for job in back):
                return self._cancelled(index)
            seq = child.running()
        if seq is None or child.jobs[seq].index != index:
            return False  # it has just ended
        if not kill and child.stop is not None and child.stop.seq == seq:
            return True  # it was told, and is killed at its time, however often it is told again
        self._stop(child, seq, ExitClass.CANCELLED, "cancelled", 0.0 if kill else self._kill_after)
        if kill:
            child.kill()
        else:
            child.signal(signal.SIGTERM)
        return True

    def _stop(self, child: Child, seq: int, exit_class: ExitClass, message: str, patience: float, allowed: float = 0.0) -> None:
        child.stop = Stop(seq, exit_class, time.monotonic() + patience, message, allowed)
        child.shared.words[STOP] = seq or -1

    def _timeout_in(self, child: Child, now: float) -> float:
        """Seconds until the first timeout that may come next in this child."""
        seq = child.running()
        job = child.jobs[seq] if seq is not None else None
        if job is None or job.timeout is None:
            return _GLANCE  # a job with a timeout may begin at any moment
        frozen = self._frozen(job.index, job.fence)
        return child.shared.clocks[SINCE] + job.timeout + frozen - child.used.get(job.index, 0.0) - now

    def _keep_time(self) -> None:
        """Stop what is over its time, kill what does not stop, move jobs from behind long ones."""
        now = time.monotonic()
        for child in self._children:
            if child.stop is not None:
                if now >= child.stop.kill_at:
                    child.kill()
            elif child.timed:
                self._check_timeout(child, now)
        self._steal(now)

    def _check_timeout(self, child: Child, now: float) -> None:
        seq = child.running()
        if seq is None or child.jobs[seq].timeout is None or self._timeout_in(child, now) > 0:
            return
        if child.running() != seq:
            return  # it ended this moment
        job = child.jobs[seq]
        self._waiting.extendleft(reversed(self._recall(child)))
        self._stop(child, seq, ExitClass.TIMEOUT, "timeout", self._kill_after, job.timeout or 0.0)
        child.signal(signal.SIGTERM)

    def _steal(self, now: float) -> None:
        """Jobs wait behind a long one while another child has nothing to do: take them back."""
        idle = sum(not child.jobs and not child.leaving for child in self._children)
        if not idle or self._waiting:
            return
        for child in self._children:
            if len(child.jobs) > 1 and child.running() is not None and now - child.shared.clocks[SINCE] > TARGET_BATCH:
                self._waiting.extend(self._recall(child))
        if self._waiting:
            self._pace.depth = 1
            self._dispatch()

    # -- death

    def _await_end(self, seconds: float) -> None:
        deadline = Deadline(seconds)
        while self._children and not deadline.passed():
            self._hear(deadline.left() if deadline.left() is None else min(deadline.left() or 0.0, 0.05))

    def _bury(self, child: Child, status: int | None = None) -> None:
        """A child is dead: end what it ran, give what it had not begun to others."""
        status = child.reap(wait=True) if status is None else status
        for kind, payload in child.receive():
            self._frame(child, kind, payload)
        self._read_ring(child)
        self._children.remove(child)
        if self._reaper is not None:
            self._reaper.forget(child.pid)
        for fd in (child.channel.fileno(), child.pidfd):
            if fd is not None:
                self._forget_fd(fd)
        if not (child.leaving and not child.jobs):
            self.untidy = True
            child.signal(signal.SIGKILL)  # what the lost attempt left running must not go on
            self._end_all_of(child, status if status is not None else -1)
        child.close()

    def _forget_fd(self, fd: int) -> None:
        self._by_fd.pop(fd, None)
        if self._waker is not None:
            try:
                self._waker.poll.unregister(fd)
            except (KeyError, ValueError):
                pass

    def _end_all_of(self, child: Child, status: int) -> None:
        running = child.running()
        if running is not None:
            stop = child.stop if child.stop is not None and child.stop.seq == running else None
            seconds = time.monotonic() - child.shared.clocks[SINCE]
            exit_class, message = (stop.exit, stop.words(seconds)) if stop is not None else self._cause(status)
            job = child.struck(running)
            if job is not None:
                self._ended.append(_dead(job, exit_class, message, seconds, child.name))
        lost = [child.take(seq) for seq in list(child.jobs)]
        self._waiting.extendleft(pair[0] for pair in reversed(lost) if pair is not None and not pair[1])
        innocent = [pair[0] for pair in lost if pair is not None and pair[1]]
        for job in (*innocent, *child.suspended.values()):
            message = "its process died while it was suspended; run() starts again"
            self._ended.append(_dead(job, ExitClass.INFRA, message, child.used.get(job.index, 0.0), child.name))
        if not child.shared.words[CLAIMED]:
            self._mourn(status)

    def _mourn(self, status: int) -> None:
        """A child died before it began anything: once may be chance."""
        self._stillborn += 1
        if self._stillborn >= _STILLBORN:
            text = f"{_STILLBORN} pool processes in a row {_how(status)} before they began a task"
            raise RunError(text, hint="Their stderr may say why.")

    def _cause(self, status: int) -> tuple[ExitClass, str]:
        """Why the child of a running attempt died that nobody had asked to stop."""
        if status >= 0 and os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
            before, self._oom_kills = self._oom_kills, oom_kills()
            if before is not None and self._oom_kills is not None and self._oom_kills > before:
                return ExitClass.OOM, "killed by the kernel: out of memory"
        if status >= 0 and os.WIFSIGNALED(status):
            return ExitClass.SIGNAL, f"its process was {_how(status)}"
        return ExitClass.LOST_PROCESS, f"its process {_how(status)} and gave no result"


def _dead(job: Job, exit_class: ExitClass, message: str, seconds: float, name: str) -> Ended:
    """The end of an attempt whose process is gone."""
    return Ended(job.index, exit_class, f"{message}\n", (), str(exit_class), time.time() - seconds, seconds, 0.0, 0, message, name)


def _how(status: int) -> str:
    from .child import CHANNEL_LOST

    if status < 0:
        return "ended in a way that nobody told"
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        try:
            return f"killed by {signal.Signals(number).name}"
        except ValueError:
            return f"killed by signal {number}"
    code = os.WEXITSTATUS(status)
    if code == CHANNEL_LOST:
        return "lost its channel (did the task close file descriptors?)"
    return f"ended with status {code}"
