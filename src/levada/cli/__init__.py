"""The command line: one small module a command, imported when that command is asked for.

Cron pays for each start, so this package imports nothing until ``main`` knows what is wanted.
"""

from __future__ import annotations

from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command (default: the process's own arguments) and give its exit code."""
    from .app import main

    return main(argv)
