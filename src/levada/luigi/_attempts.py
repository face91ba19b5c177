"""One attempt under Luigi's contract, run by the house (``levada._worker.attempt``): what a ``TaskProcess`` does.

Luigi promises other things than Levada does, and old programs see them: requirements are looked at before ``run()``;
a run that ended well is DONE though its outputs are not there, unless ``check_complete_on_run`` is set; ``on_success``
belongs to the attempt, its answer goes to the scheduler; a yield whose requirements are not complete ends the attempt,
and the next one starts ``run()`` again. How a run is driven, stopped and told of is the house's.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any, NamedTuple

from .._model.spec import TaskKey
from .._model.status import ExitClass
from .._plan.walk import nonsense
from .._worker.attempt import Attempts
from .._worker.executor import Ended, Hooks, Job
from .._worker.marks import begin, end
from .._worker.report import told
from ..errors import PlanError
from ..targets import Target
from ..targets.atomic import clear_tag
from ..task import Event, Task, flatten, info_of, key_of, task_id_of

DONE, FAILED, PENDING = "DONE", "FAILED", "PENDING"
NOT_THERE = "Task is an external data dependency and data does not exist (yet?)."


class TaskException(Exception):
    """A task did, or is, what no worker can do anything with."""


class WrongRequirement(PlanError, TypeError):
    """``requires()``, or a yield of ``run()``, gave something that is no task."""

    code = "requires"

    def __init__(self, task: Any, said: str, leaf: object) -> None:
        hint = "Wrap the target in an ExternalTask." if isinstance(leaf, Target) else None
        super().__init__(f"{task}: {said} {nonsense(leaf)}", hint=hint)


class Outcome(NamedTuple):
    """How an attempt ended, in Luigi's words.

    missing: requirements that were not complete, with the outputs that they lack. new_deps: (module, family, texts of
    parameters) of what ``run()`` yielded; None where it ended.
    """

    status: str
    expl: Any
    missing: list[str]
    new_deps: list[tuple[str, str, dict[str, str]]] | None


def id_of(task: Any) -> str:
    """The task's id, also where a parameter has the name ``task_id`` and its value stands in that place.

    Else what the task itself says: old programs set ``task_id`` anew.
    """
    if isinstance(task, Task) and "task_id" in info_of(type(task)).names:
        return task_id_of(task)
    told: str = task.task_id
    return told


class Attempt:
    """A task as the house's executor runs it: ``run()`` is all that Luigi does between START and SUCCESS.

    check: whether a task is complete, perhaps remembered. surround: called with True before user code runs, with False after it.
    """

    def __init__(
        self,
        task: Any,
        check: Callable[[Any], bool],
        *,
        clock: Callable[[], float],
        check_requirements: bool = True,
        check_outputs: bool = False,
        believed: Callable[[Any], None] | None = None,
        surround: Callable[[bool], None] = lambda entering: None,
    ) -> None:
        self.task, self._check, self._clock, self._surround = task, check, clock, surround
        self._check_requirements, self._check_outputs, self._believed = check_requirements, check_outputs, believed
        self.external = is_external(task)
        self.ended = False
        self.absent = False
        self.missing: list[str] = []
        self.answer: Any = None  # of on_success
        self.complaint: Any = None  # of on_failure
        self.trace = ""
        """The error's traceback, for the log."""
        self._began = 0.0

    def __repr__(self) -> str:
        return repr(self.task)

    def carry_out(self) -> Outcome:
        """Run it to its end, or to a yield that has to wait. KeyboardInterrupt passes."""
        hooks = Hooks(_is_complete, lambda attempt: [], self._enter, self._leave, self._event)
        attempts = Attempts(hooks)
        job = Job(0, self, key=_key(self.task))
        result = attempts.begin(job)
        if type(result) is not Ended:
            attempts.drop(0)  # the next attempt begins anew, as old programs know it
            return Outcome(PENDING, "", [], [_wire_form(task) for task in _leaves(result.requires)])  # type: ignore[union-attr]
        if result.exit is ExitClass.OK and self.absent:
            return Outcome(FAILED, NOT_THERE, [], [])
        if result.exit is ExitClass.OK:
            return Outcome(DONE, self.answer, [], [] if self.external else None)
        self.trace = told(result.error, self.task)
        expl = self.complaint if self.complaint is not None else f"Runtime error:\n{self.trace}"
        return Outcome(FAILED, expl, self.missing, None if self.ended else [])

    # -- what the house calls

    def run(self) -> Any:
        """User code, from the requirements to ``on_success``."""
        if self._check_requirements and not self.external:
            self._look_at_requirements()
        self.task.trigger_event(Event.START, self.task)
        self._began = self._clock()
        if self.external:
            self.absent = not self._check(self.task)
            return None if self.absent else self._succeed()
        body = self.task.run()
        if isinstance(body, GeneratorType):
            return self._driven(body)
        if isinstance(body, CoroutineType):
            return self._awaited(body)
        if isinstance(body, AsyncGeneratorType):
            return self._streamed(body)
        return self._finish()

    def on_success(self) -> None:
        """Was called in ``run``."""

    def on_failure(self, error: BaseException) -> None:
        """Let the task say what it has to say."""
        self.complaint = self.task.on_failure(error)

    def _enter(self, job: Job) -> None:
        begin(job._replace(task=self.task))
        self._surround(True)

    def _leave(self, job: Job) -> None:
        self._surround(False)
        end(job._replace(task=self.task))
        clear_tag()  # what a program writes between its tasks is no attempt's

    def _event(self, name: str, attempt: Any, detail: object) -> None:
        if name == "failure":
            self.task.trigger_event(Event.FAILURE, self.task, detail)

    # -- steps

    def _look_at_requirements(self) -> None:
        for required in self.task.deps():
            if not self._check(required):
                lacking = [str(output) for output in flatten(required.output()) if not output.exists()]
                self.missing.append(f"{id_of(required)} ({', '.join(lacking)})" if lacking else id_of(required))
        if self.missing:
            noun = "dependency" if len(self.missing) == 1 else "dependencies"
            raise RuntimeError(f"Unfulfilled {noun} at run time: {', '.join(self.missing)}")

    def _driven(self, body: Generator[Any, Any, Any]) -> Generator[Any, Any, None]:
        """The task's generator, which is asked on as long as what it yields is complete."""
        answer: Any = None
        while True:
            try:
                yielded = next(body) if answer is None else body.send(answer)
            except StopIteration:
                break
            wanted = self._requirements(yielded)
            if not wanted.complete(self._check):
                yield _Waiting(wanted.flat_requirements)
            answer = wanted.paths
        self._finish()

    async def _awaited(self, body: Coroutine[Any, Any, Any]) -> None:
        await body
        self._finish()

    async def _streamed(self, body: AsyncGenerator[Any, Any]) -> AsyncGenerator[Any, Any]:
        answer: Any = None
        while True:
            try:
                yielded = await body.asend(answer)
            except StopAsyncIteration:
                break
            wanted = self._requirements(yielded)
            if not wanted.complete(self._check):
                yield _Waiting(wanted.flat_requirements)
            answer = wanted.paths
        self._finish()

    def _requirements(self, yielded: Any) -> Any:
        from .task import DynamicRequirements

        wanted = yielded if isinstance(yielded, DynamicRequirements) else DynamicRequirements(yielded)
        for one in wanted.flat_requirements:
            if not isinstance(one, Task):
                raise WrongRequirement(self.task, "run() yielded", one)
        return wanted

    def _finish(self) -> None:
        self.ended = True
        if self._check_outputs and not self._check(self.task):
            raise TaskException("Task finished running, but complete() is still returning false.")
        if not self._check_outputs and self._believed is not None:
            self._believed(self.task)
        self._succeed()

    def _succeed(self) -> None:
        self.ended = True
        self.task.trigger_event(Event.PROCESSING_TIME, self.task, self._clock() - self._began)
        self.answer = self.task.on_success()
        self.task.trigger_event(Event.SUCCESS, self.task)


class _Waiting:
    """What the house's executor takes for a requirement that is not complete."""

    def __init__(self, tasks: list[Any]) -> None:
        self.tasks = tasks

    def complete(self) -> bool:
        """Never: that is why it was yielded."""
        return False

    def output(self) -> list[Any]:
        """Nothing that anybody asks for."""
        return []


def is_external(task: Any) -> bool:
    """Whether others make it: its ``run`` is None, or NotImplemented in very old programs."""
    return task.run is None or task.run is NotImplemented


def _is_complete(attempt: Attempt) -> bool:
    """That run() came to its end is enough; asked in another place, the world answers."""
    return attempt.ended or attempt.absent or bool(attempt.task.complete())


def _leaves(waiting: list[Any]) -> list[Any]:
    return [task for one in waiting for task in (one.tasks if isinstance(one, _Waiting) else [one])]


def _wire_form(task: Any) -> tuple[str, str, dict[str, str]]:
    return task.task_module, task.task_family, task.to_str_params()


def _key(task: Any) -> bytes:
    try:
        key: TaskKey = key_of(task)
    except Exception:  # a secret without a key to mask it with: the name of a temporary file is not worth an attempt
        return b""
    return key
