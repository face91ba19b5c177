"""What the nodes run: ``python -m levada.contrib.hadoop.runner map|reduce``, of the code and the task that travelled there.

Lines come on stdin and go to stdout; what the author's code prints goes to stderr, and so into the log.
"""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from typing import IO

from .records import as_lines
from .shipping import TASK_FILE, read_task

PHASES = ("map", "reduce")


def main(arguments: list[str], stdin: IO[bytes], stdout: IO[bytes]) -> int:
    """Run a phase of the task that lies in the current folder; exit status 0, or the exception's traceback."""
    if len(arguments) != 1 or arguments[0] not in PHASES:
        sys.stderr.write(f"usage: python -m levada.contrib.hadoop.runner {'|'.join(PHASES)}, got {arguments}\n")
        return 64
    lines, out = as_lines(stdin), as_lines(stdout)
    with redirect_stdout(sys.stderr):
        with open(TASK_FILE, encoding="utf-8") as file:
            task = read_task(file.read())
        (task.run_mapper if arguments[0] == "map" else task.run_reducer)(lines, out)
    out.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], sys.stdin.buffer, sys.stdout.buffer))
