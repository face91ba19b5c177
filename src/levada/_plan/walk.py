"""From wanted tasks to a plan: a walk backwards, in slices, that never recurses.

A complete task is not expanded. Each step takes about a thousand requirements of tasks that are known
to be incomplete, asks for their completeness together, and hands out the incomplete ones as specs, so
that the first ready task can start while the walk goes on. The newest tasks are expanded first: a leaf
is reached early and the frontier stays small. Faults are collected with the path that led to them.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

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

    def __init__(self, wanted: Iterable[Any], existence: Existence | None = None, *, first_index: int = 0) -> None:
        self.existence = existence if existence is not None else Existence()
        self.tasks: list[Any] = [None] * first_index
        self.kinds = bytearray(first_index)
        self.faults: list[Fault] = []
        self.complete = 0
        self.roots: list[Index] = []
        self._parents = array("q", [-1] * first_index)
        self._index: dict[Any, Index] = {}
        self._alias: dict[bytes, Any] = {}
        self._stack: list[Index | _Open] = []
        self._writers: dict[Any, Index] = {}
        self._wanted: list[Any] = flatten(list(wanted))
        self._seen_complete = 0
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
        while len(specs) < SLICE and len(growth) < SLICE and (self._stack or self._wanted):
            self._wave(specs, growth)
        return self._slice(specs, growth)

    def _wave(self, specs: list[TaskSpec], growth: list[Growth]) -> None:
        if self._wanted:
            wanted, self._wanted = self._wanted[:SLICE], self._wanted[SLICE:]
            wanted = self._checked(-1, wanted)
            fresh: dict[Any, Index] = {}
            self._collect(wanted, -1, fresh)
            specs += self._classify(fresh)
            self.roots.extend(self._index[task] for task in wanted)
            return
        pulled = self._pull()
        fresh = {}
        for parent, children, _ in pulled:
            self._collect(children, parent, fresh)
        if fresh:
            specs += self._classify(fresh)
        index, kinds = self._index, self.kinds
        for parent, children, closed in pulled:
            incomplete = list(map(index.__getitem__, children))
            if COMPLETE in incomplete:
                incomplete = [at for at in incomplete if at != COMPLETE]
            if parent in incomplete:
                incomplete = self._without_itself(parent, incomplete)
            growth.append(_new(Growth, (parent, incomplete, closed and kinds[parent] != BROKEN)))

    def _slice(self, specs: list[TaskSpec], growth: list[Growth]) -> Slice:
        newly = self.complete - self._seen_complete
        self._seen_complete = self.complete
        return Slice(specs, growth, newly)

    @property
    def finished(self) -> bool:
        """Whether everything that the wanted tasks need is known."""
        return not self._stack and not self._wanted

    def grow(self, parent: Index, yielded: Any) -> Slice:
        """Add what a running task yielded: the first slice; go on with ``step``.

        The growth of ``parent`` is left to the scheduler's ``Suspended`` message; see ``indices``.
        """
        self._listen()
        children = self._checked(parent, flatten(yielded))
        fresh: dict[Any, Index] = {}
        self._collect(children, parent, fresh)
        return self._slice(self._classify(fresh), [])

    def indices(self, yielded: Any) -> list[Index]:
        """Indices of the incomplete ones among tasks that were walked."""
        found = (self._index.get(self._same(task), COMPLETE) for task in flatten(yielded))
        return [at for at in found if at >= 0]

    def _pull(self) -> list[tuple[Index, list[Any], bool]]:
        """Take up to a slice of requirements off the newest incomplete tasks."""
        pulled: list[tuple[Index, list[Any], bool]] = []
        room = SLICE
        stack = self._stack
        tasks = self.tasks
        while stack and room > 0:
            entry = stack.pop()
            if isinstance(entry, int):
                required = self._required(entry, tasks[entry])
                if required is None:
                    continue
                if type(required) is list and len(required) <= SLICE:
                    room -= len(required) + 1
                    pulled.append((entry, required, True))
                    continue
                entry = _Open(entry, iter(required))
            chunk, closed = self._chunk(entry, room)
            room -= len(chunk) + 1
            pulled.append((entry.index, chunk, closed))
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
        closed = len(chunk) < room
        if _all_tasks(chunk):
            return chunk, closed
        return self._checked(entry.index, flatten(chunk)), closed

    def _required(self, index: Index, task: Any) -> Any:
        """The task's requirements: a list of tasks, or an iterator when they come from a generator."""
        try:
            required = task.requires()
            if isinstance(required, Task):
                return [required]
            if type(required) is list or type(required) is tuple:
                if _all_tasks(required) or len(required) > SLICE:
                    return required if type(required) is list else list(required)
            elif hasattr(required, "__next__"):
                return required
            return self._checked(index, flatten(required))
        except FROM_USERS as cause:
            self._fault("requires", index, cause)
            return None

    def _checked(self, index: Index, leaves: list[Any]) -> list[Any]:
        """The leaves that are tasks; nonsense becomes a fault that names it."""
        wrong = [leaf for leaf in leaves if not isinstance(leaf, Task)]
        if wrong:
            text = f"requires() gave {wrong[0]!r:.200}, a {type(wrong[0]).__name__}; expected tasks"
            if isinstance(wrong[0], type) and issubclass(wrong[0], Task):
                text = f"requires() gave the class {wrong[0].__name__}; expected an instance, as in {wrong[0].__name__}(...)"
            self._fault("requires", index, TypeError(text), text)
            return [leaf for leaf in leaves if isinstance(leaf, Task)]
        return leaves

    def _without_itself(self, parent: Index, incomplete: list[Index]) -> list[Index]:
        """The shortest circle: told at once, as the scheduler takes no such requirement."""
        name = repr_of(self.tasks[parent])
        self._fault("cycle", parent, None, f"waits for itself: {name} > {name}")
        return [at for at in incomplete if at != parent]

    def _collect(self, children: list[Any], parent: Index, fresh: dict[Any, Index]) -> None:
        """Put tasks that were never seen into ``fresh``, with who asked first."""
        index = self._index
        cls: Any = None
        for task in [task for task in children if task not in index]:
            if type(task) is not cls:
                cls = type(task)
                if info_of(cls).insignificant:
                    self._collect_alike(children, parent, fresh)
                    return
            if task not in fresh:
                fresh[task] = parent

    def _collect_alike(self, children: list[Any], parent: Index, fresh: dict[Any, Index]) -> None:
        """The same where some tasks stand for others that differ in what is not significant."""
        for at, task in enumerate(children):
            if task in self._index:
                continue
            children[at] = task = self._same(task)
            if task not in self._index and task not in fresh:
                fresh[task] = parent

    def _same(self, task: Any) -> Any:
        """The task that stands for this one in the plan: parameters that are not significant do not count."""
        if not info_of(type(task)).insignificant:
            return task
        return self._alias.setdefault(key_of(task), task)

    # -- completeness

    def _classify(self, fresh: dict[Any, Index]) -> list[TaskSpec]:
        """Ask for completeness, number the incomplete tasks, push them, return their specs."""
        kinds = self._ask(list(fresh))
        specs: list[TaskSpec] = []
        index, tasks, stack = self._index, self.tasks, self._stack
        present_heard, missing_heard = self._heard
        cls: Any = None
        info: Any = None
        for (task, parent), kind in zip(fresh.items(), kinds, strict=True):
            if kind == COMPLETE:
                index[task] = COMPLETE
                self.complete += 1
                if present_heard:
                    task.trigger_event(Event.DEPENDENCY_PRESENT, task)
                continue
            at = len(tasks)
            index[task] = at
            tasks.append(task)
            known = type(kind) is int  # else it is what its code raised
            self.kinds.append(kind if known else BROKEN)
            self._parents.append(parent)
            if type(task) is not cls:
                cls = type(task)
                info = info_of(cls)
            try:
                policy = info.policy or policy_of(task)
                priority = info.priority if info.priority is not None else priority_of(task)
                specs.append(_new(TaskSpec, (at, policy, priority, batch_group_of(task) if info.batched else None)))
            except FROM_USERS as cause:
                specs.append(TaskSpec(at, Policy(type(task).get_task_family())))
                self._fault("attributes", at, cause)
                continue
            if not known:
                self._fault("unreachable" if isinstance(kind, TargetError) else "complete", at, kind)
            elif kind != EXTERNAL:
                stack.append(at)
            elif missing_heard:
                task.trigger_event(Event.DEPENDENCY_MISSING, task)
        return specs

    def _ask(self, tasks: list[Any]) -> list[Any]:
        """For each task: COMPLETE, its kind when incomplete, or the exception that its code raised."""
        answers: list[Any] = [None] * len(tasks)
        targets: list[Any] = []
        owners: list[int] = []
        far: list[int] = []
        cls: Any = None
        info: Any = None
        for at, task in enumerate(tasks):
            if type(task) is not cls:
                cls = type(task)
                info = info_of(cls)
            try:
                if info.complete_is_own:
                    if info.remote:
                        far.append(at)
                    else:
                        answers[at] = COMPLETE if task.complete() else EXTERNAL if info.external else RUN
                    continue
                output = task.output()
                if output.__class__ is not list and hasattr(output, "exists"):
                    targets.append(output)
                    owners.append(at)
                else:
                    leaves = _checked_targets(task, output)
                    targets.extend(leaves)
                    owners.extend([at] * len(leaves))
                    if not leaves:
                        answers[at] = _kind_without_output(info)
            except FROM_USERS as cause:
                answers[at] = cause
        if targets:
            self._ask_targets(tasks, targets, owners, answers)
        if far:
            self._ask_far(tasks, far, answers)
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

    def complete_by_family(self) -> dict[str, int]:
        """How many tasks of each family were found complete; looks at all."""
        counts: dict[str, int] = {}
        for task, index in self._index.items():
            if index == COMPLETE:
                family = type(task).get_task_family()
                counts[family] = counts.get(family, 0) + 1
        return counts

    def external_missing(self) -> list[Index]:
        """Indices of tasks that others make and that are not there."""
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
