"""One run: discovery, scheduler, worker, history and console put together in this process.

``run`` is what ``levada.run`` is (a module of that name would hide the function). Nothing but the
planner is loaded until an incomplete task is found: cron pays for each import every minute.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

from ._model import exit_codes
from ._plan.quiet import Growing, settle
from ._plan.walk import BROKEN, EXTERNAL, GATE, Discovery, Fault, Slice
from .errors import LevadaError, RunError
from .task import Task, flatten, repr_of, set_default_attempts

if TYPE_CHECKING:
    from ._model.ports import Scheduler
    from ._plan.shaping import Shape
    from ._served import Connection
    from ._server.embedded import Embedded
    from ._server.history import Remembered
    from ._server.trail import Trail
    from ._worker.executor import Executor, Hooks
    from ._worker.process import Spawning
    from ._worker.runner import Failure, Observer, Runner

MOST_WORKERS = 1024
"""Slots of one run; each is a process or a thread, and nothing here grows without end."""

JOB_SLOTS = 100  # jobs elsewhere that one worker waits for at a time
MISSING = 10_000  # external tasks that a result names
EXAMPLES = 20
"""Names that a result lists of each kind, at most; counts are always whole."""


class Blocked:
    """Tasks that could not start, counted by what they wait for in the end."""

    __slots__ = ("by", "tasks", "why")

    def __init__(self, by: str, why: str, tasks: int) -> None:
        self.by, self.why, self.tasks = by, why, tasks

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"by": self.by, "why": self.why, "tasks": self.tasks}


COUNTS = (
    "status", "exit_code", "seconds", "done", "already", "elsewhere", "failed", "cancelled", "blocked", "missing", "faulty", "lost",
    "attempts", "paused", "wanted",
)  # fmt: skip


class RunResult:
    """What a run did and what it left. ``status``: ok, failed, waiting, faults or interrupted.

    done: tasks that this run made. already: complete before it looked, or made by another process
    meanwhile. elsewhere: made by other workers of the same server meanwhile. lost: attempts that lost their lease. cancelled: by an
    operator. missing: external and not there. faulty: faults of the plan. paused: the server grants nothing. wanted: the wanted
    tasks as text. Lists hold at most 20 examples, but missing_tasks 10,000
    tasks; counts are whole. seconds: wall time. Not a NamedTuple, for cron's sake.
    """

    __slots__ = (*COUNTS, "blocked_by", "cancelled_tasks", "done_by_family", "external", "failures", "faults", "missing_tasks")

    def __init__(
        self,
        status: str,
        exit_code: int,
        seconds: float,
        wanted: str,
        *,
        done: int = 0,
        already: int = 0,
        elsewhere: int = 0,
        failed: int = 0,
        cancelled: int = 0,
        blocked: int = 0,
        missing: int = 0,
        faulty: int = 0,
        lost: int = 0,
        attempts: int = 0,
        paused: bool = False,
        done_by_family: dict[str, int] | None = None,
        failures: tuple[Failure, ...] = (),
        cancelled_tasks: tuple[str, ...] = (),
        blocked_by: tuple[Blocked, ...] = (),
        external: tuple[str, ...] = (),
        faults: tuple[Fault, ...] = (),
        missing_tasks: tuple[Any, ...] = (),
    ) -> None:
        self.missing_tasks = missing_tasks
        self.status, self.exit_code, self.seconds, self.wanted = status, exit_code, seconds, wanted
        self.done, self.already, self.failed, self.blocked = done, already, failed, blocked
        self.elsewhere, self.lost, self.cancelled, self.paused = elsewhere, lost, cancelled, paused
        self.cancelled_tasks = cancelled_tasks
        self.missing, self.faulty, self.attempts = missing, faulty, attempts
        self.done_by_family: dict[str, int] = done_by_family or {}
        self.failures, self.blocked_by, self.external, self.faults = failures, blocked_by, external, faults

    def __repr__(self) -> str:
        return f"RunResult({', '.join(f'{name}={getattr(self, name)!r}' for name in COUNTS)})"

    def __bool__(self) -> bool:
        """Whether the wanted tasks are complete."""
        return self.exit_code == exit_codes.OK

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``--json``."""
        return {
            **{name: getattr(self, name) for name in COUNTS},
            "done_by_family": self.done_by_family,
            "failures": [{"task": f.task, "exit": str(f.exit), "attempt": f.attempt, "error": f.error} for f in self.failures],
            "cancelled_tasks": list(self.cancelled_tasks),
            "blocked_by": [blocked.to_json() for blocked in self.blocked_by],
            "external": list(self.external),
            "faults": [fault.to_json() for fault in self.faults],
        }


def run(
    tasks: Any,
    *,
    workers: int = 1,
    executor: str | None = None,
    pdb: bool = False,
    attempts: int | None = None,
    grace: float | None = None,
    observer: Observer | None = None,
    state: str | None = None,
    resources: Mapping[str, int] | None = None,
    exclusive: bool = True,
    history: bool = True,
    listing: bool = True,
    scheduler: str | None = None,
    cut_off: str | None = None,
    patience: float | None = None,
    shape: Shape | None = None,
) -> RunResult:
    """Make the wanted tasks, and what they need, in this process; returns when nothing more can be done.

    tasks: one task or any nesting of them. workers: slots; executor: "inline" (default with one slot),
    "threads" or "processes" (default with more). attempts: in all, for tasks that say nothing of
    retries. grace: seconds that running attempts get after a signal. state: the state folder.
    exclusive=False drops the locks against other runs of this host, history=False keeps no attempts.
    scheduler: addresses of a server that says who runs what, with commas between them ("none": no server; None: what is
    configured, or LEVADA_SCHEDULER); then resources, exclusive and history are its business. cut_off: what becomes of an
    attempt whose lease may have lapsed while no answer comes: "freeze", "continue" or "stop". patience: seconds without an answer,
    and with nothing that runs, until such a run ends. shape: what ``backfill`` adds to the plan.
    Raises LevadaError for what the caller got wrong, and when the server does not answer; failures of tasks are in the result.
    """
    started = time.perf_counter()
    options = Options(
        workers=workers,
        executor=executor,
        pdb=pdb,
        grace=grace,
        observer=observer,
        state=state,
        resources=resources,
        exclusive=exclusive,
        history=history,
        scheduler=scheduler_of(scheduler),
        cut_off=cut_off,
        patience=patience,
        limits=shape.limits if shape is not None else None,
    )
    wanted = flatten(tasks)
    for task in wanted:
        if not isinstance(task, Task):
            raise RunError(
                f"cannot run {task!r:.200}, a {type(task).__name__}", hint="Give instances of tasks, as in levada.run(MyTask(day=...))."
            )
    from ._plan.existence import Existence

    connection = Lazily(options, wanted)
    give_secrets_a_key(state, connection.secret_key if options.scheduler else None)
    try:
        with _Attempts(attempts):
            discovery = Discovery(wanted, Existence(listing=listing), shape=shape)
            with Growing():
                slices = _first_work(discovery)
            if slices is None:
                settle()
                return _nothing_to_do(discovery, wanted, started)
            if not options.scheduler:
                return Work(discovery, slices, wanted, started, options).go()
            from ._served import SharedWork

            return SharedWork(discovery, slices, wanted, started, options, connection.get()).go()
    finally:
        connection.close()


class Options:
    """How a run is to be made; see ``run``. scheduler: addresses, "" for none. limits: totals of resources that it brings along."""

    __slots__ = (
        "cut_off", "exclusive", "executor", "grace", "history", "limits", "observer", "patience", "pdb", "resources", "scheduler",
        "state", "workers",
    )  # fmt: skip

    def __init__(
        self,
        *,
        workers: int = 1,
        executor: str | None = None,
        pdb: bool = False,
        grace: float | None = None,
        observer: Observer | None = None,
        state: str | None = None,
        resources: Mapping[str, int] | None = None,
        exclusive: bool = True,
        history: bool = True,
        scheduler: str = "",
        cut_off: str | None = None,
        patience: float | None = None,
        limits: Mapping[str, int] | None = None,
    ) -> None:
        self.limits = limits or {}
        self.workers, self.executor, self.pdb, self.grace, self.observer = workers, executor, pdb, grace, observer
        self.state, self.resources, self.exclusive, self.history = state, resources, exclusive, history
        self.scheduler, self.cut_off, self.patience = scheduler, cut_off, patience


class Lazily:
    """The connection to a server, made when it is needed: to run something, or to know the key for secrets."""

    def __init__(self, options: Options, wanted: list[Any]) -> None:
        self._options, self._wanted = options, wanted
        self._made: Connection | None = None

    def get(self) -> Connection:
        """It, opened. Raises what opening it raises."""
        if self._made is None:
            from ._served import Connection

            self._made = Connection(self._options, self._wanted)
        return self._made

    def secret_key(self) -> bytes:
        """Under which secret parameters enter the identity of tasks."""
        return self.get().secret_key()

    def close(self) -> None:
        """End the session, if there is one."""
        if self._made is not None:
            self._made.close()


def scheduler_of(given: str | None) -> str:
    """Addresses of the server: given, else configured, else LEVADA_SCHEDULER; "" for none."""
    if given is None:
        config: Any = sys.modules.get("levada.config")  # where nobody loaded it nothing is configured
        if config is None or config.current() is None:
            given = os.environ.get("LEVADA_SCHEDULER", "")
        else:
            given = str(config.setting("levada", "scheduler") or "")
    return "" if given.strip().lower() == "none" else given.strip()


def build(tasks: Any, worker_scheduler_factory: Any = None, detailed_summary: bool = False, **options: Any) -> Any:
    """Run tasks and say whether all are complete: True or False; the whole RunResult with ``detailed_summary``.

    The spelling of Luigi's programs. Of its options ``workers`` counts; what speaks of its scheduler,
    locks and logs says nothing here.
    """
    result = run(list(tasks), workers=int(options.get("workers", 1)))
    return result if detailed_summary else bool(result)


def configure(folder: str | None = None) -> None:
    """Read ``levada.toml`` (from ``folder`` upward; None: the current one) and the environment, as the command line does.

    A program that starts with ``levada.run(...)`` says what it wants in code; call this first, before its
    tasks are made, if configured values are to fill in what code leaves out. Raises ConfigError.
    """
    from . import task
    from .config import use
    from .config.settings import load

    settings = load(dict(os.environ), folder or os.getcwd())
    use(settings)
    task.set_value_source(settings.parameter)


class _Attempts:
    """``attempts=`` for the time of one run."""

    def __init__(self, attempts: int | None) -> None:
        if attempts is not None and attempts < 1:
            raise RunError(f"attempts must be 1 or more, got {attempts}")
        self._attempts = attempts

    def __enter__(self) -> None:
        if self._attempts is not None:
            set_default_attempts(self._attempts)

    def __exit__(self, *exc: object) -> None:
        if self._attempts is not None:
            set_default_attempts(None)


def _first_work(discovery: Discovery) -> list[Slice] | None:
    """Walk until something must be run; None when everything turned out complete."""
    slices: list[Slice] = []
    while (found := discovery.step()) is not None:
        slices.append(found)
        if any(discovery.kinds[spec.index] != GATE for spec in found.tasks) or discovery.faults:
            return slices
    return None


def _nothing_to_do(discovery: Discovery, wanted: list[Any], started: float) -> RunResult:
    return RunResult("ok", exit_codes.OK, time.perf_counter() - started, names_of(wanted), already=discovery.complete)


def names_of(wanted: list[Any]) -> str:
    """The wanted tasks as text, at most three of them."""
    names = [repr_of(task) for task in wanted[:3]]
    return ", ".join(names) + (f" and {len(wanted) - 3} more" if len(wanted) > 3 else "")


class Work:
    """A run that has something to do, alone on its host's state folder."""

    def __init__(self, discovery: Discovery, slices: list[Slice], wanted: list[Any], started: float, options: Options) -> None:
        self._discovery, self._wanted, self._started, self._options = discovery, wanted, started, options
        self._observer = options.observer
        self._history: Remembered | None = None
        self._trail: Trail | None = None
        self._scheduler: Scheduler
        self._runner: Runner
        self._open(slices)

    def _open(self, slices: list[Slice]) -> None:
        """Make scheduler, executor and runner."""
        from ._model.messages import SessionId
        from ._server.embedded import Embedded
        from ._worker.runner import Runner

        options, discovery = self._options, self._discovery
        folder = state_of(options.state) if options.exclusive or options.history else ""
        locks = None
        if options.exclusive:
            from ._server.locks import open_locks

            locks = open_locks(folder)
        self._executor = executor_of(options, discovery)
        if folder:
            from ._server.trail import Trail

            self._trail = Trail(folder)
        if options.history:
            from ._server.history import Remembered

            self._history = Remembered(folder)
            self._history.begin(names_of(self._wanted))
        session = SessionId(f"{os.getpid():x}")
        self._scheduler = embedded = Embedded(
            session, key_of=lambda index: self._runner.key(index), locks=locks,
            resources={**_resources(options.resources), **options.limits},
            epoch=self._trail.epoch if self._trail is not None else 1,
        )  # fmt: skip
        self._runner = Runner(
            embedded,
            session,
            discovery,
            self._executor,
            slices=slices,
            observer=self._observer,
            remember=self._history.add if self._history is not None else None,
            look_after_lock=options.exclusive,
            grace=options.grace,
            name=f"pid {os.getpid()}",
        )
        embedded.key_of = self._runner.key

    def go(self) -> RunResult:
        """Run it to its end."""
        try:
            self._runner.go()
            result = self._result()
            if self._observer is None:
                _log(result)
            else:
                self._observer.ended(self._runner)
            if self._history is not None:
                self._history.end(result.status, result.done, result.failed, result.seconds)
            return result
        finally:
            settle()
            self._close()
            if self._history is not None:
                self._history.close()
            if self._trail is not None:
                self._trail.close(untidy=getattr(self._executor, "untidy", False))

    def _close(self) -> None:
        """Give back what the scheduler holds."""
        cast("Embedded", self._scheduler).close()

    def _result(self) -> RunResult:
        from ._model.status import Status

        counts = self._scheduler.progress().counts
        runner, discovery = self._runner, self._discovery
        left = sum(counts) - counts[Status.DONE]
        failed, cancelled = counts[Status.FAILED] + counts[Status.DISABLED], counts[Status.CANCELLED]
        missing = discovery.external_missing()
        blocked = max(0, left - failed - cancelled - len(missing))
        blocked_by = self._blocked(blocked)
        status, code = self._verdict(left, failed, len(missing))
        return RunResult(
            status,
            code,
            time.perf_counter() - self._started,
            names_of(self._wanted),
            done=runner.done,
            already=runner.already + discovery.complete,
            failed=failed,
            cancelled=cancelled,
            blocked=blocked,
            missing=len(missing),
            faulty=len(discovery.faults),
            attempts=runner.attempts,
            done_by_family=runner.done_by_family,
            failures=tuple([one for one in runner.failures.values() if one.exit != "cancelled"][:EXAMPLES]),
            cancelled_tasks=self._cancelled() if cancelled else (),
            blocked_by=blocked_by,
            external=tuple(repr_of(discovery.tasks[index]) for index in missing[:EXAMPLES]),
            faults=tuple(discovery.faults[:EXAMPLES]),
            missing_tasks=tuple(discovery.tasks[index] for index in missing[:MISSING]),
        )

    def _cancelled(self) -> tuple[str, ...]:
        from ._model.status import Status

        return tuple(repr_of(self._discovery.tasks[index]) for index in self._scheduler.having(Status.CANCELLED))[:EXAMPLES]

    def _verdict(self, left: int, failed: int, missing: int) -> tuple[str, int]:
        if self._runner.signum is not None and left:
            import signal

            return "interrupted", exit_codes.INTERRUPTED if self._runner.signum == signal.SIGINT else exit_codes.TERMINATED
        if failed:
            return "failed", exit_codes.FAILED
        if self._discovery.faults:
            return "faults", exit_codes.of_faults(fault.kind for fault in self._discovery.faults)
        if not left:
            return "ok", exit_codes.OK
        return ("waiting", exit_codes.WAITING) if missing else ("failed", exit_codes.FAILED)

    def _blocked(self, count: int) -> tuple[Blocked, ...]:
        """What the tasks that could not start wait for in the end; finds a circle if nothing else explains them."""
        if count <= 0:
            return ()
        from ._model.status import Status

        view, discovery = self._scheduler.view, self._discovery
        waiting = set(self._scheduler.having(Status.WAITING))
        unmet = {index: view(index).unmet for index in waiting}
        broken = {fault.task: "its target did not answer" for fault in discovery.faults if fault.kind == "unreachable"}
        roots: dict[str, Blocked] = {}
        reached: set[int] = set()
        for index in sorted(waiting):
            if discovery.kinds[index] not in (EXTERNAL, BROKEN):
                continue
            name = repr_of(discovery.tasks[index])
            why = "external, not there" if discovery.kinds[index] == EXTERNAL else broken.get(name, "fault in its own code")
            roots[name] = Blocked(name, why, self._behind(index, unmet, waiting, reached))
        for index in self._scheduler.having(Status.FAILED, Status.DISABLED, Status.CANCELLED):
            name = repr_of(discovery.tasks[index])
            roots[name] = Blocked(name, str(view(index).status), self._behind(index, unmet, waiting, reached))
        stuck: set[str] = set()  # among the blocked ones themselves
        for index in self._scheduler.having(Status.READY):
            seen = view(index)
            if seen.short_of:
                name = repr_of(discovery.tasks[index])
                stuck.add(name)
                roots[name] = Blocked(name, f"asks for more {seen.short_of} than there is", self._behind(index, unmet, waiting, reached))
        self._find_circle(waiting - reached, unmet)
        return tuple(sorted((b for b in roots.values() if b.tasks or b.by in stuck), key=lambda b: -b.tasks)[:EXAMPLES])

    def _behind(self, cause: int, unmet: dict[int, tuple[int, ...]], waiting: set[int], reached: set[int]) -> int:
        """How many waiting tasks need this one, directly or through others."""
        if not hasattr(self, "_needed_by"):
            self._needed_by: dict[int, list[int]] = {}
            for index, needs in unmet.items():
                for need in needs:
                    self._needed_by.setdefault(need, []).append(index)
        found = {cause}
        queue = [cause]
        while queue:
            for index in self._needed_by.get(queue.pop(), ()):
                if index not in found:
                    found.add(index)
                    queue.append(index)
        reached |= found
        return len(found) - 1

    def _find_circle(self, among: set[int], unmet: dict[int, tuple[int, ...]]) -> None:
        from ._plan.cycles import find_cycle

        circle = find_cycle(among, lambda index: unmet.get(index, ()))
        if circle:
            names = [repr_of(self._discovery.tasks[index]) for index in circle]
            text = "waits for itself: " + " > ".join([*names[:20], names[0]])
            self._discovery.faults.append(Fault("cycle", names[0], text, self._discovery.path_to(circle[0])))


def _log(result: RunResult) -> None:
    """Say how a run ended that nobody watched: one line when it went well, what failed and why when not."""
    if result and "logging" not in sys.modules:
        return  # nobody can have asked for this line
    import logging

    log = logging.getLogger("levada")
    if result:
        log.info("%s: complete, %d made (%.1f s)", result.wanted, result.done, result.seconds)
        return
    counts = f"{result.failed} failed, {result.blocked} blocked, {result.missing} missing, {result.faulty} faults"
    counts += f", {result.cancelled} cancelled" if result.cancelled else ""
    lines = [f"{result.wanted}: {result.status}; {counts}"]
    lines += [f"  {failure.task}: {_last_line(failure.error)}" for failure in result.failures[:5]]
    lines += [f"  {fault}" for fault in result.faults[:5]]
    lines += [f"  missing: {name}" for name in result.external[:5]]
    log.error("%s", "\n".join(lines))


def _last_line(error: str) -> str:
    """The line of a traceback text that names the exception."""
    lines = [line for line in error.splitlines() if line and not line.startswith((" ", "Its outputs are there"))]
    return lines[-1] if lines else "no error text"


def executor_of(
    options: Options,
    discovery: Discovery,
    hooks: Hooks | None = None,
    spawning: Spawning | None = None,
    frozen: Callable[[int, Any], float] | None = None,
) -> Executor:
    """The executor by name. Raises RunError for a name or number that there is not.

    hooks: what stands before and after an attempt; spawning: how a spawned child finds them; frozen: as ``Processes`` has it.
    """
    main = _main_executor(options, discovery, hooks, spawning, frozen)
    if options.pdb or "levada.handover.task" not in sys.modules:  # nothing can be handed over where nobody loaded it
        return main
    from ._worker.beside import Beside
    from ._worker.hooks import HOOKS
    from .config import setting
    from .handover import book

    book.use_state(None if options.state is None else state_of(options.state))
    return Beside(main, int(cast("int", setting("jobs", "slots", JOB_SLOTS))), hooks or HOOKS)


def _main_executor(
    options: Options,
    discovery: Discovery,
    hooks: Hooks | None,
    spawning: Spawning | None,
    frozen: Callable[[int, Any], float] | None,
) -> Executor:
    kind, workers, pdb = options.executor, options.workers, options.pdb
    if not 1 <= workers <= MOST_WORKERS:
        raise RunError(f"workers must be from 1 to {MOST_WORKERS:,}, got {workers:,}")
    kind = kind or ("inline" if workers == 1 or pdb else "processes")
    if hooks is None:
        from ._worker.hooks import HOOKS

        hooks = HOOKS
    if kind == "inline":
        from ._worker.inline import Inline

        return Inline(hooks, pdb=pdb)
    if pdb:
        raise RunError(f"--pdb needs the inline executor, not {kind}", hint="Leave --executor and --workers out.")
    if kind == "threads":
        from ._worker.threads import Threads

        return Threads(workers, hooks)
    if kind == "processes":
        from ._worker.pool import Processes

        more: dict[str, Any] = {} if spawning is None else {"spawning": spawning, "frozen": frozen}
        return Processes(workers, hooks, lambda index: discovery.tasks[index], lambda: len(discovery.tasks), **more)
    raise RunError(f"there is no executor {kind!r}", hint="inline, threads or processes.")


def _resources(given: Mapping[str, int] | None) -> dict[str, int]:
    """What the caller said, else section ``[resources]`` of what was configured."""
    if given is not None:
        return dict(given)
    from .config import current

    settings = current()
    return {name: int(cast(int, total)) for name, total in settings.section("resources").items()} if settings is not None else {}


def state_of(given: str | None) -> str:
    """The state folder, made when it is not there; only the roof reads the environment."""
    from .config import setting
    from .config.state import state_folder

    environ = dict(os.environ)
    configured = given or environ.get("LEVADA_STATE") or setting("levada", "state")  # the environment may have changed since it was read
    return state_folder(environ, str(configured) if configured else None)


def give_secrets_a_key(state: str | None, of_server: Callable[[], bytes] | None = None) -> None:
    """Secret parameters enter an identity as an HMAC under a key that stands in the state folder (docs/promises.md, section 9).

    of_server: asks the server for the key in its place; called when a secret is met.
    """
    from . import task

    key: list[bytes] = []

    def mac(text: str) -> str:
        import hmac

        from .config.state import secret_key

        if not key:
            key.append(of_server() if of_server is not None else secret_key(state_of(state)))
        return "hmac:" + hmac.new(key[0], text.encode(), "sha256").hexdigest()[:32]

    task.set_secret_mac(mac)


def explain(error: BaseException) -> str:
    """The text of an error for people; only what we raise on purpose is short."""
    return str(error) if isinstance(error, LevadaError) else f"{type(error).__name__}: {error}"
