"""``luigi-deps-tree``: a task and what it needs, as a tree with who is complete. ``levada plan`` says it in fewer questions."""

from __future__ import annotations

import sys
from typing import Any

from ...task import flatten
from ..cmdline_parser import CmdlineParser


class bcolors:
    """Colours of a terminal."""

    OKBLUE = "\033[94m"
    OKGREEN = "\033[92m"
    ENDC = "\033[0m"


def print_tree(task: Any, indent: str = "", last: bool = True) -> str:
    """The tree as text. Each line stands for one use of a task."""
    state = f"{bcolors.OKGREEN}COMPLETE" if task.complete() else f"{bcolors.OKBLUE}PENDING"
    line = (
        f"\n{indent}{'└─--' if last else '|---'}[{type(task).__name__}-{task.to_str_params(only_significant=True)} ({state}{bcolors.ENDC})]"
    )
    needed = flatten(task.requires())
    below = indent + ("    " if last else "|   ")
    return line + "".join(print_tree(one, below, at == len(needed)) for at, one in enumerate(needed, 1))


def main() -> None:
    """Print the tree of what the command line names."""
    with CmdlineParser.global_instance(sys.argv[1:]) as parser:
        print(print_tree(parser.get_task_obj()))


if __name__ == "__main__":
    main()
