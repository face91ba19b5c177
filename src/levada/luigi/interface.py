"""``luigi.run`` and ``luigi.build``: how old programs start themselves, and what they hear of it.

Two ways lead from here. Luigi's contract, which is the default: a ``luigi.worker.Worker`` and a scheduler of Luigi's verbs,
made by a factory that programs may replace. Levada's, with ``[core] contract = levada`` (or ``--contract levada``,
or ``contract="levada"`` in ``build``), and wherever a Levada server is configured: the house's own run.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import tempfile
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

from .._run import scheduler_of
from ..errors import StateFolderError
from ..params import BoolParameter, ChoiceParameter, IntParameter, Parameter
from ..task import Config
from . import lock, rpc, scheduler, worker
from ._reading import read_settings
from .cmdline_parser import CmdlineParser
from .execution_summary import LuigiRunResult, LuigiStatusCode
from .setup_logging import InterfaceLogging

__all__ = ["LuigiRunResult", "LuigiStatusCode", "PidLockAlreadyTakenExit", "build", "core", "run"]

HOST, PORT = "localhost", 8082
"""Where Luigi looks for a scheduler when nobody names one."""


class core(Config):
    """Section ``[core]``: which scheduler, how many workers, what is logged. Its options stand on the command line without a prefix."""

    use_cmdline_section = False

    local_scheduler = BoolParameter(default=False, description="Schedule in this process, without a server", always_in_help=True)
    scheduler_host = Parameter(
        default=HOST, description="Host of the scheduler", config_path={"section": "core", "name": "default-scheduler-host"}
    )
    scheduler_port = IntParameter(
        default=PORT, description="Port of the scheduler", config_path={"section": "core", "name": "default-scheduler-port"}
    )
    scheduler_url = Parameter(
        default="", description="URL of the scheduler, whole", config_path={"section": "core", "name": "default-scheduler-url"}
    )
    lock_size = IntParameter(default=1, description="So many processes of one command may run at a time")
    no_lock = BoolParameter(default=False, description="Run also while another process of this command does")
    lock_pid_dir = Parameter(default=os.path.join(tempfile.gettempdir(), "luigi"), description="Where it is noted which processes run")
    take_lock = BoolParameter(default=False, description="Ask processes of this command that run to take no more work")
    workers = IntParameter(default=1, description="So many tasks run at a time")
    logging_conf_file: Any = Parameter(default="", description="File that configures logging")
    log_level = ChoiceParameter(
        default="DEBUG",
        choices=["NOTSET", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"],
        description="What is logged, where no file configures it",
    )
    module = Parameter(default="", description="Module to import before the task is looked for", always_in_help=True)
    parallel_scheduling = BoolParameter(default=False, description="Ask for completeness in several processes")
    parallel_scheduling_processes = IntParameter(default=0, description="So many processes for that; 0: one for each CPU")
    assistant = BoolParameter(default=False, description="Run any task that the scheduler has")
    contract = ChoiceParameter(
        default="luigi",
        choices=["luigi", "levada"],
        description="Whose promises a run keeps where Levada's differ: luigi, or levada (safer)",
    )
    help = BoolParameter(default=False, description="Show the most common options and those of the task", always_in_help=True)
    help_all = BoolParameter(default=False, description="Show all options", always_in_help=True)


class _WorkerSchedulerFactory:
    """Makes scheduler and worker of a run; programs pass their own."""

    def create_local_scheduler(self) -> Any:
        """A scheduler of this process."""
        return scheduler.Scheduler(prune_on_get_work=True, record_task_history=False)

    def create_remote_scheduler(self, url: str) -> Any:
        """The scheduler at a URL: a luigid, or a Levada server that answers like one."""
        return rpc.RemoteScheduler(url)

    def create_worker(self, scheduler: Any, worker_processes: int, assistant: bool = False) -> Any:
        """A worker for it."""
        return worker.Worker(scheduler=scheduler, worker_processes=worker_processes, assistant=assistant)


class PidLockAlreadyTakenExit(SystemExit):
    """Another process of the same command runs."""


def run(*args: Any, **kwargs: Any) -> Any:
    """Run the task that the command line names: whether all went well; a LuigiRunResult with ``detailed_summary=True``.

    cmdline_args: instead of the program's own arguments. main_task_cls: the task, where they do not name one.
    local_scheduler: as the option. worker_scheduler_factory: makes scheduler and worker.
    """
    result = _run(*args, **kwargs)
    return result if kwargs.get("detailed_summary") else result.scheduling_succeeded


def _run(
    cmdline_args: Sequence[str] | None = None,
    main_task_cls: Any = None,
    worker_scheduler_factory: Any = None,
    use_dynamic_argparse: Any = None,
    local_scheduler: bool = False,
    detailed_summary: bool = False,
) -> LuigiRunResult:
    """The result of ``run``, whole."""
    read_settings()
    if cmdline_args is not None and not isinstance(cmdline_args, (list, tuple)):
        given = type(cmdline_args).__name__
        raise TypeError(f"cmdline_args is a {given!r}; give a list or tuple of arguments, as in ['MyTask', '--param', 'value']")
    if use_dynamic_argparse is not None:
        warnings.warn("use_dynamic_argparse means nothing any more; leave it out", DeprecationWarning, stacklevel=2)
    arguments = list(sys.argv[1:] if cmdline_args is None else cmdline_args)
    if main_task_cls:
        arguments.insert(0, main_task_cls.get_task_family())
    if local_scheduler:
        arguments.append("--local-scheduler")
    with CmdlineParser.global_instance(arguments) as parser:
        return _schedule_and_run([parser.get_task_obj()], worker_scheduler_factory)


def build(tasks: Iterable[Any], worker_scheduler_factory: Any = None, detailed_summary: bool = False, **env_params: Any) -> Any:
    """Run tasks from a program: whether all went well; a LuigiRunResult with ``detailed_summary=True``.

    env_params: settings of ``[core]``, as in ``local_scheduler=True, workers=4``. Several processes may do so at a time, unless
    ``no_lock=False`` is given.
    """
    read_settings()
    env_params.setdefault("no_lock", True)
    result = _schedule_and_run(tasks, worker_scheduler_factory, override_defaults=env_params)
    return result if detailed_summary else result.scheduling_succeeded


def _schedule_and_run(
    tasks: Iterable[Any], worker_scheduler_factory: Any = None, override_defaults: dict[str, Any] | None = None
) -> LuigiRunResult:
    """Run tasks with the settings of ``[core]``, these ones first."""
    env = core(**(override_defaults or {}))
    InterfaceLogging.setup(env)
    _take_lock(env)
    log = logging.getLogger("luigi-interface")
    addresses = "" if env.local_scheduler else scheduler_of(None)
    if worker_scheduler_factory is None and (addresses or env.contract == "levada"):
        from ._housed import run_in_house

        result: LuigiRunResult = run_in_house(list(tasks), env.workers, addresses)
    else:
        result = _run_by_worker(tasks, worker_scheduler_factory or _WorkerSchedulerFactory(), env, log)
    log.info(result.summary_text)
    return result


_noted: set[tuple[int, str]] = set()
"""(process, folder) of locks that were taken: one that runs its command a second time is in nobody's way but its own."""


def _take_lock(env: Any) -> None:
    """Note that this command runs, or end the program: PidLockAlreadyTakenExit."""
    if env.no_lock:
        return
    ours = os.getpid(), env.lock_pid_dir
    try:
        free = lock.acquire_for(env.lock_pid_dir, env.lock_size, signal.SIGUSR1 if env.take_lock else None)
    except (OSError, ValueError) as fault:
        hint = "Name another folder with --lock-pid-dir, or do without by --no-lock."
        raise StateFolderError(f"[core] lock_pid_dir is {env.lock_pid_dir}: {fault}", hint=hint) from fault
    if free:
        _noted.add(ours)
    elif ours not in _noted:
        raise PidLockAlreadyTakenExit()


def _run_by_worker(tasks: Iterable[Any], factory: Any, env: Any, log: logging.Logger) -> LuigiRunResult:
    if env.local_scheduler:
        found = factory.create_local_scheduler()
    else:
        found = factory.create_remote_scheduler(url=env.scheduler_url or f"http://{env.scheduler_host}:{env.scheduler_port:d}/")
    one = factory.create_worker(scheduler=found, worker_processes=env.workers, assistant=env.assistant)
    success = True
    with one:
        for task in tasks:
            success &= one.add(task, env.parallel_scheduling, env.parallel_scheduling_processes)
        log.info("Done scheduling tasks")
        success &= one.run()
    result = LuigiRunResult(one, success)
    if hasattr(found, "close"):
        found.close()
    return result
