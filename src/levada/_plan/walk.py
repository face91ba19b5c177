"""From wanted tasks to a plan: a walk backwards, in slices, that never recurses.

A complete task is not expanded. Each step takes about a thousand requirements of tasks that are known
to be incomplete, asks for their completeness together, and hands out the incomplete ones as specs, so
that the first ready task can start while the walk goes on. The newest tasks are expanded first: a leaf
is reached early and the frontier stays small. Faults are collected with the path that led to them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from .._model.spec import Growth, Index, Policy, TaskSpec
from ..errors import FROM_USERS, LevadaError, TargetError, shown, told
from ..task import (
    Event,
    Task,
    batch_group_of,
    flatten,
    has_handlers,
    info_of,
    key_of,
    policy_of,
    priority_of,
    repr_of,
)
from .existence import Existence

if TYPE_CHECKING:
    from .shaping import Shape

_new = tuple.__new__  # builds a NamedTuple in half the time; used where each task passes
SLICE = 1000
"""Requirements that one step classifies, at most (a message carries at most a thousand tasks)."""

COMPLETE = -1
"""In place of an index: found complete, not part of the plan."""

RUN, GATE, EXTERNAL, BROKEN, BLIND = range(5)
"""Kinds: has a run; only groups its requirements; others make it; its own code raised; has a run and nothing to show."""


class Fault:
    """Something wrong in the plan, with the way that led there.

    kind: requires, complete, attributes, unreachable, collision or cycle. path: texts of tasks, from a wanted one to
    this one. trace: the author's part of the traceback, "" when there is none. Not a NamedTuple: making
    one of those costs cron a fifth of a millisecond.
    """

    __slots__ = ("exception", "kind", "message", "path", "task", "trace")

    def __init__(
        self, kind: str, task: str, message: str, path: tuple[str, ...], trace: str = "", exception: BaseException | None = None
    ) -> None:
        self.kind, self.task, self.message, self.path, self.trace, self.exception = kind, task, message, path, trace, exception

    def __str__(self) -> str:
        way = " > ".join(self.path)
        return f"{self.task}: {self.message}" + (f"\n  on the way {way}" if len(self.path) > 1 else "")

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"kind": self.kind, "task": self.task, "message": self.message, "path": list(self.path)}


class Slice:
    """What one step found; goes to the scheduler as it is. complete: so many more were found complete."""

    __slots__ = ("complete", "growth", "tasks")

    def __init__(self, tasks: list[TaskSpec], growth: list[Growth], complete: int) -> None:
        self.tasks, self.growth, self.complete = tasks, growth, complete


class _Open:
    """A task whose requirements are still being taken from its ``requires()``."""

    __slots__ = ("index", "rest")

    def __init__(self, index: Index, rest: Iterator[Any]) -> None:
        self.index, self.rest = index, rest


class Discovery:
    """The walk from some wanted tasks. Call ``step`` until it returns None.

    ``tasks[i]`` is the task with index i, None once it was forgotten; ``kinds[i]`` says what it is.
    """

    def __init__(
        self, wanted: Iterable[Any], existence: Existence | None = None, *, first_index: int = 0, shape: Shape | None = None
    ) -> None:
        self._shape = shape
        self.existence = existence if existence is not None else Existence()
        self.tasks: list[Any] = [None] * first_index
        self.kinds = bytearray(first_index)
        self.faults: list[Fault] = []
        self.complete = 0
        self.roots: list[Index] = []
        self._parents = [-1] * first_index
        self._index: dict[Any, Index] = {}
        self._alias: dict[bytes, Any] = {}
        self._plain: set[type] = set()  # classes of tasks each of which stands for itself alone
        self._stack: list[Index | _Open] = []
        self._writers: dict[Any, Index] = {}
        self._wanted: list[Any] = flatten(list(wanted))
        self._seen_complete = 0
        self.finished = not self._wanted  # whether everything that the wanted tasks need is known
        self._listen()

    def _listen(self) -> None:
        """Look who wants to hear of requirements, once for many of them."""
        self._heard = has_handlers(Event.DEPENDENCY_PRESENT), has_handlers(Event.DEPENDENCY_MISSING)

    # -- the walk

    def step(self) -> Slice | None:
        """Classify about a thousand tasks, or fewer where no more can be known yet; None when all is known."""
        if self.finished:
            return None
        self._listen()
        specs: list[TaskSpec] = []
        growth: list[Growth] = []
        while self._wanted and len(specs) < SLICE:
            self._begin(specs)
        stack = self._stack
        while stack and len(growth) < SLICE and len(specs) < SLICE:
            self._wave(specs, growth)
        return self._slice(specs, growth)

    def _begin(self, specs: list[TaskSpec]) -> None:
        """Take some of the wanted tasks."""
        wanted, self._wanted = self._wanted[:SLICE], self._wanted[SLICE:]
        wanted = self._standing(-1, wanted)
        index = self._index
        self._classify({task: -1 for task in wanted if task not in index}, specs)
        self.roots.extend(index[task] for task in wanted)

    def _wave(self, specs: list[TaskSpec], growth: list[Growth]) -> None:
        """Take requirements of the newest tasks and look at those that were never seen."""
        pulled = self._pull()
        if len(pulled) == 1 and len(pulled[0][1]) == 1:
            self._link(pulled[0], specs, growth)
            return
        index = self._index
        fresh: dict[Any, Index] = {}
        for parent, children, _ in pulled:
            for task in children:
                if task not in index and task not in fresh:
                    fresh[task] = parent
        if fresh:
            self._classify(fresh, specs)
        kinds, at = self.kinds, index.__getitem__
        for parent, children, closed in pulled:
            needs = list(map(at, children))
            if COMPLETE in needs:
                needs = [need for need in needs if need != COMPLETE]
            if parent in needs:
                needs = self._without_itself(parent, needs)
            growth.append(_new(Growth, (parent, needs, closed and kinds[parent] != BROKEN)))

    def _link(self, pulled: tuple[Index, list[Any], bool], specs: list[TaskSpec], growth: list[Growth]) -> None:
        """A wave of one requirement, as a chain of tasks has them: the same with fewer steps."""
        parent, (task,), closed = pulled
        at = self._index.get(task)
        if at is None:
            at = self._enter(task, parent, self._ask((task,))[0], specs)
        needs = [] if at == COMPLETE else [at]
        if at == parent:
            needs = self._without_itself(parent, needs)
        growth.append(_new(Growth, (parent, needs, closed and self.kinds[parent] != BROKEN)))

    def _slice(self, specs: list[TaskSpec], growth: list[Growth]) -> Slice:
        self.finished = not self._stack and not self._wanted
        newly = self.complete - self._seen_complete
        self._seen_complete = self.complete
        return Slice(specs, growth, newly)

    def grow(self, parent: Index, yielded: Any) -> Slice:
        """Add what a running task yielded: the first slice; go on with ``step``.

        The growth of ``parent`` is left to the scheduler's ``Suspended`` message; see ``indices``.
        """
        self._listen()
        children = self._standing(parent, flatten(yielded))
        specs: list[TaskSpec] = []
        self._classify({task: parent for task in children if task not in self._index}, specs)
        return self._slice(specs, [])

    def adopt(self, task: Any) -> Index | None:
        """Number a task that another process walked to; None for one that this process cannot run. Raises what its code raises."""
        task = self._same(task)
        index = self._index.get(task)
        if index is not None and index >= 0:
            return index
        info = info_of(type(task))
        kind = RUN if info.complete_is_own or flatten(task.output()) else _kind_without_output(info)
        if info.external or kind == EXTERNAL:
            return None
        index = self._index[task] = len(self.tasks)
        self.tasks.append(task)
        self._parents.append(-1)
        self.kinds.append(kind)
        return index

    def readmit(self, task: Any) -> Index:
        """An index for a task that was found complete: somebody else, who has it as incomplete, waits to hear so."""
        task = self._same(task)
        index = self._index.get(task, COMPLETE)
        if index == COMPLETE:
            index = self._index[task] = len(self.tasks)
            self.tasks.append(task)
            self._parents.append(-1)
            self.kinds.append(EXTERNAL if info_of(type(task)).external else RUN)
        return index

    def indices(self, yielded: Any) -> list[Index]:
        """Indices of the incomplete ones among tasks that were walked."""
        found = (self._index.get(self._same(task), COMPLETE) for task in flatten(yielded))
        return [at for at in found if at >= 0]

    def _pull(self) -> list[tuple[Index, list[Any], bool]]:
        """Take up to a slice of requirements off the newest incomplete tasks."""
        pulled: list[tuple[Index, list[Any], bool]] = []
        room, stack, tasks = SLICE, self._stack, self.tasks
        while stack and room > 0:
            entry = stack.pop()
            if type(entry) is int:
                required = self._required(entry, tasks[entry])
                if type(required) is list:
                    room -= len(required) + 1
                    pulled.append((entry, required, True))
                    continue
                if required is None:
                    continue
                entry = _Open(entry, required)
            chunk, closed = self._chunk(entry, room)  # type: ignore[arg-type]  # what is no number is open
            room -= len(chunk) + 1
            pulled.append((entry.index, chunk, closed))  # type: ignore[union-attr]
            if not closed:
                stack.append(entry)
                break
        return pulled

    def _chunk(self, entry: _Open, room: int) -> tuple[list[Any], bool]:
        try:
            chunk = list(islice(entry.rest, room))
        except FROM_USERS as cause:
            self._fault("requires", entry.index, cause)
            return [], True
        return self._standing(entry.index, chunk), len(chunk) < room

    def _required(self, index: Index, task: Any) -> Any:
        """The task's requirements: a list of tasks that stand for themselves, or an iterator over many that nobody has looked at."""
        try:
            required = task.deps() if (type(task)._info or info_of(type(task))).deps_is_own else task.requires()
            if type(required) is list and len(required) <= SLICE and self._plain.issuperset(map(type, required)):
                return required
            if hasattr(required, "__next__"):
                return required
            if (type(required) is list or type(required) is tuple) and len(required) > SLICE:
                return iter(required)
            return self._standing(index, [required] if isinstance(required, Task) else required)
        except FROM_USERS as cause:
            self._fault("requires", index, cause)
            return None

    def _standing(self, index: Index, required: Any) -> list[Any]:
        """The tasks of a structure, each the one that stands for it in the plan; nonsense becomes a fault."""
        tasks = (
            required
            if type(required) is list and all(isinstance(one, Task) for one in required)
            else self._checked(index, flatten(required))
        )
        classes = set(map(type, tasks))
        alike = {cls for cls in classes if info_of(cls).insignificant}
        self._plain |= classes - alike
        if alike:
            known = self._index
            return [task if task in known else self._same(task) for task in tasks]
        return tasks

    def _checked(self, index: Index, leaves: list[Any]) -> list[Any]:
        """The leaves that are tasks; nonsense becomes a fault that names it."""
        wrong = [leaf for leaf in leaves if not isinstance(leaf, Task)]
        if wrong:
            text = f"requires() gave {nonsense(wrong[0])}"
            self._fault("requires", index, TypeError(text), text)
            return [leaf for leaf in leaves if isinstance(leaf, Task)]
        return leaves

    def _without_itself(self, parent: Index, incomplete: list[Index]) -> list[Index]:
        """The shortest circle: told at once, as the scheduler takes no such requirement."""
        name = repr_of(self.tasks[parent])
        self._fault("cycle", parent, None, f"waits for itself: {name} > {name}")
        return [at for at in incomplete if at != parent]

    def _same(self, task: Any) -> Any:
        """The task that stands for this one in the plan: parameters that are not significant do not count."""
        if not info_of(type(task)).insignificant:
            return task
        return self._alias.setdefault(key_of(task), task)

    # -- completeness

    def _classify(self, fresh: dict[Any, Index], specs: list[TaskSpec]) -> None:
        """Ask for completeness and enter what was found."""
        for (task, parent), kind in zip(fresh.items(), self._ask(fresh), strict=True):
            self._enter(task, parent, kind, specs)

    def _enter(self, task: Any, parent: Index, kind: Any, specs: list[TaskSpec]) -> Index:
        """Number an incomplete task, push it, add its spec; its index, or COMPLETE. kind: what ``_ask`` says of it."""
        if kind == COMPLETE:
            self._index[task] = COMPLETE
            self.complete += 1
            if self._heard[0]:
                task.trigger_event(Event.DEPENDENCY_PRESENT, task)
            return COMPLETE
        tasks = self.tasks
        at = self._index[task] = len(tasks)
        tasks.append(task)
        self._parents.append(parent)
        known = type(kind) is int  # else it is what its code raised
        self.kinds.append(kind if known else BROKEN)
        info = type(task)._info or info_of(type(task))
        try:
            policy = info.policy or policy_of(task)
            priority = info.priority if info.priority is not None else priority_of(task)
            if self._shape is not None:
                policy, priority = self._shape.fit(at, parent, policy, priority)
            specs.append(_new(TaskSpec, (at, policy, priority, batch_group_of(task) if info.batched else None)))
        except FROM_USERS as cause:
            specs.append(TaskSpec(at, Policy(type(task).get_task_family())))
            self._fault("attributes", at, cause)
            return at
        if not known:
            self._fault("unreachable" if isinstance(kind, TargetError) else "complete", at, kind)
        elif kind != EXTERNAL:
            self._stack.append(at)
        elif self._heard[1]:
            task.trigger_event(Event.DEPENDENCY_MISSING, task)
        return at

    def _ask(self, fresh: Iterable[Any]) -> list[Any]:
        """For each task: COMPLETE, its kind when incomplete, or the exception that its code raised."""
        answers: list[Any] = []
        targets: list[Any] = []
        owners: list[int] = []
        far: list[int] = []
        for task in fresh:
            info = type(task)._info or info_of(type(task))
            answer: Any = None
            try:
                if info.complete_is_own:
                    if info.remote:
                        far.append(len(answers))
                    else:
                        answer = COMPLETE if task.complete() else EXTERNAL if info.external else RUN
                else:
                    output = task.output()
                    leaves = [output] if output.__class__ is not list and hasattr(output, "exists") else _checked_targets(task, output)
                    targets += leaves
                    owners += [len(answers)] * len(leaves)
                    if not leaves:
                        answer = _kind_without_output(info)
            except FROM_USERS as cause:
                answer = cause
            answers.append(answer)
        if targets:
            self._ask_targets(list(fresh), targets, owners, answers)
        if far:
            self._ask_far(list(fresh), far, answers)
        return answers

    def _ask_targets(self, tasks: list[Any], targets: list[Any], owners: list[int], answers: list[Any]) -> None:
        for at, target, answer in zip(owners, targets, self.existence.ask(targets), strict=True):
            if answer is True:
                if answers[at] is None:
                    answers[at] = COMPLETE
            elif answer is False:
                if not isinstance(answers[at], BaseException):
                    task = tasks[at]
                    answers[at] = EXTERNAL if info_of(type(task)).external else RUN
                    self._note_writer(task, target, answers[at])
            else:
                answers[at] = answer

    def _ask_far(self, tasks: list[Any], far: list[int], answers: list[Any]) -> None:
        """Own ``complete()`` methods that ask something remote: a few at a time, in threads."""
        from concurrent.futures import ThreadPoolExecutor

        def one(at: int) -> Any:
            task = tasks[at]
            try:
                return COMPLETE if task.complete() else EXTERNAL if info_of(type(task)).external else RUN
            except FROM_USERS as cause:
                return cause

        with ThreadPoolExecutor(min(16, len(far))) as pool:
            for at, answer in zip(far, pool.map(one, far), strict=True):
                answers[at] = answer

    def _note_writer(self, task: Any, target: Any, kind: int) -> None:
        """Two tasks that write one target are a fault: which of them made it could not be told."""
        if kind == EXTERNAL or not hasattr(target, "path"):
            return
        try:
            place = hash((type(target), target.path))
        except TypeError:
            return
        other = self._writers.setdefault(place, task)
        if other is not task and key_of(other) != key_of(task):
            text = f"writes {target!r:.200}, which {repr_of(other)} writes too"
            self.faults.append(Fault("collision", repr_of(task), text, (repr_of(other), repr_of(task))))

    # -- after the walk

    def forget(self, index: Index) -> None:
        """Let a task go that is done; what asks for it again will look at its targets."""
        if self.kinds[index] == RUN:
            self._index.pop(self.tasks[index], None)
            self.tasks[index] = None

    def found_complete(self) -> list[Any]:
        """The tasks that were found complete; looks at all."""
        return [task for task, index in self._index.items() if index == COMPLETE]

    def complete_by_family(self) -> dict[str, int]:
        """How many tasks of each family were found complete; looks at all."""
        counts: dict[str, int] = {}
        for task in self.found_complete():
            family = type(task).get_task_family()
            counts[family] = counts.get(family, 0) + 1
        return counts

    def external_missing(self) -> list[Index]:
        """Indices of tasks that others make and that are not there."""
        if EXTERNAL not in self.kinds:  # one call, where a run may have a million tasks
            return []
        return [at for at, kind in enumerate(self.kinds) if kind == EXTERNAL and self.tasks[at] is not None]

    def path_to(self, index: Index) -> tuple[str, ...]:
        """Texts of the tasks from a wanted one down to this one, at most about twenty."""
        way: list[str] = []
        seen = 0
        while index >= 0 and seen < 1_000_000:
            if len(way) < 20:
                task = self.tasks[index]
                way.append("(done)" if task is None else repr_of(task))
            index, seen = self._parents[index], seen + 1
        if seen > 20:
            way[19] = f"({seen - 19} more)"
        return tuple(reversed(way))

    def _fault(self, kind: str, index: Index, cause: BaseException | None, message: str | None = None) -> None:
        task = self.tasks[index] if 0 <= index < len(self.tasks) else None
        if task is not None:
            self.kinds[index] = BROKEN
            if has_handlers(Event.BROKEN_TASK):
                task.trigger_event(Event.BROKEN_TASK, task, cause)
        text = message if message is not None or cause is None else _said(kind, cause)
        name = repr_of(task) if task is not None else "the wanted tasks"
        self.faults.append(Fault(kind, name, text or "", self.path_to(index), _trace(cause) if cause is not None else "", cause))


def _all_tasks(items: list[Any] | tuple[Any, ...]) -> bool:
    for cls in set(map(type, items)):  # noqa: SIM110 - a generator expression takes twice as long
        if not issubclass(cls, Task):
            return False
    return True


def nonsense(leaf: object) -> str:
    """What stands where a task should, and what was expected.

    >>> nonsense(3), nonsense(Task)
    ('3, a int; expected tasks', 'the class Task; expected an instance, as in Task(...)')
    """
    if isinstance(leaf, type) and issubclass(leaf, Task):
        return f"the class {leaf.__name__}; expected an instance, as in {leaf.__name__}(...)"
    return f"{leaf!r:.200}, a {type(leaf).__name__}; expected tasks"


def _checked_targets(task: Any, output: Any) -> list[Any]:
    """The targets of a nested output. Raises TypeError for what has no ``exists()``."""
    leaves = flatten(output)
    for leaf in leaves:
        if not hasattr(leaf, "exists"):
            raise _WrongOutput(f"output() gave {leaf!r:.200}, a {type(leaf).__name__}; expected targets, as in LocalTarget({leaf!r:.80})")
    if output is None and info_of(type(task)).run_is_own:
        _warn_of_none(type(task))
    return leaves


class _WrongOutput(TypeError):
    """output() gave something that is no target."""


WITHOUT_TARGETS = "%s: output() gave None; without targets the task runs each time. Is a `return` missing?"
_warned: set[type] = set()


def _warn_of_none(cls: type) -> None:
    """Once a class: its output() says None, most likely for want of a ``return``; such a task runs each time."""
    if cls not in _warned:
        _warned.add(cls)
        import logging

        logging.getLogger("levada").warning(WITHOUT_TARGETS, cls.__qualname__)


def _kind_without_output(info: Any) -> int:
    if info.external:
        return EXTERNAL
    return BLIND if info.run_is_own else GATE


def _said(kind: str, cause: BaseException) -> str:
    if isinstance(cause, _WrongOutput):
        return str(cause)
    if kind == "attributes":
        return shown(cause) if isinstance(cause, LevadaError) else f"priority, resources, timeout or retry raised {told(cause)}"
    if isinstance(cause, LevadaError):
        return shown(cause) if kind == "unreachable" else f"{kind}() raised {told(cause)}"
    return f"{kind}() or output() raised {told(cause)}" if kind == "complete" else f"{kind}() raised {told(cause)}"


def _trace(cause: BaseException) -> str:
    """Traceback text without the engine's own frames."""
    import traceback

    frames = cause.__traceback__
    while frames is not None and frames.tb_frame.f_globals.get("__name__", "").startswith("levada._plan"):
        frames = frames.tb_next
    return "".join(traceback.format_exception(type(cause), cause, frames)) if frames is not None else ""
