"""``levada luigi``: a command line that was written for Luigi. The annex knows its spellings."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from .._model import exit_codes


def main(command: str, arguments: list[str], environ: Mapping[str, str]) -> int:
    """Carry out ``levada luigi --module M Task --param value``; Luigi's own options are understood or let pass."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(
            "Usage: levada luigi --module MODULE TASK [--parameter VALUE ...]\n\n"
            "  `import luigi` of the module finds Levada. Options of `levada run` and of Luigi are understood."
        )
        return exit_codes.OK if arguments else exit_codes.USAGE
    annex, door = import_module("levada.luigi"), import_module("levada.luigi.door")  # by name: nothing in the house stands on the annex
    try:
        with door.opened():
            annex.run(arguments)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else exit_codes.FAILED
    return exit_codes.OK
