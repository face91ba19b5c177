"""``levada luigi``: a command line that was written for Luigi. The annex knows its spellings."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from .._model import exit_codes


def main(command: str, arguments: list[str], environ: Mapping[str, str]) -> int:
    """Carry out ``levada luigi --module M Task --param value``, with Luigi's options and, by default, its contract."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(
            "Usage: levada luigi --module MODULE TASK [--parameter VALUE ...]\n\n"
            "  `import luigi` of the module finds Levada. Options of Luigi are understood; with `--contract levada`\n"
            "  those of `levada run`, and the tasks are run as `levada run` does."
        )
        return exit_codes.OK if arguments else exit_codes.USAGE
    door = import_module("levada.luigi.door")  # by name: nothing in the house stands on the annex
    with door.opened():
        code: int = import_module("levada.luigi._command").command(arguments)
    return code
