"""``python -m levada.luigi``: an unmodified Luigi program, with the door open for it and its children.

python -m levada.luigi script.py [ARGUMENT ...]     the script, as `python script.py` would run it
python -m levada.luigi -m MODULE [ARGUMENT ...]     the module, as `python -m MODULE` would
python -m levada.luigi --module M Task [...]        a command line of `luigi`
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from levada.luigi import door


def main(arguments: Sequence[str]) -> None:
    """Run the program in this process, which then belongs to it: the door stays open until its end."""
    door.install()
    if is_program(arguments):
        run_program(arguments)
    else:
        from levada.luigi.cmdline import luigi_run

        luigi_run(arguments)


def is_program(arguments: Sequence[str]) -> bool:
    """Whether a script or ``-m MODULE`` stands first, not a command line of ``luigi``.

    >>> [is_program(words) for words in (["sales.py"], ["-m", "sales"], ["--module", "sales", "Report"], ["Report"])]
    [True, True, False, False]
    """
    first = arguments[0] if arguments else ""
    if first == "-m":
        return len(arguments) > 1
    return not first.startswith("-") and (first.endswith(".py") or (os.sep in first and os.path.exists(first)))


def run_program(arguments: Sequence[str]) -> None:
    """Run a script or a module as the program of this process; its ``SystemExit`` comes out."""
    import runpy

    if arguments[0] == "-m":
        sys.argv = list(arguments[1:])
        sys.path[0] = os.getcwd()
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = list(arguments)
        sys.path[0] = os.path.dirname(os.path.realpath(arguments[0]))
        runpy.run_path(os.path.abspath(arguments[0]), run_name="__main__")  # `__file__` is whole, as Python makes it


if __name__ == "__main__":
    main(sys.argv[1:])
