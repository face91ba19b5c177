"""``levada luigi``: a command line that was written for Luigi. The annex knows its spellings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module

from .._model import exit_codes
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
    """The exit code with which Python would end that program."""
    try:
        run(arguments)
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or exit_codes.OK
        say(str(end.code))
        return 1
    return exit_codes.OK
