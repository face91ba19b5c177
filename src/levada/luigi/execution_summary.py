"""``luigi.execution_summary``: what a worker did, as text for people and as a status for programs."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from typing import Any

from ..params import IntParameter
from ..task import Config

Tasks = set[Any]
ByFamily = dict[str, list[Any]]


class execution_summary(Config):
    """Section ``[execution_summary]``."""

    summary_length = IntParameter(default=5, description="Families that are listed under each heading; 0: all")


class LuigiStatusCode(enum.Enum):
    """How a run went: a face, and the reason."""

    SUCCESS = (":)", "there were no failed tasks or missing dependencies")
    SUCCESS_WITH_RETRY = (":)", "there were failed tasks but they all succeeded in a retry")
    FAILED = (":(", "there were failed tasks")
    FAILED_AND_SCHEDULING_FAILED = (":(", "there were failed tasks and tasks whose scheduling failed")
    SCHEDULING_FAILED = (":(", "there were tasks whose scheduling failed")
    NOT_RUN = (":|", "there were tasks that were not granted run permission by the scheduler")
    MISSING_EXT = (":|", "there were missing external dependencies")


class LuigiRunResult:
    """What ``luigi.run`` and ``luigi.build`` give with ``detailed_summary=True``.

    ``status`` (LuigiStatusCode), ``summary_text``, ``one_line_summary``, ``worker``, ``scheduling_succeeded``.
    """

    def __init__(self, worker: Any, worker_add_run_status: bool = True) -> None:
        self.worker = worker
        found = _summary_dict(worker)
        self.summary_text = _framed(_summary_format(found, worker))
        self.status = _tasks_status(found)
        self.one_line_summary = _one_line(self.status)
        self.scheduling_succeeded = worker_add_run_status

    def __str__(self) -> str:
        return f"LuigiRunResult with status {self.status}"

    def __repr__(self) -> str:
        return f"LuigiRunResult(status={self.status!r},worker={self.worker!r},scheduling_succeeded={self.scheduling_succeeded!r})"


_UPSTREAM = {
    "upstream_failure": ("ever_failed", "upstream_failure"),
    "upstream_missing_dependency": ("still_pending_ext", "upstream_missing_dependency"),
    "upstream_run_by_other_worker": ("run_by_other_worker", "upstream_run_by_other_worker"),
    "upstream_scheduling_error": ("scheduling_error",),
}
"""Why a task is left pending -> the sets in which a requirement says so."""

_PENDING = {
    "still_pending_ext": "were missing external dependencies",
    "run_by_other_worker": "were being run by another worker",
    "upstream_failure": "had failed dependencies",
    "upstream_missing_dependency": "had missing dependencies",
    "upstream_run_by_other_worker": "had dependencies that were being run by other worker",
    "upstream_scheduling_error": "had dependencies whose scheduling failed",
    "not_run": "was not granted run permission by the scheduler",
}
_HEADINGS = {
    "already_done": "complete ones were encountered",
    "completed": "ran successfully",
    "failed": "failed",
    "scheduling_error": "failed scheduling",
    "still_pending": "were left pending, among these",
    **_PENDING,
}
"""Kinds of tasks in the order in which they are told, and what is said of them."""

_ORDERED_STATUSES = ("already_done", "completed", "ever_failed", *(kind for kind in _HEADINGS if kind not in ("already_done", "completed")))
"""All kinds, by the names that programs know."""

MOST_WORKERS = 4  # other workers that are named before the rest is counted


def summary(worker: Any) -> str:
    """What the worker did, for people."""
    return _framed(_summary_format(_summary_dict(worker), worker))


# -- sorting out


def _summary_dict(worker: Any) -> dict[str, Tasks]:
    """Kind -> tasks, of all that the worker told the scheduler."""
    found = _partition_tasks(worker)
    found["run_by_other_worker"] = set().union(*_get_external_workers(worker).values())
    _explain_pending(found)
    return found


def _partition_tasks(worker: Any) -> dict[str, Tasks]:
    """The kinds that the history alone tells; the others empty."""
    by_status: dict[str, Tasks] = {}
    runnable: dict[bool, Tasks] = {True: set(), False: set()}
    for task, status, ours in worker._add_task_history:
        by_status.setdefault(status, set()).add(task)
        if status == "PENDING":
            runnable[bool(ours)].add(task)
    done, pending, failed = (by_status.get(status, set()) for status in ("DONE", "PENDING", "FAILED"))
    completed = done & pending
    settled = failed | completed
    return {
        "completed": completed,
        "already_done": done - pending,
        "ever_failed": set(failed),
        "failed": failed - completed,
        "scheduling_error": by_status.get("UNKNOWN", set()),
        "still_pending_ext": runnable[False] - settled,
        "still_pending_not_ext": runnable[True] - settled,
        "run_by_other_worker": set(),
        **{kind: set() for kind in _UPSTREAM},
        "not_run": set(),
    }


def _root_task(worker: Any) -> Any:
    """The first task that the worker told the scheduler of, which is the wanted one."""
    return worker._add_task_history[0][0]


def _explain_pending(found: dict[str, Tasks]) -> None:
    """Fill in why tasks are left pending."""
    for task, needs in _requirements_first(found["still_pending_not_ext"]):
        told = task in found["run_by_other_worker"]
        for kind, sets in _UPSTREAM.items():
            if any(need in found[name] for need in needs for name in sets):
                found[kind].add(task)
                told = True
        if not told:
            found["not_run"].add(task)


def _requirements_first(pending: Tasks) -> Iterator[tuple[Any, list[Any]]]:
    """Each pending task with its requirements, after those of them that are pending, too."""
    seen: Tasks = set()
    for start in pending:
        stack: list[tuple[Any, list[Any], Iterator[Any]]] = []
        if start not in seen:
            seen.add(start)
            needs = list(start.deps())
            stack.append((start, needs, iter(needs)))
        while stack:
            task, needs, rest = stack[-1]
            upward = next((need for need in rest if need in pending and need not in seen), None)
            if upward is None:
                yield task, needs
                stack.pop()
            else:
                seen.add(upward)
                more = list(upward.deps())
                stack.append((upward, more, iter(more)))


def _get_external_workers(worker: Any) -> dict[str, Tasks]:
    """Other worker -> tasks of ours that it was running while we had to wait."""
    found: dict[str, Tasks] = {}
    for reply in worker._get_work_response_history:
        if reply["task_id"] is not None or not reply["running_tasks"]:
            continue
        for running in reply["running_tasks"]:
            task = worker._scheduled_tasks.get(running["task_id"])
            if task and running["worker"] != worker._id:
                found.setdefault(running["worker"], set()).add(task)
    return found


def _tasks_status(found: dict[str, Tasks]) -> LuigiStatusCode:
    if found["ever_failed"]:
        if not found["failed"]:
            return LuigiStatusCode.SUCCESS_WITH_RETRY
        return LuigiStatusCode.FAILED_AND_SCHEDULING_FAILED if found["scheduling_error"] else LuigiStatusCode.FAILED
    if found["scheduling_error"]:
        return LuigiStatusCode.SCHEDULING_FAILED
    if found["not_run"]:
        return LuigiStatusCode.NOT_RUN
    return LuigiStatusCode.MISSING_EXT if found["still_pending_ext"] else LuigiStatusCode.SUCCESS


# -- words


def _framed(text: str) -> str:
    line = "===== Luigi Execution Summary ====="
    return f"\n{line}\n\n{text}\n\n{line}\n"


def _one_line(status: LuigiStatusCode) -> str:
    face, reason = status.value
    return f"This progress looks {face} because {reason}"


_create_one_line_summary = _one_line  # law asks for it by this name


def _summary_format(found: dict[str, Tasks], worker: Any) -> str:
    untouched = sum(len(found[kind]) for kind in ("already_done", "scheduling_error", "still_pending_ext", "still_pending_not_ext"))
    scheduled = untouched + len(found["completed"]) + len(found["failed"])
    if not scheduled:
        return "Did not schedule any tasks"
    text = f"Scheduled {scheduled} tasks of which:\n" + "".join(_sections(found))
    others = _get_external_workers(worker)
    if others:
        text += f"\nThe other workers were:\n{_others(others)}\n"
    if scheduled == untouched:
        text += "Did not run any tasks" if others else "\nDid not run any tasks"
    return f"{text}\n{_one_line(_tasks_status(found))}"


def _sections(found: dict[str, Tasks]) -> Iterator[str]:
    for kind, heading in _HEADINGS.items():
        if kind == "still_pending":
            count = len(found["still_pending_ext"]) + len(found["still_pending_not_ext"])
            if count:
                yield f"* {count} {heading}:\n"
        elif found[kind]:
            indent = "    " if kind in _PENDING else ""
            yield f"{indent}* {len(found[kind])} {heading}:\n{_listed(_by_family(found[kind]), indent + '    ')}\n"


def _others(others: dict[str, Tasks]) -> str:
    lines = ""
    for number, (name, tasks) in enumerate(others.items()):
        if number >= MOST_WORKERS and number < len(others) - 1:
            return f"{lines}    and {len(others) - number} other workers"
        lines += f"    - {name} ran {len(tasks)} tasks\n"
    return lines


def _by_family(tasks: Iterable[Any]) -> ByFamily:
    found: ByFamily = {}
    for task in sorted(tasks, key=lambda task: str(task.task_id)):
        found.setdefault(task.task_family, []).append(task)
    return found


def _listed(families: ByFamily, indent: str) -> str:
    """A line for each family, as many as are configured."""
    most = execution_summary().summary_length
    names = sorted(families)
    shown = names[:most] if most > 0 else names
    lines = [f"{indent}- {len(families[name])} {_described(name, sorted(families[name], key=str))}" for name in shown]
    if len(shown) < len(names):
        lines.append(f"{indent}...")
    return "\n".join(lines)


def _described(family: str, tasks: list[Any]) -> str:
    """The tasks of one family, in a line that does not get too long."""
    first = tasks[0]
    params = first.get_params()
    width, length = sum(len(name) for name, _ in params), len(str(first))
    if not params:
        return f"{family}()"
    if width > 60 or length > 200 or (len(tasks) == 2 and len(params) > 1 and (width > 40 or length > 100)):
        return f"{family}(...)"
    if len(params) == 1:
        return f"{family}({params[0][0]}={_values(tasks, *params[0])})"
    return _range_of_one(family, tasks, params) or _named(tasks)


def _named(tasks: list[Any]) -> str:
    if len(tasks) > 2:
        return f"{tasks[0]} ..."
    return " and ".join(str(task) for task in tasks)


def _values(tasks: list[Any], name: str, parameter: Any) -> str:
    """The values of the only parameter: as a range where they are one without gaps, else as many as there is room for."""
    values = {getattr(task, name) for task in tasks}
    if len(values) > 3 and (ends := _ends(values, parameter)):
        return _span(ends, parameter)
    text = ""
    for number, task in enumerate(tasks):
        last = number == len(tasks) - 1
        if len(text) > 200 or (len(text) >= 30 and number > 2 and not last):
            return f"{text}..."
        text += parameter.serialize(getattr(task, name)) + ("" if last else ",")
    return text


def _range_of_one(family: str, tasks: list[Any], params: list[Any]) -> str | None:
    """The tasks as a range of the only parameter in which they differ; None where they are no range."""
    differing = [(name, parameter) for name, parameter in params if len({getattr(task, name) for task in tasks}) > 1]
    if len(differing) != 1:
        return None
    ((varied, parameter),) = differing
    values = {getattr(task, varied) for task in tasks}
    ends = _ends(values, parameter) if len(values) > 2 else None
    if ends is None:
        return None
    texts = (f"{n}={_span(ends, p) if n == varied else p.serialize(getattr(tasks[0], n))}" for n, p in params)
    return f"{family}({', '.join(texts)})"


def _span(ends: tuple[Any, Any], parameter: Any) -> str:
    return f"{parameter.serialize(ends[0])}...{parameter.serialize(ends[1])}"


def _ends(values: set[Any], parameter: Any) -> tuple[Any, Any] | None:
    """First and last of values that follow each other without a gap; None where they do not."""
    after = {value: parameter.next_in_enumeration(value) for value in values}
    firsts, lasts = values - set(after.values()), [value for value in values if after[value] not in values]
    return (firsts.pop(), lasts[0]) if len(firsts) == 1 and len(lasts) == 1 else None
