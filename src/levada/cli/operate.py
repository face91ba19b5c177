"""``levada cancel, retry, forgive, invalidate, done, priority``: commands about tasks of a server, one by one or by family."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .._model import exit_codes
from .._wire.limits import PRIORITY
from ..errors import UsageError
from .app import DEBUG, HELP
from .options import Option, Parsed
from .remote import JSON, SERVER, Remote, need_server, part, status_of, task_key, task_name, understood
from .text import count, escape

REASON = Option("--reason", "TEXT", "a line for the audit trail")
FAMILY = Option("--family", "FAMILY", "all tasks of this family")
MOVE_ASIDE = Option("--move-aside", "", "one task, built from your modules: its outputs are moved to names beside them first")
STATUS = Option("--status", "STATUS", "with --family: only tasks that stand so")

_ONE = (REASON, JSON, *SERVER, DEBUG, HELP)
OPTIONS: Mapping[str, tuple[Option, ...]] = {
    **dict.fromkeys(("cancel", "retry", "forgive"), (FAMILY, STATUS, *_ONE)),
    "invalidate": (FAMILY, STATUS, MOVE_ASIDE, *_ONE),
    "done": _ONE,
    "priority": _ONE,
}
_VERBS = {"cancel": "cancelled", "retry": "set going again", "forgive": "forgiven", "invalidate": "to be made again", "done": "done"}
OUTPUTS = (
    "Outputs stay where they are: remove or move them by hand now, else whoever looks next finds the task complete. "
    "(--move-aside does both at once.)"
)
INLINE = "Where it runs in the worker's own thread (inline) it ends by itself, or when its lease is over."


def main(command: str, arguments: list[str], environ: Mapping[str, str]) -> int:
    """Carry out one of them."""
    if command == "invalidate" and MOVE_ASIDE.name in arguments:
        from .aside import main as aside

        return aside(arguments, environ)
    level: str | None = None
    if command == "priority":
        arguments, level = _taken_out(arguments)
    parsed = understood(command, arguments, OPTIONS[command])
    if parsed is None:
        return exit_codes.OK
    family = parsed.text("family")
    if family is not None and parsed.words:
        raise UsageError("either tasks or --family", hint=f"Write `levada {command} TASK ...` or `levada {command} --family FAMILY`.")
    if family is None and (not parsed.words or parsed.text("status")):
        more = " LEVEL" if command == "priority" else ""
        raise UsageError("which task?", hint=f"Write `levada {command} TASK{more}` with a key or a name, as `levada tasks` shows them.")
    status_of(parsed)
    remote = need_server(parsed, environ)
    try:
        if family is not None:
            return on_family(remote, command, family, parsed)
        tasks = [named(remote, word) for word in parsed.words]  # all are found before one is changed
        answers = [on_task(remote, command, *task, parsed, level) for task in tasks]
    finally:
        remote.close()
    if command == "invalidate" and not parsed.flag("json") and any(answer["before"] != answer["status"] for answer in answers):
        print(OUTPUTS)
    return exit_codes.OK


def _taken_out(arguments: list[str]) -> tuple[list[str], str]:
    """The last whole number among the arguments, which may begin with a dash, and the rest."""
    for at in range(len(arguments) - 1, -1, -1):
        if arguments[at].removeprefix("-").isdecimal():
            if len(arguments[at]) > 9 or abs(int(arguments[at])) > PRIORITY:
                raise UsageError(f"the priority {arguments[at][:40]} is out of range; expected {-PRIORITY:,} to {PRIORITY:,}")
            return arguments[:at] + arguments[at + 1 :], arguments[at]
    if any(word in ("--help", "-h") for word in arguments):
        return arguments, "0"
    raise UsageError("which priority?", hint="Write `levada priority TASK LEVEL` with a whole number; higher is more urgent.")


def named(remote: Remote, word: str) -> tuple[str, str]:
    """Key and name of the task that is meant."""
    key = task_key(remote, word)
    return key, task_name(remote.get(f"/v1/tasks/{key}")["task"])


def on_task(remote: Remote, command: str, key: str, name: str, parsed: Parsed, level: str | None) -> Mapping[str, Any]:
    """One task; what it was and is."""
    body: dict[str, object] = {"reason": parsed.text("reason")}
    if level is not None:
        body["priority"] = int(level)
    answer: dict[str, Any] = remote.send(f"/v1/tasks/{key}/{command}", body)
    if parsed.flag("json"):
        print(json.dumps({"key": key, "task": name, **answer}))
    elif level is not None:
        print(f"{key} {name}: priority {answer['after']} (was {answer['before']})")
    elif answer["before"] != answer["status"]:
        print(f"{key} {name}: {answer['status']} (was {answer['before']})")
    else:
        print(f"{key} {name}: {_unchanged(command, answer['status'])}")
    return answer


def _unchanged(command: str, status: str) -> str:
    if command == "cancel" and status == "running":
        return f"running; its worker is asked to stop. {INLINE}"
    if command == "forgive":
        return f"{status}; its failures count no more"
    return f"is {status}, nothing was changed"


def on_family(remote: Remote, command: str, family: str, parsed: Parsed) -> int:
    """All tasks of a family that the command concerns, piece by piece."""
    changed = unchanged = 0
    after: str | None = None
    while True:
        body = {"reason": parsed.text("reason"), "status": parsed.text("status"), "after": after}
        answer = remote.send(f"/v1/families/{part(family)}/{command}", body)
        changed, unchanged, after = changed + answer["changed"], unchanged + answer["unchanged"], answer["next"]
        if after is None:
            break
    if parsed.flag("json"):
        print(json.dumps({"family": family, "changed": changed, "unchanged": unchanged}))
    else:
        rest = f", {count(unchanged, 'task')} left as they are" if unchanged else ""
        print(f"{escape(family)}: {count(changed, 'task')} {_VERBS[command]}{rest}")
        if command == "invalidate" and changed:
            print(OUTPUTS)
        elif command == "cancel" and changed and parsed.text("status") in (None, "running"):
            print(f"What runs is asked to stop. {INLINE}")
    return exit_codes.OK
