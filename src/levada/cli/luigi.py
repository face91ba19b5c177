"""``levada luigi``: a command line that was written for Luigi. The annex knows its spellings."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from types import TracebackType

from .._model import exit_codes
from ..errors import LevadaError, UsageError
from .text import say


def main(command: str, arguments: list[str], environ: Mapping[str, str]) -> int:
    """Carry out ``levada luigi --module M Task --param value``, with Luigi's options and, by default, its contract."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(
            "Usage: levada luigi --module MODULE TASK [--parameter VALUE ...]\n"
            "       levada luigi SCRIPT.py [ARGUMENT ...]      levada luigi -m MODULE [ARGUMENT ...]\n"
            "       levada luigi --doorway      the folder that does the same from the front of a PYTHONPATH\n\n"
            "  `import luigi` of the module finds Levada. Options of Luigi are understood; with `--contract levada`\n"
            "  those of `levada run`, and the tasks are run as `levada run` does."
        )
        return exit_codes.OK if arguments else exit_codes.USAGE
    door = import_module("levada.luigi.door")  # by name: nothing in the house stands on the annex
    if arguments == ["--doorway"]:
        print(door.DOORWAY)
        return exit_codes.OK
    program = import_module("levada.luigi.__main__")
    with door.opened():
        if program.is_program(arguments):
            return _code_of_program(program.run_program, arguments)
        code: int = import_module("levada.luigi._command").command(arguments)
    return code


def _code_of_program(run: Callable[[list[str]], None], arguments: list[str]) -> int:
    """The exit code with which Python would end that program; what it raises is told as Python tells it, as its own fault."""
    if arguments[0] != "-m" and not os.path.exists(arguments[0]):
        raise UsageError(f"there is no file {arguments[0]}", hint=f"The current folder is {os.getcwd()}.")
    try:
        run(arguments)
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or exit_codes.OK
        say(str(end.code))
        return 1
    except (LevadaError, BrokenPipeError):
        raise
    except Exception as fault:
        own = _frames_of_program(fault.__traceback__)
        if own is None and isinstance(fault, ImportError):
            raise UsageError(f"cannot run -m {arguments[1]}: {fault}", hint=f"The current folder is {os.getcwd()}.") from fault
        sys.excepthook(type(fault), fault.with_traceback(own), own)  # also if the program put its own there
        return 1
    return exit_codes.OK


def _frames_of_program(trace: TracebackType | None) -> TracebackType | None:
    """What of a traceback lies below ``runpy``: what the author would see without us."""
    own = trace
    while trace is not None:
        inside, trace = trace.tb_frame.f_globals.get("__name__") == "runpy", trace.tb_next
        if inside:
            own = trace
    return own
