"""``levada invalidate TASK --move-aside``: the outputs of a task go to names beside them, and the task is made again.

In an order that the model of the protocol has shown to be sound (proofs/README.md): ask how the task stands, remove what attempts of
it have begun to write, move the outputs, and only then invalidate, if nobody has been granted the task since it was asked for.
Whoever is killed after any of these steps leaves a task that is found missing and made again, and may say the same once more.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .._model import exit_codes
from ..errors import LevadaError, TargetError, TargetUnreachable, UsageError
from ..targets.aside import Move, carry_out, clear, planned
from .operate import MOVE_ASIDE, REASON
from .remote import JSON, STATE, Remote, need_server, task_key, task_name
from .tasks import OF_TASK, SCHEDULER, Request, state_of, understand
from .text import escape, json_text, say

OPTIONS = (MOVE_ASIDE, REASON, JSON, SCHEDULER, STATE, *OF_TASK)
ENDED = ("done", "failed", "disabled", "cancelled")


def main(arguments: list[str], environ: Mapping[str, str]) -> int:
    """Carry it out."""
    request = understand("invalidate", arguments, OPTIONS, environ, lambda word, request: _recall(word, request, environ))
    if request is None:
        return exit_codes.OK
    from .._run import give_secrets_a_key

    give_secrets_a_key(state_of(request.settings))
    task = request.task()
    remote = need_server(request.parsed, environ)
    try:
        _make_again(task, remote, request)
    finally:
        remote.close()
    return exit_codes.OK


def _recall(word: str, request: Request, environ: Mapping[str, str]) -> tuple[str, dict[str, str]] | None:
    """Family and values of the task of the server that a word means."""
    remote = need_server(request.parsed, environ)
    try:
        row = remote.get(f"/v1/tasks/{task_key(remote, word)}")["task"]
    finally:
        remote.close()
    return row["family"], {name: str(value) for name, value in json.loads(row["params"]).items()}


def _make_again(task: Any, remote: Remote, request: Request) -> None:
    from .._plan.complete import outputs_of
    from ..task import key_of

    key = key_of(task).hex()
    seen = remote.get(f"/v1/tasks/{key}")
    name = task_name(seen["task"])
    if seen["task"]["status"] not in ENDED:
        raise UsageError(f"{name} is {seen['task']['status']}: only what has come to an end is made again; nothing was changed")
    moves = _planned(outputs_of(task), seen["generation"])
    swept, moved = _cleared(moves, key[:8])
    body = {"reason": request.parsed.text("reason"), "generation": seen["generation"], "number": seen["number"] or 0}
    try:
        answer = remote.send(f"/v1/tasks/{key}/invalidate", body)
    except LevadaError:
        _tell(swept, moved)
        say("levada: the task was not invalidated: whoever wants it next finds its outputs missing, and makes them again")
        raise
    if request.parsed.flag("json"):
        rows = [{"path": move.path, "aside": move.aside} for move in moved]
        print(json_text({"key": key, "task": name, **answer, "generation": seen["generation"] + 1, "moved": rows, "removed": swept}))
        return
    _tell(swept, moved)
    print(f"{key} {name}: {answer['status']} (was {answer['before']}), generation {seen['generation'] + 1}")


def _planned(outputs: list[Any], generation: int) -> list[Move]:
    if not outputs:
        raise UsageError("the task has no outputs", hint="Leave --move-aside out.")
    try:
        return planned(outputs, generation)
    except TargetUnreachable:
        raise
    except TargetError as fault:
        raise UsageError(fault.message, hint=fault.hint) from fault


def _cleared(moves: list[Move], key8: str) -> tuple[list[str], list[Move]]:
    """What was removed, and what was moved."""
    swept = clear(moves, key8)
    moved: list[Move] = []
    try:
        moved.extend(filter(carry_out, moves))  # one by one: where the next fails, those before it are told
    except LevadaError:
        _tell(swept, moved)
        raise
    return swept, moved


def _tell(swept: list[str], moved: list[Move]) -> None:
    for path in swept:
        print(escape(f"removed {path}"))
    for move in moved:
        print(escape(f"moved {move.path} to {move.aside}"))
