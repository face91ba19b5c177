"""``luigi-deps``: the tasks on all ways from a task up to a family, and what they make. ``levada plan`` shows the whole graph."""

from __future__ import annotations

import sys
from typing import Any

from ...params import OptionalParameter
from ...task import Config, flatten
from ..cmdline_parser import CmdlineParser

NONE: Any = None


class upstream(Config):
    """The option ``--upstream-family``."""

    family: Any = OptionalParameter(default=NONE, description="the family that ways lead to; all tasks without it")


def find_deps(task: Any, upstream_task_family: str | None) -> set[Any]:
    """All tasks on ways from the task to tasks of the family; without a family all that it needs, and itself."""
    users: dict[Any, list[Any]] = {task: []}
    waiting = [task]
    for one in waiting:
        for needed in flatten(one.requires()):
            if needed not in users:
                users[needed] = []
                waiting.append(needed)
            users[needed].append(one)
    found: set[Any] = set()
    waiting = [one for one in users if upstream_task_family is None or one.task_family == upstream_task_family]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting += users[one]
    return found


def find_deps_cli() -> set[Any]:
    """``find_deps`` of what the command line names."""
    with CmdlineParser.global_instance(sys.argv[1:]) as parser:
        return find_deps(parser.get_task_obj(), upstream().family)


def get_task_output_description(task_output: Any) -> str:
    """A target as text, by the kind of its place: ``[FileSystem] PATH``, ``[S3]``, ``[SSH] HOST:PATH``, ``[DB] HOST:TABLE``."""
    kinds = {base.__name__ for base in type(task_output).__mro__}
    path, table = getattr(task_output, "path", None), getattr(task_output, "table", None)
    if table is not None:
        return f"[DB] {getattr(task_output, 'host', None)}:{table}"
    if "RemoteTarget" in kinds:
        return f"[SSH] {task_output.fs.remote_context.host}:{path}"
    if path is None:
        return f"[{type(task_output).__name__}] {task_output}"
    return f"[{'S3' if 'S3Target' in kinds else 'FileSystem'}] {path}"


def main() -> None:
    """Print the tasks and their targets."""
    for task in sorted(find_deps_cli(), key=str):
        print(f"   TASK: {task}")
        for target in flatten(task.output()):
            print(f"                       : {get_task_output_description(target)}")


if __name__ == "__main__":
    main()
