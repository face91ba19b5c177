"""Jobs that are waited for in threads, beside an executor of the worker's own."""

from __future__ import annotations

from collections.abc import Sequence

from levada._model.status import ExitClass
from levada._worker.beside import Beside
from levada._worker.executor import Ended, Job, Yielded
from levada._worker.hooks import HOOKS


class Main:
    """An executor whose attempts end, or yield, as they are told."""

    slots = 2

    def __init__(self) -> None:
        self.news: list[Ended | Yielded] = []
        self.asked = 0

    def free(self) -> int:
        return 2

    def start(self, jobs: Sequence[Job]) -> None: ...

    def resume(self, index: int) -> None: ...

    def drop(self, index: int) -> None: ...

    def unstarted(self) -> list[int]:
        return []

    def cancel(self, index: int, *, kill: bool = False) -> bool:
        self.news.append(Ended(index, ExitClass.CANCELLED))
        return True

    def collect(self, timeout: float | None) -> list[Ended | Yielded]:
        self.asked += 1
        news, self.news = self.news, []
        return news

    def close(self, grace: float) -> None: ...


def test_the_end_of_a_suspended_attempt_is_collected_and_loses_no_other() -> None:
    main = Main()
    beside = Beside(main, 1, HOOKS)
    beside.start([Job(1, object()), Job(2, object())])
    main.news = [Yielded(1, [])]
    assert beside.collect(0.05) == [Yielded(1, [])]
    assert beside.cancel(1)
    assert [end.index for end in beside.collect(0.05)] == [1]
    main.news = [Ended(2, ExitClass.OK)]
    assert [end.index for end in beside.collect(0.05)] == [2], "the other attempt is still waited for"
    asked = main.asked
    assert beside.collect(0.01) == []
    assert main.asked == asked, "nothing runs there, and nothing is asked"
    beside.close(0.0)


def test_attempts_that_a_dead_child_kept_are_heard_of_while_nothing_else_runs() -> None:
    main = Main()
    beside = Beside(main, 1, HOOKS)
    beside.start([Job(1, object())])
    main.news = [Yielded(1, [])]
    beside.collect(0.05)
    main.news = [Ended(1, ExitClass.LOST_PROCESS)]
    assert [end.index for end in beside.collect(0.05)] == [1]
    beside.close(0.0)
