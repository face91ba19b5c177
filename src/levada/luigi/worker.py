"""``luigi.worker``: a worker that speaks Luigi's verbs to any scheduler; programs and frameworks subclass and patch it.

It is a thin loop and no engine: which task runs next, how often again and what waits for what is said by the scheduler that
it is given (``luigi.scheduler``, a server, or a user's double), and how an attempt is run by the house (``_attempts``).
The house's own loop (``levada._worker.runner``) cannot stand in its place, since what is promised here is the verbs
themselves: one ``add_task`` for each task that is met, complete ones included, one ``get_work`` for each that is run,
and methods between them that frameworks override (``_add``, ``_add_task``, ``_get_work``, ``_run_task``,
``_create_task_process``). With ``[levada] contract = levada`` programs run through the house's loop; see ``interface``.
"""

from __future__ import annotations

import collections
import datetime
import functools
import getpass
import json
import logging
import multiprocessing
import os
import queue
import random
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from .._worker.procfs import descendants, still
from ..errors import ConfigError, LevadaError
from ..params import BoolParameter, FloatParameter, IntParameter, OptionalParameter, Parameter, TimeDeltaParameter
from ..task import Config, Event, Task, flatten
from . import notifications
from . import task as _task  # noqa: F401 - tasks answer to Luigi's words, which this module speaks, from then on
from ._attempts import Attempt, Outcome, TaskException, WrongRequirement
from ._attempts import id_of as _id_of
from ._attempts import is_external as _is_external
from .scheduler import WORKER_STATE_ACTIVE, WORKER_STATE_DISABLED, RetryPolicy, Scheduler
from .task_register import TaskClassException, load_task
from .task_status import DISABLED, DONE, FAILED, PENDING, RUNNING, UNKNOWN

if TYPE_CHECKING:
    from multiprocessing import Process as _Process
elif "fork" in multiprocessing.get_all_start_methods():
    _Process = multiprocessing.get_context("fork").Process  # classes that stand in no module must reach a child
else:
    _Process = multiprocessing.Process

__all__ = [
    "AsyncCompletionException", "ContextManagedTaskProcess", "DequeQueue", "GetWorkResponse", "KeepAliveThread", "SchedulerMessage",
    "SingleProcessPool", "TaskException", "TaskProcess", "TaskStatusReporter", "TracebackWrapper", "Worker", "check_complete",
    "WrongRequirement", "check_complete_cached", "fork_lock", "rpc_message_callback", "worker",
]  # fmt: skip

logger = logging.getLogger("luigi-interface")

fork_lock = threading.Lock()
"""Held while a child is forked, and while the scheduler is pinged: a fork amid a lookup of names leaves its lock taken."""

SHORTEST_WAIT = 0.00001
"""Seconds between two looks, at least."""


class worker(Config):
    """Section ``[worker]``: how workers wait, stay, and look at what they run."""

    id = Parameter(default="", description="Name of the worker; made up where there is none")
    ping_interval = FloatParameter(default=1.0, config_path={"section": "core", "name": "worker-ping-interval"})
    keep_alive = BoolParameter(default=False, config_path={"section": "core", "name": "worker-keep-alive"})
    count_uniques = BoolParameter(
        default=False,
        config_path={"section": "core", "name": "worker-count-uniques"},
        description="With keep_alive: stay only while a task waits that no other worker has",
    )
    count_last_scheduled = BoolParameter(
        default=False, description="With keep_alive: stay only while a task waits that this worker was the last to schedule"
    )
    wait_interval = FloatParameter(default=1.0, config_path={"section": "core", "name": "worker-wait-interval"})
    wait_jitter = FloatParameter(default=5.0)
    max_keep_alive_idle_duration = TimeDeltaParameter(default=datetime.timedelta(0))
    max_reschedules = IntParameter(default=1, config_path={"section": "core", "name": "worker-max-reschedules"})
    timeout: ClassVar[Any] = IntParameter(default=0, config_path={"section": "core", "name": "worker-timeout"})
    task_limit: Any = IntParameter(default=None, config_path={"section": "core", "name": "worker-task-limit"})  # type: ignore[arg-type]  # no limit
    retry_external_tasks = BoolParameter(
        default=False,
        config_path={"section": "core", "name": "retry-external-tasks"},
        description="Ask external tasks again while the worker runs",
    )
    send_failure_email = BoolParameter(default=True, description="Write to people from the worker when something fails")
    no_install_shutdown_handler = BoolParameter(default=False, description="Leave SIGUSR1 alone")
    check_unfulfilled_deps = BoolParameter(default=True, description="Look at the requirements again before a task runs")
    check_complete_on_run = BoolParameter(default=False, description="Call a task done only if it is complete after its run")
    force_multiprocessing = BoolParameter(default=False, description="Run tasks in processes of their own with one worker, too")
    task_process_context = OptionalParameter(
        default=None, description="Class, with its module, that surrounds each run: a context manager made with the TaskProcess"
    )
    cache_task_completion = BoolParameter(default=False, description="Do not ask again what was complete once")


class GetWorkResponse(NamedTuple):
    """What the scheduler said when it was asked for work."""

    task_id: str | None
    running_tasks: Any
    n_pending_tasks: int
    n_unique_pending: int
    n_pending_last_scheduled: int
    worker_state: str


class AsyncCompletionException(Exception):
    """``complete()`` raised, perhaps in another process; ``trace`` is the text of the traceback."""

    def __init__(self, trace: str) -> None:
        super().__init__(trace)
        self.trace = trace


class TracebackWrapper:
    """The text of a traceback, in place of an answer."""

    def __init__(self, trace: str) -> None:
        self.trace = trace


def check_complete_cached(task: Any, completion_cache: Any = None) -> Any:
    """Whether the task is complete; once it was, the cache says so without asking.

    A task that has no outputs, and no ``complete()`` of its own, never is: it runs each time. (Levada takes one without a
    ``run()``, too, for a mere group of its requirements.)
    """
    if completion_cache is not None and completion_cache.get(_id_of(task)):
        return True
    if type(task).complete is Task.complete and "complete" not in task.__dict__:
        outputs = flatten(task.output())
        answer = bool(outputs) and all(output.exists() for output in outputs)
    else:
        answer = task.complete()
    if completion_cache is not None and answer:
        completion_cache[_id_of(task)] = answer
    return answer


def _answer_of(task: Any, completion_cache: Any = None) -> Any:
    logger.debug("Checking if %s is complete", task)
    try:
        return check_complete_cached(task, completion_cache)
    except Exception:
        return TracebackWrapper(traceback.format_exc())


def check_complete(task: Any, out_queue: Any, completion_cache: Any = None) -> None:
    """Put (task, whether it is complete, or a TracebackWrapper) into the queue."""
    out_queue.put((task, _answer_of(task, completion_cache)))


class SingleProcessPool:
    """As much of a pool of processes as is needed where there is none."""

    def apply_async(self, function: Callable[..., Any], args: Sequence[Any]) -> Any:
        """Call it, here and now."""
        return function(*args)

    def close(self) -> None:
        """Nothing to do."""

    def join(self) -> None:
        """Nothing to wait for."""


class DequeQueue(collections.deque[Any]):
    """As much of a queue as is needed in one thread: what was put last comes first."""

    def put(self, obj: Any, block: bool | None = None, timeout: float | None = None) -> None:
        """Add it."""
        self.append(obj)

    def get(self, block: bool | None = None, timeout: float | None = None) -> Any:
        """Take the newest. Raises queue.Empty."""
        if not self:
            raise queue.Empty
        return self.pop()


class _Results:
    """How attempts have ended: in this process at once, from children through a pipe."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._here: collections.deque[Any] = collections.deque()
        self._far: Any = multiprocessing.Queue()

    def put(self, result: Any) -> None:
        """Hand over a result."""
        if os.getpid() == self._pid:
            self._here.append(result)
        else:
            self._far.put(result)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """The next one. Raises queue.Empty after ``timeout`` seconds."""
        return self._here.popleft() if self._here else self._far.get(block, timeout)

    def close(self) -> None:
        """Nothing more comes."""
        self._far.close()


def _retry_policy_of(task: Any) -> dict[str, Any]:
    policy: dict[str, Any] = RetryPolicy(task.retry_count, task.disable_hard_timeout, task.disable_window)._asdict()
    return policy


_get_retry_policy_dict = _retry_policy_of


class TaskStatusReporter:
    """Tells the scheduler what a running task has to say of itself."""

    def __init__(self, scheduler: Any, task_id: str, worker_id: str, scheduler_messages: Any) -> None:
        self._scheduler, self._task_id, self._worker_id = scheduler, task_id, worker_id
        self.scheduler_messages = scheduler_messages

    def update_tracking_url(self, tracking_url: str) -> None:
        """Where the run can be watched."""
        self._scheduler.add_task(task_id=self._task_id, worker=self._worker_id, status=RUNNING, tracking_url=tracking_url)

    def update_status_message(self, message: str) -> None:
        """One line on where it stands."""
        self._scheduler.set_task_status_message(self._task_id, message)

    def update_progress_percentage(self, percentage: float) -> None:
        """How far it is, 0 to 100."""
        self._scheduler.set_task_progress_percentage(self._task_id, percentage)

    def decrease_running_resources(self, decrease_resources: dict[str, int]) -> None:
        """Resources that it needs no more."""
        self._scheduler.decrease_running_task_resources(self._task_id, decrease_resources)

    def report_task_statistics(self, statistics: Any) -> None:
        """Figures of the run."""
        self._scheduler.report_task_statistics(self._task_id, statistics)


class SchedulerMessage:
    """A message that came through the scheduler to a running task, and the way to answer it."""

    def __init__(self, scheduler: Any, task_id: str, message_id: str, content: Any, **payload: Any) -> None:
        self._scheduler, self._task_id, self._message_id = scheduler, task_id, message_id
        self.content, self.payload = content, payload

    def __str__(self) -> str:
        return str(self.content)

    def __eq__(self, other: object) -> bool:
        return bool(self.content == other)

    __hash__ = None  # type: ignore[assignment]  # equal to its content, which may be anything

    def __getstate__(self) -> dict[str, Any]:
        """What goes to the child that runs the task; the scheduler it has already."""
        return {**self.__dict__, "_scheduler": None}

    def respond(self, response: Any) -> None:
        """Answer it."""
        scheduler = self._scheduler if self._scheduler is not None else TaskProcess.scheduler_here
        scheduler.add_scheduler_message_response(self._task_id, self._message_id, response)


class TaskProcess(_Process):
    """One attempt of a task, in a process of its own (``start``) or in this one (``run``).

    What became of it is put into ``result_queue``: (task id, status, explanation, missing requirements, new ones).
    """

    forward_reporter_attributes: ClassVar[dict[str, str]] = {
        "update_tracking_url": "set_tracking_url",
        "update_status_message": "set_status_message",
        "update_progress_percentage": "set_progress_percentage",
        "decrease_running_resources": "decrease_running_resources",
        "scheduler_messages": "scheduler_messages",
    }
    """Attributes of the reporter that the task has, under the second name, while it runs."""

    scheduler_here: ClassVar[Any] = None
    """In a child: what its task's answers go to."""

    def __init__(
        self,
        task: Any,
        worker_id: str,
        result_queue: Any,
        status_reporter: Any,
        use_multiprocessing: bool = False,
        worker_timeout: float = 0,
        check_unfulfilled_deps: bool = True,
        check_complete_on_run: bool = False,
        task_completion_cache: Any = None,
    ) -> None:
        super().__init__()
        self.task, self.worker_id, self.result_queue, self.status_reporter = task, worker_id, result_queue, status_reporter
        self.worker_timeout = task.worker_timeout if task.worker_timeout is not None else worker_timeout
        self.timeout_time = time.time() + self.worker_timeout if self.worker_timeout else None
        self.use_multiprocessing = use_multiprocessing or self.timeout_time is not None
        self.check_unfulfilled_deps, self.check_complete_on_run = check_unfulfilled_deps, check_complete_on_run
        self.task_completion_cache = task_completion_cache
        self.check_complete = functools.partial(check_complete_cached, completion_cache=task_completion_cache)
        self.seen_ended = False  # dead at the last look, and no result was there then
        self.is_silent = False

    def run(self) -> None:
        """Make the attempt and tell what became of it, whatever that is."""
        logger.info("[pid %s] Worker %s running   %s", os.getpid(), self.worker_id, self.task)
        if self.use_multiprocessing:
            random.seed()  # or all children would draw the same numbers
            TaskProcess.scheduler_here = getattr(self.status_reporter, "_scheduler", None)
        outcome = Outcome(FAILED, "", [], [])  # what an interrupt leaves
        attempt = Attempt(
            self.task,
            self.check_complete,
            clock=time.time,
            check_requirements=self.check_unfulfilled_deps,
            check_outputs=self.check_complete_on_run,
            believed=self._remember,
            surround=self._lend,
        )
        try:
            outcome = attempt.carry_out()
        except KeyboardInterrupt:
            if self.pid is None:
                raise
            sys.exit(1)  # a child's end by Ctrl-C needs no traceback beside the worker's own
        finally:
            self._log_end(outcome, attempt.trace)
            self.result_queue.put((_id_of(self.task), *outcome))

    def _remember(self, task: Any) -> None:
        if self.task_completion_cache is not None:
            self.task_completion_cache[_id_of(task)] = True

    def _lend(self, entering: bool) -> None:
        """Give the task the reporter's attributes, or take them back."""
        for ours, theirs in self.forward_reporter_attributes.items():
            setattr(self.task, theirs, getattr(self.status_reporter, ours) if entering else None)

    @contextmanager
    def _forward_attributes(self) -> Iterator[TaskProcess]:
        """The task has the reporter's attributes inside of the block."""
        self._lend(True)
        try:
            yield self
        finally:
            self._lend(False)

    def _log_end(self, outcome: Outcome, trace: str) -> None:
        if outcome.new_deps:
            logger.info("[pid %s] Worker %s new requirements      %s", os.getpid(), self.worker_id, self.task)
        elif outcome.status == DONE:
            logger.info("[pid %s] Worker %s done      %s", os.getpid(), self.worker_id, self.task)
        else:
            reason = trace or outcome.expl or "interrupted"
            logger.error("[pid %s] Worker %s failed    %s\n%s", os.getpid(), self.worker_id, self.task, reason)

    def terminate(self) -> None:
        """End the process, then what it had started."""
        children = descendants(self.pid) if self.pid is not None else []
        super().terminate()
        self.join()
        for child in children:
            if still(child):
                with suppress(ProcessLookupError):
                    os.kill(child.pid, signal.SIGTERM)


class ContextManagedTaskProcess(TaskProcess):
    """A TaskProcess with the context manager of ``[worker] task_process_context`` around its run."""

    def __init__(self, context: str | None, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.context = context

    def run(self) -> None:
        """Make the attempt inside of the context."""
        if not self.context:
            super().run()
            return
        module, _, name = self.context.rpartition(".")
        try:
            surround = getattr(import_module(module), name)
        except (ImportError, AttributeError, ValueError) as fault:
            expected = "expected a class with its module, as in package.module.Context"
            raise WrongSetting(f"[worker] task_process_context is {self.context}: {fault}; {expected}") from fault
        with surround(self):
            super().run()


class KeepAliveThread(threading.Thread):
    """Tells the scheduler, from time to time, that the worker lives, and passes on what it answers."""

    def __init__(self, scheduler: Any, worker_id: str, ping_interval: float, rpc_message_callback: Callable[[Any], None]) -> None:
        super().__init__()
        self._should_stop = threading.Event()
        self._scheduler, self._worker_id, self._ping_interval = scheduler, worker_id, ping_interval
        self._rpc_message_callback = rpc_message_callback

    def stop(self) -> None:
        """Let it end."""
        self._should_stop.set()

    def run(self) -> None:
        """Ping until it is told to stop; a scheduler that does not answer is asked again."""
        while not self._should_stop.wait(self._ping_interval):
            with fork_lock:
                try:
                    answer = self._scheduler.ping(worker=self._worker_id)
                except BaseException:  # whatever a user's scheduler raises, the next ping may reach it
                    logger.warning("Failed pinging scheduler")
                    continue
                for message in answer["rpc_messages"] if answer else ():
                    self._rpc_message_callback(message)
        logger.info("Worker %s was stopped. Shutting down Keep-Alive thread", self._worker_id)


def rpc_message_callback(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a method of a worker as one that messages of the scheduler may call."""
    fn.is_rpc_message_callback = True  # type: ignore[attr-defined]  # that is the mark
    return fn


class Worker:
    """Tells a scheduler what is wanted (``add``) and runs what it is given (``run``).

    scheduler: any object with Luigi's verbs; a new one of this process where there is none. worker_processes: how many
    tasks run at a time; 0 runs nothing. assistant: runs what others have added, too. kwargs: settings of ``[worker]``.
    """

    def __init__(
        self, scheduler: Any = None, worker_id: str | None = None, worker_processes: int = 1, assistant: bool = False, **kwargs: Any
    ) -> None:
        self.worker_processes = int(worker_processes)
        self._worker_info = self._generate_worker_info()
        self._config = _own(worker(**kwargs))
        _check(self._config)
        self._id = worker_id or self._config.id or self._generate_worker_id(self._worker_info)
        self._scheduler = Scheduler() if scheduler is None else scheduler
        self._assistant = assistant
        self._stop_requesting_work = False
        self.host = socket.gethostname()
        self._scheduled_tasks: dict[str, Any] = {}
        self._suspended_tasks: dict[str, Any] = {}
        self._batch_running_tasks: dict[str, list[Any]] = {}
        self._batch_families_sent: set[str] = set()
        self._first_task: str | None = None
        self.add_succeeded = self.run_succeeded = True
        self.unfulfilled_counts: collections.defaultdict[str, int] = collections.defaultdict(int)
        self._task_result_queue: Any = _Results()
        self._running_tasks: dict[str, Any] = {}
        self._given_up: dict[str, Any] = {}
        self._idle_since: datetime.datetime | None = None
        self._task_completion_cache: Any = self._completion_cache() if self._config.cache_task_completion else None
        self._add_task_history: list[tuple[Any, str, Any]] = []  # what the summary is made of
        self._get_work_response_history: list[dict[str, Any]] = []
        if not self._config.no_install_shutdown_handler:
            self._listen()

    def _listen(self) -> None:
        try:
            signal.signal(signal.SIGUSR1, self.handle_interrupt)
            signal.siginterrupt(signal.SIGUSR1, False)
        except AttributeError:
            pass  # Windows has no such signal

    def _completion_cache(self) -> Any:
        """A dict; one that children share, where there may be children."""
        alone = self.worker_processes <= 1 and not self._config.force_multiprocessing
        return {} if alone else multiprocessing.Manager().dict()

    def __enter__(self) -> Worker:
        """Keep the scheduler informed that we live."""
        self._keep_alive_thread = KeepAliveThread(self._scheduler, self._id, self._config.ping_interval, self._handle_rpc_message)
        self._keep_alive_thread.daemon = True
        self._keep_alive_thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        """End what still runs."""
        self._keep_alive_thread.stop()
        self._keep_alive_thread.join()
        for process in self._running_tasks.values():
            if process.is_alive():
                process.terminate()
        self._task_result_queue.close()

    def _generate_worker_info(self) -> list[tuple[str, Any]]:
        """Who we are, for people; what cannot be known is left out."""
        found: list[tuple[str, Any]] = [("salt", str(secrets.randbelow(10**10)).zfill(9)), ("workers", self.worker_processes)]
        for name, ask in (("host", socket.gethostname), ("username", getpass.getuser), ("pid", os.getpid)):
            with suppress(Exception):
                found.append((name, ask()))
        if sudo_user := os.environ.get("SUDO_USER"):
            found.append(("sudo_user", sudo_user))
        return found

    def _generate_worker_id(self, worker_info: list[tuple[str, Any]]) -> str:
        return f"Worker({', '.join(f'{name}={value}' for name, value in worker_info)})"

    # -- what is wanted

    def add(self, task: Any, multiprocess: bool = False, processes: int = 0) -> bool:
        """Tell the scheduler of a task and of all that it needs; False where something of it could not be asked.

        multiprocess: ask for completeness in ``processes`` processes (0: as many as there are CPUs). Raises TaskException
        for what is no task, and what the scheduler raises.
        """
        if self._first_task is None and hasattr(task, "task_id"):
            self._first_task = _id_of(task)
        self.add_succeeded = True
        self._validate_task(task)
        pool: Any = multiprocessing.Pool(processes=processes if processes > 0 else None) if multiprocess else SingleProcessPool()
        try:
            self._walk(task, lambda one: pool.apply_async(_answer_of, [one, self._task_completion_cache]))
        except (KeyboardInterrupt, TaskException):
            raise
        except Exception as error:
            self.add_succeeded = False
            trace = traceback.format_exc()
            if not isinstance(error, LevadaError):  # that is a sentence, which whoever called tells
                self._log_unexpected_error(task)
            task.trigger_event(Event.BROKEN_TASK, task, error)
            self._email_unexpected_error(task, trace)
            raise
        finally:
            pool.close()
            pool.join()
        return self.add_succeeded

    def _walk(self, wanted: Any, ask: Callable[[Any], Any]) -> None:
        """Tell of each task once, the newest first. ask: whether it is complete, or a promise to say so."""
        seen = {_id_of(wanted)}
        waiting = [(wanted, ask(wanted))]
        while waiting:
            task, answer = waiting.pop()
            if hasattr(answer, "get"):
                answer = answer.get()
            for required in self._add(task, answer):
                if _id_of(required) not in seen:
                    self._validate_task(required)
                    seen.add(_id_of(required))
                    waiting.append((required, ask(required)))

    def _add(self, task: Any, is_complete: Any) -> Iterator[Any]:
        """Tell the scheduler of one task; gives its requirements, to be told of next."""
        limit = self._config.task_limit
        if limit is not None and len(self._scheduled_tasks) >= limit:
            logger.warning("Will not run %s or any dependencies due to exceeded task-limit of %d", task, limit)
            status, runnable, deps = UNKNOWN, False, None
        else:
            status, runnable, deps = self._judge(task, is_complete)
            if task.disabled:
                status = DISABLED
        for required in deps or ():
            if not isinstance(required, Task):
                raise WrongRequirement(task, "requires() gave", required)
            task.trigger_event(Event.DEPENDENCY_DISCOVERED, task, required)
            yield required
        self._scheduled_tasks[_id_of(task)] = task
        self._add_task(
            worker=self._id,
            task_id=_id_of(task),
            status=status,
            deps=[_id_of(required) for required in deps] if deps else deps,
            runnable=runnable,
            priority=task.priority,
            resources=task.process_resources(),
            params=task.to_str_params(),
            family=task.task_family,
            module=task.task_module,
            batchable=task.batchable,
            retry_policy_dict=_retry_policy_of(task),
            accepts_messages=task.accepts_messages,
        )

    def _judge(self, task: Any, is_complete: Any) -> tuple[str, bool, list[Any] | None]:
        """(status, whether we could run it, requirements) of a task that ``complete()`` said this of."""
        trace = self._fault_of_complete(is_complete)
        if trace is not None:
            self.add_succeeded = False
            self._log_complete_error(task, trace)
            task.trigger_event(Event.DEPENDENCY_MISSING, task)
            self._email_complete_error(task, trace)
            return UNKNOWN, False, None
        if is_complete:
            task.trigger_event(Event.DEPENDENCY_PRESENT, task)
            return DONE, False, None
        if _is_external(task):
            task.trigger_event(Event.DEPENDENCY_MISSING, task)
            logger.warning(
                "Data for %s does not exist (yet?). The task is an external data dependency, so it cannot be run from this luigi process.",
                task,
            )
            return PENDING, self._config.retry_external_tasks, None
        try:
            deps = list(task.deps() or ())  # an author's own may be a generator
            self._add_task_batcher(task)
        except Exception as error:
            trace = traceback.format_exc()
            self.add_succeeded = False
            self._log_dependency_error(task, trace)
            task.trigger_event(Event.BROKEN_TASK, task, error)
            self._email_dependency_error(task, trace)
            return UNKNOWN, False, None
        return PENDING, True, deps

    def _fault_of_complete(self, is_complete: Any) -> str | None:
        try:
            self._check_complete_value(is_complete)
        except AsyncCompletionException as fault:
            return fault.trace
        except Exception:
            return traceback.format_exc()
        return None

    def _check_complete_value(self, is_complete: Any) -> None:
        if is_complete in (True, False):
            return
        if isinstance(is_complete, TracebackWrapper):
            raise AsyncCompletionException(is_complete.trace)
        raise TypeError(f"Return value of Task.complete() must be boolean (was {is_complete!r})")

    def _validate_task(self, task: Any) -> None:
        if not isinstance(task, Task):
            raise TaskException(f"Can not schedule non-task {task}")
        if not task.initialized():  # type: ignore[attr-defined]  # attached by luigi.task
            name = type(task).__name__
            raise TaskException(f"Task of class {name} not initialized. Did you override __init__ and forget to call super(...).__init__?")

    def _add_task_batcher(self, task: Any) -> None:
        """Say once how tasks of a family are put together."""
        family = task.task_family
        if family in self._batch_families_sent:
            return
        if names := type(task).batch_param_names():
            self._scheduler.add_task_batcher(worker=self._id, task_family=family, batched_args=names, max_batch_size=task.max_batch_size)
        self._batch_families_sent.add(family)

    def _add_task(self, *args: Any, **kwargs: Any) -> None:
        """Tell the scheduler of a task's status, and remember that for the summary."""
        task_id, status, runnable = kwargs["task_id"], kwargs["status"], kwargs["runnable"]
        task = self._scheduled_tasks.get(task_id)
        if task:
            self._add_task_history.append((task, status, runnable))
            kwargs["owners"] = task._owner_list()
        for member in self._batch_running_tasks.pop(task_id, ()):
            self._add_task_history.append((member, status, True))
        if task and kwargs.get("params"):
            kwargs["param_visibilities"] = task._get_param_visibilities()
        self._scheduler.add_task(*args, **kwargs)
        logger.info("Informed scheduler that task   %s   has status   %s", task_id, status)

    def _add_worker(self) -> None:
        self._worker_info.append(("first_task", self._first_task))
        self._scheduler.add_worker(self._id, self._worker_info)

    # -- what people are told

    def _log_complete_error(self, task: Any, tb: str) -> None:
        logger.warning("Will not run %s or any dependencies due to error in complete() method:\n%s", task, tb)

    def _log_dependency_error(self, task: Any, tb: str) -> None:
        logger.warning("Will not run %s or any dependencies due to error in deps() method:\n%s", task, tb)

    def _log_unexpected_error(self, task: Any) -> None:
        logger.error("Luigi unexpected framework error while scheduling %s", task, exc_info=sys.exception())

    def _announce_scheduling_failure(self, task: Any, expl: str) -> None:
        try:
            self._scheduler.announce_scheduling_failure(
                worker=self._id,
                task_name=str(task),
                family=task.task_family,
                params=task.to_str_params(only_significant=True),
                expl=expl,
                owners=task._owner_list(),
            )
        except Exception:
            self._email_unexpected_error(task, traceback.format_exc())
            raise

    def _email_complete_error(self, task: Any, formatted_traceback: str) -> None:
        self._email_scheduling_error(task, formatted_traceback, "complete")

    def _email_dependency_error(self, task: Any, formatted_traceback: str) -> None:
        self._email_scheduling_error(task, formatted_traceback, "deps")

    def _email_scheduling_error(self, task: Any, formatted_traceback: str, method: str) -> None:
        self._announce_scheduling_failure(task, formatted_traceback)
        if self._config.send_failure_email:
            headline = f"Will not run {{task}} or any dependencies due to error in {method}() method"
            self._email_error(task, formatted_traceback, "Luigi: {task} failed scheduling. Host: {host}", headline)

    def _email_unexpected_error(self, task: Any, formatted_traceback: str) -> None:
        """Told also where e-mails on failures are off: nothing else may tell it."""
        subject = "Luigi: Framework error while scheduling {task}. Host: {host}"
        self._email_error(task, formatted_traceback, subject, "Luigi framework error")

    def _email_task_failure(self, task: Any, formatted_traceback: Any) -> None:
        if self._config.send_failure_email:
            headline = "A task failed when running. Most likely run() raised an exception."
            self._email_error(task, formatted_traceback, "Luigi: {task} FAILED. Host: {host}", headline)

    def _email_error(self, task: Any, formatted_traceback: Any, subject: str, headline: str) -> None:
        command = subprocess.list2cmdline(sys.argv)
        about = {"task": task, "host": self.host}
        message = notifications.format_task_error(headline.format(**about), task, command, formatted_traceback)
        notifications.send_error_email(subject.format(**about), message, task.owner_email)

    def _handle_task_load_error(self, exception: BaseException, task_ids: Sequence[str]) -> None:
        """The scheduler gave what we cannot make: those tasks have failed, and people hear of it."""
        message = f"Cannot find task(s) sent by scheduler: {','.join(task_ids)}"
        logger.error(message, exc_info=exception)
        trace = notifications.wrap_traceback("".join(traceback.format_exception(exception)))
        for task_id in task_ids:
            self._add_task(worker=self._id, task_id=task_id, status=FAILED, runnable=False, expl=trace)
        notifications.send_error_email(f"Luigi: {message}", trace)
        self.run_succeeded = False

    # -- what is to be run

    def _get_work(self) -> GetWorkResponse:
        """Ask the scheduler what to run next."""
        if self._stop_requesting_work:
            return GetWorkResponse(None, 0, 0, 0, 0, WORKER_STATE_DISABLED)
        if self.worker_processes > 0:
            logger.debug("Asking scheduler for work...")
            reply = self._scheduler.get_work(
                worker=self._id, host=self.host, assistant=self._assistant, current_tasks=list(self._running_tasks)
            )
        else:
            logger.debug("Checking if tasks are still pending")
            reply = self._scheduler.count_pending(worker=self._id)
        task_id = self._get_work_task_id(reply)
        self._get_work_response_history.append({"task_id": task_id, "running_tasks": reply["running_tasks"]})
        if task_id is not None and task_id not in self._scheduled_tasks:
            task_id = self._load(task_id, reply)
        if task_id is not None and "batch_task_ids" in reply:
            members = map(self._scheduled_tasks.get, reply["batch_task_ids"])
            self._batch_running_tasks[task_id] = [member for member in members if member]
        return GetWorkResponse(
            task_id=task_id,
            running_tasks=reply["running_tasks"],
            n_pending_tasks=reply["n_pending_tasks"],
            n_unique_pending=reply["n_unique_pending"],
            n_pending_last_scheduled=reply.get("n_pending_last_scheduled", 0),
            worker_state=reply.get("worker_state", WORKER_STATE_ACTIVE),
        )

    def _get_work_task_id(self, get_work_response: dict[str, Any]) -> str | None:
        """Which task was given; of a batch, the one that does the work of all."""
        if get_work_response.get("task_id") is not None:
            return str(get_work_response["task_id"])
        if "batch_id" not in get_work_response:
            return None
        module, family = get_work_response.get("task_module"), get_work_response["task_family"]
        try:
            task = load_task(module=module, task_name=family, params_str=get_work_response["task_params"])
        except Exception as error:  # the user's function that puts values together may give anything
            self._handle_task_load_error(error, get_work_response["batch_task_ids"])
            return None
        self._scheduler.add_task(
            worker=self._id,
            task_id=_id_of(task),
            module=module,
            family=family,
            params=task.to_str_params(),
            status=RUNNING,
            batch_id=get_work_response["batch_id"],
        )
        return _id_of(task)

    def _load(self, task_id: str, reply: dict[str, Any]) -> str | None:
        """Make a task that others have added; None where that cannot be."""
        logger.info("Did not schedule %s, will load it dynamically", task_id)
        try:
            self._scheduled_tasks[task_id] = load_task(
                module=reply.get("task_module"), task_name=reply["task_family"], params_str=reply["task_params"]
            )
        except TaskClassException as error:
            self._handle_task_load_error(error, [task_id])
            return None
        return task_id

    def _log_remote_tasks(self, get_work_response: GetWorkResponse) -> None:
        logger.debug("Done")
        logger.debug("There are no more tasks to run at this time")
        if get_work_response.running_tasks:
            for task in get_work_response.running_tasks:
                logger.debug("%s is currently run by worker %s", task["task_id"], task["worker"])
        elif get_work_response.n_pending_tasks:
            for text, count in (
                ("There are %s pending tasks possibly being run by other workers", get_work_response.n_pending_tasks),
                ("There are %i pending tasks unique to this worker", get_work_response.n_unique_pending),
                ("There are %i pending tasks last scheduled by this worker", get_work_response.n_pending_last_scheduled),
            ):
                if count:
                    logger.debug(text, count)

    def _run_task(self, task_id: str) -> None:
        """Begin an attempt; without processes, it has ended afterwards."""
        if task_id in self._running_tasks:
            logger.debug("Got already running task id %s from scheduler, taking a break", task_id)
            next(self._sleeper())
            return
        process = self._running_tasks[task_id] = self._create_task_process(self._scheduled_tasks[task_id])
        if process.use_multiprocessing:
            with fork_lock:
                process.start()
        else:
            process.run()

    def _create_task_process(self, task: Any) -> Any:
        messages: Any = multiprocessing.Queue() if task.accepts_messages else None
        return ContextManagedTaskProcess(
            self._config.task_process_context,
            task,
            self._id,
            self._task_result_queue,
            TaskStatusReporter(self._scheduler, _id_of(task), self._id, messages),
            use_multiprocessing=self._config.force_multiprocessing or self.worker_processes > 1,
            worker_timeout=self._config.timeout,
            check_unfulfilled_deps=self._config.check_unfulfilled_deps,
            check_complete_on_run=self._config.check_complete_on_run,
            task_completion_cache=self._task_completion_cache,
        )

    # -- what came of it

    def _purge_children(self) -> None:
        """Give a result, once, to attempts whose process ended badly, and to those that took too long."""
        for task_id, process in self._running_tasks.items():
            alive = process.is_alive()
            if self._given_up.get(task_id) is process:
                continue
            if not alive and (process.exitcode or getattr(process, "is_silent", False)):
                event, message = Event.PROCESS_FAILURE, f"Task {task_id} died unexpectedly with exit code {process.exitcode}"
            elif alive and process.timeout_time is not None and time.time() > float(process.timeout_time):
                process.terminate()
                event, message = Event.TIMEOUT, f"Task {task_id} timed out after {process.worker_timeout} seconds and was terminated."
            else:
                continue
            self._given_up[task_id] = process
            process.task.trigger_event(event, process.task, message)
            logger.info(message)
            self._task_result_queue.put((task_id, FAILED, message, [], []))

    def _listen_for_silence(self) -> None:
        """No result is left to be taken: of children that had ended with status 0 at the last such moment none will come."""
        for process in self._running_tasks.values():
            if isinstance(process, TaskProcess) and process.exitcode == 0 and not process.is_alive():
                process.is_silent, process.seen_ended = process.seen_ended, True

    def _handle_next_task(self) -> None:
        """Wait for an attempt to end, at most ``wait_interval`` seconds, and tell the scheduler."""
        self._idle_since = None
        while True:
            self._purge_children()
            try:
                task_id, status, expl, missing, new_requirements = self._task_result_queue.get(timeout=self._config.wait_interval)
            except queue.Empty:
                self._listen_for_silence()
                return
            task = self._scheduled_tasks.get(task_id)
            if task and task_id in self._running_tasks:
                self._take_result(task, status, expl, missing, new_requirements)
                return

    def _take_result(self, task: Any, status: str, expl: Any, missing: Sequence[str], new_requirements: Any) -> None:
        if status == FAILED and not (_is_external(task) and self._config.retry_external_tasks):
            self._email_task_failure(task, expl)
        new_tasks = [load_task(module, name, params) for module, name, params in new_requirements or ()]
        for new in new_tasks:
            self.add(new)
        self._add_task(
            worker=self._id,
            task_id=_id_of(task),
            status=status,
            expl=json.dumps(expl),
            resources=task.process_resources(),
            runnable=None,
            params=task.to_str_params(),
            family=task.task_family,
            module=task.task_module,
            new_deps=[_id_of(new) for new in new_tasks],
            assistant=self._assistant,
            retry_policy_dict=_retry_policy_of(task),
        )
        self._running_tasks.pop(_id_of(task))
        self._given_up.pop(_id_of(task), None)
        if missing and self._may_reschedule(missing):
            self.add(task)
        self.run_succeeded &= status == DONE or bool(new_tasks)

    def _may_reschedule(self, missing: Sequence[str]) -> bool:
        """Whether requirements that got lost may be made again; not without end."""
        for name in missing:
            self.unfulfilled_counts[name] += 1
        return all(self.unfulfilled_counts[name] <= self._config.max_reschedules for name in missing)

    # -- the loop

    def run(self) -> bool:
        """Run what the scheduler gives until it has no more for us; whether all of it went well."""
        logger.info("Running Worker with %d processes", self.worker_processes)
        sleeper = self._sleeper()
        self.run_succeeded = True
        self._add_worker()
        while True:
            while len(self._running_tasks) >= self.worker_processes > 0:
                logger.debug("%d running tasks, waiting for next task to finish", len(self._running_tasks))
                self._handle_next_task()
            work = self._get_work()
            if work.worker_state == WORKER_STATE_DISABLED:
                self._start_phasing_out()
            if work.task_id is not None:
                logger.debug("Pending tasks: %s", work.n_pending_tasks)
                self._run_task(work.task_id)
                continue
            if not self._stop_requesting_work:
                self._log_remote_tasks(work)
            if self._running_tasks:
                self._handle_next_task()
                continue
            self._idle_since = self._idle_since or datetime.datetime.now()
            if not self._keep_alive(work):
                break
            next(sleeper)
        while self._running_tasks:
            logger.debug("Shut down Worker, %d more tasks to go", len(self._running_tasks))
            self._handle_next_task()
        return self.run_succeeded

    def _sleeper(self) -> Iterator[None]:
        """Sleeps each time it is asked for its next value."""
        while True:
            seconds = self._config.wait_interval + random.uniform(0, self._config.wait_jitter)  # noqa: S311 - only spreads workers
            logger.debug("Sleeping for %f seconds", seconds)
            time.sleep(seconds)
            yield

    def _keep_alive(self, get_work_response: GetWorkResponse) -> bool:
        """Whether to stay though there is nothing to run now."""
        config = self._config
        if not config.keep_alive:
            return False
        if self._assistant:
            return True
        if config.count_last_scheduled:
            return get_work_response.n_pending_last_scheduled > 0
        if config.count_uniques:
            return get_work_response.n_unique_pending > 0
        if get_work_response.n_pending_tasks == 0:
            return False
        if not config.max_keep_alive_idle_duration or not self._idle_since:
            return True
        left = self._idle_since + config.max_keep_alive_idle_duration - datetime.datetime.now()
        logger.debug("[%s] %s until shutdown", self._id, left)
        return bool(left > datetime.timedelta(0))

    def handle_interrupt(self, signum: int, _: FrameType | None) -> None:
        """On SIGUSR1: ask for no more work, end when what runs has ended."""
        if signum == signal.SIGUSR1:
            self._start_phasing_out()

    def _start_phasing_out(self) -> None:
        self._config.keep_alive = False
        self._stop_requesting_work = True

    # -- messages of the scheduler

    def _handle_rpc_message(self, message: dict[str, Any]) -> None:
        """Call the method that the message names, if it is one that may be called so."""
        logger.info("Worker %s got message %s", self._id, message)
        name = message["name"]
        method = getattr(self, name, None)
        if not callable(method):
            logger.error("Worker %s has no function '%s'", self._id, name)
        elif not getattr(method, "is_rpc_message_callback", False):
            logger.error("Worker %s function '%s' is not available as rpc message callback", self._id, name)
        else:
            logger.info("Worker %s successfully dispatched rpc message to function '%s'", self._id, name)
            method(**message["kwargs"])

    @rpc_message_callback
    def set_worker_processes(self, n: int) -> None:
        """Run so many tasks at a time from now on, at least one."""
        self.worker_processes = max(1, n)
        self._scheduler.add_worker(self._id, {"workers": self.worker_processes})

    @rpc_message_callback
    def dispatch_scheduler_message(self, task_id: str, message_id: str, content: Any, **kwargs: Any) -> None:
        """Hand a message to the task that it is for, if that runs here and takes messages."""
        process = self._running_tasks.get(str(task_id))
        if process is not None and process.status_reporter.scheduler_messages:
            process.status_reporter.scheduler_messages.put(SchedulerMessage(self._scheduler, str(task_id), message_id, content, **kwargs))


class WrongSetting(ConfigError, AssertionError):
    """A setting that no worker can work by; an AssertionError, as programs know it."""


def _check(config: Any) -> None:
    if config.wait_interval < SHORTEST_WAIT:
        raise WrongSetting(f"[worker] wait_interval must be positive, it is {config.wait_interval}; write seconds, such as 1")
    if config.wait_jitter < 0:
        raise WrongSetting(f"[worker] wait_jitter must be 0 or more, it is {config.wait_jitter}; write seconds, such as 5")


def _own(config: Any) -> Any:
    """A copy of settings that may be changed: equal ones are one object, and another worker's keep_alive is not ours to end."""
    copy = object.__new__(type(config))
    copy.__dict__.update(config.__dict__)
    return copy
