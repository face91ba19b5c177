"""``luigi.retcodes``: the exit code of Luigi's command line, as section ``[retcode]`` says."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

from ..errors import LevadaError
from ..params import IntParameter
from ..task import Config
from . import execution_summary, interface
from .cmdline_parser import CmdlineParser
from .setup_logging import InterfaceLogging


class retcode(Config):
    """Section ``[retcode]``: exit codes, each for one kind of end; of several that apply the highest. 0 by default, as in Luigi."""

    unhandled_exception = IntParameter(default=4, description="Something went wrong outside of tasks")
    missing_data = IntParameter(default=0, description="External data is not there")
    task_failed = IntParameter(default=0, description="A task's run() failed")
    already_running = IntParameter(default=0, description="Another process runs the same, or has the lock")
    scheduling_error = IntParameter(default=0, description="A task's complete() or requires() failed, or there were too many tasks")
    not_run = IntParameter(default=0, description="The scheduler did not let a task run")


KINDS = {
    "missing_data": "still_pending_ext",
    "task_failed": "failed",
    "already_running": "run_by_other_worker",
    "scheduling_error": "scheduling_error",
    "not_run": "not_run",
}
"""Setting of ``[retcode]`` -> the tasks of a summary that it speaks of."""

LEVADAS = {
    "unhandled_exception": "INTERNAL",
    "missing_data": "WAITING",
    "task_failed": "FAILED",
    "already_running": "BUSY",
    "scheduling_error": "PLAN_FAULT",
    "not_run": "FAILED",
}
"""Setting of ``[retcode]`` -> the name of Levada's exit code for the same."""


def run_with_retcodes(argv: Sequence[str], *, unset: ModuleType | None = None) -> None:
    """Run a command line of Luigi's and end the program with its exit code.

    unset: the list of codes to take for what nobody has set; None: Luigi's defaults.
    """
    with CmdlineParser.global_instance(list(argv)):
        codes = _codes(retcode(), unset)
    try:
        worker = interface._run(list(argv)).worker
    except interface.PidLockAlreadyTakenExit:
        sys.exit(codes["already_running"])
    except Exception as fault:
        if isinstance(fault, LevadaError) and codes["unhandled_exception"] == getattr(unset, "INTERNAL", None):
            raise  # a wrong parameter, say: `levada luigi` tells it without a traceback
        InterfaceLogging.setup(interface.core())  # it may have been before logging was set up
        logging.getLogger("luigi-interface").exception("Uncaught exception in luigi")
        code = codes["unhandled_exception"]
        sys.exit(unset.PLAN_FAULT if unset is not None and code == unset.INTERNAL and _is_authors(fault) else code)
    with CmdlineParser.global_instance(list(argv)):
        found = execution_summary._summary_dict(worker)
        root = execution_summary._root_task(worker)
    if found["failed"] and codes["task_failed"] and codes["missing_data"] == getattr(unset, "WAITING", None):
        codes = {**codes, "missing_data": 0}  # of Levada's own codes a failure's counts more than one that is higher: cron must see it
    sys.exit(_code(codes, found, root, unset is not None))


def _is_authors(fault: BaseException) -> bool:
    """Whether code of the program raised it, not code of Levada's."""
    trace = fault.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and str(trace.tb_frame.f_globals.get("__name__")).partition(".")[0] != "levada"


def _codes(given: Any, unset: ModuleType | None) -> Mapping[str, int]:
    """Setting -> code."""
    codes = {name: int(getattr(given, name)) for name in LEVADAS}
    if unset is None:
        return codes
    return {name: code if _is_set(name, code) else int(getattr(unset, LEVADAS[name])) for name, code in codes.items()}


def _is_set(name: str, code: int) -> bool:
    """Whether somebody chose this code: it is not the default, or the configuration says the default on purpose."""
    from .configuration import get_config

    return code != (4 if name == "unhandled_exception" else 0) or bool(get_config().has_option("retcode", name))


def _code(codes: Mapping[str, int], found: Mapping[str, set[Any]], root: Any, by_choice: bool) -> int:
    """The exit code. by_choice: a 0 was chosen for what came about; else it may be a default, and ``not_run`` says more."""
    came = [codes[name] for name, kind in KINDS.items() if found[kind]]
    code = max(came, default=0)
    incomplete = root not in found["completed"] and root not in found["already_done"]
    return codes["not_run"] if code == 0 and incomplete and not (by_choice and came) else code
