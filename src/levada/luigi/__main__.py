"""``python -m levada.luigi``: an unmodified Luigi program, with the door open for it and its children.

python -m levada.luigi script.py [ARGUMENT ...]     the script, as `python script.py` would run it
python -m levada.luigi -m MODULE [ARGUMENT ...]     the module, as `python -m MODULE` would
python -m levada.luigi --module M Task [...]        a command line of `luigi`
"""

from __future__ import annotations

import os
import runpy
import sys

from levada.luigi import door


def main(arguments: list[str]) -> None:
    """Run the program in this process, which then belongs to it: the door stays open until its end."""
    door.install()
    if arguments[:1] == ["-m"] and len(arguments) > 1:
        sys.argv = arguments[1:]
        sys.path[0] = os.getcwd()
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    elif arguments and _is_script(arguments[0]):
        sys.argv = arguments
        sys.path[0] = os.path.dirname(os.path.realpath(arguments[0]))
        runpy.run_path(arguments[0], run_name="__main__")
    else:
        from levada.luigi.cmdline import luigi_run

        luigi_run(arguments)


def _is_script(argument: str) -> bool:
    return not argument.startswith("-") and (argument.endswith(".py") or (os.sep in argument and os.path.exists(argument)))


if __name__ == "__main__":
    main(sys.argv[1:])
