"""A job as a script of a POSIX shell, for engines that start scripts: words and variables arrive as they are."""

from __future__ import annotations

import os
import re
import shlex

from levada._model.engines import JobSpec
from levada.errors import JobRefused

NOT_RUN = 75  # exit status of a job that must not run, or cannot where it is


def run_script(job: JobSpec) -> str:
    """The script that becomes the program. Raises JobRefused for what no shell can be told.

    >>> print(run_script(JobSpec("count-1", "Count()", ("echo", "it's"), {"DAY": "a b"}, "/data")), end="")
    #!/bin/sh
    export DAY='a b'
    cd -- /data || exit 75
    exec echo 'it'"'"'s'
    """
    if not job.argv:
        raise JobRefused(f"{job.title}: a job needs a program, got none", hint="Return at least one word.")
    for name in job.env:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise JobRefused(f"{job.title}: {name!r} is no name of a variable", hint="Letters, digits and _ are, and no digit first.")
    for text in (*job.argv, *job.env.values(), job.folder):
        if "\0" in text:
            raise JobRefused(f"{job.title}: {text!r} holds a zero byte, which no program can be given")
    lines = ["#!/bin/sh", *(f"export {name}={shlex.quote(value)}" for name, value in job.env.items())]
    if job.folder:
        lines.append(f"cd -- {shlex.quote(job.folder)} || exit {NOT_RUN}")
    return "\n".join([*lines, f"exec {shlex.join(job.argv)}", ""])


def write_script(path: str, text: str) -> None:
    """A new file that its owner alone may read, write and start. Raises OSError."""
    with open(path, "x", encoding="utf-8", errors="surrogateescape", newline="", opener=_private) as file:
        file.write(text)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o700)
