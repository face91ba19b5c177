"""Questions to far places, in threads: a lane for each store, so that one that hangs holds up no other.

Bounded: so many threads a lane and in all; a question that is given up keeps its thread until it ends, and a lane that
has lost two so is not asked before one of them is back.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from levada.errors import FROM_USERS, TargetError, TargetUnreachable, told

PER_LANE = 4
IN_ALL = 32
LOST_PER_LANE = 2
LOST_IN_ALL = 64


class Question:
    """Something asked in a thread; `answer` or `error` is there once it is `done`. began: monotonic seconds, None while it waits."""

    __slots__ = ("answer", "began", "done", "error", "job", "lane", "lost", "seconds")

    def __init__(self, lane: _Lane, job: Callable[[], Any]) -> None:
        self.lane, self.job = lane, job
        self.began: float | None = None
        self.seconds = 0.0
        self.done = self.lost = False
        self.answer: Any = None
        self.error: TargetError | None = None


class _Lane:
    __slots__ = ("active", "lost", "name", "queue")

    def __init__(self, name: str) -> None:
        self.name = name
        self.queue: deque[Question] = deque()
        self.active = self.lost = 0


class Lanes:
    """All lanes. ready: called, in a thread of a lane, when a question is done."""

    def __init__(self, ready: Callable[[], None]) -> None:
        self._ready = ready
        self._lanes: dict[str, _Lane] = {}
        self._active = self._lost = 0
        self._changed = threading.Condition()

    def ask(self, name: str, job: Callable[[], Any]) -> Question:
        """Ask in a lane. Raises TargetUnreachable where earlier questions to it were never answered."""
        with self._changed:
            lane = self._lanes.get(name)
            if lane is None:
                lane = self._lanes[name] = _Lane(name)
            if lane.lost >= LOST_PER_LANE or self._lost >= LOST_IN_ALL:
                raise TargetUnreachable(name, f"{lane.lost} earlier questions are still not answered")
            question = Question(lane, job)
            lane.queue.append(question)
            self._pump()
            return question

    def wait(self, questions: list[Question], seconds: float) -> None:
        """Return when all are done, or after so many seconds."""
        with self._changed:
            self._changed.wait_for(lambda: all(question.done for question in questions), seconds)

    def give_up(self, question: Question) -> bool:
        """Wait for it no longer; False when it was done after all."""
        with self._changed:
            if question.done:
                return False
            if question.began is None:
                question.lane.queue.remove(question)
            elif not question.lost:
                question.lane.active -= 1
                question.lane.lost += 1
                self._active -= 1
                self._lost += 1
            question.lost = True
            self._pump()
            return True

    def _pump(self) -> None:
        """Start threads for what waits, as far as the bounds allow."""
        for lane in self._lanes.values():
            while len(lane.queue) > 0 and lane.active < PER_LANE and self._active < IN_ALL:
                lane.active += 1
                self._active += 1
                threading.Thread(target=self._work, args=(lane, lane.queue.popleft()), name="levada-watch", daemon=True).start()

    def _work(self, lane: _Lane, question: Question) -> None:
        while True:
            question.began = time.monotonic()
            try:
                question.answer = question.job()
            except TargetError as error:
                question.error = error
            except FROM_USERS as cause:  # whatever a product's client raises
                question.error = TargetUnreachable(lane.name, told(cause))
            with self._changed:
                question.seconds = time.monotonic() - question.began
                question.done = True
                self._changed.notify_all()
                if question.lost:
                    lane.lost -= 1
                    self._lost -= 1
                    return
                if not lane.queue:
                    lane.active -= 1
                    self._active -= 1
                    self._pump()
                    if not lane.active and not lane.lost:
                        self._lanes.pop(lane.name, None)
                    following = None
                else:
                    following = lane.queue.popleft()
            self._ready()
            if following is None:
                return
            question = following
