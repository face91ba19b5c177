"""Runs and assistants whose scheduler is a server: session, leases, keeper, executor and runner put together.

Loaded when there is something to run, or a secret whose key only the server knows. The order matters: the keeper
is forked before any thread and any child, and after what it must share with them.
"""

from __future__ import annotations

import json
import logging
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from shlex import quote
from typing import Any

from ._client.address import find_token, parse_addresses, token_hint
from ._client.logs import LogSender
from ._client.scheduler import Served
from ._client.session import Link
from ._client.translate import Described
from ._model import exit_codes
from ._model.messages import Fence, SessionId, TaskView
from ._model.status import Status
from ._plan.walk import BLIND, RUN, Discovery, Slice
from ._run import EXAMPLES, Options, RunResult, Work, executor_of, give_secrets_a_key, names_of, state_of
from ._server.trail import Trail
from ._wire.messages import Amount
from ._worker.executor import Hooks
from ._worker.guard import CALL, Guard
from ._worker.keeper import FREEZE, Keeper, Keeping
from ._worker.leases import Leases
from ._worker.process import Spawning
from ._worker.recorder import Pipe, Recorder, into, spawning
from ._worker.runner import Failure
from ._worker.together import Resident, Together
from .errors import ConfigError, Refused, SchedulerError, headline
from .task import identity_of, info_of, repr_of

PATIENCE = 600.0  # seconds without an answer, and with nothing that runs, until a run ends
OPENING = 30.0  # seconds for the first answer: somebody, or cron, waits
SETTLE = 10.0  # seconds that the last reports may take
GOODBYE = 5.0
GOAL = ""
"""Key of the goal that this process unfolds: what failed for an earlier goal is started over for this one. "": a run of its own."""
HEADLINE = 500  # characters of the error of a task that failed elsewhere
LAST_WORDS = 3.0  # seconds that the rest of the logs may take
log = logging.getLogger("levada")


class Connection:
    """A session with the server, and the leases that it holds. Opened by making it; raises what opening raises.

    hello: what an assistant says of itself. opening: seconds for the first answer.
    """

    def __init__(
        self,
        options: Options,
        wanted: Sequence[Any] = (),
        *,
        modules: Sequence[str] = (),
        patience: float = PATIENCE,
        opening: float = OPENING,
    ) -> None:
        self.folder = state_of(options.state)
        self.link = link_of(options.scheduler, self.folder)
        self.session = SessionId(os.urandom(16).hex())
        self.runner: Together | None = None
        self.discovery: Discovery | None = None
        self.room: Room | None = None
        patience = options.patience if options.patience is not None else patience
        self.leases = Leases()
        self._closed = False
        hello: dict[str, Any] = {"modules": list(modules)} if modules else {"goal": GOAL or goal_of(wanted)}
        if options.limits:
            hello["limits"] = [Amount(name, total) for name, total in options.limits.items()]
        try:
            self.served = Served(
                self.link,
                self.session,
                self._describe,
                holder=self.leases,
                still_done=self._still_done,
                adopt=self._adopt if modules else None,
                hello=hello,
                patience=patience,
                opening=min(opening, patience),
                folder=self.folder,
            )
        except Refused as no:
            self.leases.close()
            raise _explained(no, self.link, self.folder) from no
        except BaseException:
            self.leases.close()
            raise

    def secret_key(self) -> bytes:
        """Under which secrets are replaced, the same for all workers of the server."""
        key = self.served.namespace_key
        if key is None:
            raise ConfigError("the server gives no key for secret parameters", hint="It is older than this Levada, or another program.")
        return bytes.fromhex(key)

    def _describe(self, index: int) -> Described:
        discovery = self.discovery
        if discovery is None:
            raise RuntimeError("nothing is planned yet")
        task = discovery.tasks[index]
        key, canonical = identity_of(task)
        return Described(key, canonical, module_of(task))

    def _still_done(self, index: int) -> bool:
        return self.runner is None or self.runner.still_done(index)

    def _adopt(self, rows: Sequence[Any]) -> Sequence[Any]:
        return self.runner.adopt(rows) if isinstance(self.runner, Resident) else [None] * len(rows)

    def close(self) -> None:
        """Say goodbye; all attempts have ended before. Harmless to repeat."""
        if self._closed:
            return
        self._closed = True
        if self.room is not None:
            self.room.end_logs()
        self.served.close(GOODBYE)
        if self.room is not None:
            self.room.close()
        self.leases.close()


def link_of(addresses: str, folder: str) -> Link:
    """How to reach a server: its addresses as text, the token from where it stands. Raises ConfigError."""
    from .config import setting

    parsed = parse_addresses(addresses)
    file, ca = setting("levada", "token_file"), setting("levada", "ca")
    environ = dict(os.environ)

    def token() -> str:
        return find_token(environ, folder, parsed, file=None if file is None else str(file))

    token()
    return Link(parsed, token, None if ca is None else str(ca))


def _explained(no: Refused, link: Link, folder: str) -> Exception:
    """What a refusal at the door means."""
    if no.status not in (401, 403):
        return no
    server = ", ".join(map(str, link.addresses))
    if not link.token():
        return ConfigError(f"{server}: a token is needed", hint=token_hint(link.addresses, folder))
    return ConfigError(
        f"the token is not accepted: {no.message}",
        hint="Workers need one of the role worker: `levada token create --role worker`.",
    )


def goal_of(wanted: Sequence[Any]) -> str:
    """A key for what is wanted, equal for two runs of one command. Secrets do not count."""
    texts = sorted(json.dumps([type(task).get_task_family(), _without_secrets(task)], sort_keys=True) for task in wanted)
    from _blake2 import blake2b  # hashlib brings all of OpenSSL

    return blake2b("\n".join(texts).encode(), digest_size=16).hexdigest()


def _without_secrets(task: Any) -> dict[str, str]:
    return {name: p.serialize(getattr(task, name)) for name, p in info_of(type(task)).params if p.significant and not p.withheld}


def module_of(task: Any) -> str | None:
    """Where an assistant finds the class of a task; None when it could not build the task from what the server may know."""
    module = type(task).__module__
    if module in ("__main__", "__mp_main__"):
        return None
    for name, parameter in info_of(type(task)).params:
        if parameter.secret or (parameter.withheld and parameter.significant):
            return None
        if not parameter.significant and not (parameter.has_default and parameter.default == getattr(task, name)):
            return None
    return module


class Room:
    """What runs attempts under leases: trail, keeper, guard, recorder and executor, made in this order."""

    def __init__(self, connection: Connection, options: Options, discovery: Discovery) -> None:
        connection.room = self
        leases = connection.leases
        self._keeper: Keeper | None = None
        self._listens = False
        self._pipe: Pipe | None = None
        self._trail = Trail(connection.folder)
        keeping = Keeping(connection.link, str(connection.session), connection.served.lease, cut_off=options.cut_off or FREEZE)
        self._keeper = Keeper(leases, keeping)
        guard = Guard(leases)
        self._logs = LogSender(connection.link, str(connection.session))
        hooks, spawned = self._recorded(guard.hooks(), leases)
        self.executor = executor_of(options, discovery, hooks, Spawning(spawned), leases.frozen_seconds)
        main = getattr(self.executor, "main", self.executor)
        if getattr(main, "in_caller", False):
            self._logs.start()
        if threading.current_thread() is threading.main_thread():
            self._listens = True
            guard.listen(main)

    def _recorded(self, hooks: Hooks, leases: Leases) -> tuple[Hooks, str]:
        """Hooks that take down what attempts say, here and in children, and the name by which a spawned child finds them."""
        self._pipe = Pipe()
        to_pipe, worker = into(self._pipe.write_end), os.getpid()

        def sink(key: bytes, fence: Fence, text: str) -> None:
            (self._logs.note if os.getpid() == worker else to_pipe)(key, fence, text)

        self._recorder = Recorder(sink)
        return self._recorder.hooks(hooks), spawning(leases, self._pipe)

    def move_logs(self) -> None:
        """Bring what attempts said a step further; never waits."""
        if self._pipe is not None:
            self._pipe.drain(self._logs.note)
        self._logs.pump()

    def end_logs(self) -> None:
        """Bring the rest to the server, if that takes no long time."""
        if self._pipe is not None:
            self._recorder.close()
            self._pipe.drain(self._logs.note)
            self._logs.close(LAST_WORDS)
            self._pipe.close()
            self._pipe = None

    def close(self) -> None:
        """End the keeper."""
        if self._keeper is not None:
            self._keeper.close()
        if self._listens and CALL is not None:
            signal.signal(CALL, signal.SIG_DFL)
        self._trail.close(untidy=getattr(getattr(self, "executor", None), "untidy", False))


class SharedWork(Work):
    """A run that has something to do, and shares it with whoever else the server knows."""

    def __init__(
        self, discovery: Discovery, slices: list[Slice], wanted: list[Any], started: float, options: Options, connection: Connection
    ) -> None:
        self._connection = connection
        super().__init__(discovery, slices, wanted, started, options)

    def _open(self, slices: list[Slice]) -> None:
        connection, options = self._connection, self._options
        connection.discovery = self._discovery
        room = Room(connection, options, self._discovery)
        self._executor = room.executor
        self._scheduler = connection.served
        self._runner = connection.runner = self._together = Together(
            connection.served,
            connection.session,
            self._discovery,
            self._executor,
            slices=slices,
            observer=self._observer,
            remember=connection.served.remember,
            look_after_lock=True,
            grace=options.grace,
            name=f"pid {os.getpid()}",
            meanwhile=room.move_logs,
        )

    def _close(self) -> None:
        self._connection.close()

    # -- how it ended

    def _result(self) -> RunResult:
        served = self._connection.served
        settled = served.settle(SETTLE)
        self._together.heed_refusals()
        try:
            if not settled:
                raise SchedulerError("the last reports have not reached the server")
            return self._whole_result()
        except SchedulerError as fault:
            if self._runner.signum is None:
                raise
            log.warning("the run was stopped while the server is away: %s", fault.message)
            return self._own_result()

    def _whole_result(self) -> RunResult:
        result = super()._result()
        result.lost = self._together.lost
        states = (Status.FAILED, Status.DISABLED, Status.CANCELLED)
        left = set(self._scheduler.having(Status.WAITING, Status.READY, Status.RUNNING, Status.RETRYING, *states))
        result.elsewhere = self._elsewhere(left)
        result.paused = result.blocked > 0 and _is_paused(self._connection.served)
        if result.failed > len(result.failures):
            result.failures = (*result.failures, *self._failed_elsewhere())[:EXAMPLES]
        if result and (unseen := self._together.unseen(self._discovery.roots)):
            self._doubt(result, unseen)
        return result

    def _elsewhere(self, left: set[int]) -> int:
        """How many tasks of this plan others have made."""
        ours = self._runner.done + self._runner.already
        kinds = self._discovery.kinds
        return max(0, sum(1 for index, kind in enumerate(kinds) if kind in (RUN, BLIND) and index not in left) - ours)

    def _failed_elsewhere(self) -> list[Failure]:
        """Tasks that failed in other workers, or before, with what the server knows of it."""
        found: list[Failure] = []
        for index in self._scheduler.having(Status.FAILED, Status.DISABLED):
            if index not in self._runner.failures and len(found) < EXAMPLES:
                view, name = self._scheduler.view(index), repr_of(self._discovery.tasks[index])
                found.append(Failure(name, view.status, self._told_elsewhere(index, name, view), view.attempts))
        return found

    def _told_elsewhere(self, index: int, name: str, view: TaskView) -> str:
        """A line about a task that failed elsewhere: its error, what the server made of it, and when it may run again."""
        again = "" if view.retry_in is None else f"; it may run again in {view.retry_in:.0f} s, or after `levada retry`"
        stands = f"{view.reason or view.status}{again}"
        try:
            exit_class, error = self._connection.served.last_failure(index)
        except SchedulerError as fault:
            log.debug("an error could not be had: %s", fault.message)
            exit_class = error = ""
        if error and view.reason.startswith(f"{exit_class}:"):  # else it is that of an attempt before
            return f"{headline(error)[:HEADLINE]} ({stands})"
        return f"{stands}; `levada log {quote(name)}` may have its error"

    def _doubt(self, result: RunResult, unseen: list[int]) -> None:
        """All is done, others say; this process does not see it, so it cannot end with 0 (P9)."""
        result.status, result.exit_code, result.failed = "failed", exit_codes.FAILED, len(unseen)
        words = "done, as another worker said; not there for this process. Do both see the same files?"
        result.failures = tuple(Failure(repr_of(self._discovery.tasks[index]), Status.DONE, words, 0) for index in unseen[:EXAMPLES])

    def _own_result(self) -> RunResult:
        """What this process knows by itself."""
        runner, counts = self._runner, self._scheduler.progress().counts
        return RunResult(
            "interrupted",
            exit_codes.INTERRUPTED if runner.signum == signal.SIGINT else exit_codes.TERMINATED,
            time.perf_counter() - self._started,
            names_of(self._wanted),
            done=runner.done,
            already=runner.already + self._discovery.complete,
            blocked=sum(counts) - counts[Status.DONE],
            lost=self._together.lost,
            attempts=runner.attempts,
            done_by_family=runner.done_by_family,
        )


def _is_paused(served: Served) -> bool:
    """Whether the server grants nothing; False where it cannot be asked."""
    try:
        return served.ask_paused()
    except SchedulerError:
        return False


def assist(modules: Sequence[str], options: Options, beside: Callable[[], bool] = lambda: False) -> int | None:
    """Run tasks of these modules that others registered, until a signal comes; the exit code.

    beside: called now and then; True when the code has changed: then this ends with None as soon as what runs has ended.

    Raises what opening a session raises; later the server may be away as long as it likes, unless ``patience`` says otherwise.
    """
    while True:
        runner = _shift(modules, options, beside)
        if runner.signum is not None:
            return exit_codes.OK
        if runner.renewed:
            return None


def _shift(modules: Sequence[str], options: Options, beside: Callable[[], bool]) -> Resident:
    """One session of an assistant. It ends by a signal, or when it knows of too many tasks."""
    connection = Connection(options, modules=modules, patience=math.inf, opening=math.inf)
    discovery = connection.discovery = Discovery([])
    give_secrets_a_key(options.state, connection.secret_key)
    try:
        room = Room(connection, options, discovery)

        def meanwhile() -> None:
            room.move_logs()
            if beside() and not runner.renewed:
                runner.renew()

        runner = connection.runner = Resident(
            connection.served,
            connection.session,
            discovery,
            room.executor,
            modules=modules,
            observer=options.observer,
            remember=connection.served.remember,
            look_after_lock=True,
            grace=options.grace,
            name=f"pid {os.getpid()}",
            meanwhile=meanwhile,
        )
        runner.go()
        connection.served.settle(SETTLE)
    finally:
        connection.close()
    return runner
